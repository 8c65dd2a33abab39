"""The names of the ``aexpect`` package that tests catch and use.

Sessions themselves live in the core of vtbuild; a test gets them from a machine (``vm.wait_for_login()``). This package
holds the exceptions that they raise, and the class that they are instances of.
"""

from aexpect.exceptions import (
    ExpectError,
    ExpectProcessTerminatedError,
    ExpectTimeoutError,
    ShellCmdError,
    ShellError,
    ShellProcessTerminatedError,
    ShellStatusError,
    ShellTimeoutError,
)

__all__ = [
    "ExpectError",
    "ExpectProcessTerminatedError",
    "ExpectTimeoutError",
    "ShellCmdError",
    "ShellError",
    "ShellProcessTerminatedError",
    "ShellSession",
    "ShellStatusError",
    "ShellTimeoutError",
]


def __getattr__(name):
    if name == "ShellSession":
        from virttest.session import ShellSession

        return ShellSession
    from virttest import missing

    raise missing(f"aexpect.{name}")
