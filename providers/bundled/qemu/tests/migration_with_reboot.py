from provider_lib.guest_marks import GuestMarks
from virttest import error_context, utils_misc


@error_context.context_aware
def run(test, params, env):
    """
    Migrate a guest to another QEMU on this host while it reboots:

    1) Log in and set marks.
    2) Have the guest reboot, and wait until its shell is gone: the reboot is under way.
    3) Migrate over 'migration_protocol'.
    4) Log in again and check that the guest did reboot, and that its disk is the same.

    :param test: QEMU test object.
    :param params: Dictionary with the test parameters.
    :param env: Dictionary with test environment.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    login_timeout = float(params.get("login_timeout", 240))

    error_context.context("setting marks in the guest", test.log.info)
    session = vm.wait_for_login(timeout=login_timeout)
    marks = GuestMarks(session)

    error_context.context("starting the reboot", test.log.info)
    session.sendline(params["reboot_command"])
    reboot_timeout = params.get_numeric("go_down_timeout", 120, float)
    if not utils_misc.wait_for(lambda: not session.is_responsive(timeout=5), reboot_timeout, step=0.2):
        test.error("the guest still answers %d s after %s" % (reboot_timeout, params["reboot_command"]))
    session.close()

    protocol = params.get("migration_protocol", "tcp")
    error_context.context("migrating over %s while the guest reboots" % protocol, test.log.info)
    vm.migrate(
        timeout=params.get_numeric("mig_timeout", 3600, float),
        protocol=protocol,
        migration_exec_cmd_src=params.get("migration_exec_cmd_src"),
        migration_exec_cmd_dst=params.get("migration_exec_cmd_dst"),
    )

    error_context.context("looking at the guest after reboot and migration", test.log.info)
    vm.verify_alive()
    session = vm.wait_for_login(timeout=login_timeout)
    marks.verify_rebooted(test, session)
    session.close()
