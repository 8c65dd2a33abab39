import time

from avocado.core.exceptions import TestWarn


def run(test, params, env):
    """
    End in the way that 'outcome' names, without any guest: for trying out what stands around a test.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    outcome = params.get("outcome", "pass")
    reason = "the self test was told to end so"
    test.log.info("ending with %s", outcome)
    time.sleep(params.get_numeric("sleep_time", 0, float))
    if outcome == "fail":
        test.fail(reason)
    elif outcome == "error":
        test.error(reason)
    elif outcome == "warn":
        raise TestWarn(reason)
    elif outcome == "skip":
        test.skip(reason)
    elif outcome == "cancel":
        test.cancel(reason)
    elif outcome == "crash":
        raise ZeroDivisionError(reason)
    elif outcome != "pass":
        test.error("outcome is %s; known are pass, fail, error, warn, skip, cancel and crash" % outcome)
