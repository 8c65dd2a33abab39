#!/usr/bin/env python3
"""Measures this implementation and the reference side by side, on the corpus, in one run, and prints one table of ratios.

    cargo build --release -p vtbuild -p vtbuild-cfg --example measure --bin vtbuild
    target/peer/bin/python cfg/benches/against_peer.py --corpus "$VTBUILD_CORPUS" --target target/release

Runs under the interpreter that cfg/conformance/peer.sh makes. The reference is measured in a process of its own for each
figure, once for what takes it long and the best of several runs otherwise; ours is the best of several runs always.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

GUEST = ["only smp2", "only qcow2", "only virtio_net", "only virtio_blk", "only i440fx", "only JeOS.27"]

PARSE = """
import sys, time
from virttest import cartesian_config as peer
start = time.perf_counter()
parser = peer.Parser()
parser.parse_file(sys.argv[1])
print(time.perf_counter() - start)
"""

EXPAND = """
import sys, time
from virttest import cartesian_config as peer
parser = peer.Parser()
parser.parse_file(sys.argv[1])
for line in sys.argv[2:]:
    parser.parse_string(line)
start = time.perf_counter()
count = sum(1 for _ in parser.get_dicts())
print(time.perf_counter() - start, count)
"""


def run(command, cache=None):
    """Standard output, seconds and peak memory in MiB of a command that succeeds. `cache` is our cache folder, if it matters."""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    if cache is not None:
        environment["VTBUILD_CACHE"] = cache
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=out, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != 0:
            sys.exit(f"failed with exit code {child.returncode}: {command}")
        out.seek(0)
        return out.read().decode(), seconds, usage.ru_maxrss / 1024


def best(runs, figure):
    return min(figure() for _ in range(runs))


def first_run(command):
    """Seconds of a command that nothing was kept for."""
    with tempfile.TemporaryDirectory() as cache:
        return run(command, cache)[1]


def later_run(runs, command):
    """Best seconds of a command after it was run before, each time in a new process."""
    with tempfile.TemporaryDirectory() as cache:
        first = run(command, cache)[0]
        # Files changed within two seconds are looked at again by every process; the corpus is older than that.
        if run(command, cache)[0] != first:
            sys.exit("what was kept gives another answer")
        return best(runs, lambda: run(command, cache)[1])


def stages(measure, folder):
    """Best seconds of each stage that the example `measure` prints."""
    printed, _, _ = run([measure, folder, "9"])
    return {name.strip(): float(value) / 1000 for name, value in re.findall(r"^(.*?) first .*best +([\d.]+) ms", printed, re.M)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--corpus", default=os.environ.get("VTBUILD_CORPUS"), type=Path)
    parser.add_argument("--target", default=Path("target/release"), type=Path)
    args = parser.parse_args()
    if args.corpus is None:
        parser.error("name the corpus by --corpus or VTBUILD_CORPUS")
    folder = args.corpus / "qemu" / "cfg"
    root = str(folder / "tests.cfg")
    vtbuild = str(args.target / "vtbuild")
    python = [sys.executable, "-c"]
    migrate = [*GUEST, "only migrate..tcp"]

    ours = stages(str(args.target / "examples" / "measure"), str(folder))
    parse = best(3, lambda: float(run([*python, PARSE, root])[0]))
    output, _, peer_memory = run([*python, EXPAND, root, *GUEST])
    expand = float(output.split()[0])
    cold = best(3, lambda: run([sys.executable, "-m", "virttest.cartesian_config", root, *migrate])[1])
    ours_migrate = [vtbuild, "cartesian", root, *migrate]
    our_first = best(15, lambda: first_run(ours_migrate))
    our_later = later_run(30, ours_migrate)
    started = best(30, lambda: run([vtbuild, "--version"])[1])
    with tempfile.TemporaryDirectory() as cache:
        dump, dump_seconds, memory = run([vtbuild, "cartesian", "--sha", root, *GUEST], cache)

    count = output.split()[1]
    if dump.split()[1] != count:
        sys.exit(f"the reference has {count} variants, ours {dump.split()[1]}")
    rows = [
        ("parse of the whole set (files read, tree built)", parse, ours["load and link"], 200),
        (f"all keys of the {count} variants", expand, ours["default guest: all keys"], 300),
        ("migrate..tcp of a guest, a process, nothing kept", cold, our_first, 300),
        ("the same, a later process: parsed form on disk", cold, our_later, 300),
    ]
    print(f"{'':50} {'reference':>12} {'ours':>12} {'ratio':>8} {'goal':>6}")
    for what, theirs, mine, goal in rows:
        print(f"{what:50} {theirs * 1e3:9.1f} ms {mine * 1e3:9.2f} ms {theirs / mine:7.0f}x {goal:5}x")
    print(f"{'peak memory of that expansion':50} {peer_memory:8.1f} MiB {memory:8.1f} MiB {peer_memory / memory:7.1f}x {'>1x':>6}")
    print(f"\nparse alone, in one process: {next(v for k, v in ours.items() if k.startswith('parse')) * 1e3:.1f} ms (goal: under 60 ms); "
          f"a process that does nothing: {started * 1e3:.1f} ms; "
          f"digest of all {count} dumps from cold: {dump_seconds * 1e3:.0f} ms")


if __name__ == "__main__":
    main()
