"""From parameters to devices other than disks: ports, memory, input, processors, controllers."""

import json

from virttest import absent
from virttest.qemu_devices import qdevices
from virttest.utils_params import Params

__getattr__ = absent(__name__)

#: USB controllers by their type: the driver, the kind of bus that devices ask for, and its ports.
_USB_CONTROLLERS = {
    "uhci": ("piix3-usb-uhci", "uhci", 2),
    "ehci": ("usb-ehci", "ehci", 6),
    "xhci": ("qemu-xhci", "xhci", 8),
    "nec-usb-xhci": ("nec-usb-xhci", "xhci", 8),
    "qemu-xhci": ("qemu-xhci", "xhci", 8),
    "usb-ehci": ("usb-ehci", "ehci", 6),
    "piix3-usb-uhci": ("piix3-usb-uhci", "uhci", 2),
}

#: Kinds of character devices whose place is a path.
_PATHS = ("unix_socket", "file", "pipe", "serial", "tty", "parallel", "parport")


class Definitions:
    """The part of the container that describes devices. Nothing is put in here: the caller plugs what comes back."""

    # Ports.

    def chardev_define_by_params(self, chardev_id, params, file_name=None):
        """A character device; `file_name` is its path where it has one."""
        kind = params.get("chardev_backend", "unix_socket")
        fields = Params({"backend": "socket" if "socket" in kind else kind, "id": chardev_id})
        more = {}
        if kind in _PATHS:
            more["path"] = file_name
        if kind == "unix_socket":
            more.update({key: params.get(f"chardev_{key}") for key in ("abstract", "tight")})
        if kind in ("udp", "tcp_socket"):
            more.update(host=params.get("chardev_host", "127.0.0.1"), port=params.get("chardev_port"))
            more.update({key: params.get(f"chardev_{key}") for key in ("ipv4", "ipv6")})
        if kind == "tcp_socket":
            more["to"] = params.get("chardev_to")
        if "socket" in kind:
            more.update(server=params.get("chardev_server", "on"), wait=params.get("chardev_wait", "off"))
        if kind in ("spicevmc", "spiceport"):
            more.update({key: params.get(f"chardev_{key}") for key in ("debug", "name")})
        if kind == "ringbuf":
            more["ringbuf_write_size"] = params.get_numeric("ringbuf_write_size")
        if kind == "pipe" and params.get("auto_create_pipe", "yes") == "yes":
            import os

            os.mkfifo(file_name)
        fields.update({key: value for key, value in more.items() if value is not None})
        return qdevices.CharDevice(fields, chardev_id)

    def serials_define_by_params(self, serial_id, params, file_name=None):
        """A serial port with the character device behind it, and a controller where it needs a new one."""
        kind = params["serial_type"]
        chardev_id = f"chardev_{serial_id}"
        return [
            self.chardev_define_by_params(chardev_id, params, file_name),
            *self.serials_define_by_variables(
                serial_id,
                kind,
                chardev_id,
                "virtio-serial-pci" if kind.startswith("virt") else None,
                params.get("serial_name"),
                params.get("serial_bus"),
                params.get("serial_nr"),
                params.get("serial_reg"),
                params.get("virtio_serial_extra_params", ""),
            ),
        ]

    def serials_define_by_variables(
        self,
        serial_id,
        serial_type,
        chardev_id,
        bus_type=None,
        serial_name=None,
        bus=None,
        nr=None,
        reg=None,
        bus_extra_params="",
    ):
        """A serial port; `bus` is a controller's identifier, or ``<new>`` for one of its own."""
        devices = []
        if serial_type.startswith("virt"):
            if bus in (None, "", "<new>"):
                free = (
                    None
                    if bus == "<new>"
                    else self.get_first_free_bus({"type": "SERIAL", "atype": bus_type}, [None, nr])
                )
                if free is None or serial_type == "virtconsole":
                    pattern = bus_type.replace("-", "_") + "%s"
                    bus = pattern % self.idx_of_next_named_bus(pattern)
                    fields = dict(word.split("=") for word in bus_extra_params.split(",") if word)
                    fields["id"] = bus
                    ports = qdevices.QSerialBus(bus, bus_type, bus)
                    devices.append(qdevices.QDevice(bus_type, fields, bus, {"aobject": "pci.0"}, ports))
                else:
                    bus = free.busid
            port = qdevices.QDevice(serial_type, {"id": serial_id}, parent_bus={"busid": bus})
            port.set_param("name", serial_name)
        else:
            parent = ({"aobject": "pci.0"},) if serial_type.startswith("pci") else ()
            port = qdevices.QDevice(serial_type, {"id": serial_id}, parent_bus=parent)
            port.set_param("reg", reg)
        port.set_param("chardev", chardev_id)
        return [*devices, port]

    # Memory.

    def memory_object_define_by_params(self, params, name):
        """The memory behind a module."""
        own = params.object_params("mem")
        backend = own.setdefault("backend", "memory-backend-ram")
        fields = own.copy_from_keys(qdevices.Memory.__attributes__[backend][:])
        memory = qdevices.Memory(backend, fields)
        memory.set_param("id", f"mem-{name}")
        return memory

    def dimm_device_define_by_params(self, params, name):
        """A memory module: the parameters that end in ``_dimm``."""
        kind = "nvdimm" if params.get("nv_backend") else "pc-dimm"
        own = Params({key[: -len("_dimm")]: params[key] for key in list(params.keys()) if key.endswith("_dimm")})
        module = qdevices.Dimm(params=own.copy_from_keys(qdevices.Dimm.__attributes__[kind][:]), dimm_type=kind)
        module.set_param("id", f"dimm-{name}")
        for key, value in params.get_dict("dimm_extra_params").items():
            module.set_param(key, value)
        return module

    def memory_define_by_params(self, params, name):
        """Memory and the module that brings it into the guest."""
        own = params.object_params(name)
        memory = self.memory_object_define_by_params(own, name)
        if own.object_params(name).get("use_mem", "yes") != "yes":
            return [memory]
        if own.get("vm_memdev_model", "dimm") == "dimm":
            module = self.dimm_device_define_by_params(own, name)
            module.set_param("memdev", memory.get_qid())
            return [memory, module]
        fields = {key[: -len("_memory")]: own[key] for key in list(own.keys()) if key.endswith("_memory")}
        module = qdevices.QDevice("virtio-mem-pci", parent_bus={"aobject": own.get("pci_bus", "pci.0")})
        for key in ("memdev", "requested-size", "block-size", "node", "memaddr", "prealloc", "unplugged-inaccessible"):
            module.set_param(key, fields.get(key))
        module.set_param("id", f"virtio_mem-{name}")
        return [memory, module]

    # Input, processors, controllers.

    def input_define_by_params(self, params, name, bus=None):
        """A virtio mouse, keyboard or tablet."""
        own = params.object_params(name)
        driver = f"virtio-{own['input_dev_type']}-pci"
        if own["input_dev_bus_type"] != "virtio" or not self.has_device(driver):
            raise ValueError(f"there is no input device {own['input_dev_type']!r} on {own['input_dev_bus_type']!r}")
        device = qdevices.QDevice(driver, parent_bus=bus or {"aobject": "pci.0"})
        device.set_param("id", f"input_{name}")
        return [device]

    def vcpu_device_define_by_params(self, params, name):
        """A processor that can be plugged."""
        from virttest.virt_vm import VMDeviceNotSupportedError

        own = params.object_params(name)
        driver = own["cpu_driver"]
        if not self.has_device(driver):
            raise VMDeviceNotSupportedError(self.vmname, driver)
        fields = {"id": own.get("vcpu_id", name), **json.loads(own.get("vcpu_props", "{}"))}
        return qdevices.QCPUDevice(driver, own.get_boolean("vcpu_enable"), params=fields, parent_bus=())

    def usbc_by_params(self, usb_name, params, pci_bus=None):
        """A USB controller."""
        driver, kind, ports = _USB_CONTROLLERS[params.get("usb_type", "xhci")]
        bus = qdevices.QUSBBus(int(params.get("usb_max_port", ports)), f"{usb_name}.0", kind, usb_name)
        return [qdevices.QDevice(driver, {"id": usb_name}, usb_name, pci_bus or {"aobject": "pci.0"}, bus)]

    def usb_by_params(self, usb_name, params):
        """A USB device."""
        kind = params.get("usb_controller", "xhci")
        device = qdevices.QDevice(params["usb_type"], {"id": f"usb-{usb_name}"}, usb_name, {"type": kind})
        for key in ("serial", "chardev", "filename"):
            device.set_param(key, params.get(f"usbdev_option_{key}_{usb_name}"))
        return device

    def throttle_group_define_by_params(self, group_params, name):
        """A group of disks that share a limit."""
        return qdevices.QThrottleGroup(name, json.loads(group_params.get("throttle_group_parameters", "{}")))

    def thread_context_define_by_params(self, params, name):
        """Threads for preparing memory, bound to processors."""
        device = qdevices.QObject("thread-context", params=params.get_dict("vm_thread_context_options"))
        device.set_param("id", f"thread_context-{name}")
        return device
