"""What needs neither core nor guest; and how long it takes until a test's first statement."""

import os
import queue
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import unittest

from support import PACKAGES, Provider

from avocado.utils import path, process
from avocado.utils.wait import wait_for
from virttest import error_event, utils_misc, utils_net, utils_numeric


class MiscTest(unittest.TestCase):
    def test_waiting(self):
        answers = iter([None, 0, "there"])
        self.assertEqual(wait_for(lambda: next(answers), 5, step=0.01), "there")
        started = time.monotonic()
        self.assertIsNone(utils_misc.wait_for(lambda: False, 0.2, step=60))
        self.assertLess(time.monotonic() - started, 50)

    def test_random_names(self):
        self.assertRegex(utils_misc.generate_random_string(20), "^[A-Za-z0-9]{20}$")
        self.assertNotEqual(utils_misc.generate_random_id(), utils_misc.generate_random_id())
        self.assertEqual(
            utils_misc.generate_random_string(
                3,
                ignore_str="bcdefghijklmnopqrstuvwxyz"
                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~",
                convert_str="a",
            ),
            r"\a\a\a",
        )
        self.assertRegex(utils_net.generate_mac_address_simple(), "^52:54:00(:[0-9a-f]{2}){3}$")

    def test_free_ports(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            self.assertFalse(utils_misc.is_port_free(port, "127.0.0.1"))
            self.assertIsNone(utils_misc.find_free_port(port, port + 1, "127.0.0.1"))
        self.assertEqual(len(set(utils_misc.find_free_ports(20000, 30000, 3, "127.0.0.1"))), 3)

    def test_sizes(self):
        convert = utils_numeric.normalize_data_size
        self.assertEqual(
            (convert("1.5G"), convert("512M", "G"), convert("1K", "B"), convert("1G", "M", 1000)),
            ("1536", "0.5", "1024", "1000"),
        )
        self.assertEqual(utils_numeric.align_value(1025), 2048)

    def test_threads_give_back_value_and_exception(self):
        thread = utils_misc.InterruptedThread(lambda a, b: a + b, (1,), {"b": 2})
        thread.start()
        self.assertEqual(thread.join(), 3)
        thread = utils_misc.InterruptedThread(int, ("x",))
        thread.start()
        with self.assertRaises(ValueError):
            thread.join()
        self.assertEqual(utils_misc.parallel([(pow, (2, 3)), (int, ("7",))]), [8, 7])

    def test_find_substring(self):
        self.assertEqual(utils_misc.find_substring("mem: 12 MB", r"(\d+) GB", r"(\d+) MB"), "12")
        self.assertIsNone(utils_misc.find_substring("", "x"))

    def test_killing_a_tree(self):
        shell = subprocess.Popen(["sh", "-c", "sleep 600 & wait"])
        wait_for(lambda: utils_misc._descendants(shell.pid), 5, step=0.01)
        below = utils_misc._descendants(shell.pid)
        self.assertEqual(len(below), 1)
        utils_misc.kill_process_tree(shell.pid)
        self.assertEqual(shell.wait(60), -9)

    def test_folders(self):
        with tempfile.TemporaryDirectory() as folder:
            target = os.path.join(folder, "a", "b")
            utils_misc.make_dirs(target)
            self.assertTrue(utils_misc.safe_rmdir(os.path.join(folder, "a")))
            self.assertFalse(os.path.exists(target))

    def test_error_events(self):
        self.assertIsInstance(error_event.error_events_bus, queue.Queue)
        error_event.error_events_bus.put("text")
        error_event.error_events_bus.put(ValueError("odd"))
        self.assertEqual(error_event.drain(), ["text", "ValueError: odd"])


class ProcessTest(unittest.TestCase):
    def test_run(self):
        result = process.run("printf '%s' 'a b'")
        self.assertEqual((result.exit_status, result.stdout, result.stdout_text), (0, b"a b", "a b"))

    def test_failure(self):
        with self.assertRaisesRegex(process.CmdError, "ended with status 3 .*: why") as raised:
            process.run("echo why >&2; exit 3", shell=True)
        self.assertEqual(raised.exception.result.exit_status, 3)
        self.assertEqual(process.run("exit 3", shell=True, ignore_status=True).exit_status, 3)
        self.assertEqual(process.system("exit 3", shell=True, ignore_status=True), 3)

    def test_a_command_that_takes_too_long_is_killed_with_its_children(self):
        started = time.monotonic()
        with self.assertRaisesRegex(process.CmdError, "killed after 0.2 s"):
            process.run("sleep 600 | sleep 600", shell=True, timeout=0.2)
        self.assertLess(time.monotonic() - started, 300)

    def test_short_forms(self):
        self.assertEqual(process.system_output("echo x"), b"x")
        self.assertEqual(process.getstatusoutput("echo x; exit 1"), (1, "x"))
        self.assertEqual((process.getoutput("echo x"), process.getstatus("exit 4")), ("x", 4))
        self.assertEqual(process.run("echo $V", shell=True, env={"V": 5}).stdout_text, "5\n")

    def test_find_command(self):
        self.assertTrue(os.path.isabs(path.find_command("sh")))
        self.assertEqual(path.find_command("no-such-program", default="x"), "x")
        with self.assertRaisesRegex(path.CmdNotFoundError, "program 'no-such-program' is in none of"):
            path.find_command("no-such-program")


class StartTimeTest(unittest.TestCase):
    def test_time_to_the_first_statement_is_printed(self):
        provider = Provider()
        self.addCleanup(provider.close)
        body = "import time\ndef run(test, params, env):\n    test.whiteboard = str(time.time())\n"
        times = []
        for _ in range(7):
            started = time.time()
            notes = provider.run(body).core.notes
            times.append(float(next(note["text"] for note in notes if note["note"] == "whiteboard")) - started)
        print(
            f"\nfrom starting the process to the test's first statement: {min(times) * 1000:.0f} ms at best, "
            f"{statistics.median(times) * 1000:.0f} ms in the middle of {len(times)} ({sys.version.split()[0]})"
        )
        self.assertEqual(len(times), 7)

    def test_only_what_is_needed_is_imported(self):
        code = "import sys, virttest.runner; print(' '.join(sorted(sys.modules)))"
        environment = {**os.environ, "PYTHONPATH": str(PACKAGES)}
        loaded = subprocess.run(
            [sys.executable, "-B", "-s", "-c", code], env=environment, capture_output=True, text=True, check=True
        )
        for module in ("virttest.utils_misc", "virttest.qemu_vm", "virttest.qemu_storage", "subprocess", "unittest"):
            self.assertNotIn(module, loaded.stdout.split())


if __name__ == "__main__":
    unittest.main()
