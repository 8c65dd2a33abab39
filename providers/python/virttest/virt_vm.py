"""What can go wrong with a machine: the classes that tests catch."""

from virttest import absent

__getattr__ = absent(__name__)


class VMError(Exception):
    """Something is wrong with a machine."""


class VMCreateError(VMError):
    """QEMU did not start; `output` is what it printed."""

    def __init__(self, cmd, status=None, output=""):
        super().__init__(cmd, status, output)
        self.cmd = cmd
        self.status = status
        self.output = output

    def __str__(self):
        text = str(self.cmd)
        if self.status is not None:
            text += f" (status {self.status})"
        if self.output and self.output.strip() not in text:
            text += f"; output: {self.output!r}"
        return text


class VMStartError(VMError):
    """A machine did not start."""

    def __init__(self, name, reason=None):
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self):
        return f"machine {self.name!r} did not start" + (f": {self.reason}" if self.reason else "")


class VMDeadError(VMError):
    """The machine does not run."""

    def __init__(self, reason="the machine is dead", detail=""):
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self):
        return f"{self.reason}: {self.detail}" if self.detail else str(self.reason)


class VMDeadKernelCrashError(VMError):
    """The guest's kernel crashed; the message holds what it said."""

    @property
    def kernel_crash(self):
        """What the kernel said."""
        return self.args[0] if self.args else ""


class VMPausedError(VMError):
    """The machine is paused where it should run."""


class VMStatusError(VMError):
    """The machine is in another state than it should be."""


class VMTimeoutError(VMError, TimeoutError):
    """The machine did not do something in time."""


class VMRebootError(VMError):
    """The guest did not reboot."""


class VMImageMissingError(VMError):
    """An image of the machine does not exist or cannot be used."""


class VMMigrateError(VMError):
    """A migration did not succeed."""


class VMMigrateFailedError(VMMigrateError):
    """QEMU gave a migration up, or the guest behind it is not well."""


class VMMigrateTimeoutError(VMMigrateError):
    """A migration did not end in time."""


class VMMigrateCancelError(VMMigrateError):
    """A migration could not be cancelled."""


class VMMigrateProtoUnknownError(VMMigrateError):
    """There is no such migration protocol."""

    def __init__(self, protocol):
        super().__init__(protocol)
        self.protocol = protocol

    def __str__(self):
        return f"there is no migration protocol {self.protocol!r}; known are tcp, unix, exec and fd"


class VMAddressError(VMError):
    """The guest cannot be reached at an address."""


class VMIPAddressMissingError(VMAddressError):
    """No address is known for a network card."""


class VMPortNotRedirectedError(VMAddressError):
    """A port of the guest is not forwarded from the host."""


class VMMACAddressMissingError(VMAddressError):
    """The machine has no such network card."""

    def __init__(self, nic_index):
        super().__init__(nic_index)
        self.nic_index = nic_index

    def __str__(self):
        return f"the machine has no network card {self.nic_index}"


class VMUnknownNetTypeError(VMError):
    """There is no such ``nettype``."""
