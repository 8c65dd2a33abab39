"""A test's own programs in the guest.

A test puts sources and a ``Makefile`` into ``deps/NAME/`` beside it and says::

    builder = remote_build.Builder(params, vm.get_address(0), data_dir.get_deps_dir("NAME"))
    path = builder.build()

Where the parameter ``deps_build`` names them too, they were built before the test began, and what was built is put into
the guest. Otherwise the sources are: only files that differ are sent, and ``make`` runs where something was sent or has not
been made yet.
"""

import hashlib
import logging
import os
import shlex

from virttest import absent, core, data_dir
from virttest.remote import TransferError
from vtbuild_host import files

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.remote_build")

#: In the build folder: what was sent there; and, once ``make`` has succeeded, the same again.
_SENT = ".vtbuild-mirror"
_MADE = ".vtbuild-made"


class BuildError(Exception):
    """The sources, or what was built of them, could not be brought into the guest."""


class Builder:
    """One folder of sources, and where its programs are in the guest."""

    #: Seconds that ``make`` may take: an emulated guest compiles slowly.
    MAKE_TIMEOUT = 1200
    #: Seconds that sending may take, logging in included.
    SYNC_TIMEOUT = 600

    def __init__(self, params, address, source, make_flags="", build_dir=None):
        """Choose the place; nothing is done yet.

        :param address: the guest's, as ``vm.get_address()`` gives it.
        :param source: a folder of the host, as ``data_dir.get_deps_dir()`` gives it.
        :param make_flags: targets and variables for ``make``, as a shell has them.
        :param build_dir: the folder of the guest below which to build; the parameter ``tmp_dir``, or ``/tmp``.
        """
        self.vm = _machine_at(params, address)
        self.make_flags = make_flags
        #: What was built before the test began; None where ``make`` has to run in the guest.
        self.built = data_dir.deps_build(source, shlex.split(make_flags))
        self.source = os.path.normpath(source)
        other = data_dir.deps_build(source)
        if other:
            # A folder with what was built may have been given: its sources are elsewhere.
            self.source = os.path.normpath(other["source"])
            if not self.built:
                data_dir.use_deps(self.source)
        flags = hashlib.sha256(make_flags.encode()).hexdigest()[:8]
        folder = build_dir or params.get("tmp_dir", "/tmp")
        #: Where in the guest the programs are, once they are built.
        self.full_build_path = f"{folder.rstrip('/')}/{os.path.basename(self.source)}-{flags}"

    def build(self):
        """Bring the programs, or their sources, into the guest, make them where needed, and return their path."""
        if self.sync_directories() or not self._is_made():
            self.make()
        return self.full_build_path

    def sync_directories(self):
        """Make the guest's folder the same as the host's; return whether ``make`` has to run because of it.

        :raise BuildError: where that is not possible.
        """
        folder = self.built["folder"] if self.built else self.source
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
        LOG.info("%s: sent %d, removed %d", self.full_build_path, done["sent"], done["removed"])
        return not self.built and bool(done["sent"] or done["removed"])

    def make(self):
        """Run ``make``, unless it has run before the test began; aexpect.ShellCmdError with its output where it fails."""
        if self.built:
            LOG.info("%s: built before the test began", self.full_build_path)
            return
        with self.vm.wait_for_login() as session:
            session.cmd(f"cd {self._quoted()} && rm -f {_MADE}")
            output = session.cmd(f"make -C {self._quoted()} {self.make_flags}".rstrip(), timeout=self.MAKE_TIMEOUT)
            session.cmd(f"cd {self._quoted()} && cp {_SENT} {_MADE}")
        LOG.debug("%s", output)

    def _is_made(self):
        if self.built:
            return True
        with self.vm.wait_for_login() as session:
            return session.cmd_status(f"cd {self._quoted()} && cmp -s {_SENT} {_MADE}") == 0

    def _quoted(self):
        """The build folder as one word of a shell."""
        return shlex.quote(self.full_build_path)


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
