from virttest import error_context


@error_context.context_aware
def run(test, params, env):
    """
    Boot a guest and use it:

    1) Start the guest.
    2) Log in over ssh.
    3) Check that the shell runs commands, and that the kernel did not complain on the serial port.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    timeout = float(params.get("login_timeout", 240))

    error_context.context("logging in", test.log.info)
    session = vm.wait_for_login(timeout=timeout)

    error_context.context("running commands", test.log.info)
    test.log.info("guest kernel: %s", session.cmd("uname -a").strip())
    if session.cmd_status("false") == 0:
        test.fail("the guest's shell says that 'false' succeeded")
    session.close()
    vm.verify_kernel_crash()
