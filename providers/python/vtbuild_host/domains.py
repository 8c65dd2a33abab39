"""The machines of a test of libvirt, before it begins: domains on the overlays that the core made.

Upstream expects that somebody has installed a guest under the name that the test uses. Here each test finds its own: with the
memory, processors, disks, network and direct kernel of its parameters, not started. The core ends it after the test,
by its name and by its files (``rules/src/test/around/libvirt.rs``), however the test went.

The emulator of such a domain runs as the user that runs the test, because libvirt's own user cannot reach the test's folder.
A card with ``nettype = user`` is behind QEMU's own network, its ``redirs`` forwarded from ports of the loopback address; libvirt
has no words for that, so it is an argument for the emulator. Other cards are on the bridge or network of ``netdst``.
"""

import os
import subprocess
import tempfile
import xml.etree.ElementTree as ET

from vtbuild_host import loopback, ports

#: By this the core knows a domain that was defined for a test.
MARK = "urn:vtbuild:domain"

_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"

#: Tests of these types install or define their machine themselves.
_INSTALLERS = ("unattended_install", "svirt_virt_install")

#: Letters of disks, by the bus of ``drive_format``; any other is virtio's.
_BUSES = {"virtio": ("virtio", "vd"), "ide": ("ide", "hd"), "ahci": ("sata", "sd"), "scsi-hd": ("scsi", "sd")}

#: Where a forwarding card is on its bus: libvirt, which does not know of it, hands places out from below.
_PLACE = 0x1E


class DomainError(Exception):
    """A domain that libvirt did not take."""


def prepare(params, env, data_dir):
    """Define the domains of a test whose machines are libvirt's, and have upstream know the ports that are forwarded."""
    if params.get("vm_type") != "libvirt" or not _is_qemus(params) or params.get("type") in _INSTALLERS:
        return
    forwarded = {}
    for name in params.objects("vms"):
        view = params.object_params(name)
        forwarded[name] = _forwarded(view)
        _define(view, document(name, view, data_dir, forwarded[name]))
    inner = env.create_vm

    def create_vm(vm_type, target, name, params, bindir):
        vm = inner(vm_type, target, name, params, bindir)
        vm.redirs = dict(forwarded.get(name, ()))
        return vm

    env.create_vm = create_vm


def _is_qemus(params):
    uri = params.get("connect_uri", "default")
    return uri == "default" or uri.startswith("qemu")


def _forwarded(params):
    """A port of this host for each that is forwarded, by the guest's."""
    users = [nic for nic in params.objects("nics") if params.object_params(nic).get("nettype", "user") == "user"]
    names = params.objects("redirs") if users else []
    wanted = [int(params.object_params(name).get("guest_port") or params.get("shell_port", 22)) for name in names]
    return dict(zip(wanted, ports.find_free_ports(5000, 5899, len(wanted))))


def _define(params, text):
    uri = params.get("connect_uri", "default")
    words = ["virsh", "--quiet", *(() if uri == "default" else ("--connect", uri))]
    with tempfile.NamedTemporaryFile("w", suffix=".xml", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        done = subprocess.run(
            [*words, "define", file.name], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise DomainError(f"failed to define the domain of the test: {done.stderr.strip()}")


def document(name, params, data_dir, forwarded):
    """The domain `name` as libvirt is told about it.

    :param params: the machine's own view of the parameters.
    :param data_dir: the folder that files of images are relative to.
    :param forwarded: ports of this host by those of the guest.
    """
    ET.register_namespace("qemu", _QEMU)
    translated = params.get("disable_kvm") == "yes" or params.get("vm_accelerator") == "tcg"
    domain = ET.Element("domain", type="qemu" if translated else "kvm")
    _add(domain, "name", name)
    ET.SubElement(_add(domain, "metadata"), f"{{{MARK}}}test")
    _add(domain, "memory", params.get("mem", "512"), unit="MiB")
    _add(domain, "vcpu", params.get("smp", "1"))
    _start(domain, params, data_dir)
    features = _add(domain, "features")
    for feature in ("acpi", "apic"):
        _add(features, feature)
    _processor(domain, params.get("cpu_model"))
    _add(domain, "clock", offset="utc")
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _add(domain, f"on_{event}", action)
    _devices(domain, params, data_dir)
    label = _add(domain, "seclabel", type="static", model="dac", relabel="no")
    _add(label, "label", f"+{os.getuid()}:+{os.getgid()}")
    _forward(domain, params, forwarded)
    return ET.tostring(domain, encoding="unicode")


def _add(parent, tag, text=None, **attributes):
    child = ET.SubElement(parent, tag, attributes)
    child.text = text
    return child


def _start(domain, params, data_dir):
    system = _add(domain, "os")
    _add(system, "type", "hvm", arch=params.get("vm_arch_name", "x86_64"), machine=params.get("machine_type", "pc"))
    for key, tag in (("kernel", "kernel"), ("initrd", "initrd")):
        if params.get(key):
            _add(system, tag, os.path.join(data_dir, params[key]))
    if params.get("kernel") and params.get("kernel_params"):
        _add(system, "cmdline", params["kernel_params"].strip('"'))
    if not params.get("kernel"):
        _add(system, "boot", dev="hd")


def _processor(domain, model):
    modes = {"max": "maximum", "host": "host-passthrough"}
    if model in modes:
        _add(domain, "cpu", mode=modes[model])
    elif model:
        _add(_add(domain, "cpu", mode="custom", match="exact"), "model", model, fallback="allow")


def _devices(domain, params, data_dir):
    devices = _add(domain, "devices")
    counts = {}
    for image in params.objects("images"):
        view = params.object_params(image)
        bus, letters = _BUSES.get(view.get("drive_format"), _BUSES["virtio"])
        disk = _add(devices, "disk", type="file", device="disk")
        _add(disk, "driver", name="qemu", type=_format(view), cache=view.get("drive_cache", "none"))
        _add(disk, "source", file=_file(view, data_dir))
        place = counts[letters] = counts.get(letters, -1) + 1
        _add(disk, "target", dev=letters + chr(ord("a") + place), bus=bus)
    for nic in params.objects("nics"):
        view = params.object_params(nic)
        kind = view.get("nettype", "user")
        if kind in ("bridge", "network"):
            card = _add(devices, "interface", type=kind)
            _add(card, "source", **{kind: view.get("netdst", "virbr0" if kind == "bridge" else "default")})
            _add(card, "model", type=view.get("nic_model", "virtio"))
    _add(devices, "serial", type="pty")
    _add(devices, "console", type="pty")
    if params.get("display") == "vnc":
        _add(devices, "graphics", type="vnc", autoport="yes", listen=loopback.LOOPBACK)
    source = _add(devices, "rng", model="virtio")
    _add(source, "backend", "/dev/urandom", model="random")


def _format(image):
    return "raw" if image.get("image_raw_device") == "yes" else image.get("image_format", "qcow2")


def _file(image, data_dir):
    name = image["image_name"]
    return os.path.join(data_dir, name if image.get("image_raw_device") == "yes" else f"{name}.{_format(image)}")


def _forward(domain, params, forwarded):
    if not forwarded:
        return
    rules = ",".join(f"hostfwd=tcp:{loopback.LOOPBACK}:{port}-:{guest}" for guest, port in forwarded.items())
    words = ["-netdev", f"user,id=vtbuild0,{rules}", "-device", f"virtio-net-pci,netdev=vtbuild0,addr={_PLACE:#x}"]
    line = ET.SubElement(domain, f"{{{_QEMU}}}commandline")
    for word in words:
        ET.SubElement(line, f"{{{_QEMU}}}arg", value=word)
