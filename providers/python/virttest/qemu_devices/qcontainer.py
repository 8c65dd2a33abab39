"""The devices of one machine: finding them, plugging more into the running machine, and unplugging them.

A container begins with what the machine was started with, read from QEMU's own command line (:mod:`started`). What is
plugged later is an object of upstream's :mod:`virttest.qemu_devices.qdevices`, which knows the commands for it. The
container keeps the two in step, so that a destination of a migration can be given the same devices.
"""

import re

from virttest import absent, missing
from virttest.qemu_capabilities import Capabilities, Flags, MigrationParams
from virttest.qemu_devices import qdevices
from virttest.qemu_devices.definitions import Definitions
from virttest.qemu_devices.disks import DiskDefinitions
from virttest.qemu_devices.utils import (
    DeviceError,
    DeviceHotplugError,
    DeviceInsertError,
    DeviceRemoveError,
    DeviceUnplugError,
)
from virttest.utils_misc import wait_for

__all__ = ["DevContainer", "DeviceError", "DeviceHotplugError", "DeviceUnplugError"]

__getattr__ = absent(__name__)

#: What QEMU has learnt, and since when.
_SINCE = {
    Flags.BLOCKDEV: (2, 12),
    Flags.SMP_DIES: (4, 1),
    Flags.SMP_CLUSTERS: (7, 0),
    Flags.SMP_DRAWERS: (8, 2),
    Flags.SMP_BOOKS: (8, 2),
    Flags.INCOMING_DEFER: (2, 3),
    Flags.MACHINE_MEMORY_BACKEND: (5, 0),
    Flags.MIGRATION_PARAMS: (2, 4),
    Flags.FLOPPY_DEVICE: (5, 1),
    Flags.BLOCKJOB_BACKING_MASK_PROTOCOL: (9, 0),
}
_MIGRATION_PARAMETERS_SINCE = (5, 1)
#: What QEMU has if it was built so: the object that shows it.
_SHOWN_BY = {
    Flags.SEV_GUEST: "sev-guest",
    Flags.SNP_GUEST: "sev-snp-guest",
    Flags.TDX_GUEST: "tdx-guest",
    Flags.IGVM_CFG: "igvm-cfg",
}


