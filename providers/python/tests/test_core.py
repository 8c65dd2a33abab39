"""The connection: concurrency, what may be sent, and every error kind."""

import pathlib
import re
import threading
import unittest

from support import PACKAGES, InProcess, Refusal

import aexpect
from aexpect import remote
from avocado.core.exceptions import TestSkipError
from virttest import core, error_kinds, qemu_monitor, virt_vm


class CallTest(unittest.TestCase):
    def test_answers_overtake_each_other(self):
        def slow_first(args):
            if args["number"] == 0:
                others.wait(60)
            return args["number"]

        finished = []
        others = threading.Event()

        def ask(number):
            self.assertEqual(core.call("echo", number=number), number)
            finished.append(number)
            if len(finished) == 7:
                others.set()

        with InProcess({"echo": slow_first}):
            threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
        self.assertEqual(sorted(finished), list(range(8)))
        self.assertEqual(finished[-1], 0, "the slow answer comes last and holds nobody up")

    def test_many_calls_from_many_threads(self):
        wrong = []

        def ask(start):
            for number in range(start, start + 200):
                if core.call("echo", number=number, text="ä" * 50) != number:
                    wrong.append(number)

        with InProcess({"echo": lambda args: args["number"]}) as fake:
            threads = [threading.Thread(target=ask, args=(start,)) for start in range(0, 2000, 200)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(60)
            self.assertEqual(len(fake.calls), 2000)
        self.assertEqual(wrong, [])

    def test_arguments_that_are_none_are_left_out(self):
        with InProcess({"echo": lambda args: args}):
            self.assertEqual(core.call("echo", a=None, b=0, c=False), {"b": 0, "c": False})

    def test_what_json_does_not_know_is_made_plain(self):
        with InProcess({"echo": lambda args: args}):
            answer = core.call("echo", path=pathlib.Path("/x"), data=b"\xff", text="\udc80", names={"b", "a"})
        self.assertEqual(answer, {"path": "/x", "data": "\ufffd", "text": "?", "names": ["a", "b"]})

    def test_what_cannot_be_sent_is_refused_and_the_next_call_works(self):
        with InProcess({"echo": lambda args: args}):
            with self.assertRaisesRegex(core.CoreError, r"echo: .*\(argument\)"):
                core.call("echo", timeout=float("inf"))
            self.assertEqual(core.call("echo", a=1), {"a": 1})

    def test_without_a_core(self):
        core.use(None)
        with self.assertRaisesRegex(core.CoreError, "needs the core of vtbuild"):
            core.call("vm.state", vm="vm1")

    def test_losing_the_core_is_told(self):
        lost = threading.Event()
        with InProcess({}) as fake:
            core._current._on_lost = lambda reason: lost.set()
            fake.here.shutdown(2)
            self.assertTrue(lost.wait(60))


#: kind: (call, arguments, data, class, text that the message must hold).
EXPECTED = {
    "vm-unknown": ("vm.state", {}, {}, virt_vm.VMDeadError, "failed to be kind"),
    "vm-dead": ("vm.verify", {}, {}, virt_vm.VMDeadError, "failed to be kind"),
    "vm-create": ("vm.create", {}, {"status": 1, "output": "bad option"}, virt_vm.VMCreateError, "bad option"),
    "vm-paused": ("vm.verify", {}, {}, virt_vm.VMPausedError, "failed to be kind"),
    "vm-status": ("vm.pause", {}, {}, virt_vm.VMStatusError, "failed to be kind"),
    "kernel-crash": ("vm.verify", {}, {}, virt_vm.VMDeadKernelCrashError, "failed to be kind"),
    "image": ("vm.create", {}, {}, virt_vm.VMImageMissingError, "failed to be kind"),
    "address": ("vm.address", {}, {}, virt_vm.VMAddressError, "failed to be kind"),
    "migrate": ("vm.migrate", {}, {}, virt_vm.VMMigrateFailedError, "failed to be kind"),
    "migrate-timeout": ("vm.migrate", {}, {}, virt_vm.VMMigrateTimeoutError, "failed to be kind"),
    "migrate-cancel": ("vm.migrate", {}, {}, virt_vm.VMMigrateCancelError, "failed to be kind"),
    "unsupported": ("vm.migrate", {}, {}, TestSkipError, "failed to be kind"),
    "reboot": ("vm.reboot", {}, {}, virt_vm.VMRebootError, "failed to be kind"),
    "timeout": ("vm.shutdown", {}, {}, virt_vm.VMTimeoutError, "failed to be kind"),
    "transfer": ("vm.copy_to", {}, {"output": "denied"}, remote.TransferError, "denied"),
    "transfer-timeout": ("vm.copy_to", {}, {}, remote.TransferTimeoutError, "failed to be kind"),
    "login": ("vm.login", {}, {"output": "banner"}, remote.LoginError, "banner"),
    "login-timeout": ("vm.login", {}, {"output": "last line"}, remote.LoginTimeoutError, "last line"),
    "login-auth": ("vm.login", {}, {}, remote.LoginAuthenticationError, "failed to be kind"),
    "monitor": ("vm.verify", {}, {}, qemu_monitor.MonitorError, "failed to be kind"),
    "monitor-closed": ("monitor.command", {}, {}, qemu_monitor.MonitorConnectError, "failed to be kind"),
    "monitor-timeout": ("monitor.command", {}, {}, qemu_monitor.MonitorProtocolError, "failed to be kind"),
    "monitor-command": (
        "monitor.command",
        {"command": "stop", "arguments": {"a": 1}},
        {"class": "CommandNotFound", "desc": "no such"},
        qemu_monitor.QMPCmdError,
        "QMP command 'stop' with {'a': 1} failed: no such (CommandNotFound)",
    ),
    "shell-timeout": ("session.cmd", {"command": "sleep"}, {"output": "zzz"}, aexpect.ShellTimeoutError, "'sleep'"),
    "shell-died": (
        "session.cmd",
        {"command": "halt"},
        {"output": "bye", "status": 255},
        aexpect.ShellProcessTerminatedError,
        "255",
    ),
    "shell-status": ("session.cmd", {"command": "x"}, {"output": "?"}, aexpect.ShellStatusError, "'x'"),
    "expect-timeout": (
        "session.read_until",
        {"patterns": ["login:"]},
        {"output": "boot"},
        aexpect.ExpectTimeoutError,
        "'login:'",
    ),
    "call-unknown": ("vm.fly", {}, {}, core.CoreError, "vm.fly: failed to be kind"),
    "argument": ("vm.login", {}, {}, core.CoreError, "vm.login: failed to be kind"),
}


class ErrorKindTest(unittest.TestCase):
    def refuse(self, call, args, kind, data):
        def answer(_):
            raise Refusal(kind, "be kind", data)

        with InProcess({call: answer}), self.assertRaises(Exception) as raised:
            core.call(call, **args)
        return raised.exception

    def test_every_kind_becomes_the_class_that_tests_catch(self):
        for kind, (call, args, data, wanted, text) in EXPECTED.items():
            with self.subTest(kind):
                error = self.refuse(call, args, kind, data)
                self.assertIs(type(error), wanted)
                self.assertIn(text, str(error))

    def test_every_kind_is_expected_here(self):
        raised_here = {"fork", "not-started"}  # by the connection itself: no answer of the core
        self.assertEqual(set(error_kinds.KINDS) - raised_here, set(EXPECTED))

    def test_the_protocol_page_lists_every_kind(self):
        page = (PACKAGES.parent.parent / "docs" / "host-protocol.md").read_text()
        listed = set(re.findall(r"`([a-z][a-z-]+)`", page[page.index("## Error kinds") :]))
        self.assertEqual(set(EXPECTED) - listed, set())

    def test_a_shell_that_dies_while_one_reads(self):
        error = self.refuse("session.read_until", {"patterns": ["x"]}, "shell-died", {"output": "o", "status": 1})
        self.assertIs(type(error), aexpect.ExpectProcessTerminatedError)
        self.assertEqual((error.status, error.output, error.patterns), (1, "o", ["x"]))

    def test_output_that_the_message_holds_is_not_told_twice(self):
        for kind, call in (("login-timeout", "vm.login"), ("vm-create", "vm.create"), ("transfer", "vm.copy_to")):
            with self.subTest(kind):
                error = self.refuse(call, {}, kind, {"output": "be kind\n"})
                self.assertEqual((str(error), error.output), ("failed to be kind", "be kind\n"))

    def test_an_unknown_kind_is_a_vm_error(self):
        error = self.refuse("vm.state", {}, "something-new", {})
        self.assertIs(type(error), virt_vm.VMError)
        self.assertEqual(str(error), "failed to be kind")

    def test_families(self):
        self.assertTrue(issubclass(aexpect.ShellTimeoutError, aexpect.ShellError))
        self.assertTrue(issubclass(aexpect.ShellCmdError, aexpect.ShellError))
        self.assertTrue(issubclass(aexpect.ExpectTimeoutError, aexpect.ExpectError))
        self.assertTrue(issubclass(remote.LoginTimeoutError, remote.LoginError))
        self.assertTrue(issubclass(qemu_monitor.QMPCmdError, qemu_monitor.MonitorError))
        self.assertTrue(issubclass(virt_vm.VMMigrateFailedError, virt_vm.VMError))
        self.assertTrue(issubclass(virt_vm.VMTimeoutError, TimeoutError))


if __name__ == "__main__":
    unittest.main()
