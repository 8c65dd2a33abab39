"""What a test raises to end with a status other than PASS.

Every class carries the status that it means in its attribute ``status``. An exception of any other class is an ERROR.
"""


class TestBaseException(Exception):
    """The root of all exceptions that carry a status."""

    status = "ERROR"


class TestError(TestBaseException):
    """The test could not be carried out: neither passed nor failed."""

    status = "ERROR"


class TestSetupFail(TestBaseException):
    """What the test needs could not be prepared."""

    status = "ERROR"


class TestAbortError(TestBaseException):
    """The test ended itself before its end."""

    status = "ERROR"


class TestFail(TestBaseException, AssertionError):
    """What is tested does not behave as it should."""

    status = "FAIL"


class TestWarn(TestBaseException):
    """The test passed, and something deserves a look."""

    status = "WARN"


class TestSkipError(TestBaseException):
    """The test does not apply here."""

    status = "SKIP"


class TestCancel(TestBaseException):
    """The test found in the middle of its work that it does not apply here."""

    status = "CANCEL"


class TestInterrupt(TestBaseException):
    """Somebody stopped the test."""

    status = "INTERRUPTED"


class TestTimeoutInterrupted(TestInterrupt):
    """The test took longer than it may."""


class TestNotFoundError(TestBaseException):
    """There is no such test."""


#: The name of :class:`TestSkipError` in older tests.
TestNAError = TestSkipError


class JobBaseException(Exception):
    """Something is wrong with a run as a whole. Helpers import these names; nothing here raises them."""

    status = "ERROR"


class JobError(JobBaseException):
    """A run could not be carried out."""


class JobTestSuiteError(JobBaseException):
    """A run's tests could not be put together."""


class OptionValidationError(Exception):
    """An option has a value that it cannot have."""
