"""The world of a test under upstream's packages: its folders, and the object that stands for the test."""

import inspect
import logging
import os
import shlex
import unittest

from vtbuild_host import places
from vtbuild_host.deps import Deps


class World:
    """The folders of one test."""

    def __init__(self, start):
        """Put the folders of `start` where upstream's modules look for them."""
        from virttest import data_dir, utils_logfile

        self.dirs = start["dirs"]
        #: What the test asks for with ``data_dir.get_deps_dir``.
        self.deps = Deps.of(start)
        places.put_in_place(self.dirs)
        utils_logfile.set_log_file_dir(self.dirs["logdir"])
        data_dir.get_deps_dir = self.get_deps_dir
        self._keep_times()
        os.environ["LANG"] = "C"

    def test(self, start, params):
        """The first argument of ``run``."""
        return Test(start["name"], params, self.dirs)

    def _keep_times(self):
        """Have what was built arrive in a guest with its times, by which ``make`` sees that it has nothing to do."""
        from aexpect import remote

        copy = remote.remote_copy

        def remote_copy(command, *args, **kwargs):
            program, *words = shlex.split(command)
            if program == "scp" and any(self.deps.is_built(word) for word in words):
                command = command.replace("scp", "scp -p", 1)
            return copy(command, *args, **kwargs)

        remote.remote_copy = remote_copy

    def get_deps_dir(self, target=None):
        """As upstream's function of this name, for the file that calls."""
        from virttest.data_dir import MissingDepsDirError

        caller = inspect.currentframe().f_back.f_code.co_filename
        found = self.deps.find(caller, target)
        if found is None:
            raise MissingDepsDirError(self.deps.missing(caller, target))
        return found


class Test:
    """A test as upstream's functions and test modules use it."""

    def __init__(self, name, params, dirs):
        from avocado.core import exceptions
        from virttest import data_dir, error_event

        self._exceptions = exceptions
        self.name = name
        self.params = params
        self.log = logging.getLogger("avocado.test")
        self.logdir = self.debugdir = self.resultsdir = dirs["logdir"]
        self.outputdir = dirs["outputdir"]
        self.workdir = dirs["workdir"]
        self.tmpdir = dirs["tmpdir"]
        self.srcdir = dirs["srcdir"]
        self.bindir = data_dir.get_root_dir()
        self.virtdir = data_dir.get_shared_dir()
        self.builddir = os.path.join(self.workdir, "backends", params.get("vm_type", ""))
        self.logfile = os.path.join(self.logdir, "debug.log")
        self.iteration = 0
        self.timeout = None
        self.whiteboard = ""
        self.job = None
        self.status = None
        self.background_errors = error_event.error_events_bus
        self.background_errors.clear()
        self._config = {}

    def fail(self, msg=None):
        """FAIL."""
        raise self._exceptions.TestFail(msg)

    def error(self, msg=None):
        """ERROR."""
        raise self._exceptions.TestError(msg)

    def cancel(self, msg=None):
        """CANCEL."""
        raise self._exceptions.TestCancel(msg)

    def skip(self, msg=None):
        """SKIP."""
        raise self._exceptions.TestSkipError(msg)

    def verify_background_errors(self):
        """Raise TestError where a background thread reported an exception."""
        errors = self.background_errors.get_all()
        if errors:
            raise self._exceptions.TestError("background: " + "; ".join(str(error[1]) for error in errors))

    def write_test_keyval(self, keyval):
        """Append ``name=value`` lines to the file ``keyval`` beside the test's log."""
        with open(os.path.join(self.resultsdir, "keyval"), "a", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in keyval.items())

    def __getattr__(self, name):
        if name.startswith("assert"):
            return getattr(unittest.TestCase(), name)
        raise AttributeError(f"the object test has no {name}")
