from virttest import error_context


@error_context.context_aware
def run(test, params, env):
    """
    Shut a guest down:

    1) Log in: the guest is up.
    2) Shut down, by 'shutdown_command' in the guest or by the power button ('shutdown_method').
    3) Wait until the machine is off.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    timeout = float(params.get("login_timeout", 240))
    session = vm.wait_for_login(timeout=timeout)

    method = params.get("shutdown_method", "shell")
    error_context.context("shutting down (%s)" % method, test.log.info)
    if method == "shell":
        session.sendline(params["shutdown_command"])
    elif method == "system_powerdown":
        vm.monitor.system_powerdown()
    else:
        test.error("shutdown_method is %s; known are shell and system_powerdown" % method)

    error_context.context("waiting for the machine to be off", test.log.info)
    shutdown_timeout = params.get_numeric("shutdown_timeout", 240, float)
    if not vm.wait_for_shutdown(shutdown_timeout):
        test.fail("the machine is still on after %d s" % shutdown_timeout)
    session.close()
