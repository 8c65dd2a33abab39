"""How much of a provider's tests the test host can run: which members and names they use, and which of them it has.

    VTBUILD_TP_QEMU=…/tp-qemu VTBUILD_PEER_PYTHON=…/bin/python python3 providers/conformance/coverage.py

reads every test module of the checkout with all that it reaches (the provider's own helpers, and for the layered
runtime the helper modules of ``avocado-framework-plugin-vt``), asks the test host for each member and name that was
found, and prints how many modules have all of theirs, and what is missing, by how much each would gain. It is a
necessary condition only: that a name is there says nothing of what it does.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent.parent / "python"
sys.path.insert(0, str(PACKAGES))

from vtbuild_host.usage import Library, attributes, files_below  # noqa: E402  the path above must come first

#: Where the peer defines the objects: what they do not have is no member of theirs, but a misreading of ``usage``.
PEER_CLASSES = {
    "vm": ("virttest/qemu_vm.py", "virttest/virt_vm.py"),
    "env": ("virttest/utils_env.py",),
    "params": ("virttest/utils_params.py",),
    "test": ("avocado/core/test.py", "avocado_vt/test.py"),
    "session": ("aexpect/client.py",),
    "monitor": ("virttest/qemu_monitor.py",),
    "devices": ("virttest/qemu_devices/qcontainer.py",),
    "qdevice": ("virttest/qemu_devices/qdevices.py",),
}
#: Folders of tests; the rest of a checkout is helpers.
TESTS = ("generic/tests", "qemu/tests")


def main():
    options = _options()
    provider = Path(options.tp_qemu)
    site = _site(options.peer_python)
    for runtime in options.runtime or (["own", "layered"] if site else ["own"]):
        report(runtime, provider, site, options)
    return 0


def _options():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tp-qemu", default=os.environ.get("VTBUILD_TP_QEMU"), help="the checkout (VTBUILD_TP_QEMU)")
    parser.add_argument(
        "--peer-python",
        default=os.environ.get("VTBUILD_PEER_PYTHON"),
        help="the interpreter of the venv with avocado-framework-plugin-vt (VTBUILD_PEER_PYTHON)",
    )
    parser.add_argument("--runtime", action="append", choices=("own", "layered"))
    parser.add_argument("--missing", type=int, default=40, help="how many missing members to print")
    parser.add_argument("--modules", action="store_true", help="print every incomplete module and what it lacks")
    options = parser.parse_args()
    if not options.tp_qemu:
        parser.error("name a checkout of tp-qemu with --tp-qemu or VTBUILD_TP_QEMU")
    return options


def _site(python):
    if not python:
        return None
    command = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    return Path(subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip())


def report(runtime, provider, site, options):
    """Print the table of one runtime."""
    files = files_below(provider)
    if runtime == "layered":
        files += files_below(site / "virttest", ("virttest",))
    library = Library(files)
    ours = _modules_of_the_host(runtime, site)
    tests = _test_modules(library)

    def stops(module):
        return (
            module in ours
            or module.startswith(("avocado", "aexpect"))
            or (runtime == "own" and module.partition(".")[0] == "virttest")
        )

    known = _peer_members(site) if site else None
    wanted = {}
    for module in tests:
        members, names = library.reach(module, stops)
        members = {member for member in members if known is None or member[1] in known[member[0]]}
        wanted[module] = {("member", *member) for member in members} | {("name", *name) for name in names}
    everything = sorted(set().union(*wanted.values()))
    present = _ask_the_host(runtime, site, everything)
    lacking = {module: {symbol for symbol in symbols if not present[symbol]} for module, symbols in wanted.items()}
    complete = sum(not missing for missing in lacking.values())
    members = [symbol for symbol in everything if symbol[0] == "member"]
    print(f"{runtime}: {complete} of {len(tests)} test modules complete ({complete * 100 / len(tests):.1f} %)")
    print(
        f"  {sum(bool(present[symbol]) for symbol in members)} of {len(members)} members of objects, "
        f"{sum(bool(present[symbol]) for symbol in everything if symbol[0] == 'name')} of "
        f"{len(everything) - len(members)} names of the modules that the host provides"
    )
    for gain, symbols in _greedy(lacking, options.missing):
        print(f"  +{gain:<4} {', '.join(map(_spelled, symbols))}")
    if options.modules:
        for module, missing in sorted(lacking.items()):
            if missing:
                print(f"  {module}: {', '.join(sorted(map(_spelled, missing)))}")


def _peer_members(site):
    import unittest

    known = {kind: set().union(*(attributes(site / file) for file in files)) for kind, files in PEER_CLASSES.items()}
    known["params"] |= set(dir(dict))
    known["env"] |= set(dir(dict))
    known["test"] |= set(dir(unittest.TestCase))
    return known


def _test_modules(library):
    folders = tuple(folder.replace("/", ".") + "." for folder in TESTS)
    return [
        module
        for module, source in library.sources.items()
        if module.startswith(folders) and ("run" in source.definitions or "run" in source.names)
    ]


def _spelled(symbol):
    _, first, second = symbol
    return f"{first}.{second}" if second else first


def _greedy(lacking, count):
    """What to add next, again and again: the set that completes most modules for each symbol of it."""
    open_sets = collections.Counter(frozenset(missing) for missing in lacking.values() if missing)
    for _ in range(count):
        if not open_sets:
            return
        best, ratio = None, 0.0
        for candidate in open_sets:
            gain = sum(number for other, number in open_sets.items() if other <= candidate)
            if gain / len(candidate) > ratio:
                best, ratio = candidate, gain / len(candidate)
        gain = sum(number for other, number in open_sets.items() if other <= best)
        yield gain, sorted(best)
        rest = collections.Counter()
        for other, number in open_sets.items():
            if other - best:
                rest[other - best] += number
        open_sets = rest


# The host is asked in an interpreter of its own.


def _run_probe(runtime, site, request):
    environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
    if runtime == "layered":
        environment["VTBUILD_UPSTREAM"] = str(site)
    command = [sys.executable, "-B", "-s", "-m", "vtbuild_host.probe"]
    done = subprocess.run(command, input=json.dumps(request), env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the test host cannot be asked:\n{done.stderr}")
    return json.loads(done.stdout)


def _modules_of_the_host(runtime, site):
    return set(_run_probe(runtime, site, {"modules": True})["modules"])


def _ask_the_host(runtime, site, symbols):
    answer = _run_probe(runtime, site, {"symbols": symbols})
    return dict(zip(symbols, answer["present"]))


if __name__ == "__main__":
    sys.exit(main())
