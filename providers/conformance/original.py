"""The original by itself: its own launcher, its own configuration set, its own folders, run on the same guest.

What it needs on the host is what its own set-up asks for (``avocado vt-bootstrap`` names it), and an environment with
``avocado-framework-plugin-vt``. Everything it writes stays below one folder: the launcher is given a home there.

Its configuration set cannot say all that ours does. What is made equal is what decides how long a guest takes: the image, the
kernel that is started directly, memory, processors, the processor's model, user networking, emulation, and disks that wait
for nobody.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

from record import Job, is_named, result

PROVIDER = "io-github-autotest-qemu"

#: The variant whose names stand for the guest; what it says of images is replaced.
_GUEST_OS = "JeOS.27.x86_64"

#: The size of the guest's disk, that of the bundled guest.
_SIZE = "3G"

#: The memory of a machine, in MiB, that of ours.
_MEMORY = 512

#: Parameters that keep tests short, whichever way they are run.
SHORTER = {"reboot_count": "2"}

_SETTINGS = """\
[task.timeout]
running = {timeout}
[vt]
type = qemu
guest_os = {guest_os}
extra_params = {params!r}
[vt.common]
machine_type = i440fx
[vt.qemu]
smp = 1
accel = tcg
qemu_bin = {qemu}
"""

_BOOTSTRAP = ("vt-bootstrap", "--vt-type", "qemu", "--yes-to-all", "--vt-no-downloads", "--vt-skip-verify-download-assets")


class Original:
    """The original's launcher, with a home of its own below `folder`."""

    def __init__(self, folder, python, tp_qemu, guest, timeout, shell=None):
        """`timeout`: seconds that one test may take.

        `shell` takes the place of ``/bin/sh`` for it alone (needs root): it asks QEMU things that only bash understands.
        """
        self.timeout = timeout
        self.shell = shell
        self.folder = Path(folder)
        self.python = Path(python)
        self.tp_qemu = Path(tp_qemu)
        self.guest = Path(guest)
        self.home = self.folder / "home"
        self.data = self.home / "avocado" / "data" / "avocado-vt"
        self.settings = self.folder / "avocado.conf"

    def prepare(self):
        """Set it up, unless that was done. Nothing of this is part of any time."""
        self.home.mkdir(parents=True, exist_ok=True)
        self._write_settings()
        done = self.folder / "prepared"
        if done.exists():
            return
        self._launch(_BOOTSTRAP, 600, check=True)
        self._define_provider()
        # The set-up has put the definitions of its package in place, which name hosts to fetch from; with ours instead:
        self._python("from virttest import bootstrap; bootstrap.create_subtests_cfg('qemu')")
        self._set_memory()
        self._copy_guest()
        done.write_text("")

    def job(self, names):
        """Run the tests in one job, one after the other."""
        results = self.folder / "results"
        shutil.rmtree(results, ignore_errors=True)
        words = ["run", "--disable-sysinfo", "--max-parallel-tasks", "1", "--job-results-dir", str(results)]
        began = time.monotonic()
        said = self._launch([*words, *(f"{PROVIDER}.{name}" for name in names)], (self.timeout + 60) * len(names))
        seconds = time.monotonic() - began
        self._end_what_is_left()
        try:
            tests = json.loads((results / "latest" / "results.json").read_text(encoding="utf-8"))["tests"]
        except OSError:
            tests = []
        ended = {}
        for name in names:
            found = [test for test in tests if is_named(test["name"], f"{PROVIDER}.{name}")]
            if len(found) == 1:
                ended[name] = result(found[0]["status"], found[0].get("fail_reason"), found[0]["time_elapsed"])
            else:
                why = said.strip().splitlines()[-1:] or ["it said nothing"]
                ended[name] = result("-", f"{len(found)} tests have this name" if tests else why[0][:300], None)
        return Job(ended, seconds)

    def _write_settings(self):
        params = {
            "nettype": "user",
            "image_name": "images/guest",
            "image_size": _SIZE,
            **SHORTER,
            "cpu_model": "max",
            "auto_cpu_model": "no",
            "drive_cache": "unsafe",
            "kernel": "images/guest/vmlinuz",
            "initrd": "images/guest/initrd.img",
            "kernel_params": '"{}"'.format((self.guest / "cmdline").read_text(encoding="utf-8").strip()),
        }
        qemu = shutil.which("qemu-system-x86_64")
        given = [f"{key}={value}" for key, value in params.items()]
        text = _SETTINGS.format(timeout=self.timeout, guest_os=_GUEST_OS, params=given, qemu=qemu)
        self.settings.write_text(text, encoding="utf-8")

    def _define_provider(self):
        folder = self.data / "virttest" / "test-providers.d"
        for file in folder.glob("*.ini"):
            file.unlink()
        text = f"[provider]\nuri: {self.tp_qemu.resolve().as_uri()}\n[generic]\nsubdir: generic/\n[qemu]\nsubdir: qemu/\n"
        (folder / f"{PROVIDER}.ini").write_text(text, encoding="utf-8")
        # It takes an empty folder of downloads for a set-up that never ran.
        (folder / "downloads" / "none").mkdir(parents=True, exist_ok=True)

    def _set_memory(self):
        """What a machine has whose test says nothing of it. Parameters that are given with the command would hold for all."""
        base = self.data / "backends" / "qemu" / "cfg" / "base.cfg"
        text = re.sub(r"(?m)^(\s*mem) = \d+$", rf"\1 = {_MEMORY}", base.read_text(encoding="utf-8"))
        base.write_text(text, encoding="utf-8")

    def _copy_guest(self):
        images = self.data / "images"
        (images / "guest").mkdir(parents=True, exist_ok=True)
        disk = images / "guest.qcow2"
        shutil.copyfile(self.guest / "disk.qcow2", disk)
        # As large as ours: there are tests whose time is that of enciphering all of it.
        subprocess.run(["qemu-img", "resize", "-q", "-f", "qcow2", str(disk), _SIZE], check=True)
        for name in ("vmlinuz", "initrd.img"):
            shutil.copyfile(self.guest / name, images / "guest" / name)

    def _environment(self):
        programs = str(self.python.parent)
        return {**os.environ, "HOME": str(self.home), "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONWARNINGS": "ignore"}

    def _launch(self, words, timeout, check=False):
        """Start the launcher in a session of its own; what it and its children said."""
        command = [str(self.python), "-m", "avocado", "--config", str(self.settings), *words]
        if self.shell:
            inside = 'mount --bind "$0" /bin/sh && exec "$@"'
            command = ["unshare", "--mount", self.shell, "-c", inside, self.shell, *command]
        with subprocess.Popen(
            command,
            env=self._environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                said, _ = process.communicate()
        if check and process.returncode != 0:
            raise SystemExit(f"the original cannot be set up:\n{said[-3000:]}")
        return said

    def _python(self, text):
        subprocess.run([str(self.python), "-c", text], env=self._environment(), check=True, capture_output=True)

    def _end_what_is_left(self):
        """Machines that outlived their test: those that name a file below this folder."""
        mark = os.fsencode(self.folder)
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"qemu" in os.path.basename(words[0]) and any(mark in word for word in words):
                os.kill(int(entry.name), signal.SIGKILL)
