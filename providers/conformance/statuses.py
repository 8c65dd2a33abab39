"""The chosen tests of a tp-qemu checkout, layered, upstream and by the original alone: statuses and seconds, side by side.

    VTBUILD_TP_QEMU=…/tp-qemu VTBUILD_TEST_GUEST=…/guest VTBUILD_PEER_PYTHON=…/bin/python \\
        python3 providers/conformance/statuses.py [--folder FOLDER] [--way WAY].. [--anew] [NAME ..]

Runs every line of `tests.txt` (or those that contain a NAME) each way, one test after the other and the ways in turn, such that
a host that is busy is as busy for all of them. Each result is kept in FOLDER at once: started again, the script goes on
where it was. At the end comes the second time, what passed in one run from the cache, and a table in Markdown.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import original

HERE = Path(__file__).resolve().parent
OURS = ("layered", "upstream")
WAYS = (*OURS, "original")


def main():
    options = _options()
    folder = Path(options.folder).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name in listed() if not options.names or any(part in name for part in options.names)]
    names = names or options.names
    record = Record(folder / "results.jsonl")
    runners = _runners(options, folder)
    for at, name in enumerate(names, 1):
        for way, run in runners.items():
            if options.anew or not record.has(name, way):
                result = run(name)
                record.add(name, way, result)
                print(f"({at}/{len(names)}) {way:<8} {result['status']:<9} {name}", file=sys.stderr, flush=True)
    if not options.no_second and not options.names:
        for way in (way for way in runners if way in OURS):
            record.add("*second time*", way, _second(options, folder, way, record, names))
    text = table(names, record)
    print(text)
    if options.write:
        Path(options.write).write_text(text, encoding="utf-8")
    return 0


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    environment = os.environ.get
    parser.add_argument("--folder", default="target/conformance", help="where results, caches and the original's home are kept")
    parser.add_argument("--tp-qemu", default=environment("VTBUILD_TP_QEMU"), help="the checkout (VTBUILD_TP_QEMU)")
    parser.add_argument("--vtbuild", default="target/release/vtbuild", help="the program")
    parser.add_argument("--guest", default=environment("VTBUILD_TEST_GUEST"), help="the original's copy of the guest (VTBUILD_TEST_GUEST)")
    parser.add_argument("--python", default=environment("VTBUILD_PEER_PYTHON"), help="the original's interpreter (VTBUILD_PEER_PYTHON)")
    parser.add_argument("--way", action="append", choices=WAYS, help="only this one")
    parser.add_argument("--shell", help="a shell that takes the place of /bin/sh for the original (needs root)")
    parser.add_argument("--timeout", type=int, default=600, help="seconds that one test may take")
    parser.add_argument("--anew", action="store_true", help="run also what has a result")
    parser.add_argument("--no-second", action="store_true", help="leave out the second time")
    parser.add_argument("--write", metavar="FILE", help="write the table to FILE too")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    options.way = options.way or list(WAYS)
    options.vtbuild = os.path.abspath(options.vtbuild)
    if not options.tp_qemu:
        parser.error("name a checkout of tp-qemu with --tp-qemu or VTBUILD_TP_QEMU")
    if "original" in options.way and not (options.guest and options.python):
        print("without VTBUILD_TEST_GUEST and VTBUILD_PEER_PYTHON the original is left out", file=sys.stderr)
        options.way.remove("original")
    return options


def listed():
    """The names in tests.txt."""
    lines = (HERE / "tests.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


class Record:
    """Results by test and way, kept line by line. The last one counts."""

    def __init__(self, path):
        self._path = path
        self._results = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                entry = json.loads(line)
                self._results[entry["name"], entry["way"]] = entry

    def has(self, name, way):
        return (name, way) in self._results

    def get(self, name, way):
        return self._results.get((name, way))

    def add(self, name, way, result):
        entry = {"name": name, "way": way, **result}
        self._results[name, way] = entry
        with open(self._path, "a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _runners(options, folder):
    """How one test is run, for each way that was asked for."""
    workspace = _workspace(folder / "workspace", options)
    runners = {}
    prepared = folder / "prepared"
    if any(way in OURS for way in options.way) and not prepared.exists():
        print("preparing the bundled guest and upstream's packages", file=sys.stderr, flush=True)
        _vtbuild(options, workspace, ["run", f"//{original.PROVIDER}..boot", "--runtime", "layered"])
        prepared.write_text("", encoding="utf-8")
    for way in options.way:
        if way in OURS:
            runners[way] = lambda name, way=way: _run_ours(options, workspace, name, way)
        else:
            peer = original.Original(folder / "original", options.python, options.tp_qemu, options.guest, options.shell)
            peer.prepare()
            runners[way] = lambda name, peer=peer: _result(*peer.run(name, options.timeout))
    return runners


def _workspace(folder, options):
    (folder / "test-providers.d").mkdir(parents=True, exist_ok=True)
    (folder / "vtbuild.toml").touch()
    uri = Path(options.tp_qemu).resolve().as_uri()
    text = f"[provider]\nuri: {uri}\n[generic]\nsubdir: generic/\n[qemu]\nsubdir: qemu/\n"
    definition = folder / "test-providers.d" / f"{original.PROVIDER}.ini"
    if not definition.exists() or definition.read_text(encoding="utf-8") != text:
        definition.write_text(text, encoding="utf-8")
    return folder


def _vtbuild(options, workspace, words):
    environment = {**os.environ, "VTBUILD_CACHE": str(workspace.parent / "cache"), "NO_COLOR": "1"}
    command = [options.vtbuild, *words]
    began = time.monotonic()
    said = subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)
    return said, time.monotonic() - began


def _result(status, reason, seconds, wall):
    return {"status": status, "reason": reason, "seconds": seconds, "wall": wall}


def _run_ours(options, workspace, name, way):
    """Run one test, known or not. Its own seconds, and those of the whole command.

    What the layered runtime lacks is left to the default, `auto`, which falls back to upstream; the reason says so.
    """
    result = _run_by(options, workspace, name, way)
    if way == "layered" and result["status"] == "ERROR" and _LACKING in (result["reason"] or ""):
        result = {**_run_by(options, workspace, name, "auto"), "reason": f"by upstream: {result['reason']}"}
    return result


#: How a test ends that asks the layered runtime for something that it has not.
_LACKING = "is not part of the built-in test host"


def _run_by(options, workspace, name, runtime):
    results = workspace / "job-results"
    shutil.rmtree(results, ignore_errors=True)
    target = f"//{original.PROVIDER}..{name}"
    words = ["run", target, "--runtime", runtime, "--force", "--jobs", "1", "--timeout", str(options.timeout)]
    shorter = [word for key, value in original.SHORTER.items() for word in ("--param", f"{key}={value}")]
    said, wall = _vtbuild(options, workspace, [*words, *shorter, "--progress", "plain"])
    tests = _tests(results)
    if len(tests) != 1:
        why = f"{len(tests)} tests have this name" if tests else (said.stderr.strip().splitlines() or ["it said nothing"])[0]
        return _result("-", why, None, wall)
    test = tests[0]
    return _result(test["status"], test["reason"], test["seconds"], wall)


def _tests(results):
    try:
        return json.loads((results / "latest" / "results.json").read_text(encoding="utf-8"))["tests"]
    except OSError:
        return []


def _second(options, folder, way, record, names):
    """All that passed, in one run: how long it takes, and how many came from the cache."""
    passed = [name for name in names if (record.get(name, way) or {}).get("status") == "PASS"]
    targets = "//" + ",".join(f"{original.PROVIDER}..{name}" for name in passed)
    workspace = folder / "workspace"
    shorter = [word for key, value in original.SHORTER.items() for word in ("--param", f"{key}={value}")]
    words = ["run", targets, "--runtime", way, "--jobs", "1", "--timeout", str(options.timeout), *shorter]
    _, wall = _vtbuild(options, workspace, words)
    tests = _tests(workspace / "job-results")
    return {**_result("", None, None, wall), "of": len(tests), "cached": sum(test["cached"] for test in tests)}


def table(names, record):
    """What is known, as Markdown."""
    lines = ["| test | " + " | ".join(f"{way} | s" for way in WAYS) + " |", "|---|" + "---|--:|" * len(WAYS)]
    for name in names:
        cells = []
        for way in WAYS:
            result = record.get(name, way)
            by_another = "¹" if result and (result["reason"] or "").startswith("by upstream") else ""
            cells += [result["status"] + by_another, _seconds(result["seconds"])] if result else ["", ""]
        differ = len({cell.rstrip("¹") for cell in cells[::2] if cell}) > 1
        lines.append(f"| {'**' + name + '**' if differ else name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", *_totals(names, record)]) + "\n"


def _seconds(seconds):
    return "" if seconds is None else f"{seconds:.1f}"


def _totals(names, record):
    known = {way: [record.get(name, way) for name in names if record.has(name, way)] for way in WAYS}
    every = [name for name in names if all(record.has(name, way) for way in WAYS if known[way])]
    lines = [
        f"{len(every)} tests have a result each way. Names in bold ended differently. ¹ The layered runtime lacks something;"
        " the default runs the test by upstream's packages.",
        "",
        "| | " + " | ".join(WAYS) + " |",
        "|---|" + "--:|" * len(WAYS),
    ]
    statuses = sorted({result["status"] for results in known.values() for result in results})
    for status in statuses:
        counts = [sum(record.get(n, way)["status"] == status for n in every) if known[way] else "" for way in WAYS]
        lines.append(f"| {status} | " + " | ".join(map(str, counts)) + " |")
    for head, key in (("seconds of the tests", "seconds"), ("seconds of the commands", "wall")):
        sums = [sum(record.get(n, way)[key] or 0 for n in every) if known[way] else None for way in WAYS]
        lines.append(f"| {head} | " + " | ".join(map(_seconds, sums)) + " |")
        if sums[-1]:
            times = [f"{sums[-1] / seconds:.1f} times as fast" if seconds else "" for seconds in sums]
            lines.append("| | " + " | ".join(times) + " |")
    again = [record.get("*second time*", way) for way in WAYS]
    if any(again):
        cells = [f"{result['wall']:.1f} ({result['cached']} of {result['of']} from the cache)" if result else "as the first" for result in again]
        lines.append("| the second time | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
