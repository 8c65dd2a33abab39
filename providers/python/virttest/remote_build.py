"""A test's own programs in the guest.

A test puts sources and a ``Makefile`` into ``deps/NAME/`` beside it and says::

    builder = remote_build.Builder(params, vm.get_address(0), data_dir.get_deps_dir("NAME"))
    path = builder.build()

Where the parameter ``deps_build`` names them too, they were built before the test began, and what was built is put into
the guest. Otherwise the sources are: only files that differ are sent, and ``make`` runs where something was sent or has not
been made yet.
"""

from virttest import absent, core, data_dir
from virttest.remote import TransferError
from vtbuild_host import builder, files

__getattr__ = absent(__name__)


class BuildError(Exception):
    """The sources, or what was built of them, could not be brought into the guest."""


class Builder(builder.Builder):
    """One folder of sources, and where its programs are in the guest."""

    def __init__(self, params, address, source, make_flags="", build_dir=None):
        """Choose the place; nothing is done yet.

        :param address: the guest's, as ``vm.get_address()`` gives it.
        :param source: a folder of the host, as ``data_dir.get_deps_dir()`` gives it.
        :param make_flags: targets and variables for ``make``, as a shell has them.
        :param build_dir: the folder of the guest below which to build; the parameter ``tmp_dir``, or ``/tmp``.
        """
        super().__init__(_machine_at(params, address), data_dir.deps(), params, source, make_flags, build_dir)

    def _send(self, folder):
        """Send what differs, remove what was sent once and is gone.

        :raise BuildError: where that is not possible.
        """
        files.hand_over(folder)
        try:
            done = core.call(
                "vm.mirror",
                vm=self.vm.name,
                host_path=folder,
                guest_path=self.full_build_path,
                timeout=float(self.SYNC_TIMEOUT),
            )
        except TransferError as error:
            raise BuildError(str(error)) from error
        builder.LOG.info("%s: sent %d, removed %d", self.full_build_path, done["sent"], done["removed"])
        return bool(done["sent"] or done["removed"])


def _machine_at(params, address):
    """The machine of the test that is reached at `address`; where several are, the main one."""
    from virttest.qemu_vm import VM
    from virttest.virt_vm import VMError

    names = list(dict.fromkeys([*params.objects("main_vm"), *params.objects("vms")]))
    for name in names:
        vm = VM(name, params.object_params(name))
        if not vm.is_dead() and vm.get_address() == address:
            return vm
    raise VMError(f"none of the running machines among {', '.join(names) or 'none'} has the address {address}")
