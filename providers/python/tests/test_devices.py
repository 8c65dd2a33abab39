"""The devices of a machine, over upstream's classes of them.

They are asked in an interpreter of their own, which has upstream's packages beneath our core: set
``VTBUILD_PEER_PYTHON`` to the interpreter of a venv with ``avocado-framework-plugin-vt`` and ``aexpect``. Without it
these tests look at nothing, and say so.
"""

import json
import os
import subprocess
import sys
import textwrap
import unittest

from support import PACKAGES

PYTHON = os.environ.get("VTBUILD_PEER_PYTHON")

#: A machine with one disk, one network card, a SCSI controller and a virtio port, as the core starts it.
WORLD = '''
import json, tempfile
from virttest import core, data_dir
from vtbuild_host import layers

folder = tempfile.mkdtemp()
data_dir.configure(dict.fromkeys(("tmpdir", "data_dir", "debugdir", "bindir"), folder), [])
layers.enter()
from virttest.qemu_devices import qdevices, started
from virttest.qemu_devices.utils import DeviceError, DeviceHotplugError
from virttest.qemu_monitor import QMPMonitor
from virttest.utils_params import Params

ARGV = ["qemu", "-nodefaults", "-machine", "pc",
    "-object", "iothread,id=thread1",
    "-blockdev", json.dumps({"driver": "file", "filename": "/a", "node-name": "file_image1",
                             "cache": {"direct": True}}),
    "-blockdev", json.dumps({"driver": "qcow2", "node-name": "drive_image1", "file": "file_image1"}),
    "-device", "virtio-blk-pci,id=image1,drive=drive_image1",
    "-device", "virtio-scsi-pci,id=virtio_scsi_pci0",
    "-netdev", "user,id=net-nic1", "-device", "virtio-net-pci,id=nic1,netdev=net-nic1",
    "-chardev", "socket,id=chardev_p,path=/x,server=on,wait=off",
    "-device", "virtio-serial-pci,id=virtio_serial_pci0",
    "-device", "virtserialport,id=p,chardev=chardev_p,bus=virtio_serial_pci0.0,nr=1"]

class Monitor(QMPMonitor):
    """Knows what is plugged."""
    def __init__(self):
        super().__init__("vm1", "vm1/qmp")
        self.plugged, self.sent = set(), []
    def cmd(self, cmd, args=None, **more):
        self.sent.append((cmd, args))
        if cmd == "qom-list-types":
            return [{"name": name} for name in ("virtio-blk-pci", "virtio-net-pci", "virtio-scsi-pci", "sev-guest")]
        if cmd == "query-pci":
            return [{"bus": 0, "devices": [{"slot": slot} for slot in (0, 1, 2, 3, 4)]}]
        if cmd == "device_add":
            self.plugged.add(args["id"])
        if cmd == "device_del":
            self.plugged.discard(args["id"])
        return {}
    def human_monitor_cmd(self, cmd="", **more):
        return "bus: pci.0 " + " ".join(f'id "{name}"' for name in self.plugged)
    def query(self, what, debug=True):
        return self.human_monitor_cmd()
    info = query

monitor = Monitor()
params = Params({"image_format": "qcow2", "drive_format": "virtio", "drive_cache": "none"})
params["image_name"] = folder + "/stg"
devices = started.read("vm1", params, monitor, ARGV, "10.0.2")
seen = {}
'''


