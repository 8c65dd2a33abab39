"""What is the same for every test, whichever packages it sees: the conversation, limits, the log, loading its modules."""

import importlib.util
import logging
import os
import sys

from vtbuild_host import files, wire
from vtbuild_host.verdict import Verdict, judge

LOG = logging.getLogger("avocado.virttest.runner")

_LOG_FORMAT = "%(asctime)s.%(msecs)03d %(levelname)-5s %(name)s| %(message)s"

#: What is said of a test that was not asked which parameters it reads.
NO_READS = {"keys": {}, "scans": [], "all": False}


# The conversation.


def converse(serve, connection=None):
    """Speak with the core that started this process; return the process's exit status.

    :param serve: does the test: is given the connection and the start message, and sends the verdict.
    :param connection: the connection to the core, where the environment does not name it.
    """
    connection = connection or wire.Connection.from_environment()
    if connection is None:
        print(f"virttest: {wire.FD_VARIABLE} names no socket; vtbuild starts this program", file=sys.stderr)
        return wire.EXIT_NOT_STARTED
    start = connection.read_start()
    if start is None:
        print("virttest: the core closed the connection before it named a test", file=sys.stderr)
        return wire.EXIT_LOST
    if start.get("protocol") != wire.PROTOCOL:
        reason = f"the test host speaks protocol {wire.PROTOCOL}, the core speaks {start.get('protocol')}"
        send_verdict(connection, Verdict("ERROR", reason))
        return wire.EXIT_LOST
    connection.listen()
    files.watch(start)
    serve(connection, start)
    _leave()
    return 0


def send_verdict(connection, verdict, modules=(), deps=(), reads=None, missing=()):
    """Say how the test ended, and end the conversation."""
    sys.stdout.flush()
    connection.note(
        "verdict",
        **verdict.fields(),
        modules=list(modules),
        deps=list(deps),
        reads=reads or NO_READS,
        missing=list(missing),
        files=files.report(),
    )
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


# The process.


def limit(limits):
    """Limit this process and all that it starts: ``{"nofile": 8192, "memlock": None}``, None being no limit.

    :raise OSError: where this user may not have so much.
    """
    if not limits:
        return
    import resource

    for name, value in limits.items():
        wanted = resource.RLIM_INFINITY if value is None else value
        try:
            resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (wanted, wanted))
        except (OSError, ValueError) as error:
            raise OSError(f"the limit {name} cannot be {'unlimited' if value is None else value}: {error}") from error


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


def set_up_log(path):
    """Have everything that is logged or printed written to the file `path`."""
    handler = _LogFile(path, mode="a", encoding="utf-8", errors="replace")
    handler.setFormatter(logging.Formatter(_LOG_FORMAT, "%Y-%m-%d %H:%M:%S"))
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    sys.stdout = _LogLines(logging.getLogger("stdout"), logging.DEBUG)
    sys.stderr = _LogLines(logging.getLogger("stderr"), logging.WARNING)


def log_error(error):
    """Write to the log what ended the test, and return the verdict on it."""
    verdict = judge(error, _HOST_FILES)
    LOG.error("%s: %s", verdict.status, verdict.reason)
    for line in verdict.traceback.splitlines():
        LOG.error("%s", line)
    return verdict


# The test's modules.


def extend_path(start):
    """Put the provider's folders on ``sys.path`` and return all folders that belong to it."""
    own = [os.path.dirname(os.path.abspath(module["path"])) for module in start["modules"]]
    folders = list(dict.fromkeys([*start.get("module_paths", []), *own]))
    sys.path[:0] = [folder for folder in folders if folder not in sys.path]
    return folders


def loaded_files(folders):
    """The absolute paths of all modules that were loaded from `folders`, here or by a forked child, sorted."""
    roots = tuple(os.path.join(os.path.abspath(folder), "") for folder in folders)
    paths = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    loaded = {os.path.abspath(path) for path in [*paths, *files.imported_by_children()] if path}
    return sorted(path for path in loaded if path.startswith(roots))


def load(name, path):
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
_HOST_FILES = [
    __file__,
    importlib.util.__file__,
    "<frozen importlib._bootstrap>",
    "<frozen importlib._bootstrap_external>",
]


def is_of_the_host(file):
    """Frames of `file`, at the outer end of a traceback, are not shown."""
    _HOST_FILES.append(file)
