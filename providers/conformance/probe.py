"""Asked by ``coverage.py``: has this test host a member, or a name in a module? Runs under the host's own paths."""

import importlib
import json
import sys
from pathlib import Path

import virttest


def main():
    runtime, site = sys.argv[1:3]
    if runtime == "layered":
        _layer(site)
    request = json.load(sys.stdin)
    if "modules" in request:
        answer = {"modules": sorted(_own_modules(runtime))}
    else:
        objects = _objects()
        answer = {"present": [_has(objects, *symbol) for symbol in request["symbols"]]}
    json.dump(answer, sys.stdout)


def _own_modules(runtime):
    folder = Path(virttest.__file__).parent
    for path in sorted(folder.rglob("*.py")):
        parts = ["virttest", *path.relative_to(folder).with_suffix("").parts]
        if parts[-1] == "__init__":
            parts.pop()
        if runtime == "own" or parts[-1] not in LEAVES:
            yield ".".join(parts)


LEAVES = {"virttest", "utils_misc", "utils_net", "utils_numeric", "storage", "qemu_storage", "qemu_io", "remote", "remote_build"}


def _layer(site):
    virttest.__path__.append(f"{site}/virttest")
    sys.path.append(site)


class _Silent:
    """A core that has nothing to say: proxies can be made, and asked what they have."""

    def call(self, name, args):
        from virttest.core import CoreError

        raise CoreError("probe", name)

    def note(self, name, **fields):
        pass


def _objects():
    from virttest import core, qemu_monitor, qemu_vm, session, test_object, utils_env, utils_params

    core.use(_Silent())
    params = utils_params.Params()
    vm = qemu_vm.VM("vm1", params, "/")
    monitors = [kind("vm1", "vm1/one") for kind in (qemu_monitor.QMPMonitor, qemu_monitor.HumanMonitor)]
    objects = {
        "vm": [vm],
        "env": [utils_env.Env()],
        "params": [params],
        "test": [test_object.Test("test", params, {})],
        "session": [session.ShellSession(1)],
        "monitor": monitors,
        "devices": [],
        "qdevice": [],
    }
    try:
        from virttest.qemu_devices import qcontainer, qdevices

        objects["devices"] = [qcontainer.DevContainer]
        objects["qdevice"] = [
            value for value in vars(qdevices).values() if isinstance(value, type) and hasattr(value, "cmdline")
        ]
    except ImportError:
        pass
    return objects


def _has(objects, sort, first, second):
    if sort == "member":
        return any(_has_member(thing, second) for thing in objects[first])
    return _has_name(first, second)


def _has_member(thing, name):
    try:
        getattr(thing, name)
    except AttributeError:
        return False
    except Exception:
        return True  # a property that asked the core
    return True


def _has_name(module, name):
    try:
        loaded = importlib.import_module(module)
    except ImportError:
        return False
    if not name or hasattr(loaded, name):
        return True
    try:
        importlib.import_module(f"{module}.{name}")
    except ImportError:
        return False
    return True


if __name__ == "__main__":
    main()
