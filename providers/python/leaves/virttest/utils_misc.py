"""Small things that tests need everywhere and that need only the host."""

import os
import random
import socket
import string
import threading
import time

from avocado.utils.wait import wait_for
from virttest import absent
from virttest.utils_numeric import align_value, normalize_data_size

__all__ = ["align_value", "normalize_data_size", "wait_for"]

__getattr__ = absent(__name__)

_log_lock = threading.Lock()


# Names.


def generate_random_string(length, ignore_str=string.punctuation, convert_str=""):
    """Return `length` random letters and digits; characters of `ignore_str` never occur.

    Characters of `convert_str` get a backslash before them.
    """
    alphabet = [char for char in string.ascii_letters + string.digits + string.punctuation if char not in ignore_str]
    text = "".join(random.choice(alphabet) for _ in range(length))
    return "".join("\\" + char if char in convert_str else char for char in text)


def generate_random_id():
    """Return a random name that QEMU takes as an id."""
    return "id" + generate_random_string(6)


def generate_tmp_file_name(file_name, ext=None, directory="/tmp/"):
    """Return the path of a file in `directory` that does not exist yet."""
    while True:
        name = f"{file_name}-{time.strftime('%Y%m%d-%H%M%S')}-{generate_random_string(4)}"
        path = os.path.join(directory, f"{name}.{ext}" if ext else name)
        if not os.path.exists(path):
            return path


# Ports. One that is free now may be taken later: machines get theirs from the core, without that race.


def is_port_free(port, address="localhost"):
    """Whether nobody listens on `port` of `address`, and it could be listened on."""
    for family, kind, protocol, _, where in socket.getaddrinfo(address, port, type=socket.SOCK_STREAM):
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(where)
            except OSError:
                return False
    return True


def find_free_port(start_port=5900, end_port=65530, address="localhost", sequent=False):
    """Return a free port from `start_port` up to, not with, `end_port`; None where there is none."""
    ports = find_free_ports(start_port, end_port, 1, address, sequent)
    return ports[0] if ports else None


def find_free_ports(start_port=5900, end_port=65530, count=1, address="localhost", sequent=False):
    """Return `count` free ports, in order where `sequent`, else at random; fewer where there are fewer."""
    candidates = list(range(int(start_port), int(end_port)))
    if not sequent:
        random.shuffle(candidates)
    found = []
    for port in candidates:
        if is_port_free(port, address):
            found.append(port)
            if len(found) == count:
                break
    return found


# Programs of QEMU.


def get_qemu_binary(params):
    """The QEMU in use."""
    return params.get("qemu_binary") or _program("binary")


def get_qemu_img_binary(params):
    """The ``qemu-img`` in use."""
    return params.get("qemu_img_binary") or _program("img")


def get_qemu_io_binary(params):
    """The ``qemu-io`` in use."""
    return params.get("qemu_io_binary") or _program("io")


def _program(which):
    from virttest import runner

    return runner.qemu_programs()[which]


# Files.


def get_path(base_path, user_path):
    """Return `user_path`, taken as relative to `base_path` where it is not absolute."""
    return os.path.join(base_path, user_path)


def make_dirs(dir_name, session=None):
    """Make a folder and those above it, on the host, or in a guest where a session is given."""
    if session is None:
        os.makedirs(dir_name, exist_ok=True)
    else:
        session.cmd(f"mkdir -p {dir_name}")


def safe_rmdir(path, timeout=10, session=None):
    """Remove a folder with all that is in it; try again for `timeout` seconds while something is still written."""
    if session is not None:
        return session.cmd_status(f"rm -rf {path}") == 0
    import shutil

    end = time.monotonic() + timeout
    while True:
        try:
            shutil.rmtree(path)
            return True
        except FileNotFoundError:
            return True
        except OSError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.1)


def log_line(filename, line):
    """Append a line to a file, which is beside the test's log where `filename` is relative."""
    from virttest import data_dir

    path = os.path.join(data_dir.get_log_dir(), filename)
    with _log_lock, open(path, "a", encoding="utf-8") as log:
        log.write(line if line.endswith("\n") else line + "\n")


def find_substring(text, pattern1, pattern2=None):
    """Return what the first group, or all, of `pattern1` matches in `text`; else the same for `pattern2`; else None."""
    import re

    for pattern in filter(None, (pattern1, pattern2)):
        match = re.search(pattern, text)
        if match:
            return match.group(1) if match.groups() else match.group(0)
    return None


# Processes and threads.


def kill_process_tree(pid, sig=9, send_sigcont=True, timeout=0):
    """Send a signal to a process and to all below it; whether all are gone within `timeout` seconds."""
    import signal

    tree = [pid, *_descendants(pid)]
    for target in tree:
        for one in (sig, *((signal.SIGCONT,) if send_sigcont else ())):
            try:
                os.kill(target, one)
            except ProcessLookupError:
                pass
    return bool(wait_for(lambda: not any(os.path.exists(f"/proc/{target}") for target in tree), timeout, step=0.1))


def _descendants(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as children:
            direct = [int(child) for child in children.read().split()]
    except OSError:
        return []
    return [process for child in direct for process in (child, *_descendants(child))]


class InterruptedThread(threading.Thread):
    """A thread whose exception comes out of :meth:`join`, and whose value does too."""

    def __init__(self, target, args=(), kwargs=None):
        super().__init__(name=getattr(target, "__name__", "test"), daemon=True)
        self._work = (target, args, kwargs or {})
        self._value = None
        self._error = None

    def run(self):
        target, args, kwargs = self._work
        try:
            self._value = target(*args, **kwargs)
        except BaseException as error:
            self._error = error

    def join(self, timeout=None, suppress_exception=False):
        """Wait for the end; return the value, or raise what was raised, unless told not to."""
        super().join(timeout)
        error, self._error = self._error, None
        if error is not None and not suppress_exception:
            raise error
        return self._value


def parallel(targets):
    """Call functions at the same time, each given alone or as ``(function, args, kwargs)``; return their values."""
    threads = [InterruptedThread(*(target if isinstance(target, (tuple, list)) else (target,))) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        threading.Thread.join(thread)
    return [thread.join() for thread in threads]
