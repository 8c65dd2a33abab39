"""Layers of packages: our core on top, and beneath it either our own leaves or the upstream packages.

``virttest`` and ``avocado`` are packages of two folders each: a module comes from the upper one where that has it, else
from the lower one. ``aexpect`` and everything else that a test imports come from the lower one alone.

===========  ==========================================================  ==============================================
runtime      upper layer: the folder above this package                  lower layer
===========  ==========================================================  ==============================================
own          machines, monitors, parameters, environment, test object    ``leaves``: ours, with the standard library only
layered      the same                                                    upstream's packages, as pip installed them
===========  ==========================================================  ==============================================

So what stands in the upper layer is ours in both; what tests may have from upstream stands in ``leaves``.
"""

import importlib
import os
import sys

#: The folder above this package: the upper layer.
OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: The variable that names the folder of the upstream packages. Where it is not set there is no upstream.
UPSTREAM_VARIABLE = "VTBUILD_UPSTREAM"

#: The folder of the upstream packages, or None in the runtime `own`. What the test starts does not inherit the variable.
UPSTREAM = os.environ.pop(UPSTREAM_VARIABLE, None) or None

#: The lower layer.
LOWER = UPSTREAM or os.path.join(OWN, "leaves")


def extend(path, *package):
    """Lay the lower layer's folder of `package` beneath the folders in `path`, a package's ``__path__``."""
    path.append(os.path.join(LOWER, *package))
    if LOWER not in sys.path:
        sys.path.append(LOWER)


#: What many tests import: loaded once, before the first test. The last ones are what tests with devices of existing providers
#: come to need: upstream's, and parts of ours that are compiled when they are first asked for.
_PRELOADED = (
    "virttest.env_process",
    "virttest.error_event",
    "virttest.funcatexit",
    "virttest.qemu_io",
    "virttest.qemu_monitor",
    "virttest.qemu_storage",
    "virttest.qemu_vm",
    "virttest.remote_build",
    "virttest.session",
    "virttest.utils_net",
    "avocado.utils.process",
    "aexpect",
)
_PRELOADED_UPSTREAM = (
    "virttest.qemu_capabilities",
    "virttest.qemu_devices.qcontainer",
    "virttest.qemu_devices.started",
    "virttest.qemu_migration",
    "virttest.qmp_block",
    "virttest.qmp_machine",
    "virttest.utils_disk",
    "virttest.utils_test",
    "virttest.vm_block",
    "virttest.vm_devices",
    "virttest.vm_inside",
    "virttest.vm_nics",
    "virttest.vm_process",
    "transitions",
)


def enter():
    """Load what has to come first.

    Upstream's modules import one another in circles, which can be entered by one door alone.
    """
    if UPSTREAM:
        import virttest.utils_misc  # noqa: F401


def preload():
    """Load what many tests import. The folders of a test have to be known, or what stands for them."""
    enter()
    for name in (*_PRELOADED, *(_PRELOADED_UPSTREAM if UPSTREAM else ())):
        importlib.import_module(name)
