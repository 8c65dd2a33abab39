from virttest import error_context

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"


@error_context.context_aware
def run(test, params, env):
    """
    Reboot a guest:

    1) Log in and read the boot id, which the kernel makes anew at every boot.
    2) Reboot, by a command in the guest or by the reset button ('reboot_method').
    3) Log in again: the boot id must be another one. Do this 'reboot_count' times.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    timeout = float(params.get("login_timeout", 240))
    session = vm.wait_for_login(timeout=timeout)

    for number in range(1, params.get_numeric("reboot_count", 1) + 1):
        error_context.context("reboot %d" % number, test.log.info)
        before = session.cmd(BOOT_ID).strip()
        session = vm.reboot(session, params.get("reboot_method", "shell"), timeout=timeout)
        after = session.cmd(BOOT_ID).strip()
        if before == after:
            test.fail("the guest was not rebooted: its boot id is still %s" % before)
    session.close()
