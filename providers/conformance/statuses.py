"""The chosen tests of a tp-qemu checkout, layered, upstream and by the original alone: statuses and seconds, side by side.

    VTBUILD_TP_QEMU=…/tp-qemu VTBUILD_TEST_GUEST=…/guest VTBUILD_PEER_PYTHON=…/bin/python \\
        python3 providers/conformance/statuses.py [--folder FOLDER] [--way WAY].. [--anew] [NAME ..]

Runs every section of `tests.txt` (or those of its tests that contain a NAME) each way as one job, in which the tests take turns;
so do the ways, such that a host that is busy is as busy for all of them. Results are kept in FOLDER at the end of each job:
started again, the script goes on where it was. Then comes the second time, what passed in one job from the cache; all of it
once more side by side, if that is asked for; and a table in Markdown.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from original import Original
from ours import RUNTIMES, Ours
from record import AGAIN, BESIDE, WAYS, Record, table

HERE = Path(__file__).resolve().parent


def main():
    options = _options()
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    sections = chosen(options.names)
    names = [name for section in sections for name in section]
    record = Record(folder / "results.jsonl")
    ours = Ours(folder, options.vtbuild, options.tp_qemu, options.timeout)
    jobs = _jobs(options, folder, ours)
    for at, section in enumerate(sections, 1):
        for way, job in jobs.items():
            left = [name for name in section if options.anew or not record.has(name, way)]
            if left:
                _say(f"({at}/{len(sections)}) {way}: {len(left)} tests")
                for name, result in job(left).shares().items():
                    record.add(name, way, result)
                    _say(f"    {result['status']:<9} {name}")
    if not options.no_second:
        for way in (way for way in jobs if way in RUNTIMES):
            _say(f"{way}: the second time")
            passed = [name for name in names if record.get(name, way)["status"] == "PASS"]
            record.add(AGAIN, way, ours.again(passed, way))
            if options.beside and not record.has(BESIDE, way):
                _say(f"{way}: side by side")
                record.add(BESIDE, way, ours.beside(names, way))
    text = table(names, record)
    print(text)
    if options.write:
        Path(options.write).write_text(text, encoding="utf-8")
    return 0


def _say(text):
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    environment = os.environ.get
    parser.add_argument("--folder", default="target/conformance", help="where results, caches and the original's home are kept")
    parser.add_argument("--tp-qemu", default=environment("VTBUILD_TP_QEMU"), help="the checkout (VTBUILD_TP_QEMU)")
    program = environment("VTBUILD_PROGRAM", "target/release/vtbuild")
    parser.add_argument("--vtbuild", default=program, help="the program (VTBUILD_PROGRAM)")
    guest = environment("VTBUILD_TEST_GUEST")
    parser.add_argument("--guest", default=guest, help="the original's copy of the guest (VTBUILD_TEST_GUEST)")
    python = environment("VTBUILD_PEER_PYTHON")
    parser.add_argument("--python", default=python, help="the original's interpreter (VTBUILD_PEER_PYTHON)")
    parser.add_argument("--way", action="append", choices=WAYS, help="only this one")
    parser.add_argument("--shell", help="a shell that takes the place of /bin/sh for the original (needs root)")
    parser.add_argument("--timeout", type=int, default=600, help="seconds that one test may take")
    parser.add_argument("--anew", action="store_true", help="run also what has a result")
    parser.add_argument("--no-second", action="store_true", help="leave out the second time")
    parser.add_argument("--beside", action="store_true", help="run all of it once more, as many at once as there are processors")
    parser.add_argument("--write", metavar="FILE", help="write the table to FILE too")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a part of a name in tests.txt, or another test of the provider")
    options = parser.parse_args()
    options.way = options.way or list(WAYS)
    options.vtbuild = os.path.abspath(options.vtbuild)
    if not options.tp_qemu:
        parser.error("name a checkout of tp-qemu with --tp-qemu or VTBUILD_TP_QEMU")
    if "original" in options.way and not (options.guest and options.python):
        print("without VTBUILD_TEST_GUEST and VTBUILD_PEER_PYTHON the original is left out", file=sys.stderr)
        options.way.remove("original")
    return options


def chosen(parts):
    """The tests to run, section by section: all that are listed, or those that `parts` name, whole or by a part of their name.

    A part of none of them is taken for the name of another test of the provider.
    """
    every = listed()
    if not parts:
        return every
    known = {name for section in every for name in section}

    def is_meant(name):
        return any(part == name or (part not in known and part in name) for part in parts)

    sections = [[name for name in section if is_meant(name)] for section in every]
    others = [part for part in parts if not any(part in name for name in known)]
    return [section for section in [*sections, others] if section]


def listed():
    """The names in tests.txt by section; a comment begins one."""
    sections = [[]]
    for line in (HERE / "tests.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            sections.append([])
        elif line.strip():
            sections[-1].append(line.strip())
    return [section for section in sections if section]


def _jobs(options, folder, ours):
    """How some tests are run as one job, for each way that was asked for."""
    jobs = {}
    for way in options.way:
        if way in RUNTIMES:
            ours.prepare()
            jobs[way] = lambda names, way=way: ours.job(names, way)
        else:
            peer = Original(folder / "original", options.python, options.tp_qemu, options.guest, options.timeout, options.shell)
            _say("setting the original up")
            peer.prepare()
            jobs[way] = peer.job
    return jobs


if __name__ == "__main__":
    sys.exit(main())
