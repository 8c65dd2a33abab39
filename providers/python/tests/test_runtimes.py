"""What stands around a test in the runtimes beside our own: ports, remembered answers, the scanner, the archive."""

import json
import os
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import types
import unittest
from pathlib import Path
from unittest import mock

from support import PACKAGES

from vtbuild_host import deps, loopback, make_environment, places, ports, probes


class PlacesTest(unittest.TestCase):
    MODULE = """
        import os, tempfile
        LOCK = os.path.join(os.environ["TMPDIR"], "lock")
        FOLDER = tempfile.gettempdir()
        OTHER = "elsewhere"

        def make(name, folder=os.environ["VIRTUAL_ENV"], mode=0o755):
            return folder

        class Store:
            def path(self, base=FOLDER):
                return base
    """

    def setUp(self):
        self.before = dict(os.environ)
        self.module = types.ModuleType("virttest.taken_down")
        sys.modules[self.module.__name__] = self.module
        with places.unsettled(VIRTUAL_ENV="{root}/data"):
            places.stand_in({"data_dir": os.environ["VIRTUAL_ENV"]})
            exec(textwrap.dedent(self.MODULE), vars(self.module))

    def tearDown(self):
        del sys.modules[self.module.__name__]
        places._placeholders.clear()

    def test_what_was_taken_down_becomes_the_folder_of_the_test(self):
        standing = self.module.FOLDER
        places.put_in_place({"tmpdir": "/t", "data_dir": "/d", "workdir": "/w"})
        self.assertEqual((self.module.LOCK, self.module.FOLDER, self.module.OTHER), ("/t/lock", "/t", "elsewhere"))
        self.assertEqual((self.module.make("x"), self.module.Store().path()), ("/d", "/t"))
        self.assertEqual(places.folder("tmpdir"), "/t")
        self.assertFalse(os.path.exists(standing))

    def test_nothing_else_remembers_it(self):
        self.assertEqual(dict(os.environ), self.before)
        self.assertNotEqual(tempfile.gettempdir(), self.module.FOLDER)