@unittest.skipUnless(PYTHON, "SKIPPED: set VTBUILD_PEER_PYTHON to an interpreter with avocado-framework-plugin-vt")
class DevicesTest(unittest.TestCase):
    def ask(self, body):
        """Run `body` after the world above and return what it put into ``seen``."""
        site = subprocess.run(
            [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        if not os.path.isdir(os.path.join(site, "aexpect")):
            self.skipTest(f"SKIPPED: {site} has no aexpect beside avocado-framework-plugin-vt")
        code = WORLD + textwrap.dedent(body) + "\nprint(json.dumps(seen))\n"
        environment = {**os.environ, "PYTHONPATH": str(PACKAGES), "VTBUILD_UPSTREAM": site}
        done = subprocess.run(
            [sys.executable, "-B", "-s", "-c", code], env=environment, capture_output=True, text=True, timeout=300
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout.splitlines()[-1])

    def test_what_a_machine_was_started_with(self):
        seen = self.ask(
            """
            from virttest.qemu_capabilities import Flags
            seen["ids"] = [device.get_qid() for device in devices]
            seen["drive"] = devices.get_qdev_by_drive("drive_image1")
            seen["child"] = [node.get_qid() for node in devices["drive_image1"].get_child_nodes()]
            seen["by_params"] = [d.get_qid() for d in devices.get_by_params({"driver": "virtio-net-pci"})]
            seen["direct"] = devices["file_image1"].get_param("cache.direct")
            seen["flags"] = [flag in devices.caps for flag in (Flags.BLOCKDEV, Flags.SEV_GUEST, Flags.TDX_GUEST)]
            seen["pci"] = [devices.is_pci_device("virtio-net-pci"), "nothing" in devices]
            """
        )
        self.assertEqual(seen["ids"][:5], ["thread1", "file_image1", "drive_image1", "image1", "virtio_scsi_pci0"])
        self.assertEqual((seen["drive"], seen["child"], seen["by_params"]), ("image1", ["file_image1"], ["nic1"]))
        self.assertEqual((seen["direct"], seen["flags"], seen["pci"]), ("on", [True, True, False], [True, False]))

    def test_a_disk_is_plugged_and_unplugged(self):
        seen = self.ask(
            """
            new = devices.images_define_by_params("stg", params, "disk")
            seen["order"] = [device.get_qid() for device in new]
            seen["verified"] = [devices.simple_hotplug(device, monitor)[1] for device in new]
            seen["sent"] = [entry for entry in monitor.sent if entry[0] in ("blockdev-add", "device_add")]
            seen["added"] = [device.get_qid() for device in devices.added()]
            seen["unplugged"] = devices.simple_unplug("stg", monitor)[1]
            seen["left"] = [device.get_qid() for device in devices.added()]
            seen["deleted"] = [entry[1] for entry in monitor.sent if entry[0] == "blockdev-del"]
            """
        )
        self.assertEqual(seen["order"], ["file_stg", "drive_stg", "stg"])
        self.assertEqual(seen["verified"], [True, True, True])
        added = dict(seen["sent"])
        self.assertEqual((added["blockdev-add"]["file"], added["blockdev-add"]["cache"]["direct"]), ("file_stg", True))
        self.assertEqual((added["device_add"]["addr"], added["device_add"]["drive"]), ("0x5", "drive_stg"))
        self.assertEqual((seen["added"], seen["left"]), (["file_stg", "drive_stg", "stg"], []))
        self.assertEqual(seen["deleted"], [{"node-name": "drive_stg"}, {"node-name": "file_stg"}])
        self.assertTrue(seen["unplugged"])

    def test_a_container_of_a_test_s_own(self):
        seen = self.ask(
            """
            from virttest.qemu_devices.qcontainer import DevContainer
            program = folder + "/qemu"
            lines = ["#!/bin/sh", "echo 'QEMU emulator version 9.1.2'", "echo 'name \\x22x-pci\\x22, bus PCI'"]
            with open(program, "w") as script:
                script.write(chr(10).join(lines))
            import os
            os.chmod(program, 0o755)
            own = DevContainer(program, "vm1", "no", "no", "yes")
            seen["qemu"] = [own.qemu_version, own.has_device("x-pci"), own.has_device("y"), len(own)]
            chardev = own.chardev_define_by_params("c1", Params({"chardev_backend": "null"}))
            seen["chardev"] = [chardev.get_qid(), chardev.get_param("backend")]
            """
        )
        self.assertEqual((seen["qemu"], seen["chardev"]), (["9.1.2", True, False, 0], ["c1", "null"]))

    def test_scsi_disks_share_a_controller(self):
        seen = self.ask(
            """
            params["drive_format"] = "scsi-hd"
            new = devices.images_define_by_params("stg", params, "disk")
            seen["order"] = [device.get_qid() for device in new]
            for device in new:
                devices.simple_hotplug(device, monitor)
            seen["bus"] = devices["stg"].get_param("bus")
            params["drive_bus"] = "3"
            more = devices.images_define_by_params("other", params, "disk")
            seen["new"] = [device.get_qid() for device in more]
            """
        )
        self.assertEqual(seen["order"], ["file_stg", "drive_stg", "stg"])
        self.assertEqual(seen["bus"], "virtio_scsi_pci0.0")
        self.assertEqual(seen["new"], ["file_other", "drive_other", "virtio_scsi_pci3", "other"])

    def test_ports_and_memory(self):
        seen = self.ask(
            """
            port = Params({"serial_type": "virtserialport", "serial_name": "org.x"})
            seen["port"] = [d.get_qid() for d in devices.serials_define_by_params("q", port, "/y")]
            memory = Params({"size_mem": "1G", "node_dimm": "0"})
            backend, module = devices.memory_define_by_params(memory, "m1")
            seen["memory"] = [backend.get_qid(), module.get_qid(), module.get_param("memdev"), module.get_param("node")]
            """
        )
        self.assertEqual(seen["port"], ["chardev_q", "q"])
        self.assertEqual(seen["memory"], ["mem-m1", "dimm-m1", "mem-m1", "0"])

    def test_what_went_wrong_leaves_no_trace(self):
        seen = self.ask(
            """
            before = [device.get_qid() for device in devices]
            twice = qdevices.QDevice("virtio-net-pci", {"id": "nic1"})
            try:
                devices.simple_hotplug(twice, monitor)
            except DeviceHotplugError as error:
                seen["twice"] = str(error)
            try:
                stray = qdevices.QDevice("y", {"id": "b"}, parent_bus={"type": "none"})
                devices.insert([qdevices.QDevice("x", {"id": "a"}), stray])
            except DeviceError as error:
                seen["bus"] = str(error)
            seen["same"] = before == [device.get_qid() for device in devices]
            devices.remove("nic1")
            seen["unplugged"] = devices.unplugged
            devices.settle()
            seen["settled"] = [devices.unplugged, devices.added()]
            """
        )
        self.assertIn("'nic1' already", seen["twice"])
        self.assertIn("no place on a bus", seen["bus"])
        self.assertTrue(seen["same"])
        self.assertEqual((seen["unplugged"], seen["settled"]), (["nic1"], [[], []]))


if __name__ == "__main__":
    unittest.main()
