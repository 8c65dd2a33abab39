"""Machines, sessions, monitors and images: which calls they make, and what they make of the answers."""

import unittest

from support import InProcess, Refusal

import aexpect
from avocado.core.exceptions import TestError, TestWarn
from avocado.utils.process import CmdError
from virttest import env_process, qemu_monitor, virt_vm
from virttest.qemu_monitor import HumanMonitor, QMPMonitor
from virttest.qemu_storage import QemuImg
from virttest.qemu_vm import VM
from virttest.session import ShellSession
from virttest.utils_env import Env
from virttest.utils_params import Params

ALIVE = {"alive": True, "dead": False, "pid": 42, "status": "running"}
DEAD = {"alive": False, "dead": True, "pid": None, "status": None}
MONITORS = [
    {"monitor": "vm1/qmp1", "protocol": "qmp", "main": True},
    {"monitor": "vm1/hmp1", "protocol": "human", "main": False},
]


def refuse(kind, message="refused", data=None):
    def answer(_):
        raise Refusal(kind, message, data)

    return answer


class MachineTest(unittest.TestCase):
    def setUp(self):
        self.vm = VM("vm1", Params({"shell_prompt": "guest#"}), "/provider")

    def test_state(self):
        with InProcess({"vm.state": ALIVE}):
            self.assertTrue(self.vm.is_alive())
            self.assertFalse(self.vm.is_dead())
            self.assertFalse(self.vm.is_paused())
            self.assertEqual((self.vm.get_pid(), self.vm.get_shell_pid()), (42, 42))

    def test_a_machine_that_was_never_created_is_dead(self):
        with InProcess({"vm.state": refuse("vm-unknown")}):
            self.assertTrue(self.vm.is_dead())
            self.assertFalse(self.vm.is_alive())

    def test_login_variants(self):
        with InProcess({"vm.login": {"session": "s1"}}) as fake:
            session = self.vm.wait_for_login(timeout="30")
            self.vm.login(nic_index="1")
            self.vm.wait_for_serial_login(timeout=5, username="root")
            self.vm.serial_login()
        self.assertEqual((session.handle, session.prompt), ("s1", "guest#"))
        self.assertEqual(
            fake.named("vm.login"),
            [
                {"vm": "vm1", "timeout": 30.0, "internal_timeout": 10, "nic_index": 0, "wait": True},
                {"vm": "vm1", "timeout": 10.0, "nic_index": 1, "wait": False},
                {"vm": "vm1", "timeout": 5.0, "internal_timeout": 10, "serial": True, "username": "root", "wait": True},
                {"vm": "vm1", "timeout": 10.0, "serial": True, "wait": False},
            ],
        )

    def test_migration(self):
        answers = {"vm.migrate": {"status": "completed"}, "monitor.list": MONITORS}
        with InProcess(answers) as fake:
            before = self.vm.monitor
            self.vm.migrate(
                60,
                "exec",
                offline=True,
                migration_exec_cmd_src="gzip -c > '%s'",
                migrate_capabilities={"xbzrle": "on"},
                migrate_parameters=({"max-bandwidth": 1}, None),
            )
            self.assertIsNot(self.vm.monitor, before, "the monitors are those of the destination")
        self.assertEqual(
            fake.named("vm.migrate"),
            [
                {
                    "vm": "vm1",
                    "timeout": 60.0,
                    "protocol": "exec",
                    "offline": True,
                    "stable_check": False,
                    "clean": True,
                    "dest_host": "localhost",
                    "exec_src": "gzip -c > '%s'",
                    "capabilities": {"xbzrle": True},
                    "parameters": {"max-bandwidth": 1},
                }
            ],
        )

    def test_unknown_migration_protocol(self):
        with self.assertRaisesRegex(virt_vm.VMMigrateProtoUnknownError, "no migration protocol 'pigeon'"):
            self.vm.migrate(protocol="pigeon")

    def test_reboot_closes_the_old_session(self):
        with InProcess({"vm.reboot": {"session": "s2"}, "session.close": None}) as fake:
            session = self.vm.reboot(ShellSession("s1"), timeout=9)
        self.assertEqual(session.handle, "s2")
        self.assertEqual(
            fake.named("vm.reboot"),
            [
                {"vm": "vm1", "session": "s1", "method": "shell", "nic_index": 0, "timeout": 9.0},
            ],
        )
        self.assertEqual(fake.named("session.close"), [{"session": "s1"}])

    def test_create_hands_the_parameters_over_unread(self):
        params = Params({"mem": "128"})
        with InProcess({"vm.create": {"pid": 1}}) as fake:
            self.vm.create(params=params)
        self.assertEqual(fake.named("vm.create"), [{"vm": "vm1", "params": {"mem": "128", "_view": []}}])
        self.assertFalse(params.reads.report()["all"])

    def test_options_that_are_not_known_are_refused_where_they_are_used(self):
        with InProcess({"vm.create": {"pid": 1}}) as fake:
            self.vm.create(migration_fd=None)
            with self.assertRaisesRegex(
                virt_vm.VMError, r"vm.create\(migration_fd=…\) is not part of the built-in test host"
            ):
                self.vm.create(migration_fd=3)
            with self.assertRaisesRegex(virt_vm.VMError, r"vm.migrate\(fd_src=…\)"):
                self.vm.migrate(fd_src=3)
        self.assertEqual(len(fake.calls), 1)

    def test_destroying_a_dead_machine_does_nothing(self):
        with InProcess({"vm.state": DEAD}) as fake:
            self.vm.destroy()
        self.assertEqual(fake.named("vm.destroy"), [])

    def test_shutdown(self):
        with InProcess({"vm.shutdown": None}):
            self.assertTrue(self.vm.graceful_shutdown())
        with InProcess({"vm.shutdown": refuse("timeout")}):
            self.assertFalse(self.vm.graceful_shutdown())

    def test_addresses(self):
        devices = {"macs": ["52:54:00:00:00:01"], "cmdline": ["qemu", "-name", "a b"], "uuid": "u"}
        with InProcess({"vm.devices": devices, "vm.address": "127.0.0.1", "vm.port": 5022}):
            self.assertEqual(self.vm.get_mac_address(), "52:54:00:00:00:01")
            self.assertEqual((self.vm.get_address(), self.vm.get_port(22)), ("127.0.0.1", 5022))
            self.assertEqual(self.vm.qemu_command, "qemu -name 'a b'")
            with self.assertRaises(virt_vm.VMMACAddressMissingError):
                self.vm.get_mac_address(1)

    def test_monitors(self):
        with InProcess({"monitor.list": MONITORS}):
            self.assertEqual((self.vm.monitor.name, self.vm.catch_monitor.name), ("qmp1", "hmp1"))
            self.assertEqual([monitor.name for monitor in self.vm.get_monitors_by_type("human")], ["hmp1"])

    def test_status(self):
        with InProcess({"monitor.list": MONITORS, "monitor.command": {"status": "paused"}}):
            self.vm.verify_status("paused")
            with self.assertRaisesRegex(virt_vm.VMStatusError, "is 'paused', not 'running'"):
                self.vm.verify_status("running")
            self.assertTrue(self.vm.wait_for_status("paused", 1))
            self.assertFalse(self.vm.wait_for_status("running", 0.1, step=0.05))

    def test_preprocess_starts_what_shall_run(self):
        env, params = Env(), Params({"start_vm": "yes", "mem": "1"})

        class Test:
            bindir = "/provider"

        def calls(answers, **more):
            """What the core is asked to do with vm9."""
            with InProcess({"vm.create": {"pid": 1}, "vm.destroy": None, **answers}) as fake:
                env_process.preprocess_vm(Test, Params({**params, **more}), env, "vm9")
            return [(name, args) for name, args in fake.calls if name != "vm.state"]

        dead = {"vm.state": DEAD}
        same, other = ({"vm.state": ALIVE, "vm.differs": differs} for differs in (False, True))
        ((name, created),) = calls(dead)
        self.assertEqual((name, created["vm"], created["params"]["mem"]), ("vm.create", "vm9", "1"))
        ((name, asked),) = calls(same, mem="2")
        self.assertEqual((name, asked["params"]["mem"]), ("vm.differs", "2"), "it goes on running")
        names = [name for name, _ in calls(other, mem="2")]
        self.assertEqual(names, ["vm.differs", "vm.destroy", "vm.create"])
        self.assertEqual(calls(other, check_vm_needs_restart="no"), [])
        *_, (_, created) = calls(other, mem="3", reuse_previous_config="yes")
        self.assertEqual(created["params"]["mem"], "2", "as it was started before")
        names = [name for name, _ in calls(same, migration_mode="tcp", kill_vm_gracefully="yes")]
        self.assertEqual(names, ["vm.destroy", "vm.create"], "a destination is started anew in any case")
        self.assertEqual(calls(same, start_vm="no"), [])
        ((name, args),) = calls(same, start_vm="no", kill_vm_before_test="yes")
        self.assertEqual((name, args["gracefully"]), ("vm.destroy", False))

    def test_postprocess_ends_machines(self):
        env, view = Env(), {"vms": "vm1", "kill_vm_timeout": "7"}
        env.register_vm("vm1", VM("vm1", Params(view)))
        refused = refuse("login-timeout", data={"output": ""})
        running = {"vm.state": ALIVE, "vm.destroy": None, "vm.wait_for_dead": False, "vm.login": refused}
        running.update({"vm.pause": None, "vm.resume": None})
        with InProcess(running) as fake:
            env_process.postprocess(None, Params(view), env)
            self.assertEqual(fake.named("vm.destroy"), [], "it goes on until the test ends")
            env_process.postprocess(None, Params({**view, "kill_unresponsive_vms": "yes"}), env)
            self.assertEqual(fake.named("vm.destroy"), [{"vm": "vm1", "gracefully": False}])
            env_process.postprocess(None, Params({**view, "kill_vm": "yes", "kill_vm_gracefully": "yes"}), env)
        self.assertEqual(fake.named("vm.wait_for_dead"), [{"vm": "vm1", "timeout": 7.0}])
        self.assertEqual(fake.named("vm.destroy")[1:], [{"vm": "vm1", "gracefully": True}])

    def test_env(self):
        env = Env()
        self.assertIsNone(env.get_vm("vm1"))
        vm = env.create_vm("qemu", None, "vm1", Params(), "/provider")
        self.assertEqual((env.get_vm("vm1"), env.get_all_vms()), (vm, [vm]))
        env["other"] = 1
        env.unregister_vm("vm1")
        self.assertEqual((env.get_all_vms(), env["other"]), ([], 1))


