"""Building in a guest: here a folder and a shell of this host stand for it."""

import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from support import InProcess, Refusal

from aexpect import ShellCmdError
from virttest import data_dir, remote_build, virt_vm
from virttest.utils_env import Env
from virttest.utils_params import Params
from vtbuild_host import upstream_builder
from vtbuild_host.deps import Deps

MAKEFILE = "all: out\n\tcat part/*.txt > out\n\techo made >> log\nout:\n"


class Site(unittest.TestCase):
    """A folder of sources, and a folder of this host that stands for the guest."""

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
        self.sent = []
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
            "vm.mirror": self.mirror,
        }

    def shell(self, args):
        done = subprocess.run(["sh", "-c", args["command"]], capture_output=True, text=True)
        return {"output": done.stdout, "status": done.returncode}

    def mirror(self, args):
        """What the core does by checksums: send what differs, remove what was sent once and is gone."""
        source, target = Path(args["host_path"]), Path(args["guest_path"])
        sent_list = target / ".vtbuild-mirror"
        known = sent_list.read_text().splitlines() if sent_list.exists() else []
        here = {str(path.relative_to(source)): path for path in source.rglob("*") if path.is_file()}
        if not here:
            raise Refusal("transfer", f"find sources in {source}: there is no such folder with files")
        listing = [f"{path.read_bytes().hex()} {name}" for name, path in sorted(here.items())]
        gone = [name for name in (line.partition(" ")[2] for line in known) if name not in here]
        for name in gone:
            (target / name).unlink(missing_ok=True)
        before = len(self.sent)
        for name, path in here.items():
            there = target / name
            if not there.exists() or there.read_bytes() != path.read_bytes():
                there.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, there)
                os.utime(there)
                self.sent.append(name)
        sent_list.write_text("".join(f"{line}\n" for line in listing))
        return {"sent": len(self.sent) - before, "removed": len(gone), "bytes": 0, "unchanged": 0}

    def builder(self, flags="", vms="vm1 vm2"):
        return remote_build.Builder(self.params(vms), "127.0.0.1", str(self.source), flags)

    def params(self, vms="vm1 vm2"):
        return Params({"vms": vms, "main_vm": "vm1", "tmp_dir": str(self.guest)})

    def build(self, flags=""):
        """Build, and return the result, what was sent, and how often it was made."""
        self.sent.clear()
        path = Path(self.builder(flags).build())
        return (path / "out").read_text(), sorted(self.sent), (path / "log").read_text().count("made")


@unittest.skipUnless(shutil.which("make"), "needs make")
class RemoteBuildTest(Site):
    def test_only_what_changed_is_sent_and_made(self):
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

    def test_a_file_that_was_changed_in_the_guest_is_sent_again(self):
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

    def test_a_build_that_broke_off_half_way_is_not_taken_for_the_one_before(self):
        self.build()
        self.write("Makefile", "all:\n\techo half > out; false\n")
        with self.assertRaises(ShellCmdError):
            self.builder().build()
        self.write("Makefile", MAKEFILE.replace("out:", "out: .PHONY\n.PHONY:"))
        self.assertEqual(self.build()[0], "one\ntwo\n")

    def test_the_machine_is_the_one_at_the_address(self):
        self.assertEqual(self.builder().vm.name, "vm2")
        with self.assertRaisesRegex(virt_vm.VMError, "among vm1, vm3 has the address 127.0.0.1"):
            self.builder(vms="vm3")

    def test_an_empty_folder_is_an_error(self):
        shutil.rmtree(self.source)
        self.source.mkdir()
        with self.assertRaisesRegex(remote_build.BuildError, "there is no such folder with files"):
            self.builder().build()


