"""The test host: what a test of a provider sees of vtbuild, under the names that such tests use.

A test is ``def run(test, params, env)`` in a file of a test provider. vtbuild forks one process for each test
(``vtbuild_host.forkserver``), which loads that file and calls ``run``. Machines, monitors and sessions live in vtbuild's
core; the objects here are proxies that speak to it over a socket (``docs/host-protocol.md``).

=====================  ==============================================================================================
for the test           ``utils_params`` ``utils_env`` ``test_object`` ``session`` ``qemu_vm`` with its parts
                       ``guest_access`` ``vm_inside`` ``vm_devices`` ``vm_nics`` ``vm_block`` ``vm_process``;
                       ``qemu_monitor`` with ``qmp_block`` ``qmp_machine`` ``hmp_commands``; ``qemu_devices``
for its imports        ``asset`` ``bootstrap`` ``data_dir`` ``env_process`` ``error_context`` ``error_event``
                       ``funcatexit`` ``qemu_io`` ``qemu_storage`` ``remote`` ``remote_build`` ``storage``
                       ``utils_logfile`` ``utils_misc`` ``utils_net`` ``utils_numeric`` ``virt_vm``
the host itself        ``core`` (the socket) ``error_kinds`` (answers become exceptions) ``runner`` ``verdict``
=====================  ==============================================================================================

What many tests use is imported before a process is forked, everything else when it is first asked for. Only the standard
library is used. A name that is not here is an error that says so. Where the modules of the second row come from is decided by
``vtbuild_host.layers``: they are ours, or upstream's.
"""

import sys

from vtbuild_host import layers

__all__ = []

layers.extend(__path__, "virttest")

#: Names of the core that were asked for and are not here, in the order in which they were missed.
missed = []


class Missing(AttributeError):
    """A name that is not part of the test host. Where upstream has it, the test can run there."""


def missing(symbol, advice=""):
    """The exception for `symbol`, which is not here; it is remembered, so that the verdict can name it.

    :param symbol: as a test's author would look it up: ``virttest.qemu_vm.VM.devices``.
    :param advice: what to use instead.
    """
    if not symbol.rpartition(".")[2].startswith("_") and symbol not in missed:
        missed.append(symbol)
    return Missing(f"{symbol} is not part of the built-in test host" + (f"; {advice}" if advice else ""))


class _AbsentModules:
    """The last finder of the import system: says plainly that a module is not part of the test host."""

    _PACKAGES = ("virttest", "avocado", "aexpect")

    def find_spec(self, fullname, path=None, target=None):
        package, dot, _ = fullname.partition(".")
        if dot and package in self._PACKAGES:
            raise ModuleNotFoundError(str(missing(fullname)))
        return None


if not any(type(finder).__name__ == "_AbsentModules" for finder in sys.meta_path):
    sys.meta_path.append(_AbsentModules())


def absent(module):
    """Make the ``__getattr__`` of `module`, which says that a missing name is missing from the test host."""

    def __getattr__(name):
        raise missing(f"{module}.{name}")

    return __getattr__
