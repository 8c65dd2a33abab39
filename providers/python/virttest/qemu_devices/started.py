"""From the command line of a running machine to the devices that it has."""

import json
from collections import OrderedDict

from virttest import absent
from virttest.qemu_devices import qdevices
from virttest.qemu_devices.qcontainer import DevContainer

__getattr__ = absent(__name__)

#: Slots of a SCSI bus: targets and units.
_SCSI_SLOTS = [256, 16384]


def read(vm_name, params, monitor, argv, version):
    """Make the container of a machine.

    :param argv: QEMU's command line; its first word is the program.
    """
    listed = monitor.cmd("qom-list-types", {"abstract": False})
    types = [entry["name"] for entry in listed]
    strict_mode = params.get("strict_mode")
    container = DevContainer(argv[0], vm_name, strict_mode, monitor=monitor, types=types, qemu_version=version)
    express = "bus: pcie.0" in monitor.human_monitor_cmd("info qtree")
    if express:
        container.add_bus(qdevices.QPCIEBus("pcie.0", "PCIE", "pcie-root-port", "pci.0"))
    else:
        container.add_bus(qdevices.QPCIBus("pci.0", "PCI", "pci.0"))
    container.add_bus(qdevices.QIDEBus("ide"))
    _reserve(container, monitor)
    nodes = {}
    for option, value in _pairs(argv[1:]):
        device = _READERS.get(option, lambda *_: None)(value, nodes)
        if device is not None:
            container.add_started(device, _bus_of(container, device))
    return container


def _reserve(container, monitor):
    """Take the slots that are in use out of the container's choice."""
    bus = container.get_buses({"aobject": "pci.0"})[0]
    for root in monitor.cmd("query-pci"):
        if root["bus"] == 0:
            for device in root["devices"]:
                for function in range(8):
                    bus.reserve([device["slot"], function])


def _pairs(argv):
    """Options with their values."""
    position = 0
    while position < len(argv):
        word = argv[position]
        has_value = position + 1 < len(argv) and not argv[position + 1].startswith("-")
        yield word, argv[position + 1] if has_value else None
        position += 2 if has_value else 1


def _words(text, first):
    """``first,key=value,…`` as a dict; a comma in a value is written twice. ``key`` alone is switched on."""
    words = [word.replace("\0", ",") for word in text.replace(",,", "\0").split(",")]
    fields = OrderedDict()
    for position, word in enumerate(words):
        key, equals, value = word.partition("=")
        if equals:
            fields[key] = value
        elif position == 0:
            fields[first] = word
        else:
            fields[word] = "on"
    return fields


def _device(text, nodes):
    fields = json.loads(text, object_pairs_hook=OrderedDict) if text.startswith("{") else _words(text, "driver")
    driver, name = fields["driver"], fields.get("id")
    buses = []
    if driver.startswith("virtio-scsi"):
        buses.append(qdevices.QSCSIBus(f"{name}.0", "SCSI", _SCSI_SLOTS, atype=driver))
    elif driver.startswith("virtio-serial"):
        buses.append(qdevices.QSerialBus(name, driver, name))
    elif driver == "pcie-root-port":
        buses.append(qdevices.QPCIBus(name, "PCIE", name, length=1))
    elif driver in _USB:
        buses.append(qdevices.QUSBBus(_USB[driver][1], f"{name}.0", _USB[driver][0], name))
    return qdevices.QDevice(driver, fields, aobject=name, child_bus=buses)


#: USB controllers: the type of bus as it is asked for, and the number of ports.
_USB = {"qemu-xhci": ("xhci", 8), "nec-usb-xhci": ("xhci", 8), "usb-ehci": ("ehci", 6), "piix3-usb-uhci": ("uhci", 2)}


def _blockdev(text, nodes):
    fields = json.loads(text, object_pairs_hook=OrderedDict)
    name = fields["node-name"]
    kind = _NODES.get(fields["driver"], qdevices.QBlockdevProtocolFile)
    aobject = name.partition("_")[2] or name
    node = kind(aobject)
    if node.get_qid() != name:
        node._set_root(False)  # the node above it comes later on the command line; it has the other name
    for key, value in _flat(fields):
        if key not in ("node-name", "driver"):
            node.set_param(key, value)
    child = nodes.get(fields.get("file") if isinstance(fields.get("file"), str) else None)
    if child is not None:
        node.add_child_node(child)
    nodes[name] = node
    return node


def _drive(text, nodes):
    fields = _words(text, "file")
    drive = qdevices.QDrive(fields.pop("id").partition("_")[2])
    for key, value in fields.items():
        drive.set_param(key, value)
    return drive


_NODES = {
    "qcow2": qdevices.QBlockdevFormatQcow2,
    "raw": qdevices.QBlockdevFormatRaw,
    "luks": qdevices.QBlockdevFormatLuks,
    "host_device": qdevices.QBlockdevProtocolHostDevice,
    "null-co": qdevices.QBlockdevProtocolNullCo,
}


def _flat(fields, prefix=""):
    """``{"cache": {"direct": true}}`` as ``cache.direct``."""
    for key, value in fields.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _object(text, nodes):
    fields = json.loads(text, object_pairs_hook=OrderedDict) if text.startswith("{") else _words(text, "qom-type")
    backend = fields.pop("qom-type")
    kind = qdevices.Memory if backend.startswith("memory-backend") else qdevices.QObject
    return kind(backend, fields)


def _chardev(text, nodes):
    from virttest.utils_params import Params

    fields = _words(text, "backend")
    return qdevices.CharDevice(Params(fields), fields.get("id"))


def _netdev(text, nodes):
    fields = _words(text, "type")
    return qdevices.QNetdev(fields.pop("type"), fields)


_READERS = {
    "-device": _device,
    "-blockdev": _blockdev,
    "-drive": _drive,
    "-object": _object,
    "-chardev": _chardev,
    "-netdev": _netdev,
}


def _bus_of(container, device):
    """The bus on which a device that says so stands."""
    name = device.get_param("bus") if isinstance(device, qdevices.QDevice) else None
    if name is None:
        return None
    if device.get_param("driver") == "pcie-root-port":
        return container.get_buses({"aobject": "pci.0"})[0]
    for busid in (name, name.rpartition(".")[0]):
        for bus in container.get_buses({"busid": busid}):
            return bus
    return None