@unittest.skipUnless(shutil.which("make"), "needs make")
class BuiltBeforeTest(Site):
    """The same where ``deps_build`` named the sources: what was built of them is a folder of the test's own."""

    def setUp(self):
        super().setUp()
        self.addCleanup(data_dir.configure, {}, [])
        self.folder = Path(self.guest.parent, "built")
        self.folder.mkdir()
        (self.folder / "out").write_text("built before\n")
        build = {"source": str(self.source), "folder": str(self.folder), "make_flags": ["A=b c"], "with_source": False}
        data_dir.configure({}, [str(self.source.parent)], (), [build])

    def test_what_was_built_is_put_in_place_without_make(self):
        folder = data_dir.get_deps_dir("app")
        self.assertEqual(folder, str(self.folder))
        for source in (folder, str(self.source)):
            builder = remote_build.Builder(self.params(), "127.0.0.1", source, "A='b c'")
            self.assertFalse(builder.sync_directories())
            path = Path(builder.build())
            builder.make()
            self.assertEqual(sorted(entry.name for entry in path.iterdir()), [".vtbuild-mirror", "out"])
        self.assertEqual(self.sent, ["out"])
        self.assertTrue(builder.full_build_path.startswith(f"{self.guest}/app-"))
        self.assertEqual(data_dir.used_deps(), [], "the test depends on what was built, not on the sources")

    def test_other_flags_are_made_from_the_sources(self):
        builder = remote_build.Builder(self.params(), "127.0.0.1", data_dir.get_deps_dir("app"), "A=c")
        self.assertTrue(builder.sync_directories())
        self.assertEqual(Path(builder.build(), "out").read_text(), "one\ntwo\n")
        self.assertEqual(data_dir.used_deps(), [str(self.source)])

    def test_files_that_were_built_keep_their_times(self):
        self.assertTrue(data_dir.is_built(self.folder / "out"))
        self.assertTrue(data_dir.is_built(self.folder))
        self.assertFalse(data_dir.is_built(self.source))
        self.assertFalse(data_dir.is_built(f"{self.folder}-not"))


class UpstreamsMachine:
    """A machine of upstream's packages: its guest is a folder of this host."""

    def __init__(self, address):
        self.address = address
        self.copied = []

    def is_alive(self):
        return True

    def get_address(self):
        return self.address

    def wait_for_login(self):
        return self

    def cmd_status(self, command):
        return subprocess.run(["sh", "-c", command], capture_output=True).returncode

    def cmd(self, command, timeout=60):
        if self.cmd_status(command):
            raise ShellCmdError(command, 1, "")
        return ""

    def close(self):
        pass

    def copy_files_to(self, folder, to, timeout):
        self.copied.append(folder)
        shutil.copytree(folder, to)


@unittest.skipUnless(shutil.which("make"), "needs make")
class UnderUpstreamTest(Site):
    def setUp(self):
        super().setUp()
        self.addCleanup(setattr, remote_build, "Builder", remote_build.Builder)
        self.vm = UpstreamsMachine("192.0.2.1")
        self.env = Env()
        self.env.register_vm("vm1", self.vm)

    def builder(self, deps, source=None, flags=""):
        upstream_builder.offer(deps, self.env)
        params = Params(vms="vm0 vm1", tmp_dir=str(self.guest))
        return remote_build.Builder(params, "192.0.2.1", str(source or self.source), flags)

    def test_sources_are_sent_and_made_where_they_differ(self):
        path = Path(self.builder(Deps()).build())
        self.assertEqual((path / "out").read_text(), "one\ntwo\n")
        self.builder(Deps()).build()
        self.assertEqual((len(self.vm.copied), (path / "log").read_text()), (1, "made\n"))
        self.write("part/a.txt", "other\n")
        self.builder(Deps()).build()
        self.assertEqual((len(self.vm.copied), (path / "out").read_text()), (2, "other\ntwo\n"))

    def test_what_was_built_is_put_in_place_without_make(self):
        made = self.guest.parent / "made"
        made.mkdir()
        (made / "out").write_text("built before\n")
        build = {"source": str(self.source), "folder": str(made), "make_flags": []}
        builder = self.builder(Deps(builds=[build]), made)
        path = Path(builder.build())
        self.assertEqual(path, Path(builder.full_build_path))
        self.assertEqual((path / "out").read_text(), "built before\n")
        self.assertFalse((path / "log").exists())
        self.assertIn("app-", path.name)

    def test_the_machine_is_the_one_at_the_address(self):
        upstream_builder.offer(Deps(), self.env)
        with self.assertRaisesRegex(virt_vm.VMError, "vm0, vm1 has the address 192.0.2.9"):
            remote_build.Builder(Params(vms="vm0 vm1"), "192.0.2.9", str(self.source))


if __name__ == "__main__":
    unittest.main()
