"""The first argument of ``run``: how a test ends itself, where it may write, and its log."""

import logging
import os

from avocado.core import exceptions
from virttest import core, missing
from vtbuild_host import layers

#: The folders of a test, as the start message names them.
FOLDERS = ("debugdir", "logdir", "outputdir", "tmpdir", "bindir", "srcdir", "workdir")


class Test:
    """One running test.

    ``debugdir`` and ``logdir`` are kept with the results, as is ``outputdir`` for files the test produces; ``tmpdir``
    and ``workdir`` are thrown away; ``bindir`` and ``srcdir`` are where the test itself stands.
    """

    def __init__(self, name, params, dirs, logfile=None):
        self.name = name
        self.params = params
        self.log = logging.getLogger("avocado.test")
        for folder in FOLDERS:
            setattr(self, folder, dirs.get(folder))
        # Helpers and tests look for scripts for the guest here; where upstream's packages are, these are upstream's.
        self.virtdir = os.path.join(layers.UPSTREAM, "virttest", "shared") if layers.UPSTREAM else self.bindir
        self.builddir = self.workdir
        self.resultsdir = self.logdir
        self.logfile = logfile
        self.iteration = 0
        self._whiteboard = ""

    def fail(self, msg=None):
        """End the test: what it tests does not behave as it should."""
        raise exceptions.TestFail(msg or "the test called test.fail()")

    def error(self, msg=None):
        """End the test: it could not be carried out."""
        raise exceptions.TestError(msg or "the test called test.error()")

    def cancel(self, msg=None):
        """End the test: it found that it does not apply here."""
        raise exceptions.TestCancel(msg or "the test called test.cancel()")

    def skip(self, msg=None):
        """End the test: it does not apply here."""
        raise exceptions.TestSkipError(msg or "the test called test.skip()")

    @property
    def whiteboard(self):
        """Text kept with the result."""
        return self._whiteboard

    @whiteboard.setter
    def whiteboard(self, text):
        self._whiteboard = str(text)
        core.note("whiteboard", text=self._whiteboard)

    @property
    def background_errors(self):
        """The queue into which background threads put their exceptions."""
        from virttest.error_event import error_events_bus

        return error_events_bus

    def verify_background_errors(self):
        """Raise TestError where a background thread reported an exception."""
        from virttest.error_event import drain

        errors = drain()
        if errors:
            raise exceptions.TestError("background: " + "; ".join(errors))

    def write_test_keyval(self, attributes):
        """Append ``name=value`` lines to the file ``keyval`` beside the test's log."""
        with open(os.path.join(self.resultsdir, "keyval"), "a", encoding="utf-8") as keyval:
            keyval.writelines(f"{key}={value}\n" for key, value in attributes.items())

    def __getattr__(self, name):
        if name.startswith("assert"):
            import unittest

            return getattr(unittest.TestCase(), name)
        raise missing(f"test.{name}")
