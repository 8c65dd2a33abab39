"""What a test looks at is noted, whichever way it looks; what Python imports is not."""

import importlib
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import PACKAGES

sys.path.insert(0, str(PACKAGES))

from vtbuild_host import files


class Files(unittest.TestCase):
    def setUp(self):
        self.root = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, self.root)
        for name in ("mine/deps/app", "own", "data", "work"):
            (self.root / name).mkdir(parents=True)
        for name in ("mine/text", "mine/deps/app/main.c", "mine/late.py", "data/disc.iso", "own/copy.txt"):
            (self.root / name).write_text("")
        (self.root / "own/disc.iso").symlink_to(self.root / "data/disc.iso")
        watched = [
            {"folder": str(self.root / "mine"), "name": "mine"},
            {"folder": str(self.root / "data"), "name": "@data"},
            {"folder": str(self.root / "own"), "name": "@data", "own": True},
        ]
        files.watch({"dirs": {"workdir": str(self.root / "work")}, "watched": watched})
        self.addCleanup(files.watch, {"dirs": {}})

    def seen(self, kind):
        return files.report()[kind]

    def test_opened(self):
        with open(self.root / "mine/text"):
            pass
        os.close(os.open(str(self.root / "mine/deps/app/main.c"), os.O_RDONLY))
        self.assertEqual(self.seen("read"), ["mine/deps/app/main.c", "mine/text"])

    def test_looked_for(self):
        self.assertTrue(os.path.isfile(self.root / "mine/text"))
        self.assertFalse((self.root / "mine/none").exists())
        self.assertFalse(os.access(self.root / "mine/nothing", os.R_OK))
        with self.assertRaises(FileNotFoundError):
            (self.root / "mine/absent").read_text()
        self.assertEqual(self.seen("read"), ["mine/text"])
        self.assertEqual(self.seen("absent"), ["mine/absent", "mine/none", "mine/nothing"])

    def test_listed(self):
        os.listdir(self.root / "mine")
        list(os.walk(self.root / "mine/deps"))
        self.assertEqual(self.seen("listed"), ["mine/.", "mine/deps", "mine/deps/app"])

    def test_given_to_programs(self):
        subprocess.check_call(["true", f"--input={self.root}/mine/text"])
        subprocess.check_call(f"true {self.root}/mine/deps", shell=True)
        subprocess.check_call(["true", "main.c"], cwd=self.root / "mine/deps/app")
        self.assertEqual(self.seen("read"), ["mine/deps/app/main.c", "mine/text"])
        self.assertEqual(self.seen("trees"), ["mine/.", "mine/deps", "mine/deps/app"])

    def test_a_script_may_call_what_lies_beside_it(self):
        script = self.root / "mine/deps/app/run.sh"
        script.write_text("#!/bin/sh\n")
        script.chmod(0o755)
        subprocess.check_call([str(script)])
        self.assertEqual(self.seen("trees"), ["mine/deps/app"])

    def test_variables_that_the_test_set_are_given_to_programs(self):
        env = {**os.environ, "LIBRARY": f"/usr/lib:{self.root}/mine/deps"}
        subprocess.check_call(["true"], env=env)
        os.environ["TEXT"] = f"{self.root}/mine/deps/app"
        self.addCleanup(os.environ.pop, "TEXT")
        os.system("true")
        self.assertEqual(self.seen("trees"), ["mine/deps", "mine/deps/app"])

    def test_files_of_the_data_folder_come_alone(self):
        subprocess.check_call(["true", str(self.root / "data/disc.iso")])
        self.assertEqual((self.seen("read"), self.seen("trees")), (["@data/disc.iso"], []))

    def forked(self, body):
        """Do `body` in a forked child that closes all that it inherited."""
        child = os.fork()
        if child == 0:
            try:
                os.closerange(3, 256)
                body()
            finally:
                os._exit(0)
        os.waitpid(child, 0)

    def test_children_tell_what_they_look_at(self):
        def body():
            with open(self.root / "mine/text"):
                pass
            os.path.exists(self.root / "mine/none")
            self.forked(lambda: os.listdir(self.root / "mine"))

        self.forked(body)
        names = {"read": ["mine/text"], "absent": ["mine/none"], "listed": ["mine/."], "trees": []}
        self.assertEqual(files.report(), names)

    def test_children_tell_what_they_import(self):
        def body():
            sys.path.insert(0, str(self.root / "mine"))
            importlib.invalidate_caches()
            importlib.import_module("late")

        for _ in range(2):  # what is compiled already is found by its source
            self.forked(body)
            self.assertEqual(files.imported_by_children(), [str(self.root / "mine/late.py")])
        self.assertEqual(self.seen("read"), [])

    def test_an_interpreter_that_is_no_fork_may_read_everything(self):
        sys.modules.pop("multiprocessing.popen_spawn_posix", None)
        child = multiprocessing.get_context("spawn").Process(target=os.getpid)
        child.start()
        child.join()
        self.assertEqual(self.seen("trees"), ["mine/."])

    def test_in_the_data_folder_links_count(self):
        for name in ("disc.iso", "copy.txt", "late.iso", "late.qcow2"):
            os.path.exists(self.root / "own" / name)
        self.assertEqual(self.seen("read"), ["@data/disc.iso"])
        self.assertEqual(self.seen("absent"), ["@data/late.iso"])

    def test_what_is_written_or_elsewhere_does_not_count(self):
        (self.root / "mine/new").write_text("")
        (self.root / "work/new").write_text("")
        os.path.exists(self.root / "work/none")
        os.path.exists("/etc/passwd")
        os.path.realpath(self.root / "mine/text")
        self.assertEqual(files.report(), {"read": [], "absent": [], "listed": [], "trees": []})

    def test_imports_do_not_count(self):
        sys.path.insert(0, str(self.root / "mine"))
        self.addCleanup(sys.path.remove, str(self.root / "mine"))
        self.addCleanup(sys.modules.pop, "late", None)
        importlib.invalidate_caches()
        importlib.import_module("late")
        self.assertEqual(files.report(), {"read": [], "absent": [], "listed": [], "trees": []})

    def test_the_replaced_functions_say_what_they_can_do(self):
        self.assertIn(os.stat, os.supports_follow_symlinks)
        self.assertIn(os.stat, os.supports_dir_fd)
        self.assertEqual(os.stat.__name__, "stat")


if __name__ == "__main__":
    unittest.main()
