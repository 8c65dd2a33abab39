"""QEMU as a process of the host: its output, its threads, its time."""

import os
import re

from virttest import absent, core, missing

__getattr__ = absent(__name__)


class Process:
    """QEMU's process, as far as tests look at it. The core has started it and waits for it."""

    def __init__(self, vm):
        self._vm = vm

    def get_pid(self):
        """Its process id; None where it does not run."""
        return self._vm.get_pid()

    def is_alive(self):
        """Whether it runs."""
        return not self._vm.is_dead()

    def is_defunct(self):
        """Whether it has ended and nobody has asked how. The core asks at once."""
        return False

    def get_output(self):
        """Everything that QEMU has printed."""
        return self._ended()["output"]

    get_stripped_output = get_output

    def get_status(self):
        """The status with which it ended; None while it runs."""
        return self._ended()["status"]

    def close(self, sig=9):
        """End it at once."""
        self._vm.destroy(gracefully=False)

    kill = close

    def _ended(self):
        return core.call("vm.process", vm=self._vm.name)

    def __getattr__(self, name):
        raise missing(f"vm.process.{name}")


class ProcessAccess:
    """The part of a machine that deals with QEMU's process."""

    @property
    def process(self):
        """QEMU's process."""
        return Process(self)

    def _started(self):
        return core.call("vm.process", vm=self.name)

    @property
    def start_time(self):
        """When QEMU was started: seconds since the epoch."""
        import time

        return time.time() - self._started()["age"]

    @property
    def start_monotonic_time(self):
        """The same on the clock that is never set."""
        import time

        return time.monotonic() - self._started()["age"]

    @property
    def instance(self):
        """A word that no other machine of this host has."""
        return f"{self.name}-{self.get_pid() or os.getpid()}"

    def get_vcpu_pids(self, debug=False):
        """The threads in which the guest's processors run."""
        return [int(processor["thread-id"]) for processor in self.monitor.query("cpus-fast")]

    @property
    def vcpu_threads(self):
        """The threads in which the guest's processors run."""
        return self.get_vcpu_pids()

    def get_qemu_threads(self):
        """All threads of QEMU, as text."""
        pid = self.get_pid()
        try:
            return os.listdir(f"/proc/{pid}/task")
        except OSError:
            return []

    def get_vhost_threads(self, vhost_thread_pattern):
        """The threads of the kernel that carry the guest's traffic.

        :param vhost_thread_pattern: a regular expression for lines of ``ps -eL``, with ``%s`` for QEMU's process id.
        """
        from avocado.utils import process

        threads = process.run("ps -eL", verbose=False).stdout_text
        return [int(thread) for thread in re.findall(vhost_thread_pattern % self.get_pid(), threads)]

    @property
    def vhost_threads(self):
        """The threads of the kernel that carry the guest's traffic."""
        pattern = self.params.get("vhost_thread_pattern", r"\w+\s+(\d+)\s.*\[vhost-%s\]")
        return self.get_vhost_threads(pattern)

    def get_shared_meminfo(self):
        """How much of QEMU's memory is shared, in mebibytes; None where it does not run."""
        pid = self.get_pid()
        if pid is None:
            return None
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
            return int(statm.read().split()[2]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)

    def check_capability(self, capability):
        """Whether QEMU can do this: one of ``qemu_capabilities.Flags``."""
        return capability in self.devices.caps

    def check_migration_parameter(self, parameter):
        """Whether QEMU has this migration parameter: one of ``qemu_capabilities.MigrationParams``."""
        return parameter in self.devices.mig_params

    def verify_userspace_crash(self):
        """Raise VMDeadError where QEMU has crashed."""
        from virttest import virt_vm

        status = self.process.get_status()
        if status is not None and status < 0:
            raise virt_vm.VMDeadError(f"QEMU of machine {self.name} crashed", self.process.get_output())

    def verify_kvm_internal_error(self):
        """Raise VMError where KVM could not go on with the guest."""
        from virttest import virt_vm

        if self.is_alive() and self.monitor.get_status_name() == "internal-error":
            raise virt_vm.VMError(f"machine {self.name} stopped with an internal error: {self.process.get_output()}")