class SessionTest(unittest.TestCase):
    def setUp(self):
        self.session = ShellSession("s1", "guest#")

    def test_commands(self):
        with InProcess({"session.cmd": {"output": "up 1 day\n", "status": 0}}) as fake:
            lines = []
            self.assertEqual(self.session.cmd("uptime", print_func=lines.append), "up 1 day\n")
            self.assertEqual(self.session.cmd_status_output("uptime", timeout=3), (0, "up 1 day\n"))
            self.assertEqual(self.session.cmd_status("uptime"), 0)
            self.assertEqual(self.session.cmd_output("uptime"), "up 1 day\n")
        self.assertEqual(lines, ["up 1 day"])
        self.assertEqual([args["timeout"] for args in fake.named("session.cmd")], [60.0, 3.0, 60.0, 60.0])
        self.assertEqual(fake.calls[-1][1]["status"], False, "a status nobody wants is not asked for")

    def test_failing_command(self):
        with InProcess({"session.cmd": {"output": "no\n", "status": 2}}):
            with self.assertRaises(aexpect.ShellCmdError) as raised:
                self.session.cmd("false")
            self.assertEqual(
                (raised.exception.cmd, raised.exception.status, raised.exception.output), ("false", 2, "no\n")
            )
            self.assertEqual(self.session.cmd("false", ok_status=[0, 2]), "no\n")
            self.assertIsNone(self.session.cmd("false", ignore_all_errors=True))

    def test_unknown_status(self):
        with InProcess({"session.cmd": {"output": "", "status": None}}), self.assertRaises(aexpect.ShellStatusError):
            self.session.cmd("x")

    def test_typing(self):
        with InProcess({"session.send": None}) as fake:
            self.session.sendline("ls")
            self.session.send("ls")
            self.session.sendcontrol("c")
        self.assertEqual(
            [(args["text"], args["eol"]) for args in fake.named("session.send")],
            [("ls", True), ("ls", False), ("\x03", False)],
        )

    def test_reading(self):
        with InProcess({"session.read_until": {"match": 1, "output": "a\nlogin:"}}) as fake:
            self.assertEqual(self.session.read_until_last_line_matches(["x", "login:"], timeout=2), (1, "a\nlogin:"))
            self.assertEqual(self.session.read_until_any_line_matches("login:")[0], 1)
            self.assertEqual(self.session.read_until_output_matches(["login:"])[1], "a\nlogin:")
            self.assertEqual(self.session.read_up_to_prompt(), "a\nlogin:")
        asked = [(args["scope"], args["patterns"]) for args in fake.named("session.read_until")]
        self.assertEqual(
            asked,
            [
                ("last_line", ["x", "login:"]),
                ("any_line", ["login:"]),
                ("all", ["login:"]),
                ("last_line", ["guest#"]),
            ],
        )

    def test_reading_with_a_filter(self):
        pieces = iter(["A", "B", "C"])
        with InProcess({"session.read": lambda args: next(pieces, "")}):
            match, output = self.session.read_until_output_matches(["abc"], filter_func=str.lower, timeout=5)
        self.assertEqual((match, output), (0, "ABC"))
        with InProcess({"session.read": ""}), self.assertRaises(aexpect.ExpectTimeoutError):
            self.session.read_until_output_matches(["abc"], filter_func=str.lower, timeout=0.1)

    def test_what_it_has_shown(self):
        with InProcess({"session.cmd": {"output": "\x1b[1mone\x1b[0m\n", "status": 0}, "session.read": "two"}):
            self.session.cmd("x")
            self.assertEqual(self.session.get_stripped_output(), "one\ntwo")

    def test_life(self):
        with InProcess(
            {"session.alive": True, "session.close": None, "session.read": "", "session.send": None}
        ) as fake:
            with self.session as session:
                self.assertTrue(session.is_alive())
                self.assertFalse(session.is_responsive(0.1))
            self.assertFalse(self.session.is_alive())
            self.session.close()
        self.assertEqual(len(fake.named("session.close")), 1)

    def test_settings(self):
        with InProcess({"session.configure": None}) as fake:
            self.session.set_prompt("#")
            self.session.set_linesep("\r\n")
        self.assertEqual(
            fake.named("session.configure"), [{"session": "s1", "prompt": "#"}, {"session": "s1", "linesep": "\r\n"}]
        )
        self.assertEqual(self.session.prompt, "#")

    def test_class_is_aexpect_s(self):
        self.assertIsInstance(self.session, aexpect.ShellSession)