class DevContainer(DiskDefinitions, Definitions):
    """The devices of one machine. Times are in seconds."""

    def __init__(
        self,
        qemu_binary,
        vmname,
        strict_mode="no",
        workaround_qemu_qmp_crash="no",
        allow_hotplugged_vm="yes",
        monitor=None,
        types=None,
        qemu_version=None,
    ):
        """A container with nothing in it. Tests make some to describe devices; a machine's own has its monitor.

        :param strict_mode: ``yes``: say also which place a device takes where QEMU would choose it.
        :param types: the names of all device types and objects of this QEMU; it is asked where they are not given.
        :param qemu_version: ``10.0.2``; the program is asked where it is not given.
        """
        del workaround_qemu_qmp_crash, allow_hotplugged_vm  # nothing here depends on them
        # Where the types of what is plugged are asked for: without it nothing can be plugged whose types nobody knows yet.
        qdevices.qdevice_format.qemu_binary = qemu_binary
        self.vmname = vmname
        self.monitor = monitor
        self.strict_mode = strict_mode in (True, "yes")
        self.qemu_version = qemu_version or _ask(qemu_binary, "--version", r"version (\d+\.\d+\.\d+)")[0]
        self.types = frozenset(types if types is not None else _ask(qemu_binary, "-device help", r'name "([^"]+)"'))
        #: Files of images that were made for ``image_snapshot = yes``.
        self.temporary_image_snapshots = set()
        #: Identifiers of devices that the machine was started with and has no more.
        self.unplugged = []
        self._devices = []
        self._started = []
        self._buses = []
        self._pci = None
        self._state = -1
        self.caps, self.mig_params = _capabilities(self.qemu_version, self.types)

    # What is there.

    def __iter__(self):
        return iter(self._devices)

    def __len__(self):
        return len(self._devices)

    def __contains__(self, item):
        return self._find(item) is not None

    def __getitem__(self, item):
        found = self._find(item)
        if found is None:
            raise KeyError(f"machine {self.vmname} has no device {item}")
        return found

    def __delitem__(self, item):
        self.remove(item)

    def _find(self, item):
        if isinstance(item, qdevices.QBaseDevice):
            return next((device for device in self._devices if device is item or device == item), None)
        return next((device for device in self._devices if item and device.get_aid() == item), None)

    def get(self, item):
        """The device of this identifier, or equal to this one; None where there is none."""
        return self._find(item)

    def get_by_qid(self, qid):
        """All devices that QEMU knows by this identifier."""
        return [device for device in self._devices if qid and device.get_qid() == qid]

    def get_by_params(self, filt):
        """All devices whose parameters contain these."""
        return [device for device in self._devices if filt.items() <= dict(_hashable(device.params)).items()]

    def get_by_properties(self, filt):
        """All devices whose attributes are these."""
        absent_value = object()
        return [
            device
            for device in self._devices
            if all(getattr(device, name, absent_value) == value for name, value in filt.items())
        ]

    def get_qdev_by_drive(self, device):
        """The identifier of the device whose drive is the node `device`."""
        for one in self._devices:
            if isinstance(one, qdevices.QDevice) and one.params.get("drive") == device:
                return one.params.get("id")
        return None

    def has_device(self, device):
        """Whether QEMU has this type of device."""
        return device in self.types

    has_object = has_device

    def has_qmp_cmd(self, cmd):
        """Whether QMP has this command."""
        return self.monitor._has_command(cmd)

    def is_pci_device(self, device):
        """Whether devices of this type are plugged into PCI."""
        if self._pci is None:
            listed = self.monitor.cmd("qom-list-types", {"implements": "pci-device", "abstract": False})
            self._pci = {entry["name"] for entry in listed}
        return device in self._pci

    # Buses.

    def get_buses(self, bus_spec, type_test=False):
        """The buses that `bus_spec` (``{"aobject": "pci.0"}``, ``{"type": "SCSI"}`` …) describes, newest first."""
        return [bus for bus in self._buses if bus.match_bus(bus_spec, type_test)]

    def get_first_free_bus(self, bus_spec, addr):
        """The first of these buses on which `addr` is free."""
        return next((bus for bus in self.get_buses(bus_spec) if bus.get_free_slot(addr)), None)

    def idx_of_next_named_bus(self, bus_pattern):
        """The first number with which no bus is named."""
        pattern = bus_pattern if "%s" in bus_pattern else bus_pattern + "%s"
        names = {bus.busid for bus in self._buses}
        return next(number for number in range(len(names) + 1) if pattern % number not in names)

    def add_bus(self, bus):
        """Make a bus known that belongs to no device in here."""
        self._buses.append(bus)

    # Putting in and taking out, here alone.

    def insert(self, devices, strict_mode=None):
        """Put devices in, each on the bus that it names; return all that were put in.

        :raise DeviceError: where one finds no place; nothing is put in then.
        """
        added = []
        try:
            for device in devices if isinstance(devices, (list, tuple)) else [devices]:
                added += self._insert(device, self.strict_mode if strict_mode is None else strict_mode)
        except DeviceError:
            for device in added:
                self._take_out(device)
            raise
        return added

    def _insert(self, device, strict):
        if device.get_qid() and self.get_by_qid(device.get_qid()):
            raise DeviceInsertError(device, f"there is a device {device.get_qid()!r} already", self)
        if not isinstance(device.parent_bus, (list, tuple)):
            device.parent_bus = (device.parent_bus,)
        added = []
        for wanted in filter(None, device.parent_bus):
            added += self._place(device, wanted, strict)
        for bus in device.child_bus:
            self._buses.insert(0, bus)
        device.set_aid(self._unique(device.get_qid()))
        self._devices.append(device)
        return [*added, device]

    def _place(self, device, wanted, strict):
        if wanted.get("busid") in ("_PCI_CHASSIS",) or str(wanted.get("busid", "")).startswith("drive_"):
            return []  # no bus of QEMU's
        answers = []
        for bus in self.get_buses(wanted, True):
            if not bus.match_bus(wanted, False):
                strict = True  # QEMU would take this one: say which one it shall be
                continue
            answer = bus.insert(device, strict)
            if isinstance(answer, list):
                return self.insert(answer) if answer else []
            answers.append(f"{bus.busid}: {answer}")
        self._take_out(device)
        why = "; ".join(answers) or "there is none"
        raise DeviceInsertError(device, f"no place on a bus {wanted} ({why})", self)

    def _unique(self, qid):
        if qid and qid not in (device.get_aid() for device in self._devices):
            return qid
        taken = {device.get_aid() for device in self._devices}
        return next(name for name in (f"{qid}__{number}" for number in range(len(taken) + 1)) if name not in taken)

    def add_started(self, device, bus=None):
        """Put in a device that the machine was started with; it has its place already."""
        for own in device.child_bus:
            self._buses.insert(0, own)
        if bus is not None:
            bus.insert(device)
        device.set_aid(self._unique(device.get_qid()))
        self._devices.append(device)
        self._started.append(device)

    def remove(self, device, recursive=True):
        """Take a device out, with what hangs on it unless told otherwise.

        :raise KeyError: where there is no such device.
        :raise DeviceRemoveError: where something hangs on it.
        """
        device = self[device]
        if not recursive and any(len(bus) for bus in device.child_bus):
            raise DeviceRemoveError(device, "other devices hang on it", self)
        for child in device.get_children() if recursive else ():
            if child in self:
                self.remove(child, True)
        self._take_out(device)

    def _take_out(self, device):
        for bus in [*self._buses]:
            bus.remove(device)
            if any(bus is own for own in device.child_bus):
                self._buses.remove(bus)
        self._devices = [one for one in self._devices if one is not device]
        if any(one is device for one in self._started):
            self._started = [one for one in self._started if one is not device]
            self.unplugged.append(device.get_qid())

    def added(self):
        """The devices that were plugged after the start, in order."""
        return [device for device in self._devices if not any(device is one for one in self._started)]

    def settle(self):
        """Say that QEMU was started anew with all that is here: after a migration."""
        self._started = list(self._devices)
        self.unplugged = []

    # Plugging and unplugging.

    def simple_hotplug(self, device, monitor, bus=None):
        """Plug a device into the running machine; return QEMU's answer and whether the device is there.

        :raise DeviceHotplugError: where it has no place on a bus.
        """
        self.set_dirty()
        if isinstance(device, qdevices.QDevice):
            bus = bus or self._bus_for(device)
            if bus is not None:
                bus.prepare_hotplug(device)
        try:
            added = self.insert(device)
        except DeviceError as error:
            raise DeviceHotplugError(device, str(error), self) from error
        if len(added) != 1:
            raise NotImplementedError(f"{device} needs other devices to be plugged before it")
        try:
            output = device.hotplug(monitor, self.qemu_version)
        except Exception:
            self._take_out(device)
            raise
        verified = device.verify_hotplug(output, monitor)
        if verified is False:
            self._take_out(device)
        self.set_clean()
        return output, verified

    def _bus_for(self, device):
        for wanted in device.parent_bus if isinstance(device.parent_bus, (list, tuple)) else [device.parent_bus]:
            for bus in self.get_buses(wanted) if wanted else ():
                if bus.bus_item == "bus":
                    return bus
        if self.is_pci_device(device["driver"]) and not device.get_param("bus"):
            return next(iter(self.get_buses({"aobject": "pci.0"})), None)
        return None

    def simple_unplug(self, device, monitor, timeout=30):
        """Unplug a device; return QEMU's answer and whether the device is gone within `timeout`.

        With a disk go the nodes behind it.
        """
        device = self[device]
        self.set_dirty()
        output = device.unplug(monitor)
        if not wait_for(lambda: device.verify_unplug(output, monitor) is True, timeout, 0.1, 0.5):
            self.set_clean()
            return output, device.verify_unplug(output, monitor)
        try:
            device.unplug_hook()
            drive = device.get_param("drive")
            self.remove(device, True)
            if drive and drive in self:
                self._remove_nodes(self[drive], monitor)
        except (DeviceError, KeyError) as error:
            device.unplug_unhook()
            raise DeviceUnplugError(device, error, self) from error
        self.set_clean()
        return output, True

    def _remove_nodes(self, node, monitor):
        children = list(node.get_child_nodes())
        if not node.verify_unplug(node.unplug(monitor), monitor):
            raise DeviceUnplugError(node, "QEMU keeps the node", self)
        self.remove(node, bool(children))
        if node.get_parent_node():
            node.get_parent_node().del_child_node(node)
        for child in children:
            self._remove_nodes(child, monitor)

    def set_dirty(self):
        """Say that the machine is about to differ from what stands here."""
        self._state = max(self._state, 0) + 1

    def set_clean(self):
        """Say that it is no different any more."""
        if self._state <= 0:
            raise DeviceError(f"the devices of {self.vmname} do not differ from what is known of them")
        self._state -= 1

    hotplug_verified = set_clean

    def get_state(self):
        """How many changes are under way; -1 where there never was one."""
        return self._state

    def reset_state(self):
        """Forget that there were changes."""
        self._state = -1

    # As text.

    def cmdline(self, dynamic=True):
        """The devices as words of a command line."""
        words = (device.cmdline() if dynamic else device.cmdline_nd() for device in self._devices)
        return " ".join(filter(None, words))

    def str_short(self):
        """All devices in one line."""
        return f"Devices of {self.vmname}: [{','.join(map(str, self._devices))}]"

    def str_long(self):
        """All devices with their parameters."""
        return f"Devices of {self.vmname}:\n" + "\n".join(device.str_long() for device in self._devices)

    def str_bus_short(self):
        """All buses in one line each."""
        return f"Buses of {self.vmname}\n  " + "\n  ".join(bus.str_short() for bus in self._buses)

    def str_bus_long(self):
        """All buses with the devices on them."""
        return f"Buses of {self.vmname}:\n  " + "\n  ".join(bus.str_long() for bus in self._buses)

    __str__ = str_short

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise missing(f"virttest.qemu_devices.qcontainer.DevContainer.{name}")

    def cleanup_daemons(self):
        """End what runs on the host for a device."""
        for device in self._devices:
            if isinstance(device, qdevices.QDaemonDev):
                device.clear()


def _ask(binary, option, pattern):
    """What QEMU's program prints, as far as it fits."""
    from avocado.utils import process

    return re.findall(pattern, process.run(f"{binary} {option}", verbose=False).stdout_text)


def _capabilities(version, types):
    known = tuple(int(number) for number in re.findall(r"\d+", version)[:2])
    flags, parameters = Capabilities(), Capabilities()
    for flag, since in _SINCE.items():
        if known >= since:
            flags.set_flag(flag)
    for flag, shown_by in _SHOWN_BY.items():
        if shown_by in types:
            flags.set_flag(flag)
    if known >= _MIGRATION_PARAMETERS_SINCE:
        for name in ("DOWNTIME_LIMIT", "MAX_BANDWIDTH", "XBZRLE_CACHE_SIZE"):
            parameters.set_flag(getattr(MigrationParams, name))
    return flags, parameters


def _hashable(params):
    """Parameters whose values may be lists cannot be compared as sets of items; text stands for them."""
    return ((key, value if isinstance(value, (str, int)) else str(value)) for key, value in params.items())
