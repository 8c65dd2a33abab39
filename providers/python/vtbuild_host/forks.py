"""What forked children of a test take note of, told to the process that sends the verdict.

A child has its parent's memory, and what it adds to it nobody else sees. So it writes down each note at once, one line to a
file in memory that all of them share; the parent reads the file when it is asked. What a child notes after the verdict is
lost, and has no part in it.
"""

import json
import os

_CHUNK = 1 << 20

#: The file in memory: its descriptor, and the process that has it.
_shared = None
_in_child = False
_count = 0


class Notes:
    """Texts, each once, in order: a set to which forked children of this process add as well."""

    def __init__(self):
        global _count
        _count += 1  # a child, which has the same objects, calls them by the same numbers
        self._number = _count
        self._own = {}

    def add(self, text):
        """Take note of `text`."""
        if text not in self._own:
            self._own[text] = True
            if _in_child:
                _tell([self._number, text])

    def clear(self):
        """Forget what this process noted."""
        self._own.clear()

    def __contains__(self, text):
        return text in self._own

    def __iter__(self):
        theirs = (text for number, text in _told() if number == self._number)
        return iter({**self._own, **dict.fromkeys(theirs, True)})


def share():
    """From now on children of this process tell it what they note."""
    global _shared
    if _shared is None:
        _shared = os.memfd_create("notes"), os.getpid()
        os.register_at_fork(after_in_child=_begin_child)


def in_child():
    """Whether this process is a forked child of the test."""
    return _in_child


def _begin_child():
    global _in_child
    _in_child = True


def _tell(note):
    descriptor, owner = _shared
    try:
        # The child's own descriptor may be closed, or by now that of something else.
        file = os.open(f"/proc/{owner}/fd/{descriptor}", os.O_WRONLY | os.O_APPEND)
    except OSError:
        return  # the test is gone, and with it who would ask
    try:
        os.write(file, json.dumps(note).encode() + b"\n")
    finally:
        os.close(file)


def _told():
    if _shared is None:
        return
    lines, at = b"", 0
    while chunk := os.pread(_shared[0], _CHUNK, at):
        lines, at = lines + chunk, at + len(chunk)
    for line in lines.splitlines():
        yield json.loads(line)