class PortsTest(unittest.TestCase):
    def tearDown(self):
        for lock in ports._leases.values():
            os.close(lock)
        ports._leases.clear()

    def test_no_port_is_given_out_twice(self):
        found = ports.find_free_ports(5000, 5899, 5)
        found += ports.find_free_ports(5000, 5899, 5)
        self.assertEqual(len(set(found)), 10)

    def test_a_neighbour_gets_another_port(self):
        mine = ports.find_free_port(5000, 5899)
        asked = f"from vtbuild_host import ports; print(ports.find_free_port({mine}, {mine + 50}))"
        said = subprocess.run(
            [sys.executable, "-B", "-c", asked],
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertNotEqual(int(said.stdout), mine)

    def test_a_port_that_somebody_listens_at_is_not_given_out(self):
        import socket

        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            self.assertEqual(ports.find_free_ports(port, port + 1, 1), [])


class LoopbackTest(unittest.TestCase):
    def test_what_names_no_address_listens_on_this_host_alone(self):
        said = "qemu -netdev user,hostfwd=tcp::5002-:22,hostfwd=udp::7-:7 -vnc :0,password=on"
        wanted = (
            "qemu -netdev user,hostfwd=tcp:127.0.0.1:5002-:22,hostfwd=udp:127.0.0.1:7-:7 -vnc 127.0.0.1:0,password=on"
        )
        self.assertEqual(loopback.command(said), wanted)
        self.assertEqual(loopback.incoming("tcp:[::]:5200"), "tcp:127.0.0.1:5200")
        self.assertEqual(loopback.incoming("tcp:0:5200"), "tcp:127.0.0.1:5200")

    def test_what_was_asked_for_stays(self):
        for said in ("hostfwd=tcp:10.0.0.1:5002-:22", "-vnc unix:/x", "-vnc none", "-serial :1"):
            self.assertEqual(loopback.command(said), said)
        for said in ("tcp:10.0.0.1:5200", "unix:/x", "defer"):
            self.assertEqual(loopback.incoming(said), said)


class DepsTest(unittest.TestCase):
    def test_what_was_built_is_given_instead_of_the_sources(self):
        with tempfile.TemporaryDirectory() as root:
            caller = os.path.join(root, "tests", "case.py")
            for folder in ("tests", "deps/app", "deps/plain", "built"):
                os.makedirs(os.path.join(root, folder))
            source, built = os.path.join(root, "deps", "app"), os.path.join(root, "built")
            build = {"source": source, "folder": built, "make_flags": ["all"], "with_source": False}
            known = deps.Deps.of({"module_paths": [root], "deps_builds": [build]})
            self.assertEqual(known.find(caller, "app"), built)
            self.assertEqual(list(known.used), [])
            plain = os.path.join(root, "deps", "plain")
            self.assertEqual((known.find(caller, "plain"), list(known.used)), (plain, [plain]))
            self.assertIsNone(known.find(caller, "absent"))
            self.assertIn("deps/absent", known.missing(caller, "absent"))
            self.assertTrue(known.is_built(os.path.join(built, "prog")))
            self.assertFalse(known.is_built(plain))
            self.assertIsNone(known.build(source, ["other"]))


class ProbesTest(unittest.TestCase):
    def test_questions_are_told_from_work(self):
        questions = (
            "/usr/bin/qemu-system-x86_64 -device help 2>&1",
            "qemu-system-x86_64 -M ?",
            "/usr/bin/qemu-system-x86_64 --device virtserialport,\\?",
            "qemu-img --help",
            "echo -e 'quit' | qemu-kvm -monitor stdio -nodefaults -nographic -S",
        )
        work = (
            "qemu-img create -f qcow2 /x/help 1G",
            "qemu-system-x86_64 -m 512 -drive file=/a/b",
            "ls -device help",
        )
        for command in questions:
            self.assertTrue(probes.is_question(command), command)
        for command in work:
            self.assertFalse(probes.is_question(command), command)

    def test_a_question_is_asked_once(self):
        asked = []

        class CmdResult:
            def __init__(self, command, stdout, stderr, exit_status, duration):
                self.command, self.stdout, self.stderr = command, stdout, stderr
                self.exit_status, self.duration, self.interrupted = exit_status, duration, False

        def run(cmd, **_):
            asked.append(cmd)
            return CmdResult(cmd, b"na\xefve", b"", 0, 1)

        process = types.SimpleNamespace(run=run, CmdResult=CmdResult, CmdError=RuntimeError)
        with tempfile.TemporaryDirectory() as folder, mock.patch("avocado.utils.process", process, create=True):
            with mock.patch.dict(sys.modules, {"avocado.utils.process": process}):
                probes.remember(folder)
            results = [process.run("qemu-img --help", ignore_status=True) for _ in range(3)]
            process.run("qemu-img info x")
        self.assertEqual(asked, ["qemu-img --help", "qemu-img info x"])
        self.assertEqual({result.stdout for result in results}, {b"na\xefve"})

    def tearDown(self):
        probes._folder = None


class NeedsTest(unittest.TestCase):
    def ask(self, text):
        with tempfile.TemporaryDirectory() as folder:
            (answer,) = self.answers({Path(folder, "one.py"): (text, [])}, [folder])
            return answer

    def answers(self, modules, *folders):
        """The answers for test modules: path, text and further files each, with the folders that each imports from."""
        tests = []
        for (module, (text, further)), paths in zip(modules.items(), folders):
            module.parent.mkdir(parents=True, exist_ok=True)
            module.write_text(text, encoding="utf-8")
            files = [str(module), *map(str, further)]
            tests.append({"module": str(module), "files": files, "folders": list(map(str, paths))})
        done = subprocess.run(
            [sys.executable, "-B", "-s", "-m", "vtbuild_host.needs"],
            input=json.dumps({"tests": tests}),
            env={**os.environ, "PYTHONPATH": str(PACKAGES)},
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def test_names_of_modules_mean_something_within_one_provider(self):
        ran = "def run(test, params, env):\n    "
        with tempfile.TemporaryDirectory() as folder:
            roots = [Path(folder, name) for name in ("a", "b")]
            shared = roots[1] / "generic/provider_lib/words.py"
            shared.parent.mkdir(parents=True)
            shared.write_text("def leave(vm):\n    vm.fly_away()\n", encoding="utf-8")
            modules = {
                roots[0] / "generic/tests/boot.py": (f"import nowhere_at_all\n{ran}nowhere_at_all.x()\n", []),
                roots[1] / "generic/tests/boot.py": (f"from provider_lib import words\n{ran}words.leave(env)\n", [shared]),
            }
            paths = [[root, root / "generic", root / "generic/tests"] for root in roots]
            first, second = self.answers(modules, *paths)
        self.assertEqual((first["python"], first["own"]), (["nowhere_at_all"], []))
        self.assertEqual((second["python"], second["own"]), ([], ["vm.fly_away"]))

    def test_what_our_package_has_needs_nothing(self):
        text = (
            "import os\nfrom virttest import utils_misc\ndef run(test, params, env):\n    test.fail(params.get('x'))\n"
        )
        self.assertEqual(self.ask(text), {"own": [], "layered": [], "python": [], "broken": []})

    def test_a_module_that_cannot_be_run_is_told_with_its_line(self):
        (reason,) = self.ask("def run(test, params, env)\n    pass\n")["broken"]
        self.assertRegex(reason, r"/one\.py:1: \w+")
        (reason,) = self.ask("def runs(test, params, env):\n    pass\n")["broken"]
        self.assertRegex(reason, r"/one\.py defines no function run\(")
        with tempfile.TemporaryDirectory() as folder:
            helper = Path(folder, "helper.py")
            helper.write_text("def (\n", encoding="utf-8")
            text = "import helper\ndef run(test, params, env):\n    helper.x()\n"
            (answer,) = self.answers({Path(folder, "one.py"): (text, [helper])}, [folder])
            self.assertRegex(answer["broken"][0], r"/helper\.py:1: \w+")
        for given in ("from nowhere import run\n", "from nowhere import *\n", "import os\nif os:\n    run = os.x\n"):
            self.assertEqual(self.ask(given)["broken"], [], given)

    def test_a_helper_module_is_lacking_in_our_own_package_alone(self):
        answer = self.ask("from virttest import utils_libvirtd\ndef run(test, params, env):\n    utils_libvirtd.x()\n")
        self.assertIn("virttest.utils_libvirtd", answer["own"])
        self.assertEqual(answer["layered"], [])

    def test_a_member_of_our_objects_is_lacking_in_both(self):
        answer = self.ask("def run(test, params, env):\n    env.get_vm('vm1').fly_away()\n")
        self.assertEqual((answer["own"], answer["layered"]), (["vm.fly_away"], ["vm.fly_away"]))

    def test_packages_of_others_are_named(self):
        answer = self.ask(
            "import six\nimport nowhere_at_all\ndef run(test, params, env):\n    six.x(nowhere_at_all.y)\n"
        )
        self.assertEqual(answer["python"], ["nowhere_at_all"])
        self.assertIn("six", answer["own"])


class ArchiveTest(unittest.TestCase):
    def test_the_same_files_make_the_same_bytes_and_programs_lose_their_interpreter(self):
        with tempfile.TemporaryDirectory() as folder:
            packages = Path(folder, "packages")
            for name, text in {
                "one/__init__.py": "",
                "bin/aexpect_helper": "#!/gone/python\nprint(1)\n",
                "bin/pip": "#!/gone/python\n",
                "distutils-precedence.pth": "import os\n",
            }.items():
                path = packages / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
            archives = [Path(folder, name) for name in ("a.tar", "b.tar")]
            make_environment.pack(str(packages), str(archives[0]))
            os.utime(packages / "one/__init__.py", (0, 0))
            make_environment.pack(str(packages), str(archives[1]))
            self.assertEqual(archives[0].read_bytes(), archives[1].read_bytes())
            with tarfile.open(archives[0]) as archive:
                self.assertEqual(archive.getnames(), ["bin/aexpect_helper", "one/__init__.py"])
                self.assertEqual(archive.extractfile("bin/aexpect_helper").read(), b"print(1)\n")


if __name__ == "__main__":
    unittest.main()
