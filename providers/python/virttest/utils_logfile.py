"""Logs that helpers write line by line, beside the test's own log."""

import os
import re
import threading

from virttest import absent, data_dir

__getattr__ = absent(__name__)

_lock = threading.RLock()
_files = {}
_folder = None


class LogLockError(Exception):
    """A log is written to by somebody else for too long."""


def set_log_file_dir(directory):
    """Say where relative names are from now on."""
    global _folder
    _folder = directory


def get_log_file_dir():
    """Where relative names are: beside the test's log."""
    return _folder or data_dir.get_log_dir()


def get_log_filename(filename):
    """The path of a log."""
    return os.path.realpath(os.path.join(get_log_file_dir(), filename))


def log_line(filename, line):
    """Append a line to a log."""
    path = get_log_filename(filename)
    with _lock:
        if path not in _files:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            # It stays open for the lines that follow, and is flushed with each.
            _files[path] = open(path, "a", encoding="utf-8", errors="replace")  # noqa: SIM115
        _files[path].write(line if line.endswith("\n") else line + "\n")
        _files[path].flush()


def close_log_file(filename="*"):
    """Close a log, or all of them."""
    wanted = None if filename == "*" else get_log_filename(filename)
    with _lock:
        for path in [path for path in _files if wanted in (None, path)]:
            _files.pop(path).close()


def close_own_log_file(log_file):
    """Make a method that closes this log, for objects that have one."""

    def close(self):
        close_log_file(log_file)

    return close


def clear_log_file(log_file_name, log_dir=None):
    """Empty a log."""
    with open(os.path.join(log_dir or get_log_file_dir(), log_file_name), "w", encoding="utf-8"):
        pass


def get_match_count(file_path, key_message, encoding="ISO-8859-1"):
    """How often a regular expression is found in a file."""
    with open(file_path, encoding=encoding) as log:
        return len(re.findall(key_message, log.read()))
