from virttest.qemu_monitor import QMPCmdError


def run(test, params, env):
    """
    Speak QMP with a running machine; the guest itself is not looked at:

    1) Commands have values: version, name, status.
    2) What is wrong is refused with the right error class: an unknown command, a missing or unknown argument.
    3) Stopping and continuing is told by events.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    monitors = vm.get_monitors_by_type("qmp")
    if not monitors:
        test.error("machine %s has no monitor that speaks QMP" % vm.name)
    monitor = monitors[0]

    version = monitor.query("version")["qemu"]
    test.log.info("QEMU %(major)s.%(minor)s.%(micro)s", version)
    for command in ("query-commands", "query-chardev", "query-migrate-parameters"):
        if not monitor.cmd(command):
            test.fail("%s returned nothing" % command)
    monitor.verify_supported_cmd("migrate")

    check_refused(test, monitor, "no-such-command", None, "CommandNotFound")
    check_refused(test, monitor, "device_del", None, "GenericError")
    check_refused(test, monitor, "query-status", {"no-such-argument": 1}, "GenericError")

    monitor.clear_events()
    for command, event, status in (("stop", "STOP", "paused"), ("cont", "RESUME", "running")):
        monitor.cmd(command)
        if monitor.wait_for_event(event, timeout=60) is None:
            test.fail("no event %s came within 60 s of %s" % (event, command))
        if not monitor.verify_status(status):
            test.fail("after %s the machine is %s, not %s" % (command, monitor.get_status()["status"], status))


def check_refused(test, monitor, command, arguments, error_class):
    """Fail unless QEMU refuses a command with this class of error."""
    try:
        value = monitor.cmd(command, arguments)
    except QMPCmdError as error:
        if error.data["class"] != error_class:
            test.fail("%s was refused with %s, not %s" % (command, error.data["class"], error_class))
        test.log.info("refused as it should be: %s", error)
    else:
        test.fail("%s with %s was not refused: it returned %r" % (command, arguments, value))
