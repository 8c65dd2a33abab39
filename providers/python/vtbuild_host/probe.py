"""Has this test host a member, or a name in a module? Runs under the host's own paths, in a process of its own."""

import importlib
import json
import sys
import tempfile
from pathlib import Path

import virttest
from virttest import data_dir
from vtbuild_host import layers


def main():
    """Answer ``{"modules": true}`` or ``{"symbols": [..]}`` from standard input."""
    request = json.load(sys.stdin)
    if "modules" in request:
        json.dump({"modules": sorted(_own_modules())}, sys.stdout)
    else:
        json.dump({"present": has(request["symbols"])}, sys.stdout)


def has(symbols):
    """For each of `symbols`, ``("member", kind, name)`` or ``("name", module, name)``, whether the host has it.

    None where only the layered runtime can tell.
    """
    with tempfile.TemporaryDirectory() as folder:
        # Modules ask for folders as they are imported.
        data_dir.configure(dict.fromkeys(("tmpdir", "data_dir", "debugdir", "bindir"), folder), [])
        layers.enter()
        objects = _objects()
        return [_has(objects, *symbol) for symbol in symbols]


def _own_modules():
    """The modules of ``virttest`` that come from the host's own folders."""
    for folder in virttest.__path__:
        if not folder.startswith(layers.OWN):
            continue
        for path in sorted(Path(folder).rglob("*.py")):
            parts = ["virttest", *path.relative_to(folder).with_suffix("").parts]
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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
        from virttest.qemu_monitor import QMPMonitor

        objects["devices"] = [
            qcontainer.DevContainer(
                "qemu", "vm1", monitor=QMPMonitor("vm1", "vm1/one"), types=[], qemu_version="10.0.0"
            )
        ]
        kinds = [value for value in vars(qdevices).values() if isinstance(value, type)]
        objects["qdevice"] = [kind for kind in kinds if hasattr(kind, "cmdline")] + [qdevices.QDevice("pc-testdev")]
    except ImportError:
        pass
    return objects


def _has(objects, sort, first, second):
    if sort == "member":
        if not objects[first]:
            return None  # objects of this kind are made of upstream's
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
    loaded = _load(module)
    if loaded is None:
        return False
    if not name or hasattr(loaded, name):
        return True
    return _load(f"{module}.{name}") is not None


def _load(module):
    try:
        return importlib.import_module(module)
    except Exception:
        return None  # whatever is wrong with it, it is of no use


if __name__ == "__main__":
    main()
