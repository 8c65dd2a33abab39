"""The wider part of the core: what a monitor, a machine and the preparation of both do for a test."""

import os
import tempfile
import unittest
from pathlib import Path

from support import InProcess, Refusal

from avocado.core.exceptions import TestFail, TestWarn
from virttest import asset, data_dir, env_process, utils_logfile, virt_vm
from virttest.qemu_monitor import HumanMonitor, MonitorNotSupportedMigCapError, QMPMonitor, get_monitor_function
from virttest.qemu_vm import VM
from virttest.session import ShellSession
from virttest.test_object import Test
from virttest.utils_env import Env
from virttest.utils_params import Params

MONITORS = [{"monitor": "vm1/qmp1", "protocol": "qmp", "main": True}]
BLOCKS = [
    {
        "device": "",
        "qdev": "/machine/peripheral/image1/virtio-backend",
        "locked": False,
        "inserted": {"node-name": "drive_image1", "file": "/x.qcow2", "backing_file": "/base", "image": {"size": 5}},
    },
    {"device": "", "qdev": "cd1", "locked": True, "removable": True},
]


class Qemu:
    """A monitor that answers from a table by command, and keeps what it was told."""

    def __init__(self, **replies):
        self.replies = {name.replace("_", "-"): reply for name, reply in replies.items()}
        self.commands = []

    def __call__(self, args):
        name, arguments = args["command"], args.get("arguments")
        self.commands.append((name, arguments))
        reply = self.replies.get(name, {})
        return reply(arguments) if callable(reply) else reply

    def last(self):
        return self.commands[-1]


class BlockCommandsTest(unittest.TestCase):
    def setUp(self):
        self.qemu = Qemu(query_block=BLOCKS, query_commands=[{"name": "block-job-set-speed"}, {"name": "block-stream"}])
        self.qmp = QMPMonitor("vm1", "vm1/qmp1")
        fake = InProcess({"monitor.command": self.qemu})
        fake.__enter__()
        self.addCleanup(fake.__exit__)

    def test_disks_are_known_by_their_nodes(self):
        blocks = self.qmp.info_block()
        self.assertEqual(list(blocks), ["drive_image1", "cd1"])
        self.assertEqual((blocks["drive_image1"]["file"], blocks["cd1"]["not-inserted"]), ("/x.qcow2", True))
        self.assertEqual(self.qmp.get_backingfile("drive_image1"), "/base")
        self.assertIsNone(self.qmp.get_backingfile("other"))

    def test_commands_are_spelled_as_qemu_has_them(self):
        self.qmp.set_block_job_speed("j", "7", cmd="block_job_set_speed")
        self.assertEqual(self.qemu.last(), ("block-job-set-speed", {"device": "j", "speed": 7}))
        self.qmp.block_stream("drive_image1", 10, base="", backing_mask_protocol=True)
        self.assertEqual(
            self.qemu.last(), ("block-stream", {"backing-mask-protocol": True, "device": "drive_image1", "speed": 10})
        )
        vm = VM("vm1", Params())
        vm._monitors = [(True, self.qmp)]
        self.assertEqual(get_monitor_function(vm, "block-stream"), self.qmp.block_stream)

    def test_drives_are_named_as_qemu_wants_it(self):
        self.qmp.eject_cdrom("cd1", force=True)
        self.assertEqual(self.qemu.last(), ("eject", {"id": "cd1", "force": True}))
        self.qmp.change_media("drive_image1", "/new")
        self.assertEqual(self.qemu.last()[1]["id"], "/machine/peripheral/image1/virtio-backend")

    def test_bitmaps_and_exports(self):
        self.qmp.block_dirty_bitmap_add("n", "b", persistent=True)
        self.assertEqual(self.qemu.last()[1], {"node": "n", "name": "b", "persistent": True})
        self.qmp.nbd_server_start({"type": "unix", "path": "/s"}, tls_creds="t")
        self.assertEqual(self.qemu.last()[1], {"addr": {"type": "unix", "data": {"path": "/s"}}, "tls-creds": "t"})
        self.qmp.block_export_add("e", "nbd", "n", writable=True, name="x")
        self.assertEqual(
            self.qemu.last()[1], {"id": "e", "type": "nbd", "node-name": "n", "writable": True, "name": "x"}
        )
        self.qmp.transaction([{"type": "x"}])
        self.assertEqual(self.qemu.last(), ("transaction", {"actions": [{"type": "x"}]}))

    def test_a_machine_finds_its_disks(self):
        vm = VM("vm1", Params())
        vm._monitors = [(True, self.qmp)]
        self.assertEqual(vm.get_block({"file": "/x.qcow2"}), "drive_image1")
        self.assertEqual(vm.get_block({"size": 5, "backing_file": "/base"}), "drive_image1")
        self.assertIsNone(vm.get_block({"file": "/y"}))
        self.assertTrue(vm.check_block_locked("cd1"))
        vm.set_job_speed("j", "1M")
        self.assertEqual(self.qemu.last()[1]["speed"], 1 << 20)
        vm.balloon(2)
        self.assertEqual(self.qemu.last(), ("balloon", {"value": 2 << 20}))


