"""Building in a guest: here a folder and a shell of this host stand for it."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import InProcess

from aexpect import ShellCmdError
from virttest import remote_build, virt_vm
from virttest.utils_params import Params

MAKEFILE = "all: out\n\tcat part/*.txt > out\n\techo made >> log\nout:\n"


@unittest.skipUnless(shutil.which("make"), "needs make")
class RemoteBuildTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="vtbuild-build-")
        self.addCleanup(folder.cleanup)
        self.guest = Path(folder.name, "guest tmp")
        self.source = Path(folder.name, "app")
        self.guest.mkdir()
        (self.source / "part").mkdir(parents=True)
        self.write("Makefile", MAKEFILE)
        self.write("part/a.txt", "one\n")
        self.write("part/b c.txt", "two\n")
        self.write("run.sh", "#!/bin/sh\n").chmod(0o755)
        self.copied = []
        context = InProcess(self.answers())
        context.__enter__()
        self.addCleanup(context.__exit__)

    def write(self, name, text):
        path = self.source / name
        path.write_text(text)
        return path

    def answers(self):
        return {
            "vm.state": lambda args: {
                "alive": args["vm"] == "vm2",
                "dead": args["vm"] != "vm2",
                "pid": 1,
                "status": None,
            },
            "vm.address": "127.0.0.1",
            "vm.login": {"session": 1},
            "session.close": None,
            "session.cmd": self.shell,
            "vm.copy_to": self.copy,
        }

    def shell(self, args):
        done = subprocess.run(["sh", "-c", args["command"]], capture_output=True, text=True)
        return {"output": done.stdout, "status": done.returncode}

    def copy(self, args):
        if not args["guest_path"].endswith("/.vtbuild-copied"):
            self.copied.append(os.path.relpath(args["host_path"], self.source))
        shutil.copyfile(args["host_path"], args["guest_path"])
        return {"files": 1, "bytes": 1}

    def builder(self, flags="", vms="vm1 vm2"):
        params = Params({"vms": vms, "main_vm": "vm1", "tmp_dir": str(self.guest)})
        return remote_build.Builder(params, "127.0.0.1", str(self.source), flags)

    def build(self, flags=""):
        """Build, and return the result, what was copied, and how often it was made."""
        self.copied.clear()
        path = Path(self.builder(flags).build())
        return (path / "out").read_text(), sorted(self.copied), (path / "log").read_text().count("made")

    def test_only_what_changed_is_copied_and_made(self):
        everything = ["Makefile", "part/a.txt", "part/b c.txt", "run.sh"]
        self.assertEqual(self.build(), ("one\ntwo\n", everything, 1))
        self.assertEqual(self.build(), ("one\ntwo\n", [], 1))
        self.write("part/a.txt", "three\n")
        self.assertEqual(self.build(), ("three\ntwo\n", ["part/a.txt"], 2))
        os.unlink(self.source / "part/b c.txt")
        self.assertEqual(self.build(), ("three\n", [], 3))

    def test_programs_stay_programs(self):
        path = Path(self.builder().build())
        self.assertTrue(os.access(path / "run.sh", os.X_OK))
        self.assertFalse(os.access(path / "Makefile", os.X_OK))

    def test_a_file_that_was_changed_in_the_guest_is_copied_again(self):
        path = Path(self.builder().build())
        (path / "part/a.txt").write_text("spoilt\n")
        self.assertEqual(self.build(), ("one\ntwo\n", ["part/a.txt"], 2))

    def test_other_flags_are_another_place(self):
        first, second = self.builder(), self.builder("DEBUG=1")
        self.assertNotEqual(first.full_build_path, second.full_build_path)
        self.assertTrue(first.full_build_path.startswith(f"{self.guest}/app-"))

    def test_what_failed_is_made_again(self):
        self.write("Makefile", "all:\n\ttest -e ../fixed\n\techo ok > out; echo made >> log\n")
        with self.assertRaises(ShellCmdError):
            self.builder().build()
        (self.guest / "fixed").touch()
        self.assertEqual(self.build(), ("ok\n", [], 1))

    def test_the_steps_one_by_one(self):
        builder = self.builder()
        self.assertTrue(builder.sync_directories())
        builder.make()
        self.assertFalse(builder.sync_directories())
        self.assertEqual(Path(builder.full_build_path, "out").read_text(), "one\ntwo\n")

    def test_the_machine_is_the_one_at_the_address(self):
        self.assertEqual(self.builder().vm.name, "vm2")
        with self.assertRaisesRegex(virt_vm.VMError, "among vm1, vm3 has the address 127.0.0.1"):
            self.builder(vms="vm3")

    def test_an_empty_folder_is_an_error(self):
        shutil.rmtree(self.source)
        self.source.mkdir()
        with self.assertRaisesRegex(remote_build.BuildError, "holds no files to build"):
            self.builder().build()


if __name__ == "__main__":
    unittest.main()
