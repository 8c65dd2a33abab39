"""Waiting for a condition."""

import time


def wait_for(func, timeout, first=0.0, step=1.0, text=None, args=None, kwargs=None):
    """Call `func` every `step` seconds until it returns something true; return that, or None after `timeout` seconds.

    :param first: seconds to wait before the first call.
    :param text: logged before every call.
    """
    args, kwargs = args or [], kwargs or {}
    end = time.monotonic() + timeout
    time.sleep(first)
    while True:
        if text:
            import logging

            logging.getLogger("avocado.test").debug("%s (%.1f s left)", text, end - time.monotonic())
        value = func(*args, **kwargs)
        if value:
            return value
        if time.monotonic() >= end:
            return None
        time.sleep(min(step, max(end - time.monotonic(), 0)))
