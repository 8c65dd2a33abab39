"""The connection to the core: JSON lines over one socket, calls from any thread.

A call sends ``{"id", "call", "args"}`` and waits for the answer with the same id; answers may come in any order. One
reader thread takes every line and hands it to whoever waits for it. If the core goes away the test cannot go on: the
reader ends the process with status 3.
"""

import json
import os
import queue
import socket
import sys
import threading

#: The variable that holds the number of the socket's descriptor.
FD_VARIABLE = "VTBUILD_HOST_FD"
#: The protocol spoken here.
PROTOCOL = 1
#: No line is longer than this (bytes).
LINE_LIMIT = 64 * 1024 * 1024

EXIT_LOST = 3
EXIT_NOT_STARTED = 4


class CoreError(Exception):
    """The core answered a call with an error; or host and core misunderstand each other.

    Most kinds of error reach a test as the class that it catches (:mod:`virttest.error_kinds`).
    """

    def __init__(self, kind, message, data=None):
        super().__init__(kind, message, data)
        self.kind = kind
        self.message = message
        self.data = data or {}

    def __str__(self):
        return f"{self.message} ({self.kind})"


class Connection:
    """One socket to the core, shared by all threads of a test."""

    def __init__(self, sock, on_lost=None):
        """Take over `sock`. `on_lost` is called, in the reader thread, when the core closes it early."""
        self._socket = sock
        self._lines = sock.makefile("rb")
        self._send_lock = threading.Lock()
        self._waiting = {}
        self._last_id = 0
        self._closed = False
        self._owner = os.getpid()
        self._on_lost = on_lost or _end_process

    @classmethod
    def from_environment(cls):
        """Take over the socket that the core passed, or return None where it passed none."""
        number = os.environ.pop(FD_VARIABLE, "")
        try:
            sock = socket.socket(fileno=int(number))
        except (ValueError, OSError):
            return None
        sock.set_inheritable(False)
        return cls(sock)

    def read_start(self):
        """Read the first line, ``{"start": {...}}``, and return what is in it; None where the core closed instead."""
        line = self._lines.readline(LINE_LIMIT)
        return json.loads(line)["start"] if line else None

    def listen(self):
        """Start the reader thread, and return it: from now on calls are possible."""
        reader = threading.Thread(target=self._read_answers, name="core", daemon=True)
        reader.start()
        return reader

    def call(self, name, args):
        """Ask the core for `name` and return its answer.

        :param args: fields by name; those that are None are left out.
        :raise CoreError: where the answer is an error.
        """
        if os.getpid() != self._owner:
            raise CoreError("fork", "speak to the core: only the process that runs the test can, not its children")
        answer = queue.SimpleQueue()
        with self._send_lock:
            self._last_id += 1
            number = self._last_id
            self._waiting[number] = answer
            try:
                self._send({"id": number, "call": name, "args": {k: v for k, v in args.items() if v is not None}})
            except BaseException:
                del self._waiting[number]
                raise
        message = answer.get()
        if "error" not in message:
            return message.get("ok")
        error = message["error"]
        raise CoreError(error.get("kind", "unknown"), error.get("message", ""), error.get("data"))

    def note(self, name, **fields):
        """Tell the core something that has no answer. A child of the test's process has nothing to tell."""
        if os.getpid() == self._owner:
            with self._send_lock:
                self._send({"note": name, **fields})

    def close(self):
        """End the conversation: the core reads the end of the stream after the last note."""
        self._closed = True
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # the core has closed already
        self._socket.close()  # the reader keeps its own half until the core closes, too

    def _send(self, message):
        try:
            text = json.dumps(message, ensure_ascii=False, allow_nan=False, default=_plain)
        except ValueError as error:
            raise CoreError("argument", f"say this to the core: {error}") from error
        line = text.encode("utf-8", "replace") + b"\n"
        if len(line) > LINE_LIMIT:
            raise CoreError("argument", f"say this to the core: {len(line)} bytes are more than {LINE_LIMIT}")
        try:
            self._socket.sendall(line)
        except OSError as error:
            self._on_lost(f"closed the connection ({error.strerror})")
            raise

    def _read_answers(self):
        reason = "closed the connection"
        try:
            with self._lines:
                while line := self._lines.readline(LINE_LIMIT):
                    message = json.loads(line)
                    waiting = self._waiting.pop(message.get("id"), None)
                    if waiting is not None:
                        waiting.put(message)
        except (OSError, ValueError) as error:
            reason = f"cannot be understood: {error}"
        if not self._closed:
            self._on_lost(reason)


def _end_process(reason):
    print(f"virttest: the core {reason} before the test ended", file=sys.__stderr__, flush=True)
    os._exit(EXIT_LOST)


def _plain(value):
    """Turn what JSON does not know into something that it does."""
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "replace")
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    return str(value)
