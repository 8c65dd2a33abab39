"""From the start message to the verdict: one test, once."""

import importlib.util
import logging
import os
import sys

import virttest
from virttest import core, data_dir
from virttest.test_object import Test
from virttest.utils_env import Env
from virttest.utils_params import Params
from virttest.verdict import Verdict, judge
from vtbuild_host import layers

LOG = logging.getLogger("avocado.virttest.runner")

_LOG_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-5s %(name)s| %(message)s"

#: A test that ended so did not stumble over a name that is not here.
_CONCLUSIVE = ("PASS", "SKIP", "CANCEL")

_programs = {}


def qemu_programs():
    """The paths of QEMU's programs, by ``binary``, ``img`` and ``io``."""
    return _programs


def main():
    """Serve the core that started this process; return the process's exit status."""
    connection = core.Connection.from_environment()
    if connection is None:
        print(f"virttest: {core.FD_VARIABLE} names no socket; vtbuild starts this program", file=sys.stderr)
        return core.EXIT_NOT_STARTED
    start = connection.read_start()
    if start is None:
        print("virttest: the core closed the connection before it named a test", file=sys.stderr)
        return core.EXIT_LOST
    if start.get("protocol") != core.PROTOCOL:
        reason = f"the test host speaks protocol {core.PROTOCOL}, the core speaks {start.get('protocol')}"
        _send_verdict(connection, Verdict("ERROR", reason), [], {"keys": {}, "scans": [], "all": False})
        return core.EXIT_LOST
    core.use(connection)
    connection.listen()
    serve(connection, start)
    _leave()
    return 0


def serve(connection, start):
    """Run the test that `start` describes and send its verdict."""
    _set_up_log(start["log"])
    _programs.update(start.get("qemu", {}))
    data_dir.configure(start["dirs"], start.get("deps_dirs", []), start.get("module_paths", []))
    params = Params(start["params"])
    folders = _extend_path(start)
    test = Test(start["name"], params, start["dirs"], start["log"])
    env = _make_env(start, params)
    verdict = _run_modules(start["modules"], test, params, env)
    verdict = _run_exit_functions(verdict, params, env)
    sys.stdout.flush()
    _send_verdict(connection, verdict, loaded_files(folders), params.reads.report())


def _send_verdict(connection, verdict, modules, reads):
    missing = [] if verdict.status in _CONCLUSIVE else virttest.missed
    fields = verdict.fields()
    connection.note("verdict", **fields, modules=modules, deps=data_dir.used_deps(), reads=reads, missing=missing)
    connection.close()


def _leave():
    """Make sure that the interpreter can end: a thread that the test left running must not hold it."""
    import threading

    left = [
        thread.name for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()
    ]
    if left:
        LOG.warning("the test left threads running: %s", ", ".join(left))
        logging.shutdown()
        os._exit(0)


# Log.


class _LogLines:
    """A text stream whose lines go to a logger: what a test prints belongs to its log."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, logger, level):
        self._logger = logger
        self._level = level
        self._rest = ""

    def write(self, text):
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._logger.log(self._level, "%s", line)
        return len(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        if self._rest:
            rest, self._rest = self._rest, ""
            self._logger.log(self._level, "%s", rest)

    def isatty(self):
        return False

    def writable(self):
        return True


class _LogFile(logging.FileHandler):
    """The log; where a line cannot be written to it, that is told on the process's own standard error."""

    def handleError(self, record):
        stream, sys.stderr = sys.stderr, sys.__stderr__
        try:
            super().handleError(record)
        finally:
            sys.stderr = stream


def _set_up_log(path):
    handler = _LogFile(path, mode="a", encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter(_LOG_FORMAT, "%Y-%m-%d %H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    sys.stdout = _LogLines(logging.getLogger("stdout"), logging.DEBUG)
    sys.stderr = _LogLines(logging.getLogger("stderr"), logging.WARNING)


# The test's world.


def _extend_path(start):
    """Put the provider's folders on ``sys.path`` and return all folders that belong to it."""
    own = [os.path.dirname(os.path.abspath(module["path"])) for module in start["modules"]]
    folders = list(dict.fromkeys([*start.get("module_paths", []), *own]))
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    return folders


def _make_env(start, params):
    env = Env()
    for machine in start.get("vms", []):
        view = params.object_params(machine["name"])
        given = machine.get("params") or {}
        view.update({key: value for key, value in given.items() if dict.get(view, key) != value})
        env.create_vm("qemu", None, machine["name"], view, start["dirs"].get("bindir"))
    params.reads.forget()  # making these views was the host's question, not the test's
    return env


def loaded_files(folders):
    """The absolute paths of all modules that were loaded from `folders`, sorted."""
    roots = tuple(os.path.join(os.path.abspath(folder), "") for folder in folders)
    files = set()
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and os.path.abspath(path).startswith(roots):
            files.add(os.path.abspath(path))
    return sorted(files)


# The test.


def _run_modules(modules, test, params, env):
    try:
        layers.enter()
        for module in modules:
            run = _load(module["name"], module["path"])
            LOG.info("running %s (%s)", module["name"], module["path"])
            run(test, params, env)
        test.verify_background_errors()
    except BaseException as error:
        _log_error(error)
        return judge(error, _HOST_FILES)
    return Verdict()


def _load(name, path):
    """Load the file `path` as the module `name`, where it stands, and return its function ``run``."""
    from avocado.core.exceptions import TestError

    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    run = getattr(module, "run", None)
    if not callable(run):
        raise TestError(f"{path} defines no function run(test, params, env)")
    return run


#: Frames of these files say nothing about a test.
_HOST_FILES = (
    __file__,
    importlib.util.__file__,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
)


def _log_error(error):
    from virttest.error_context import exception_context

    steps = exception_context(error)
    if steps:
        LOG.error("during: %s", steps)
    verdict = judge(error, _HOST_FILES)
    LOG.error("%s: %s", verdict.status, verdict.reason)
    for line in verdict.traceback.splitlines():
        LOG.error("%s", line)


def _run_exit_functions(verdict, params, env):
    funcatexit = sys.modules.get("virttest.funcatexit")
    if funcatexit is None:
        return verdict  # the test never asked for it
    failures = funcatexit.run_exitfuncs(env, dict.get(params, "type"))
    return verdict.then("WARN", f"after the test: {failures}") if failures else verdict
