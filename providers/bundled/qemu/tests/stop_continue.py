import time

from virttest import error_context


@error_context.context_aware
def run(test, params, env):
    """
    Stop a guest's processors and let them go on:

    1) Log in: the shell answers.
    2) Stop: QEMU says 'paused', and the shell does not answer.
    3) Continue: QEMU says 'running', and one can log in to the same boot again.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    timeout = float(params.get("login_timeout", 240))
    session = vm.wait_for_login(timeout=timeout)
    boot_id = session.cmd("cat /proc/sys/kernel/random/boot_id")

    error_context.context("stopping the guest", test.log.info)
    vm.pause()
    vm.verify_status("paused")
    if session.is_responsive(timeout=5):
        test.fail("the shell still answers although the guest is stopped")
    time.sleep(params.get_numeric("wait_resume_timeout", 5, float))

    error_context.context("letting the guest go on", test.log.info)
    vm.resume()
    vm.verify_status("running")
    session.close()
    session = vm.wait_for_login(timeout=timeout)
    if session.cmd("cat /proc/sys/kernel/random/boot_id") != boot_id:
        test.fail("the guest was rebooted meanwhile")
    session.close()
