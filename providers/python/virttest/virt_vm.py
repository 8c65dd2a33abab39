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


class VMImageCheckError(VMError):
    """``qemu-img check`` found an image of the machine damaged."""

    def __init__(self, filename):
        super().__init__(filename)
        self.filename = filename

    def __str__(self):
        return f"image {self.filename!r} is damaged"


class VMConfigMissingError(VMError):
    """A parameter that the machine needs is not set."""

    def __init__(self, name, config):
        super().__init__(name, config)
        self.name = name
        self.config = config

    def __str__(self):
        return f"machine {self.name} needs the parameter {self.config!r}"


class VMHashMismatchError(VMError):
    """A medium is not what its digest says."""


class VMInvalidInstructionCode(VMError):
    """The guest stumbled over an instruction that its processor does not have."""

    def __init__(self, invalid_code):
        super().__init__(invalid_code)
        self.invalid_code = invalid_code

    def __str__(self):
        return f"the guest stumbled over an instruction: {self.invalid_code}"


class VMDeviceError(VMError):
    """Something is wrong with a device."""


class VMDeviceNotSupportedError(VMDeviceError):
    """The machine cannot have such a device."""

    def __init__(self, name, device):
        super().__init__(name, device)
        self.name = name
        self.device = device

    def __str__(self):
        return f"machine {self.name} cannot have the device {self.device!r}"


class VMDeviceNotFoundError(VMDeviceError):
    """The machine has no such device."""


class VMDeviceStateError(VMDeviceError):
    """A device is in another state than it should be."""


class VMDeviceCheckError(VMDeviceError):
    """A device was not plugged, or not unplugged, as it should be."""


class VMAddNetDevError(VMError):
    """A network could not be added."""


class VMDelNetDevError(VMError):
    """A network could not be removed."""


class VMAddNicError(VMError):
    """A network card could not be plugged."""


class VMDelNicError(VMError):
    """A network card could not be unplugged."""


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


class VMAddressVerificationError(VMAddressError):
    """Nobody answers at the address of a network card."""


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


class CpuInfo:
    """The processors of a machine, as it was started: numbers, and the model that the guest sees."""

    FIELDS = ("smp", "maxcpus", "sockets", "drawers", "books", "dies", "clusters", "cores", "threads")

    def __init__(self, model=None, vendor=None, flags=None, family=None, qemu_type=None, **numbers):
        self.model = model
        self.vendor = vendor
        self.flags = flags
        self.family = family
        self.qemu_type = qemu_type
        for field in self.FIELDS:
            setattr(self, field, numbers.get(field, 0))

    @classmethod
    def of(cls, params, started=None):
        """From parameters; `started` has what is known of the running machine, by the same names."""
        numbers = {field: params.get_numeric(f"vcpu_{field}") for field in cls.FIELDS if field != "smp"}
        numbers["smp"] = params.get_numeric("smp") or 1
        numbers["maxcpus"] = numbers["maxcpus"] or numbers["smp"]
        numbers.update({name: number for name, number in (started or {}).items() if number})
        _complete(numbers)
        words = {name: params.get(f"cpu_model_{name}" if name == "flags" else f"cpu_{name}") for name in _WORDS}
        return cls(**words, qemu_type=params.get("cpu_driver"), **numbers)


_WORDS = ("model", "vendor", "flags", "family")


def _complete(numbers):
    """Leave no level of the topology at zero: what is not said is one, but for sockets."""
    share = 1
    for level in ("threads", "cores", "dies", "clusters"):
        numbers[level] = numbers.get(level) or 1
        share *= numbers[level]
    numbers["sockets"] = numbers.get("sockets") or max(numbers["maxcpus"] // share, 1)
    for level in ("books", "drawers"):
        numbers[level] = numbers.get(level) or 1
