import os

from provider_lib.greeting import greeting
from virttest import data_dir


def run(test, params, env):
    """
    Use a library of the provider, and a file of its 'deps' folder.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    test.log.info(greeting("provider"))
    with open(os.path.join(data_dir.get_deps_dir("selftest"), "message.txt"), encoding="utf-8") as message:
        if "data_dir" not in message.read():
            test.fail("deps/selftest/message.txt is not the file that it should be")
