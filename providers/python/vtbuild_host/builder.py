"""What ``remote_build.Builder`` does in every runtime; how files travel and who has the machines is each one's own.

What was built before the test began, because the parameter ``deps_build`` names it, is put into the guest. Otherwise
the sources are, and ``make`` runs where something was sent or has not been made yet.
"""

import contextlib
import hashlib
import logging
import os
import shlex

LOG = logging.getLogger("avocado.virttest.remote_build")

#: In the build folder: what was sent there; and, once ``make`` has succeeded, the same again.
SENT = ".vtbuild-mirror"
MADE = ".vtbuild-made"


class Builder:
    """One folder of sources, and where its programs are in the guest."""

    #: Seconds that ``make`` may take: an emulated guest compiles slowly.
    MAKE_TIMEOUT = 1200
    #: Seconds that sending may take, logging in included.
    SYNC_TIMEOUT = 600

    def __init__(self, vm, deps, params, source, make_flags="", build_dir=None):
        """Choose the place; nothing is done yet.

        :param vm: the machine.
        :param deps: the folders that the test asked for, with what was built of them (:class:`vtbuild_host.deps.Deps`).
        """
        self.vm = vm
        self.make_flags = make_flags
        #: What was built before the test began; None where ``make`` has to run in the guest.
        self.built = deps.build(source, shlex.split(make_flags))
        self.source = os.path.normpath(source)
        other = deps.build(source)
        if other:
            # A folder with what was built may have been given: its sources are elsewhere.
            self.source = os.path.normpath(other["source"])
            if not self.built:
                deps.use(self.source)
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
        """Make the guest's folder the same as the host's; return whether ``make`` has to run because of it."""
        sent = self._send(self.built["folder"] if self.built else self.source)
        return not self.built and sent

    def make(self):
        """Run ``make``, unless it has run before the test began; aexpect.ShellCmdError with its output on failure."""
        if self.built:
            LOG.info("%s: built before the test began", self.full_build_path)
            return
        with self._session() as session:
            session.cmd(f"cd {self._quoted()} && rm -f {MADE}")
            output = session.cmd(f"make -C {self._quoted()} {self.make_flags}".rstrip(), timeout=self.MAKE_TIMEOUT)
            session.cmd(f"cd {self._quoted()} && cp {SENT} {MADE}")
        LOG.debug("%s", output)

    def _send(self, folder):
        """Make the guest's folder what `folder` is, with a list in :data:`SENT`; return whether it differed."""
        raise NotImplementedError

    def _session(self):
        return contextlib.closing(self.vm.wait_for_login())

    def _is_made(self):
        if self.built:
            return True
        with self._session() as session:
            return session.cmd_status(f"cd {self._quoted()} && cmp -s {SENT} {MADE}") == 0

    def _quoted(self):
        """The build folder as one word of a shell."""
        return shlex.quote(self.full_build_path)
