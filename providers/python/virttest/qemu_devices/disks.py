"""From the parameters of an image or a drive to the nodes and devices that make it up."""

from virttest import absent, missing
from virttest.qemu_capabilities import Flags
from virttest.qemu_devices import qdevices

__getattr__ = absent(__name__)

#: What QEMU's classical cache modes mean: the guest sees a write cache; the host's is not used; it is never flushed.
CACHE_MODES = {
    "writeback": ("on", "off", "off"),
    "none": ("on", "on", "off"),
    "writethrough": ("off", "off", "off"),
    "directsync": ("off", "on", "off"),
    "unsafe": ("on", "off", "on"),
}

_FORMATS = {
    "qcow2": qdevices.QBlockdevFormatQcow2,
    "raw": qdevices.QBlockdevFormatRaw,
    "luks": qdevices.QBlockdevFormatLuks,
}

#: Properties of the device, by the parameters that hold them.
_DEVICE_PARAMETERS = (
    ("serial", "drive_serial"),
    ("rerror", "drive_rerror"),
    ("werror", "drive_werror"),
    ("min_io_size", "min_io_size"),
    ("opt_io_size", "opt_io_size"),
    ("physical_block_size", "physical_block_size"),
    ("logical_block_size", "logical_block_size"),
)

_USB_BUSES = {"usb1": "uhci", "usb2": "ehci", "usb3": "xhci"}