class MachineCommandsTest(unittest.TestCase):
    def setUp(self):
        self.qmp = QMPMonitor("vm1", "vm1/qmp1")

    def test_migration(self):
        qemu = Qemu(
            query_migrate={"status": "active", "ram": {"total": 200, "remaining": 50}},
            query_migrate_capabilities=[{"capability": "xbzrle", "state": False}],
        )
        with InProcess({"monitor.command": qemu}):
            self.assertEqual(self.qmp.get_migrate_progress(), 75.0)
            self.qmp.set_migrate_capability(True, "xbzrle")
            self.assertEqual(qemu.last()[1], {"capabilities": [{"capability": "xbzrle", "state": True}]})
            with self.assertRaises(MonitorNotSupportedMigCapError):
                self.qmp.set_migrate_capability(True, "telepathy")
            self.qmp.migrate("tcp:h:1", full_copy=False)
            self.assertEqual(qemu.last(), ("migrate", {"uri": "tcp:h:1"}))

    def test_a_reset_is_waited_for(self):
        events = iter([[], [{"event": "RESET"}]])
        answers = {
            "monitor.command": {},
            "monitor.events": lambda _: next(events, []),
            "monitor.wait_event": {"event": "RESET"},
        }
        with InProcess(answers):
            self.qmp.system_reset()

    def test_what_the_human_monitor_prints(self):
        text = "drive_image1: /x.qcow2 (qcow2, read-only)\n    Attached to: x\n    Backing file: /b (chain depth: 1)\n"
        human = HumanMonitor("vm1", "vm1/hmp")
        with InProcess({"monitor.hmp": text + "\ncd1: [not inserted]\n    Removable device: locked, tray open\n"}):
            blocks = human.info_block()
        self.assertEqual(
            blocks["drive_image1"],
            {"file": "/x.qcow2", "drv": "qcow2", "ro": 1, "backing_file": "/b", "backing_file_depth": 1},
        )
        self.assertEqual(blocks["cd1"], {"not-inserted": 1, "removable": 1, "locked": 1})
        with InProcess(
            {"monitor.hmp": "2 nodes\nnode 0 cpus: 0 1\nnode 0 size: 64 MB\nnode 1 cpus:\nnode 1 size: 9 MB"}
        ):
            self.assertEqual(human.info_numa(), [(64, {0, 1}), (9, set())])
        with InProcess({"monitor.hmp": "max-bandwidth: 7 bytes/second\nxbzrle: on"}):
            self.assertTrue(human.get_migrate_capability("xbzrle"))


