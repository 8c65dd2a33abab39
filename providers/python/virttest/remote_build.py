"""Building a test's own programs in the guest.

A test puts sources and a ``Makefile`` into ``deps/NAME/`` beside it and says::

    builder = remote_build.Builder(params, vm.get_address(0), data_dir.get_deps_dir("NAME"))
    path = builder.build()

Only files that differ are copied, and ``make`` runs only where something was copied or has not been made yet.
"""

import hashlib
import logging
import os
import shlex

from virttest import absent

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.remote_build")

#: In the build folder: what was copied there; and, once ``make`` has succeeded, the same again.
_COPIED = ".vtbuild-copied"
_MADE = ".vtbuild-made"


class BuildError(Exception):
    """The sources could not be brought into the guest."""


class Builder:
    """One folder of sources, and where it is built in the guest."""

    #: Seconds that ``make`` may take: an emulated guest compiles slowly.
    MAKE_TIMEOUT = 1200

    def __init__(self, params, address, source, make_flags="", build_dir=None):
        """Choose the place; nothing is done yet.

        :param address: the guest's, as ``vm.get_address()`` gives it.
        :param source: a folder of the host; symbolic links in it are not followed.
        :param build_dir: the folder of the guest below which to build; the parameter ``tmp_dir``, or ``/tmp``.
        """
        self.vm = _machine_at(params, address)
        self.source = os.path.normpath(source)
        self.make_flags = make_flags
        flags = hashlib.sha256(make_flags.encode()).hexdigest()[:8]
        folder = build_dir or params.get("tmp_dir", "/tmp")
        #: Where in the guest the programs are, once they are built.
        self.full_build_path = f"{folder.rstrip('/')}/{os.path.basename(self.source)}-{flags}"

    def build(self):
        """Bring the sources into the guest, make them where that is needed, and return the path of the result."""
        if self.sync_directories() or not self._is_made():
            self.make()
        return self.full_build_path

    def sync_directories(self):
        """Make the guest's sources the same as the host's; return whether anything had to be changed."""
        here = _sums(self.source)
        if not here:
            raise BuildError(f"{self.source} holds no files to build")
        with self.vm.wait_for_login() as session:
            session.cmd(f"mkdir -p {self._quoted()}")
            there = _parse_sums(session.cmd_output(f"cd {self._quoted()} && cat {_COPIED} 2>/dev/null"))
            found = _parse_sums(
                session.cmd_output(f"cd {self._quoted()} && find . -type f -exec sha256sum {{}} +", 120)
            )
            changed = [path for path in here if there.get(path) != here[path] or found.get(path) != here[path]]
            gone = [path for path in there if path not in here]
            if not changed and not gone:
                return False
            for path in [_COPIED, _MADE, *gone]:
                session.cmd(f"rm -f {self._quoted(path)}")
            self._copy(session, changed)
            self._leave_list(here)
        LOG.info("%s: copied %d files, removed %d", self.full_build_path, len(changed), len(gone))
        return True

    def make(self):
        """Run ``make``; aexpect.ShellCmdError with its output where it fails."""
        with self.vm.wait_for_login() as session:
            output = session.cmd(f"make -C {self._quoted()} {self.make_flags}".rstrip(), timeout=self.MAKE_TIMEOUT)
            session.cmd(f"cd {self._quoted()} && cp {_COPIED} {_MADE}")
        LOG.debug("%s", output)

    def _is_made(self):
        with self.vm.wait_for_login() as session:
            return session.cmd_status(f"cd {self._quoted()} && cmp -s {_COPIED} {_MADE}") == 0

    def _copy(self, session, paths):
        for folder in sorted({os.path.dirname(path) for path in paths} - {""}):
            session.cmd(f"mkdir -p {self._quoted(folder)}")
        for path in paths:
            host_path = os.path.join(self.source, path)
            self.vm.copy_files_to(host_path, f"{self.full_build_path}/{path}")
            if os.access(host_path, os.X_OK):
                session.cmd(f"chmod +x {self._quoted(path)}")

    def _leave_list(self, sums):
        """Write down in the guest what it has now, as the last step: without it all is copied again."""
        import tempfile

        with tempfile.NamedTemporaryFile("w", encoding="utf-8", prefix="vtbuild-copied-") as copied:
            copied.writelines(f"{digest}  {path}\n" for path, digest in sums.items())
            copied.flush()
            self.vm.copy_files_to(copied.name, f"{self.full_build_path}/{_COPIED}")

    def _quoted(self, path=None):
        """The build folder, or a path in it, as one word of a shell."""
        return shlex.quote(self.full_build_path if path is None else f"{self.full_build_path}/{path}")


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


def _sums(folder):
    """The SHA-256 checksum of every file below `folder`, by its path inside."""
    sums = {}
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(parent, name)
            if not os.path.islink(path):
                with open(path, "rb") as content:
                    sums[os.path.relpath(path, folder)] = hashlib.sha256(content.read()).hexdigest()
    return sums


def _parse_sums(text):
    """What ``sha256sum`` printed, by path."""
    sums = {}
    for line in text.splitlines():
        digest, _, path = line.strip().partition("  ")
        if len(digest) == 64 and path:
            sums[path[2:] if path.startswith("./") else path] = digest
    return sums