class MonitorTest(unittest.TestCase):
    def setUp(self):
        self.qmp = QMPMonitor("vm1", "vm1/qmp1")
        self.human = HumanMonitor("vm1", "vm1/hmp1")

    def test_of_a_process_that_is_no_machine(self):
        class Daemon:
            name = "qsd1"

        params = {"monitor_filename": "/run/qsd1.sock"}
        with InProcess({"monitor.open": {"monitor": "/7"}, "monitor.command": []}) as fake:
            monitor = QMPMonitor(Daemon(), "qsd1", params)
            monitor.query_block_exports()
        self.assertEqual(fake.named("monitor.open"), [{"name": "qsd1", "path": "/run/qsd1.sock"}])
        self.assertEqual(fake.named("monitor.command")[0]["monitor"], "/7")
        self.assertEqual((monitor.name, monitor.vm_name), ("qsd1", "qsd1"))
        with InProcess({"monitor.open": refuse("monitor-closed", "connect")}):
            with self.assertRaises(qemu_monitor.MonitorConnectError):
                QMPMonitor(Daemon(), "qsd1", params)
            QMPMonitor(Daemon(), "qsd1", params, suppress_exceptions=True)
        with self.assertRaisesRegex(AttributeError, "chardev_backend"):
            QMPMonitor(Daemon(), "qsd1", {"chardev_backend": "tcp_socket"})

    def test_commands(self):
        with InProcess({"monitor.command": {"a": 1}, "monitor.hmp": "text"}) as fake:
            self.assertEqual(self.qmp.cmd("query-x", {"k": "v"}, timeout=5), {"a": 1})
            self.assertEqual(self.qmp.info("block"), {"a": 1})
            self.assertEqual(self.qmp.human_monitor_cmd("info pci"), "text")
            self.assertEqual(self.human.info("pci"), "text")
        self.assertEqual(
            fake.named("monitor.command")[0],
            {"monitor": "vm1/qmp1", "command": "query-x", "arguments": {"k": "v"}, "timeout": 5.0},
        )
        self.assertEqual([args["command"] for args in fake.named("monitor.hmp")], ["info pci", "info pci"])

    def test_whole_answers(self):
        with InProcess({"monitor.raw": {"return": {}, "id": 7}}) as fake:
            self.assertEqual(self.qmp.cmd_obj({"execute": "x", "id": 7}), {"return": {}, "id": 7})
            self.qmp.cmd_raw("{ \n")
        self.assertEqual([args["text"] for args in fake.named("monitor.raw")], ['{"execute": "x", "id": 7}', "{"])
        with InProcess({"monitor.greeting": {"QMP": {"version": {}}}}):
            self.assertIn("version", self.qmp.get_greeting()["QMP"])
        with InProcess({"monitor.command": refuse("monitor-command", data={"class": "CommandNotFound", "desc": "no"})}):
            self.assertEqual(self.qmp.cmd_qmp("x"), {"error": {"class": "CommandNotFound", "desc": "no"}})

    def test_what_qmp_cannot_tell_the_human_monitor_can(self):
        missing = refuse("monitor-command", data={"class": "CommandNotFound", "desc": "no such"})
        with InProcess({"monitor.command": missing, "monitor.hmp": "bus: pci.0"}) as fake:
            self.assertEqual(self.qmp.info("qtree"), "bus: pci.0")
        self.assertEqual([args["command"] for args in fake.named("monitor.hmp")], ["info qtree"])
        broken = refuse("monitor-command", data={"class": "GenericError", "desc": "broken"})
        with InProcess({"monitor.command": broken}), self.assertRaises(qemu_monitor.QMPCmdError):
            self.qmp.info("block")

    def test_commands_written_as_text(self):
        known = [{"name": "device_add"}, {"name": "stop"}, {"name": "block-job-cancel"}]
        answers = {
            "monitor.command": lambda args: known if args["command"] == "query-commands" else {},
            "monitor.hmp": "done",
        }
        with InProcess(answers) as fake:
            self.assertEqual(self.qmp.send_args_cmd("device_add driver=virtio-net,id=n1,num=2,on=true; stop"), [{}, {}])
            self.qmp.send_args_cmd("block_job_cancel device=7,fd=9")
            self.assertEqual(self.qmp.send_args_cmd("savevm one"), "done", "only people have this command")
            self.assertEqual(self.human.send_args_cmd("stop"), "done")
        calls = [args for args in fake.named("monitor.command") if args["command"] != "query-commands"]
        self.assertEqual(calls[0]["arguments"], {"driver": "virtio-net", "id": "n1", "num": 2, "on": True})
        self.assertEqual((calls[1]["command"], "arguments" in calls[1]), ("stop", False))
        self.assertEqual((calls[2]["command"], calls[2]["arguments"]), ("block-job-cancel", {"device": 7, "fd": "9"}))

    def test_status(self):
        with InProcess({"monitor.command": {"status": "running"}, "monitor.hmp": "VM status: paused (postmigrate)\n"}):
            self.assertTrue(self.qmp.verify_status("running"))
            self.assertTrue(self.human.verify_status("postmigrate"))
        with InProcess({"monitor.hmp": "VM status: running\n"}):
            self.assertTrue(self.human.verify_status("running"))

    def test_events(self):
        batches = iter([[{"event": "STOP"}, {"event": "RESUME"}], [{"event": "STOP", "data": 2}]])
        answers = {"monitor.events": lambda args: next(batches, []), "monitor.wait_event": {"event": "STOP"}}
        with InProcess(answers) as fake:
            self.assertEqual(self.qmp.get_event("STOP"), {"event": "STOP"})
            self.qmp.clear_event("STOP")
            self.assertEqual(self.qmp.wait_for_event("RESUME"), {"event": "RESUME"})
            self.assertEqual(fake.named("monitor.wait_event"), [], "it had come already")
            self.qmp.clear_events()
            self.assertEqual(self.qmp.get_events(), [])

    def test_waiting_for_an_event(self):
        batches = iter([[], [{"event": "STOP"}]])
        answers = {"monitor.events": lambda args: next(batches, []), "monitor.wait_event": {"event": "STOP"}}
        with InProcess(answers):
            self.assertEqual(self.qmp.wait_for_event("STOP"), {"event": "STOP"})
        with InProcess({"monitor.events": [], "monitor.wait_event": None}):
            self.qmp.clear_events()
            self.assertIsNone(self.qmp.wait_for_event("STOP", 0))

    def test_migration_settings(self):
        with InProcess({"monitor.command": None, "monitor.hmp": ""}) as fake:
            self.qmp.migrate_set_speed("1G")
            self.qmp.migrate_set_downtime("0.3")
            self.human.migrate_set_speed("1G")
        self.assertEqual(
            [args["arguments"] for args in fake.named("monitor.command")],
            [{"max-bandwidth": 1 << 30}, {"downtime-limit": 300}],
        )
        self.assertEqual(fake.named("monitor.hmp")[0]["command"], "migrate_set_parameter max-bandwidth 1G")

    def test_commands_that_qemu_has(self):
        with InProcess({"monitor.command": [{"name": "stop"}]}):
            self.qmp.verify_supported_cmd("stop")
            with self.assertRaises(qemu_monitor.MonitorNotSupportedCmdError):
                self.qmp.verify_supported_cmd("fly")


