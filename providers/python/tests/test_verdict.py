"""Every way in which a test can end, in a real host process."""

import unittest

from support import Provider, Refusal


class VerdictTest(unittest.TestCase):
    def setUp(self):
        self.provider = Provider()
        self.addCleanup(self.provider.close)

    def run_body(self, body, answers=None, **fields):
        return self.provider.run(
            "def run(test, params, env):\n    " + body.replace("\n", "\n    ") + "\n", answers, **fields
        )

    def assert_ends(self, body, status, reason, class_name):
        finished = self.run_body(body)
        verdict = finished.verdict
        self.assertEqual((verdict["status"], verdict["reason"], verdict["class"]), (status, reason, class_name))
        self.assertEqual(finished.status, 0, "a verdict was sent, whatever its status")
        self.assertEqual(finished.stderr, "")
        if reason:
            self.assertIn(reason, finished.log)
            self.assertIn("case.py", verdict["traceback"])
            self.assertNotIn("runner.py", verdict["traceback"], "frames of the host say nothing about the test")

    def test_nothing_raised_is_a_pass(self):
        self.assert_ends("pass", "PASS", None, None)

    def test_fail(self):
        self.assert_ends("test.fail('it is broken')", "FAIL", "it is broken", "TestFail")

    def test_error(self):
        self.assert_ends("test.error('no such thing')", "ERROR", "no such thing", "TestError")

    def test_cancel(self):
        self.assert_ends("test.cancel('not here')", "CANCEL", "not here", "TestCancel")

    def test_skip(self):
        self.assert_ends("test.skip('not for this')", "SKIP", "not for this", "TestSkipError")

    def test_warn(self):
        body = "from avocado.core.exceptions import TestWarn\nraise TestWarn('have a look')"
        self.assert_ends(body, "WARN", "have a look", "TestWarn")

    def test_missing_parameter_skips(self):
        reason = "parameter 'nothing' is needed by the test and not set in its variant"
        self.assert_ends("params['nothing']", "SKIP", reason, "ParamNotFound")

    def test_assertion_is_an_error(self):
        self.assert_ends("assert 1 == 2, 'one is two'", "ERROR", "AssertionError: one is two", "AssertionError")

    def test_assert_methods(self):
        self.assert_ends("test.assertEqual(1, 2)", "ERROR", "AssertionError: 1 != 2", "AssertionError")

    def test_any_other_exception_is_an_error(self):
        self.assert_ends("{}['x']", "ERROR", "KeyError: 'x'", "KeyError")

    def test_exit_is_an_error(self):
        self.assert_ends("import sys\nsys.exit(0)", "ERROR", "SystemExit: 0", "SystemExit")

    def test_interruption_is_left_to_the_core(self):
        body = "from avocado.core.exceptions import TestInterrupt\nraise TestInterrupt('stop')"
        self.assert_ends(body, "ERROR", "stop", "TestInterrupt")

    def test_fail_on_decorator(self):
        body = "import avocado\n@avocado.fail_on(ValueError)\ndef f():\n    raise ValueError('odd')\nf()"
        self.assert_ends(body, "FAIL", "odd", "TestFail")

    def test_reason_is_one_line(self):
        verdict = self.run_body("test.fail('a\\n  b\\tc ' + 'x' * 1000)").verdict
        self.assertTrue(verdict["reason"].startswith("a b c xxx"))
        self.assertEqual(len(verdict["reason"]), 600)

    def test_background_error(self):
        body = (
            "import sys\nfrom virttest.error_event import error_events_bus\n"
            "try:\n    1 / 0\nexcept ZeroDivisionError:\n    error_events_bus.put(sys.exc_info())"
        )
        verdict = self.run_body(body).verdict
        self.assertEqual(verdict["status"], "ERROR")
        self.assertEqual(verdict["reason"], "background: ZeroDivisionError: division by zero")

    def test_functions_at_exit_run_last_first(self):
        body = (
            "from virttest import funcatexit\n"
            "funcatexit.register(env, params['type'], print, 'first')\n"
            "funcatexit.register(env, params['type'], print, 'second')\ntest.fail('body')"
        )
        finished = self.run_body(body)
        self.assertEqual(finished.verdict["status"], "FAIL")
        self.assertLess(finished.log.index("second\n"), finished.log.index("stdout| first\n"))

    def test_failing_function_at_exit_warns(self):
        body = "from virttest import funcatexit\nfuncatexit.register(env, params['type'], int, 'x')"
        verdict = self.run_body(body).verdict
        self.assertEqual(verdict["status"], "WARN")
        self.assertIn("after the test: int: ValueError", verdict["reason"])

    def test_what_is_printed_goes_to_the_log(self):
        finished = self.run_body(
            "import sys, logging\nprint('out')\nsys.stderr.write('err')\nlogging.info('of %s', 'logging')"
        )
        for line in ("DEBUG stdout| out", "WARNING stderr| err", "INFO  root| of logging"):
            self.assertIn(line, finished.log)

    def test_a_line_that_cannot_be_logged_is_told_elsewhere(self):
        finished = self.run_body("test.log.info('%d', 'no number')\nprint('after')")
        self.assertEqual(finished.verdict["status"], "PASS")
        self.assertIn("Logging error", finished.stderr)
        self.assertIn("stdout| after", finished.log)

    def test_steps_and_whiteboard_are_told(self):
        body = (
            "from virttest import error_context\n@error_context.context_aware\ndef inner():\n"
            "    error_context.context('inside', test.log.info)\n    test.fail('broken')\n"
            "test.whiteboard = 'versions'\nerror_context.base_context('all')\nerror_context.context('outside')\ninner()"
        )
        finished = self.run_body(body)
        told = [(note["note"], note["text"]) for note in finished.core.notes if "text" in note]
        steps = ["all", "all --> outside", "all --> outside --> inside"]
        self.assertEqual(told, [("whiteboard", "versions"), *(("step", step) for step in steps)])
        self.assertIn("during: all --> outside --> inside", finished.log)

    def test_no_run_function(self):
        verdict = self.provider.run("x = 1\n").verdict
        self.assertEqual(verdict["status"], "ERROR")
        self.assertIn("case.py defines no function run(test, params, env)", verdict["reason"])

    def test_syntax_error(self):
        verdict = self.provider.run("def run(:\n").verdict
        self.assertEqual((verdict["status"], verdict["class"]), ("ERROR", "SyntaxError"))
        self.assertIn("case.py", verdict["traceback"])

    def test_absent_names_are_named(self):
        for body, message in (
            ("import virttest.libvirt_vm", "virttest.libvirt_vm is not part of the built-in test host"),
            ("from virttest import virsh", "virttest.virsh is not part of the built-in test host"),
            (
                "from virttest import utils_misc\nutils_misc.nope()",
                "virttest.utils_misc.nope is not part of the built-in",
            ),
            ("env.get_vm('vm1').sosreport", "virttest.qemu_vm.VM.sosreport is not part of the built-in test host"),
            ("from avocado.utils import cpu", "avocado.utils.cpu is not part of the built-in test host"),
            ("import avocado\navocado.Test", "avocado.Test is not part of the built-in test host"),
        ):
            with self.subTest(body):
                verdict = self.run_body(body).verdict
                self.assertEqual(verdict["status"], "ERROR")
                self.assertIn(message, verdict["reason"])

    def test_modules_of_type_run_in_order_until_one_fails(self):
        write = self.provider.write
        paths = [
            write("generic/tests/one.py", "def run(test, params, env):\n    env['seen'] = [1]\n"),
            write(
                "generic/tests/two.py",
                "def run(test, params, env):\n    env['seen'].append(2); test.fail(str(env['seen']))\n",
            ),
            write("generic/tests/three.py", "def run(test, params, env):\n    test.error('never')\n"),
        ]
        verdict = self.provider.run_start(self.provider.start_message(paths)).verdict
        self.assertEqual((verdict["status"], verdict["reason"]), ("FAIL", "[1, 2]"))
        self.assertEqual(verdict["modules"], paths[:2])

    def test_loaded_files_are_reported(self):
        self.provider.write("generic/provider_lib/greeting.py", "TEXT = 'hello'\n")
        self.provider.write("generic/provider_lib/unused.py", "")
        self.provider.write("generic/deps/app/main.c", "")
        body = (
            "from provider_lib import greeting\nfrom virttest import data_dir\n"
            "def run(test, params, env):\n    print(greeting.TEXT, data_dir.get_deps_dir('app'))\n"
        )
        finished = self.provider.run(body)
        root = str(self.provider.root / "provider" / "generic")
        self.assertEqual(finished.verdict["modules"], [f"{root}/provider_lib/greeting.py", f"{root}/tests/case.py"])
        self.assertEqual(finished.verdict["deps"], [f"{root}/deps/app"])
        self.assertIn(f"hello {root}/deps/app", finished.log)

    def test_deps_of_whoever_stands_above_the_provider_are_not_found(self):
        outside = self.provider.root / "deps" / "app"
        outside.mkdir(parents=True)
        verdict = self.run_body("from virttest import data_dir\ndata_dir.get_deps_dir('app')").verdict
        self.assertEqual(verdict["class"], "MissingDepsDirError")

    def test_deps_that_the_provider_names(self):
        named = self.provider.root / "elsewhere" / "deps"
        (named / "app").mkdir(parents=True)
        finished = self.run_body("from virttest import data_dir\ndata_dir.get_deps_dir('app')", deps_dirs=[str(named)])
        self.assertEqual(finished.verdict["deps"], [str(named / "app")])

    def test_missing_deps_folder(self):
        verdict = self.run_body("from virttest import data_dir\ndata_dir.get_deps_dir('app')").verdict
        self.assertEqual(verdict["class"], "MissingDepsDirError")
        self.assertIn("there is no deps/app in or above", verdict["reason"])

    def test_threads_left_running_do_not_hold_the_host(self):
        finished = self.run_body(
            "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), name='idle').start()"
        )
        self.assertEqual((finished.verdict["status"], finished.status), ("PASS", 0))
        self.assertIn("the test left threads running: idle", finished.log)

    def test_core_going_away_ends_the_host(self):
        path = self.provider.write(
            "generic/tests/case.py", "import time\ndef run(test, params, env):\n    time.sleep(600)\n"
        )
        finished = self.provider.run_start(self.provider.start_message([path]), close_after_start=True)
        self.assertEqual(finished.status, 3)
        self.assertIn("the core closed the connection before the test ended", finished.stderr)

    def test_another_protocol_is_refused(self):
        start = self.provider.start_message([], protocol=2)
        finished = self.provider.run_start(start)
        self.assertEqual(finished.status, 3)
        self.assertEqual(finished.verdict["status"], "ERROR")
        self.assertEqual(finished.verdict["reason"], "the test host speaks protocol 1, the core speaks 2")

    def test_error_of_the_core_ends_the_test(self):
        def dead(args):
            raise Refusal("vm-dead", "reach machine vm1: it is dead")

        verdict = self.run_body("env.get_vm('vm1').verify_alive()", {"vm.verify": dead}).verdict
        self.assertEqual(
            (verdict["status"], verdict["reason"]), ("ERROR", "VMDeadError: failed to reach machine vm1: it is dead")
        )

    def test_children_cannot_speak_to_the_core(self):
        body = (
            "import os\npid = os.fork()\nif pid == 0:\n    try:\n        env.get_vm('vm1').is_alive()\n"
            "    except Exception as error:\n"
            "        os._exit(7 if 'only the process that runs the test can' in str(error) else 1)\n"
            "    os._exit(2)\ntest.log.info('child: %d', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
        )
        finished = self.run_body(body, {"vm.state": {"alive": True}})
        self.assertIn("child: 7", finished.log)
        self.assertEqual(finished.core.calls, [])

    def test_programs_started_by_a_test_do_not_inherit_the_socket(self):
        body = (
            "from avocado.utils import process\nprint(process.run('ls -l /proc/self/fd; env', shell=True).stdout_text)"
        )
        finished = self.run_body(body)
        self.assertEqual(finished.verdict["status"], "PASS")
        self.assertNotIn("socket:", finished.log)
        self.assertNotIn("VTBUILD_HOST_FD", finished.log)

    def test_a_long_reason_keeps_its_beginning_and_its_end(self):
        finished = self.run_body("test.fail('begin ' + 'x ' * 2000 + 'end')")
        reason = finished.verdict["reason"]
        self.assertEqual(len(reason), 600)
        self.assertTrue(reason.startswith("begin x") and reason.endswith("x end"), reason)


if __name__ == "__main__":
    unittest.main()
