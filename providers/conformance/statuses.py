"""The chosen tests of a tp-qemu checkout, run layered and upstream: their statuses side by side, and how long all took.

    VTBUILD_TP_QEMU=…/tp-qemu python3 providers/conformance/statuses.py [--vtbuild PROGRAM] [--runtime R].. [FILTER ..]

Makes a workspace that has the checkout as its provider and runs every line of `tests.txt` (or the filters given) once by each
runtime, cold, and then again, when what passed comes from the cache. The guest's image is built first and is not part of
any time. `--peer FILE` adds a column: a JSON object of names and statuses from a run of the original.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROVIDER = "io-github-autotest-qemu"


def main():
    options = _options()
    filters = options.filters or _listed()
    with tempfile.TemporaryDirectory(prefix="vtbuild-statuses-") as folder:
        workspace = _workspace(Path(folder), options)
        targets, absent = _present(options, workspace, filters)
        for name in absent:
            print(f"no variant of the bundled guest matches {name}", file=sys.stderr)
        _run(options, workspace, ["//bundled..boot"], [])  # the image
        columns, times = {}, {}
        for runtime in options.runtime:
            for turn in ("cold", "again"):
                began = time.monotonic()
                found = _run(options, workspace, targets, ["--runtime", runtime])
                times[runtime, turn] = time.monotonic() - began
                columns.setdefault(runtime, found)
    if options.peer:
        columns["peer"] = {name: (status, None) for name, status in json.loads(Path(options.peer).read_text()).items()}
    _print(columns, times)
    return 0


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tp-qemu", default=os.environ.get("VTBUILD_TP_QEMU"), help="the checkout (VTBUILD_TP_QEMU)")
    parser.add_argument("--vtbuild", default=shutil.which("vtbuild") or "target/release/vtbuild", help="the program")
    parser.add_argument("--runtime", action="append", choices=("own", "layered", "upstream", "auto"))
    parser.add_argument("--cache", help="a cache to be used instead of a new one")
    parser.add_argument("--timeout", default="300", help="seconds that one test may take")
    parser.add_argument("--jobs", default="1")
    parser.add_argument("--peer", help="a JSON file with the statuses of the original by name")
    parser.add_argument("filters", nargs="*", metavar="FILTER")
    options = parser.parse_args()
    options.runtime = options.runtime or ["layered", "upstream"]
    options.vtbuild = os.path.abspath(options.vtbuild)
    if not options.tp_qemu:
        parser.error("name a checkout of tp-qemu with --tp-qemu or VTBUILD_TP_QEMU")
    return options


def _listed():
    lines = (HERE / "tests.txt").read_text(encoding="utf-8").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _workspace(folder, options):
    (folder / "vtbuild.toml").write_text("", encoding="utf-8")
    definitions = folder / "test-providers.d"
    definitions.mkdir()
    uri = Path(options.tp_qemu).resolve().as_uri()
    text = f"[provider]\nuri: {uri}\n[generic]\nsubdir: generic/\n[qemu]\nsubdir: qemu/\n"
    (definitions / f"{PROVIDER}.ini").write_text(text, encoding="utf-8")
    return folder


def _vtbuild(options, workspace, words):
    environment = {**os.environ, "VTBUILD_CACHE": options.cache or str(workspace / "cache"), "NO_COLOR": "1"}
    command = [options.vtbuild, *words]
    return subprocess.run(command, cwd=workspace, env=environment, capture_output=True, text=True, check=False)


def _present(options, workspace, filters):
    """The filters that select something, as one target, and those that do not."""
    listed = {name: _vtbuild(options, workspace, ["list", f"//{PROVIDER}..{name}", "--json"]) for name in filters}
    there = [name for name, said in listed.items() if said.returncode == 0]
    return ["//" + ",".join(f"{PROVIDER}..{name}" for name in there)], [n for n in filters if n not in there]


def _run(options, workspace, targets, words):
    """Statuses and reasons by name."""
    common = ["--jobs", options.jobs, "--timeout", options.timeout, "--progress", "plain"]
    said = _vtbuild(options, workspace, ["run", *targets, *common, *words])
    results = workspace / "job-results" / "latest" / "results.json"
    if not results.is_file():
        raise SystemExit(f"nothing ran:\n{said.stdout}{said.stderr}")
    tests = json.loads(results.read_text(encoding="utf-8"))["tests"]
    return {test["label"]: (test["status"], test["reason"]) for test in tests}


def _print(columns, times):
    names = sorted(set().union(*columns.values()))
    print(" ".join(f"{head:<9}" for head in columns), "test")
    for name in names:
        found = [column.get(name, ("-", None)) for column in columns.values()]
        print(" ".join(f"{status:<9}" for status, _ in found), name)
        for head, (status, reason) in zip(columns, found):
            if status != "PASS" and reason:
                print(f"          {head}: {reason[:160]}")
    for head, column in columns.items():
        counts = {}
        for status, _ in column.values():
            counts[status] = counts.get(status, 0) + 1
        print(f"{head}: " + ", ".join(f"{status} {count}" for status, count in sorted(counts.items())))
    for (runtime, turn), seconds in times.items():
        print(f"{runtime}, {turn}: {seconds:.1f} s")


if __name__ == "__main__":
    sys.exit(main())
