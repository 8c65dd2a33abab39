"""A core made of a table of answers, and tests written to a throw-away provider."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path

PACKAGES = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PACKAGES))
sys.dont_write_bytecode = True  # the packages are shipped as they lie here

from virttest import core  # noqa: E402  the path above must come first


class Refusal(Exception):
    """What an answer raises to refuse a call."""

    def __init__(self, kind, message="refused", data=None):
        super().__init__(kind, message)
        self.error = {"kind": kind, "message": message, "data": data or {}}


class FakeCore:
    """The other end of the socket: answers calls from a table, and keeps all that it was told.

    An answer is a value, or a function of the call's arguments that returns one or raises Refusal. Every call is
    answered by a thread of its own, so answers overtake each other as they do in the real core.
    """

    def __init__(self, answers=None):
        self.answers = answers or {}
        self.calls = []
        self.notes = []
        self.here, self.there = socket.socketpair()
        self._send_lock = threading.Lock()

    def send(self, message):
        with self._send_lock:
            self.here.sendall(json.dumps(message).encode() + b"\n")

    def serve(self):
        """Answer until the host closes."""
        with self.here.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "note" in message:
                    self.notes.append(message)
                else:
                    self.calls.append((message["call"], message["args"]))
                    threading.Thread(target=self._answer, args=(message,), daemon=True).start()

    def _answer(self, message):
        try:
            if message["call"] not in self.answers:
                raise Refusal("call-unknown", "there is no such call")
            answer = self.answers[message["call"]]
            value = answer(message["args"]) if callable(answer) else answer
            self.send({"id": message["id"], "ok": value})
        except Refusal as refusal:
            self.send({"id": message["id"], "error": refusal.error})

    def named(self, call):
        """The arguments of every call of this name."""
        return [args for name, args in self.calls if name == call]


class InProcess:
    """A context in which ``core.call`` reaches a FakeCore, without a process of its own."""

    def __init__(self, answers):
        self.core = FakeCore(answers)

    def __enter__(self):
        self.connection = core.Connection(self.core.there)
        server = threading.Thread(target=self.core.serve, daemon=True)
        self.threads = [self.connection.listen(), server]
        core.use(self.connection)
        server.start()
        return self.core

    def __exit__(self, *_):
        core.use(None)
        self.connection.close()
        self.core.here.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join(60)
        self.core.here.close()


class Finished:
    """What a host process left."""

    def __init__(self, fake, status, stderr, log):
        self.core = fake
        self.status = status
        self.stderr = stderr
        self.log = log
        verdicts = [note for note in fake.notes if note["note"] == "verdict"]
        self.verdict = verdicts[-1] if verdicts else None


class Provider:
    """A test provider in a temporary folder."""

    def __init__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="vtbuild-host-")
        self.root = Path(self._folder.name).resolve()
        self.results = self.root / "results"
        self.results.mkdir()

    def close(self):
        self._folder.cleanup()

    def write(self, path, text):
        """Write a file of the provider and return its path."""
        target = self.root / "provider" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(textwrap.dedent(text))
        return str(target)

    def start_message(self, modules, params=None, **fields):
        """The start message for the modules with these paths."""
        folder = str(self.results)
        base = self.root / "provider" / "generic"
        names = ("debugdir", "logdir", "outputdir", "tmpdir", "bindir", "srcdir", "data_dir", "workdir")
        return {
            "protocol": 1,
            "name": "type_specific.case",
            "shortname": "case",
            "params": {"type": "case", "vms": "vm1", "main_vm": "vm1", **(params or {})},
            "modules": [{"name": Path(path).stem, "path": path} for path in modules],
            "module_paths": [str(base.parent), str(base), str(base / "tests")],
            "deps_dirs": [],
            "dirs": dict.fromkeys(names, folder),
            "log": str(self.results / "debug.log"),
            "vms": [{"name": "vm1"}],
            "qemu": {"binary": "/usr/bin/qemu", "img": "/usr/bin/qemu-img", "io": "/usr/bin/qemu-io"},
            **fields,
        }

    def run(self, body, answers=None, params=None, **fields):
        """Run a test with this text in a real host process, as the core would."""
        path = self.write("generic/tests/case.py", body)
        return self.run_start(self.start_message([path], params, **fields), answers)

    def run_start(self, start, answers=None, close_after_start=False):
        """Start a host process with this start message and wait for its end."""
        fake = FakeCore(answers)
        environment = {**os.environ, "PYTHONPATH": str(PACKAGES), core.FD_VARIABLE: str(fake.there.fileno())}
        host = subprocess.Popen(
            [sys.executable, "-B", "-s", "-m", "virttest"],
            pass_fds=[fake.there.fileno()],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.results,
        )
        fake.there.close()
        fake.send({"start": start})
        if close_after_start:
            fake.here.close()
        else:
            fake.serve()
        stdout, stderr = host.communicate(timeout=300)
        fake.here.close()
        log = self.results / "debug.log"
        return Finished(fake, host.returncode, stdout + stderr, log.read_text() if log.exists() else "")