class ImageTest(unittest.TestCase):
    def setUp(self):
        self.params = Params({"image_format": "qcow2", "image_size": "1G", "image_cluster_size": "64k"})
        self.image = QemuImg(self.params, "/data", "image1")

    def run_img(self, status=0, stdout="", stderr=""):
        return InProcess(
            {"image.path": "/x/image1.qcow2", "image.run": {"status": status, "stdout": stdout, "stderr": stderr}}
        )

    def test_create(self):
        with self.run_img() as fake:
            self.assertEqual(self.image.create()[0], "/x/image1.qcow2")
        args = ["create", "-f", "qcow2", "-o", "cluster_size=64k", "/x/image1.qcow2", "1G"]
        self.assertEqual(fake.named("image.run"), [{"program": "img", "args": args, "timeout": 240.0}])

    def test_format(self):
        with self.run_img(stdout='{"format": "qcow2"}'):
            self.assertEqual(self.image.get_format(), "qcow2")

    def test_check(self):
        for status, error in ((0, None), (1, TestWarn), (2, TestError), (3, TestWarn)):
            with self.subTest(status), self.run_img(status, "details"):
                if error is None:
                    self.image.check_image()
                else:
                    with self.assertRaisesRegex(error, "details"):
                        self.image.check_image()

    def test_failure(self):
        with self.run_img(1, stderr="no space left"), self.assertRaisesRegex(CmdError, "no space left"):
            self.image.info()


if __name__ == "__main__":
    unittest.main()
