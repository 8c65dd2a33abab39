"""Exceptions of a test's background threads. Any that is left here when the body ends makes the test an ERROR."""

import queue

from virttest import absent

__getattr__ = absent(__name__)

#: Threads put ``sys.exc_info()`` or an exception here.
error_events_bus = queue.Queue()


def drain():
    """Take everything out and return it as lines of text."""
    lines = []
    while not error_events_bus.empty():
        entry = error_events_bus.get_nowait()
        error = entry[1] if isinstance(entry, tuple) and len(entry) == 3 else entry
        lines.append(f"{type(error).__name__}: {error}" if isinstance(error, BaseException) else str(error))
    return lines
