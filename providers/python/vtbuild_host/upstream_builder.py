"""``remote_build.Builder`` for the machines of upstream's packages, whose own cannot be constructed on Python 3."""

import hashlib
import os
import shlex

from vtbuild_host import builder


def offer(deps, env):
    """Have ``virttest.remote_build`` build for the machines in `env`.

    :param deps: the folders that the test asked for, with what was built of them.
    """
    from virttest import remote_build

    class Builder(_Builder):
        _deps, _env = deps, env

    remote_build.Builder = Builder


class _Builder(builder.Builder):
    """One folder of sources, and where its programs are in the guest."""

    _deps = _env = None

    def __init__(self, params, address, source, make_flags="", build_dir=None):
        """Choose the place; nothing is done yet. The arguments are those of the other runtimes."""
        vm = _machine_at(self._env, params, address)
        super().__init__(vm, self._deps, params, source, make_flags, build_dir)

    def _send(self, folder):
        """Send all, where anything differs from what was sent last."""
        listing = _listing(folder)
        place, new = self._quoted(), shlex.quote(f"{self.full_build_path}.new")
        digest = hashlib.sha256(listing.encode()).hexdigest()
        with self._session() as session:
            if session.cmd_status(f'test "$(cat {place}/{builder.SENT})" = {digest}') == 0:
                return False
            session.cmd(f"rm -rf {new} && mkdir -p {shlex.quote(os.path.dirname(self.full_build_path))}")
            self.vm.copy_files_to(folder, f"{self.full_build_path}.new", timeout=self.SYNC_TIMEOUT)
            session.cmd(f"echo {digest} > {new}/{builder.SENT} && rm -rf {place} && mv {new} {place}")
        builder.LOG.info("%s: sent", self.full_build_path)
        return True


def _listing(folder):
    """The files of a folder, a line each: digest, whether it can be run, name."""
    from virttest.remote_build import BuildError

    lines = []
    for above, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = os.path.join(above, name)
            with open(path, "rb") as file:
                digest = hashlib.sha256(file.read()).hexdigest()
            lines.append(f"{digest} {os.access(path, os.X_OK):d} {os.path.relpath(path, folder)}")
    if not lines:
        raise BuildError(f"there are no files in {folder}")
    return "\n".join(lines)


def _machine_at(env, params, address):
    """The machine of the test that is reached at `address`; where several are, the main one."""
    from virttest.virt_vm import VMError

    names = list(dict.fromkeys([*params.objects("main_vm"), *params.objects("vms")]))
    for name in names:
        vm = env.get_vm(name)
        if vm is not None and vm.is_alive() and vm.get_address() == address:
            return vm
    raise VMError(f"none of the running machines among {', '.join(names) or 'none'} has the address {address}")
