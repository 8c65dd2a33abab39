"""From the start message to the verdict: one test, once."""

import os
import sys

import virttest
from virttest import core, data_dir
from virttest.test_object import Test
from virttest.utils_env import Env
from virttest.utils_params import Params
from vtbuild_host import layers, places, programs, stage
from vtbuild_host.verdict import Verdict

LOG = stage.LOG
stage.is_of_the_host(__file__)

#: A test that ended so did not stumble over a name that is not here.
_CONCLUSIVE = ("PASS", "SKIP", "CANCEL")

_programs = {}


def qemu_programs():
    """The paths of QEMU's programs, by ``binary``, ``img`` and ``io``."""
    return _programs


def preload():
    """Import what many tests import. It sees folders that are replaced for each test."""
    with places.unsettled() as root:
        folders = {name: os.path.join(root, name) for name in data_dir.FOLDERS}  # the temporary one is there
        places.stand_in(folders)
        data_dir.configure(folders, [])
        layers.preload()


def main():
    """Serve the core that started this process; return the process's exit status."""
    return stage.converse(serve)


def serve(connection, start):
    """Run the test that `start` describes and send its verdict."""
    core.use(connection)
    stage.set_up_log(start["log"])
    _programs.update(start.get("qemu", {}))
    if layers.UPSTREAM:
        programs.offer("aexpect_helper", start["dirs"]["tmpdir"])
    data_dir.configure(
        start["dirs"], start.get("deps_dirs", []), start.get("module_paths", []), start.get("deps_builds", [])
    )
    places.put_in_place(start["dirs"])
    params = Params(start["params"])
    folders = stage.extend_path(start)
    test = Test(start["name"], params, start["dirs"], start["log"])
    env = _make_env(start, params)
    verdict = _run_modules(start, test, params, env)
    verdict = _run_exit_functions(verdict, params, env)
    stage.send_verdict(
        connection,
        verdict,
        modules=stage.loaded_files(folders),
        deps=data_dir.used_deps(),
        reads=params.reads.report(),
        missing=[] if verdict.status in _CONCLUSIVE else virttest.missed,
    )


# The test's world.


def _make_env(start, params):
    env = Env()
    for machine in start.get("vms", []):
        view = params.object_params(machine["name"])
        given = machine.get("params") or {}
        view.update({key: value for key, value in given.items() if dict.get(view, key) != value})
        env.create_vm("qemu", None, machine["name"], view, start["dirs"].get("bindir"))
    params.reads.forget()  # making these views was the host's question, not the test's
    return env


# The test.


def _run_modules(start, test, params, env):
    try:
        stage.limit(start.get("limits", {}))
        layers.enter()
        for module in start["modules"]:
            run = stage.load(module["name"], module["path"])
            LOG.info("running %s (%s)", module["name"], module["path"])
            run(test, params, env)
        test.verify_background_errors()
    except BaseException as error:
        return _log_error(error)
    return Verdict()


def _log_error(error):
    from virttest.error_context import exception_context

    steps = exception_context(error)
    if steps:
        LOG.error("during: %s", steps)
    return stage.log_error(error)


def _run_exit_functions(verdict, params, env):
    funcatexit = sys.modules.get("virttest.funcatexit")
    if funcatexit is None:
        return verdict  # the test never asked for it
    failures = funcatexit.run_exitfuncs(env, dict.get(params, "type"))
    return verdict.then("WARN", f"after the test: {failures}") if failures else verdict
