"""The small part of the ``avocado`` package that tests of a provider use beside ``virttest``.

Only what stands here exists: the exceptions that decide a test's status, the decorators ``fail_on`` and ``cancel_on``,
and the helpers in :mod:`avocado.utils`. Asking for more is an error that names what is missing.
"""

from functools import wraps

from vtbuild_host import layers

layers.extend(__path__, "avocado")

from avocado.core.exceptions import TestCancel, TestError, TestFail  # noqa: E402  its folder must be known first

__all__ = ["TestCancel", "TestError", "TestFail", "cancel_on", "fail_on"]


def _raise_instead(outcome, exceptions):
    """Make a decorator that turns `exceptions`, raised by the function, into `outcome`."""

    def decorate(function):
        @wraps(function)
        def call(*args, **kwargs):
            try:
                return function(*args, **kwargs)
            except exceptions as error:
                raise outcome(str(error)) from error

        return call

    return decorate


def _decorator(outcome, exceptions):
    """Allow both ``@fail_on`` and ``@fail_on(ValueError)`` / ``@fail_on((A, B))``."""
    if callable(exceptions) and not isinstance(exceptions, type):
        return _raise_instead(outcome, Exception)(exceptions)
    return _raise_instead(outcome, exceptions or Exception)


def fail_on(exceptions=None):
    """Decorate a function: these exceptions (all, where none is named) mean FAIL."""
    return _decorator(TestFail, exceptions)


def cancel_on(exceptions=None):
    """Decorate a function: these exceptions (all, where none is named) mean CANCEL."""
    return _decorator(TestCancel, exceptions)


def __getattr__(name):
    from virttest import missing

    raise missing(f"avocado.{name}")