class MachineTest(unittest.TestCase):
    def vm(self, **params):
        return VM("vm1", Params(params))

    def test_the_process(self):
        vm = self.vm()
        answer = {"pid": 7, "status": -11, "output": "boom", "age": 3.0}
        with InProcess({"vm.process": answer}):
            self.assertEqual((vm.process.get_status(), vm.process.get_output()), (-11, "boom"))
            with self.assertRaisesRegex(virt_vm.VMDeadError, "crashed: boom"):
                vm.verify_userspace_crash()
            self.assertGreater(vm.start_time, 1e9)
        with self.assertRaisesRegex(AttributeError, "vm.process.sendline"):
            getattr(vm.process, "sendline")  # noqa: B009

    def test_processors(self):
        vm = self.vm(smp="4", vcpu_cores="2")
        with InProcess({"vm.devices": {"smp": {"smp": 4, "maxcpus": 8}}}):
            info = vm.cpuinfo
        self.assertEqual((info.smp, info.maxcpus, info.sockets, info.cores, info.threads), (4, 8, 4, 2, 1))
        qemu = Qemu(query_cpus_fast=[{"thread-id": 11}, {"thread-id": 12}])
        with InProcess({"monitor.list": MONITORS, "monitor.command": qemu}):
            self.assertEqual(vm.vcpu_threads, [11, 12])

    def test_what_a_guest_says(self):
        vm = self.vm(mem_chk_cmd="free", cpu_chk_cmd="nproc")
        says = {"free": "1048576 kB\n", "nproc": "4\n", "cat /proc/uptime": "12.5 3"}
        answers = {
            "vm.login": {"session": 1},
            "session.cmd": lambda args: {"output": says.get(args["command"], ""), "status": 0},
            "session.close": None,
        }
        with InProcess(answers):
            self.assertEqual((vm.get_memory_size(), vm.get_cpu_count(), vm.uptime()), (1024, 4, 12.5))

    def test_a_kernel_that_complains(self):
        vm = self.vm(expected_guest_dmesg="'known .*'")
        lines = ["known trouble"]
        answers = {
            "vm.login": {"session": 1},
            "session.cmd": lambda args: {"output": "\n".join(lines), "status": 0},
            "session.close": None,
        }
        with InProcess(answers):
            vm.verify_dmesg()
            lines.append("disk on fire")
            with self.assertRaisesRegex(TestFail, "disk on fire"):
                vm.verify_dmesg()

    def test_network_cards(self):
        vm = self.vm(nics="nic1", nic_model="virtio", nettype="user")
        card = {"name": "nic1", "model": "virtio-net-pci", "mac": "52:54:00:00:00:01", "device_id": "nic1"}
        with InProcess({"vm.devices": {"nics": [{**card, "netdev_id": "net-nic1"}]}}):
            nic = vm.virtnet[0]
            self.assertEqual(
                (nic.mac, nic.nic_model, nic.netdev_id), ("52:54:00:00:00:01", "virtio-net-pci", "net-nic1")
            )
            self.assertIs(vm.virtnet["nic1"], nic)
            new = vm.add_nic(nic_name="nic2", nic_model="virtio")
            self.assertEqual((len(vm.virtnet), new.nettype), (2, "user"))
            self.assertRegex(new.mac, "^52:54:00")
            vm.del_nic("nic2")
            with self.assertRaisesRegex(IndexError, "no network card 'nic2'; it has nic1"):
                vm.virtnet["nic2"]

    def test_waiting_for_a_migration(self):
        vm = self.vm()
        source = VM("vm0", Params())
        source._virtnet = []
        with InProcess({"vm.create": {"pid": 1, "uri": "tcp:127.0.0.1:4444"}}) as fake:
            vm.create(migration_mode="tcp", mac_source=source)
            self.assertEqual(vm.migration_port, 4444)
        self.assertEqual(fake.named("vm.create")[0]["source"], "vm0")
        self.assertIsNone(vm.migration_file)

    def test_a_migration_that_is_only_begun(self):
        vm = self.vm()
        with InProcess({"vm.migrate": {"status": "active", "destination": "vm1_clone"}}) as fake:
            other = vm.migrate(not_wait_for_migration=True, mig_inner_funcs=[("postcopy", 70)])
        self.assertEqual((other.name, fake.named("vm.migrate")[0]["not_wait"]), ("vm1_clone", True))

    def test_states_in_images(self):
        vm = self.vm()
        qemu = Qemu(query_status={"status": "paused"})
        with InProcess({"monitor.list": MONITORS, "monitor.command": qemu, "monitor.hmp": "Error: no such"}):
            with self.assertRaisesRegex(virt_vm.VMError, "loadvm one on vm1: Error: no such"):
                vm.loadvm("one")

    def test_serial_ports(self):
        serial = {"name": "s0", "kind": "isa", "port_name": "s0", "socket": "/run/s0", "log": "/l"}
        with InProcess({"vm.devices": {"serials": [serial], "cmdline": ["qemu", "-vnc", ":3"]}}):
            vm = self.vm()
            self.assertEqual(vm.get_serial_console_filename(), "/run/s0")
            self.assertEqual(vm.get_serial_console_filename("s0"), "/run/s0")
            self.assertEqual(vm.get_vnc_port(), 5903)


class SessionTest(unittest.TestCase):
    def test_lines_go_where_a_test_wants_them(self):
        seen = []
        session = ShellSession(1)
        session.set_output_func(lambda *args: seen.append(args))
        session.set_output_params(("log",))
        session.set_output_prefix("> ")
        with InProcess({"session.cmd": {"output": "a\nb", "status": 0}}):
            session.cmd_output("x")
        self.assertEqual(seen, [("log", "> a"), ("log", "> b")])


class PreparationTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        names = ("debugdir", "logdir", "outputdir", "tmpdir", "bindir", "data_dir", "workdir")
        self.dirs = dict.fromkeys(names, str(self.folder))

    def test_images_are_made_where_they_are_missing(self):
        data_dir.configure(self.dirs, [])
        made = []

        def run(args):
            made.append(args["args"])
            Path(args["args"][-2]).touch()
            return {"status": 0, "stdout": "", "stderr": ""}

        params = Params(images="a b", create_image="yes", image_size="1G", image_name=str(self.folder / "x"))
        params["image_name_b"] = str(self.folder / "y")
        Path(self.folder / "y.qcow2").touch()
        test = Test("t", params, self.dirs)
        with InProcess({"image.run": run}):
            env_process.process(test, params, Env(), env_process.preprocess_image, env_process.preprocess_vm)
            self.assertEqual([args[-2] for args in made], [str(self.folder / "x.qcow2")])
            params["force_create_image_b"] = "yes"
            env_process.process_images(env_process.preprocess_image, test, params)
            self.assertEqual(made[-1][-2], str(self.folder / "y.qcow2"))
            env_process.process_images(env_process.postprocess_image, test, params)
        self.assertEqual(os.listdir(self.folder), [])

    def test_clusters_that_may_leak_are_no_warning(self):
        data_dir.configure(self.dirs, [])
        params = Params(images="a", check_image="yes", image_name=str(self.folder / "x"), image_format="qcow2")
        leaks = {"status": 3, "stdout": "1 leaked clusters were found on the image.", "stderr": ""}
        with InProcess({"image.run": leaks}):
            with self.assertRaises(TestWarn):
                env_process.check_image(None, params, "a")
            env_process.check_image(None, Params({**params, "skip_cluster_leak_warn": "yes"}), "a")
        with InProcess({"image.run": {**leaks, "status": 1, "stdout": ""}}), self.assertRaises(TestWarn):
            env_process.check_image(None, Params({**params, "skip_cluster_leak_warn": "yes"}), "a")

    def test_a_running_machine_stands_still_while_its_images_are_dealt_with(self):
        params = Params(vms="vm1", images="a")
        env, steps = Env(), []
        env.register_vm("vm1", VM("vm1", params))
        states = {"alive": True, "dead": False, "pid": 1, "status": "running"}
        answers = {
            "vm.state": states,
            "vm.pause": lambda _: steps.append("pause"),
            "vm.resume": lambda _: steps.append("resume"),
        }
        with InProcess(answers):
            image = lambda test, view, name, status: steps.append((name, status))  # noqa: E731
            env_process.process(None, params, env, image, lambda *_: steps.append("vm"), vm_first=True)
        self.assertEqual(steps, ["vm", "pause", "resume", "pause", ("a", "running"), "resume"])

    def test_failed_images_do_not_leave_a_machine_paused(self):
        params = Params(vms="vm1", images="a")
        env = Env()
        env.register_vm("vm1", VM("vm1", params))
        resumed = []

        def fail(*_):
            raise Refusal("image")

        states = {"alive": True, "dead": False, "pid": 1, "status": "running"}
        with InProcess({"vm.state": states, "vm.pause": None, "vm.resume": resumed.append}):
            with self.assertRaises(Refusal):
                env_process.process(None, params, env, fail, fail)
        self.assertEqual(len(resumed), 1)

    def test_folders(self):
        root = self.folder / "tp"
        for path in ("qemu/tests/cfg", "generic/tests", ".hidden/tests"):
            (root / path).mkdir(parents=True)
        data_dir.configure(self.dirs, [], [root, root / "qemu", root / "qemu/tests", root / "generic"])
        self.assertEqual(data_dir.DATA_DIR, str(self.folder))
        self.assertEqual(
            data_dir.SubdirList(root, ["cfg"]),
            [
                str(root),
                str(root / "generic"),
                str(root / "generic/tests"),
                str(root / "qemu"),
                str(root / "qemu/tests"),
            ],
        )
        self.assertEqual(asset.get_test_provider_subdirs("qemu"), [str(root / "qemu")])
        self.assertEqual(set(asset.get_test_provider_info("tp")["backends"]), {"qemu", "generic"})
        self.assertEqual(asset.get_test_provider_info("its-given-name")["backends"]["qemu"]["path"], str(root / "qemu"))
        with self.assertRaises(AttributeError):
            getattr(data_dir, "NO_SUCH_DIR")  # noqa: B009

    def test_log_lines(self):
        data_dir.configure(self.dirs, [])
        utils_logfile.log_line("x.log", "one")
        utils_logfile.log_line("x.log", "two\n")
        self.assertEqual((self.folder / "x.log").read_text(), "one\ntwo\n")
        self.assertEqual(utils_logfile.get_match_count(self.folder / "x.log", "o[nw]?"), 2)
        utils_logfile.close_log_file("x.log")


if __name__ == "__main__":
    unittest.main()
