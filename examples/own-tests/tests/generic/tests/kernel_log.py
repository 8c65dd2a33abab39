"""The guest's kernel has nothing serious to say."""


def run(test, params, env):
    """
    Boot a guest and look through its kernel log.

    1) Log in.
    2) Read the messages of level `err` and worse.
    3) Fail if there is one that is not expected.

    :param test: The test object: fail(), cancel(), log, debugdir.
    :param params: Dictionary with the variant's parameters.
    :param env: The machines of this test.
    """
    vm = env.get_vm(params["main_vm"])
    vm.verify_alive()
    session = vm.wait_for_login(timeout=float(params.get("login_timeout", 240)))
    try:
        lines = session.cmd("dmesg --level=err,crit,alert,emerg").splitlines()
        test.log.info("%d serious lines", len(lines))
        expected = params.objects("expected_words")
        serious = [line for line in lines if not any(word in line for word in expected)]
        if serious:
            test.fail("the guest's kernel says: %s" % serious[0])
    finally:
        session.close()
