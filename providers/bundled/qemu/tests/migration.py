from provider_lib.guest_marks import GuestMarks
from virttest import error_context


@error_context.context_aware
def run(test, params, env):
    """
    Migrate a running guest to another QEMU on this host:

    1) Log in and set marks: files in memory and on the disk, a process that goes on counting.
    2) Set the speed of the migration, where 'mig_speed' is given.
    3) Migrate over 'migration_protocol'.
    4) Log in again and check that the guest is the same and never stopped.

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
    session.close()

    mig_speed = params.get("mig_speed")
    if mig_speed:
        error_context.context("setting the speed to %s" % mig_speed, test.log.info)
        set_speed(test, vm, mig_speed)

    protocol = params.get("migration_protocol", "tcp")
    error_context.context("migrating over %s" % protocol, test.log.info)
    vm.migrate(
        timeout=params.get_numeric("mig_timeout", 3600, float),
        protocol=protocol,
        migration_exec_cmd_src=params.get("migration_exec_cmd_src"),
        migration_exec_cmd_dst=params.get("migration_exec_cmd_dst"),
    )

    error_context.context("looking at the guest after the migration", test.log.info)
    vm.verify_alive()
    vm.verify_status("running")
    session = vm.wait_for_login(timeout=login_timeout)
    marks.verify_same_boot(test, session)
    session.close()


def set_speed(test, vm, mig_speed):
    """Set how many bytes a second the migration may send, and check that QEMU took it."""
    default = vm.monitor.get_migrate_parameter("max-bandwidth")
    vm.monitor.migrate_set_speed(mig_speed)
    now = vm.monitor.get_migrate_parameter("max-bandwidth")
    test.log.info("migration speed: %s bytes/s, was %s", now, default)
    if now == default:
        test.fail("setting the migration speed to %s changed nothing: it is %s bytes/s" % (mig_speed, now))
