"""Functions to be called when the test's body has ended, however it ended."""

import logging

from virttest import absent

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.funcatexit")


def _functions(env, test_type):
    return env.setdefault(f"{test_type}_atexit", [])


def register(env, test_type, func, *args, **kwargs):
    """Have ``func(*args, **kwargs)`` called at the end of a test of type `test_type`."""
    _functions(env, test_type).append((func, args, kwargs))


def unregister(env, test_type, func, *args, **kwargs):
    """Take one registration of just this call back, the last one. ValueError where there is none."""
    functions = _functions(env, test_type)
    del functions[len(functions) - 1 - functions[::-1].index((func, args, kwargs))]


def run_exitfuncs(env, test_type):
    """Call the registered functions, the last one first; return what failed as text, or an empty text."""
    failures = []
    functions = _functions(env, test_type)
    while functions:
        func, args, kwargs = functions.pop()
        try:
            func(*args, **kwargs)
        except Exception as error:
            LOG.exception("function at exit failed: %r", func)
            name = getattr(func, "__name__", repr(func))
            failures.append(f"{name}: {type(error).__name__}: {error}")
    return "; ".join(failures)
