"""The bundled provider's tests in the real host: without guests, or against answers that a guest would give."""

import json
import re
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import PACKAGES, Provider, Refusal

BUNDLED = PACKAGES.parent / "bundled"


class Bundled(Provider):
    """The bundled provider, with the results in a temporary folder."""

    def run_test(self, path, answers=None, params=None):
        start = self.start_message([str(BUNDLED / path)], params)
        backends = [str(BUNDLED / backend) for backend in ("generic", "qemu")]
        start["module_paths"] = [str(BUNDLED), *backends, *(f"{backend}/tests" for backend in backends)]
        return self.run_start(start, answers)


def run_program(args):
    """Answer ``image.run`` with the real program."""
    done = subprocess.run(
        [f"qemu-{args['program']}", *args["args"]], capture_output=True, text=True, timeout=args["timeout"]
    )
    return {"status": done.returncode, "stdout": done.stdout, "stderr": done.stderr}


class Qmp:
    """A QEMU without a guest, and the monitor calls of the core, over its QMP socket."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="vtbuild-qmp-")
        path = f"{self.folder.name}/qmp"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        self.qemu = subprocess.Popen(
            ["qemu-system-x86_64", "-accel", "tcg", "-nodefaults", "-display", "none", "-qmp", f"unix:{path}"],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        listener.settimeout(60)
        self.socket, _ = listener.accept()
        self.socket.settimeout(60)
        listener.close()
        self.lines = self.socket.makefile("rw")
        self.lines.readline()
        self.events = []
        self.command({"command": "qmp_capabilities"})

    def close(self):
        self.qemu.kill()
        self.qemu.wait()
        self.lines.close()
        self.socket.close()
        self.folder.cleanup()

    def command(self, args):
        self.lines.write(json.dumps({"execute": args["command"], "arguments": args.get("arguments") or {}}) + "\n")
        self.lines.flush()
        while True:
            message = json.loads(self.lines.readline())
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise Refusal("monitor-command", message["error"]["desc"], message["error"])
            else:
                return message["return"]

    def take_events(self, args):
        events, self.events = self.events, []
        return events

    def answers(self):
        return {
            "vm.verify": None,
            "monitor.command": self.command,
            "monitor.events": self.take_events,
            "monitor.list": [{"monitor": "vm1/qmp1", "protocol": "qmp", "main": True}],
            "monitor.wait_event": lambda args: next((e for e in self.events if e["event"] == args["event"]), None),
        }


class Guest:
    """Answers of a guest: a shell that knows what the bundled tests type, and a machine around it."""

    def __init__(self):
        self.boot = 1
        self.count = 0
        self.status = "running"
        self.speed = 134217728
        self.going_down = False
        self.memory = True
        self.migrations = []

    def shell(self, args):
        command = args["command"]
        if "boot_id" in command:
            output = f"boot-{self.boot}\n"
        elif "migration-count" in command and "nohup" not in command:
            self.count += 1
            output = f"{self.count}\n"
        elif command.startswith("sha256sum"):
            output = "a" * 64 + "  file\n"
        elif "nohup" in command:
            output = "[1] 321\n321\n"
        else:
            output = "up 1 day\n"
        failed = command == "false" or (command.startswith("test -e") and not self.memory)
        return {"output": output, "status": 1 if failed else 0}

    def send(self, args):
        if "shutdown -r" in args["text"]:
            self.going_down = True

    def migrate(self, args):
        self.migrations.append(args)
        if self.going_down:
            self.boot, self.memory, self.going_down = self.boot + 1, False, False
        return {"status": "completed", "total_time": 100, "downtime": 5}

    def reboot(self, args):
        self.boot += 1
        return {"session": "s2"}

    def command(self, args):
        if args["command"] == "migrate-set-parameters":
            self.speed = args["arguments"]["max-bandwidth"]
        return {
            "query-status": {"status": self.status},
            "query-migrate-parameters": {"max-bandwidth": self.speed},
        }.get(args["command"])

    def set_status(self, status):
        self.status = status

    def answers(self):
        return {
            "vm.verify": None,
            "vm.login": {"session": "s1"},
            "vm.reboot": self.reboot,
            "vm.wait_for_dead": True,
            "vm.migrate": self.migrate,
            "vm.pause": lambda args: self.set_status("paused"),
            "vm.resume": lambda args: self.set_status("running"),
            "session.cmd": self.shell,
            "session.send": self.send,
            "session.close": None,
            "session.alive": lambda args: not self.going_down,
            "session.read": lambda args: "guest# " if self.status == "running" else "",
            "monitor.list": [{"monitor": "vm1/qmp1", "protocol": "qmp", "main": True}],
            "monitor.command": self.command,
        }


class BundledTest(unittest.TestCase):
    def setUp(self):
        self.provider = Bundled()
        self.addCleanup(self.provider.close)

    def assert_passes(self, path, answers=None, params=None):
        finished = self.provider.run_test(path, answers, params)
        self.assertEqual((finished.verdict["status"], finished.verdict["reason"]), ("PASS", None), finished.log)
        return finished

    def test_every_outcome_of_the_self_test(self):
        for outcome, status in (
            ("pass", "PASS"),
            ("fail", "FAIL"),
            ("error", "ERROR"),
            ("warn", "WARN"),
            ("skip", "SKIP"),
            ("cancel", "CANCEL"),
            ("crash", "ERROR"),
            ("nonsense", "ERROR"),
        ):
            with self.subTest(outcome):
                verdict = self.provider.run_test("generic/tests/selftest.py", params={"outcome": outcome}).verdict
                self.assertEqual(verdict["status"], status)
                self.assertEqual(
                    verdict["reads"], {"keys": {"outcome": outcome, "sleep_time": None}, "scans": [], "all": False}
                )

    def test_importing_from_the_provider(self):
        verdict = self.assert_passes("generic/tests/selftest_imports.py").verdict
        loaded = [str(Path(path).relative_to(BUNDLED)) for path in verdict["modules"]]
        self.assertEqual(loaded, ["generic/provider_lib/greeting.py", "generic/tests/selftest_imports.py"])
        self.assertEqual(verdict["deps"], [str(BUNDLED / "generic/deps/selftest")])

    def test_uptime(self):
        finished = self.assert_passes("generic/tests/uptime.py", Guest().answers())
        self.assertIn("Guest uptime result is: up 1 day", finished.log)
        wanted = {"main_vm": "vm1", "login_timeout": None, "shell_prompt_vm1": None, "shell_prompt": None}
        self.assertEqual(finished.verdict["reads"]["keys"], wanted)
        self.assertFalse(finished.verdict["reads"]["all"])
        self.assertEqual(finished.core.named("vm.login")[0]["timeout"], 240.0)

    def test_boot_reboot_and_shutdown(self):
        self.assert_passes("generic/tests/boot.py", Guest().answers())
        self.assert_passes("generic/tests/reboot.py", Guest().answers(), {"reboot_count": "2"})
        for method in ("shell", "system_powerdown"):
            params = {"shutdown_method": method, "shutdown_command": "shutdown -h now"}
            self.assert_passes("generic/tests/shutdown.py", Guest().answers(), params)

    def test_a_guest_that_does_not_reboot_fails(self):
        answers = {**Guest().answers(), "vm.reboot": {"session": "s2"}}
        verdict = self.provider.run_test("generic/tests/reboot.py", answers).verdict
        self.assertEqual(
            (verdict["status"], verdict["reason"]), ("FAIL", "the guest was not rebooted: its boot id is still boot-1")
        )

    def test_a_guest_that_stays_on_fails(self):
        answers, params = (
            {**Guest().answers(), "vm.wait_for_dead": False},
            {"shutdown_command": "halt", "shutdown_timeout": "3"},
        )
        verdict = self.provider.run_test("generic/tests/shutdown.py", answers, params).verdict
        self.assertEqual((verdict["status"], verdict["reason"]), ("FAIL", "the machine is still on after 3 s"))

    def test_stop_continue(self):
        self.assert_passes("qemu/tests/stop_continue.py", Guest().answers(), {"wait_resume_timeout": "0"})

    def test_migration(self):
        guest = Guest()
        params = {"migration_protocol": "exec", "migration_exec_cmd_src": "gzip -c > '%s'", "mig_speed": "1G"}
        self.assert_passes("qemu/tests/migration.py", guest.answers(), params)
        self.assertEqual(guest.speed, 1 << 30)
        self.assertEqual(
            [(args["protocol"], args["exec_src"]) for args in guest.migrations], [("exec", "gzip -c > '%s'")]
        )

    def test_migration_that_loses_the_guest_fails(self):
        guest = Guest()
        answers = {**guest.answers(), "vm.migrate": lambda args: guest.reboot(args)}
        verdict = self.provider.run_test("qemu/tests/migration.py", answers).verdict
        self.assertEqual(verdict["status"], "FAIL")
        self.assertEqual(verdict["reason"], "the guest was rebooted: its boot id was boot-1 and is boot-2")

    def test_migration_with_reboot(self):
        guest = Guest()
        self.assert_passes(
            "qemu/tests/migration_with_reboot.py", guest.answers(), {"reboot_command": "shutdown -r now"}
        )
        self.assertEqual((guest.boot, len(guest.migrations)), (2, 1))

    def test_speed_that_qemu_does_not_take_fails(self):
        verdict = self.provider.run_test("qemu/tests/migration.py", Guest().answers(), {"mig_speed": "128M"}).verdict
        self.assertIn("setting the migration speed to 128M changed nothing", verdict["reason"])

    @unittest.skipUnless(shutil.which("qemu-img") and shutil.which("qemu-io"), "needs qemu-img and qemu-io")
    def test_qemu_img(self):
        params = {
            "images": "stg",
            "image_size_stg": "64M",
            "image_size_in_bytes_stg": "0x4000000",
            "image_format_stg": "qcow2",
        }
        for subcommand in ("create", "info", "check"):
            with self.subTest(subcommand):
                params["subcommand"] = subcommand
                self.assert_passes("qemu/tests/qemu_img.py", {"image.run": run_program}, params)

    @unittest.skipUnless(shutil.which("qemu-system-x86_64"), "needs QEMU")
    def test_qmp_basic(self):
        qmp = Qmp()
        self.addCleanup(qmp.close)
        finished = self.assert_passes("qemu/tests/qmp_basic.py", qmp.answers())
        self.assertIn("refused as it should be: QMP command 'no-such-command' failed", finished.log)


class LayoutTest(unittest.TestCase):
    def test_every_type_has_a_test_and_every_test_a_type(self):
        types = {}
        for cfg in BUNDLED.glob("*/tests/cfg/*.cfg"):
            for name in re.findall(r"^\s+type = (\S+)$", cfg.read_text(), re.MULTILINE):
                types.setdefault(name, []).append(cfg.name)
        files = {path.stem for path in BUNDLED.glob("*/tests/*.py")}
        self.assertEqual(set(types), files)

    def test_every_test_says_what_it_does(self):
        for path in BUNDLED.glob("*/tests/*.py"):
            with self.subTest(path.name):
                self.assertRegex(
                    path.read_text(), r'def run\(test, params, env\):\n\n?    """\n    \w[^"]+:param params'
                )


if __name__ == "__main__":
    unittest.main()