class DiskDefinitions:
    """The part of the container that describes disks. Nothing is put in here: the caller plugs what comes back."""

    @property
    def cache_map(self):
        """The cache modes with the properties that they stand for."""
        names = ("write-cache", "cache.direct", "cache.no-flush")
        return {mode: dict(zip(names, meaning)) for mode, meaning in CACHE_MODES.items()}

    def images_define_by_params(
        self,
        name,
        image_params,
        media=None,
        index=None,
        image_boot=None,
        image_bootindex=None,
        pci_bus=None,
    ):
        """The nodes, controllers and the device of the image `name`, in the order in which they are plugged.

        :param image_params: the image's own view of the parameters.
        """
        from virttest import data_dir, storage

        base = image_params.get("images_base_dir", data_dir.get_data_dir())
        file = storage.get_image_filename(image_params, base)
        image_format = image_params.get("image_format", "qcow2")
        if image_params.get("image_snapshot") == "yes":
            file, image_format = self._snapshot(name, file, image_format)
        return self._define(name, image_params, file, image_format, media, image_bootindex, pci_bus)

    def cdroms_define_by_params(
        self,
        name,
        image_params,
        media=None,
        index=None,
        image_boot=None,
        image_bootindex=None,
        pci_bus=None,
    ):
        """The same for the drive `name` with what the parameter ``cdrom`` says is in it."""
        import os

        from virttest import data_dir

        medium = image_params.get("cdrom")
        file = os.path.realpath(os.path.join(data_dir.get_data_dir(), medium)) if medium else ""
        params = image_params.copy()
        params["drive_format"] = image_params.get("cd_format") or ("ide" if self.get_buses({"type": "IDE"}) else "ahci")
        return self._define(name, params, file, "raw", "cdrom", image_bootindex, pci_bus)

    def _snapshot(self, name, file, image_format):
        """A throw-away image on top of `file`, as ``-snapshot`` would make it."""
        import os

        from virttest import core, data_dir

        overlay = os.path.join(data_dir.get_tmp_dir(), f"vl_{self.vmname}_{name}.qcow2")
        args = ["create", "-f", "qcow2", "-b", file, "-F", image_format, overlay]
        core.call("image.run", program="img", args=args, timeout=60.0)
        self.temporary_image_snapshots.add(overlay)
        return overlay, "qcow2"

    def _define(self, name, params, file, image_format, media, bootindex, pci_bus):
        devices = self._nodes(name, params, file, image_format, media)
        drive_format = params.get("drive_format")
        controllers, driver, properties, parent = self._controller(drive_format, params, media, pci_bus)
        device = qdevices.QDevice(params={}, aobject=name, parent_bus=(parent,))
        device.set_param("driver", params.get("force_drive_format") or driver)
        for key, value in properties.items():
            device.set_param(key, value)
        device.set_param("id", name)
        if devices:
            device.set_param("drive", f"drive_{name}")
        for key, parameter in _DEVICE_PARAMETERS:
            device.set_param(key, params.get(parameter))
        if image_boot_index := (bootindex if bootindex is not None else params.get("bootindex")):
            device.set_param("bootindex", image_boot_index)
        cache = params.get("drive_cache")
        device.set_param("write-cache", CACHE_MODES[cache][0] if cache in CACHE_MODES and file else None)
        if params.get("num_queues") and driver == "virtio-blk-pci":
            device.set_param("num-queues", params["num_queues"])
        if params.get("image_iothread") and driver == "virtio-blk-pci":
            device.set_param("iothread", params["image_iothread"])
        _set_pairs(device, params.get("blk_extra_params"))
        return [*devices, *controllers, device]

    # The block graph.

    def _nodes(self, name, params, file, image_format, media):
        if not file and media == "cdrom":
            return []  # an empty drive has no node
        if "://" in file or file.startswith(("iscsi:", "rbd:", "gluster", "nbd:", "ssh:", "json:")):
            raise missing("virttest.qemu_devices.qcontainer.DevContainer.images_define_by_params(network storage)")
        protocol = self._protocol(name, params, file)
        needs_format = image_format != "raw" or Flags.BLOCKJOB_BACKING_MASK_PROTOCOL not in self.caps
        nodes, secrets = [protocol], []
        if needs_format:
            node = _FORMATS[image_format](name)
            node.add_child_node(protocol)
            node.set_param("file", protocol.get_qid())
            nodes.append(node)
            secrets = self._secrets(name, params, image_format, node)
        cache = params.get("drive_cache")
        for node in nodes:
            node.set_param("read-only", params.get("image_readonly", "off" if media != "cdrom" else "on"), bool)
            if cache in CACHE_MODES and file:
                node.set_param("cache.direct", CACHE_MODES[cache][1])
                node.set_param("cache.no-flush", CACHE_MODES[cache][2])
            if params.get("image_discard"):
                node.set_param("discard", params["image_discard"])
            for key, value in _pairs(params.get("drv_extra_params")):
                node.set_param(key, {"on": "unmap", "off": "ignore"}.get(value, value) if key == "discard" else value)
        return secrets + self._filters(name, params, nodes)

    def _protocol(self, name, params, file):
        import os
        import stat

        if not file:
            return qdevices.QBlockdevProtocolNullCo(name)
        on_host = os.path.exists(file) and stat.S_ISBLK(os.stat(file).st_mode)
        node = (qdevices.QBlockdevProtocolHostDevice if on_host else qdevices.QBlockdevProtocolFile)(name)
        node.set_param("filename", file)
        aio = params.get("image_aio")
        # QEMU takes native requests only where the host's cache is not used.
        if aio and (aio != "native" or params.get("drive_cache") in ("none", "directsync")):
            node.set_param("aio", aio)
        return node

    def _secrets(self, name, params, image_format, node):
        if image_format != "luks":
            return []
        secret = qdevices.QObject("secret")
        secret.set_param("id", f"{name}_encrypt0")
        secret.set_param("data", params.get("image_secret", "redhat"))
        node.set_param("key-secret", secret.get_qid())
        return [secret]

    def _filters(self, name, params, nodes):
        """Nodes on top: what is read is copied to the top image; what is read and written is limited."""
        for wanted, make in (
            (params.get("image_copy_on_read") in ("yes", "on", "true"), qdevices.QBlockdevFilterCOR),
            (
                bool(params.get("image_throttle_group")),
                lambda aobject: qdevices.QBlockdevFilterThrottle(aobject, params["image_throttle_group"]),
            ),
        ):
            if wanted:
                top = make(name)
                top.add_child_node(nodes[-1])
                top.set_param("file", nodes[-1].get_qid())
                nodes.append(top)
        return nodes

    # What the device hangs on.

    def _controller(self, drive_format, params, media, pci_bus):
        """The controllers to be plugged first, the device's driver and its place, and the bus it wants."""
        cd = media == "cdrom"
        pci = pci_bus or {"aobject": "pci.0"}
        if drive_format in (None, "", "virtio"):
            return [], "virtio-blk-pci", {}, pci
        if drive_format.startswith("scsi-"):
            controllers, bus = self._scsi(params, pci)
            place = {"scsi-id": params.get("drive_unit"), "lun": params.get("drive_port"), "bus": None}
            return controllers, drive_format, place, {"busid": bus}
        if drive_format == "ide":
            return [], "ide-cd" if cd else "ide-hd", {}, {"type": "IDE", "atype": "ide"}
        if drive_format == "ahci":
            return [], "ide-cd" if cd else "ide-hd", {}, {"type": "IDE", "atype": "ahci"}
        if drive_format in _USB_BUSES:
            return [], "usb-storage", {"removable": params.get("removable")}, {"type": _USB_BUSES[drive_format]}
        if drive_format == "nvme":
            return [], "nvme", {"serial": params.get("drive_serial", "nvme")}, pci
        return [], drive_format, {}, pci

    def _scsi(self, params, pci):
        """A SCSI controller with a free place: one that is there, or a new one."""
        model = params.get("scsi_hba") or "virtio-scsi-pci"
        number = params.get("drive_bus")
        pattern = model.replace("-", "_") + "%s.0"
        if number is not None and self.get_buses({"busid": pattern % number}):
            return [], pattern % number
        free = self.get_first_free_bus({"type": "SCSI", "atype": model}, [None, 0])
        if number is None and free is not None:
            return [], free.busid
        name = pattern % (number if number is not None else self.idx_of_next_named_bus(pattern))
        fields = {"id": name.rpartition(".")[0], "driver": model}
        if params.get("num_queues") and int(params["num_queues"]) > 1:
            fields["num_queues"] = params["num_queues"]
        bus = qdevices.QSCSIBus(name, "SCSI", [256, 16384], atype=model)
        controller = qdevices.QDevice(params=fields, parent_bus=pci, child_bus=bus)
        _set_pairs(controller, params.get("bus_extra_params"))
        return [controller], name


def _pairs(text):
    for word in (text or "").split(","):
        key, equals, value = word.partition("=")
        if equals:
            yield key.strip(), value.strip()


def _set_pairs(device, text):
    for key, value in _pairs(text):
        device.set_param(key, value)
