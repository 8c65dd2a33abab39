"""What libvirt is told of a test's machine."""

import unittest
import xml.etree.ElementTree as ET

import support  # noqa: F401  puts the packages on the path

from virttest import utils_params
from vtbuild_host import domains

GIVEN = {
    "mem": "512",
    "smp": "2",
    "machine_type": "pc",
    "cpu_model": "max",
    "kernel": "images/vmlinuz",
    "initrd": "images/initrd.img",
    "kernel_params": "root=LABEL=x console=ttyS0 & more",
    "images": "image1 stg",
    "image_name": "images/guest",
    "image_name_stg": "images/stg",
    "image_format": "qcow2",
    "image_format_stg": "raw",
    "image_raw_device_stg": "no",
    "drive_format": "virtio",
    "drive_cache": "unsafe",
    "nics": "nic1",
    "nettype": "user",
    "shell_port": "22",
}


def domain(forwarded=None, **more):
    params = utils_params.Params({**GIVEN, **more})
    return ET.fromstring(domains.document("vm 1", params, "/data", forwarded or {}))


class Document(unittest.TestCase):
    def test_the_machine_is_that_of_the_parameters(self):
        found = domain()
        self.assertEqual((found.get("type"), found.findtext("name")), ("kvm", "vm 1"))
        self.assertEqual((found.findtext("memory"), found.findtext("vcpu")), ("512", "2"))
        self.assertEqual(found.find("cpu").get("mode"), "maximum")
        self.assertEqual(found.findtext("os/kernel"), "/data/images/vmlinuz")
        self.assertEqual(found.findtext("os/cmdline"), GIVEN["kernel_params"])
        self.assertIn(domains.MARK, ET.tostring(found, encoding="unicode"))
        self.assertEqual(domain(disable_kvm="yes").get("type"), "qemu")

    def test_disks_are_the_files_of_the_test(self):
        disks = domain().findall("devices/disk")
        self.assertEqual(
            [disk.find("source").get("file") for disk in disks], ["/data/images/guest.qcow2", "/data/images/stg.raw"]
        )
        self.assertEqual([disk.find("target").get("dev") for disk in disks], ["vda", "vdb"])
        self.assertEqual([disk.find("driver").get("type") for disk in disks], ["qcow2", "raw"])

    def test_ports_are_forwarded_from_the_loopback_address(self):
        words = [word.get("value") for word in domain({22: 5007}).iter() if word.tag.endswith("}arg")]
        self.assertIn("user,id=vtbuild0,hostfwd=tcp:127.0.0.1:5007-:22", words)

    def test_cards_on_a_bridge_or_network_are_libvirts(self):
        card = domain(nettype="bridge", netdst="br7").find("devices/interface")
        self.assertEqual((card.get("type"), card.find("source").get("bridge")), ("bridge", "br7"))
        card = domain(nettype="network").find("devices/interface")
        self.assertEqual(card.find("source").get("network"), "default")

    def test_only_machines_of_libvirt_under_qemu_are_defined(self):
        for given in ({"vm_type": "qemu"}, {"vm_type": "libvirt", "connect_uri": "lxc:///"}):
            # Nothing is asked of an environment, and no program is started.
            domains.prepare(utils_params.Params({**GIVEN, "vms": "vm1", **given}), None, "/data")


if __name__ == "__main__":
    unittest.main()
