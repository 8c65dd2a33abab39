"""What a test is doing right now: a stack of steps, shown live, and told with an error that escapes.

``context("booting")`` names the step; a function under ``@context_aware`` has steps of its own, below those of its
caller, which are gone when it returns. Every thread has its own stack.
"""

import functools
import logging
import threading

from virttest import absent, core

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.error_context")

#: Between the steps of nested functions.
SEPARATOR = " --> "


class _Stack(threading.local):
    """Per function two texts: the base, and the step."""

    def __init__(self):
        self.levels = [["", ""]]


_stack = _Stack()


def get_context():
    """Return all steps of this thread in one line, outermost first."""
    return SEPARATOR.join(part for level in _stack.levels for part in level if part)


def context(s="", log=None):
    """Say what comes now; it replaces the step before. `log` is a function that is given the line, as ``LOG.info``."""
    _set(1, s, log)


def base_context(s="", log=None):
    """Say what this function is about; steps are shown behind it."""
    _set(0, s, log)


def _set(place, text, log):
    level = _stack.levels[-1]
    level[place] = text
    if place == 0:
        level[1] = ""
    if not text:
        return
    core.note("step", text=get_context())
    (log or LOG.debug)("Context: %s", get_context())


def context_aware(function):
    """Decorate a function that calls :func:`context`: its steps end with it, and go with an exception from it."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        _stack.levels.append(["", ""])
        try:
            return function(*args, **kwargs)
        except Exception as error:
            if not exception_context(error):
                set_exception_context(error, get_context())
            raise
        finally:
            _stack.levels.pop()

    return call


def exception_context(error):
    """Return the steps in which `error` was raised, or an empty text."""
    return getattr(error, "_context", "")


def set_exception_context(error, text):
    """Attach the steps in which `error` was raised."""
    error._context = text


def join_contexts(first, second):
    """Join two texts of steps; one that is empty is left out."""
    return SEPARATOR.join(part for part in (first, second) if part)
