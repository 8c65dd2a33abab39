"""The guest's clocks agree with each other and with the host's: programs of the test's own look at them."""

import os
import time

from virttest import data_dir, error_context, remote_build


@error_context.context_aware
def run(test, params, env):
    """
    Bring two programs of the test's own into the guest and compare its clocks with them.

    :param params: `drift_readings` of the clocks are taken, `drift_interval` milliseconds apart; two clocks may differ
        by `drift_threshold` percent.
    """
    readings, interval = int(params["drift_readings"]), int(params["drift_interval"])
    threshold = float(params["drift_threshold"])
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    session = vm.wait_for_login(timeout=int(params.get("login_timeout", 240)))

    error_context.context("bringing clktest and get_tsc into the guest", test.log.info)
    builder = remote_build.Builder(params, vm.get_address(0), data_dir.get_deps_dir("timedrift"))
    path = builder.build()

    error_context.context("reading the time stamp counter", test.log.info)
    get_tsc = os.path.join(path, "get_tsc")
    before, after = int(session.cmd_output(get_tsc)), int(session.cmd_output(get_tsc))
    if after <= before:
        test.fail(f"the time stamp counter went back from {before} to {after}")

    error_context.context("comparing the guest's clocks", test.log.info)
    clktest = f"{os.path.join(path, 'clktest')} {readings} {interval}"
    began = time.monotonic()
    lines = session.cmd(clktest, timeout=60 + 10 * readings * interval / 1000).splitlines()
    host = time.monotonic() - began
    realtime, monotonic, raw = (int(word) / 1e9 for word in lines[-1].split())
    test.log.info("host %.2f s, guest: realtime %.2f s, monotonic %.2f s, raw %.2f s", host, realtime, monotonic, raw)
    for name, clock in (("wall clock", realtime), ("raw clock", raw)):
        drift = abs(clock - monotonic) / monotonic * 100
        if drift > threshold:
            test.fail(f"the {name} differs from the monotonic clock by {drift:.1f} %, more than {threshold} %")
    # The host also waits for the shell: it can only have measured more.
    if monotonic > host * (1 + threshold / 100):
        test.fail(f"the guest counted {monotonic:.2f} s while {host:.2f} s passed on the host")
