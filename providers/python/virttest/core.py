"""The connection to the core that the parts of the test host share.

How messages travel is in :mod:`vtbuild_host.wire`; what the core can be asked is in ``docs/host-protocol.md``.
"""

from vtbuild_host.wire import EXIT_LOST, EXIT_NOT_STARTED, FD_VARIABLE, PROTOCOL, Connection, CoreError

__all__ = [
    "EXIT_LOST",
    "EXIT_NOT_STARTED",
    "FD_VARIABLE",
    "PROTOCOL",
    "Connection",
    "CoreError",
    "call",
    "note",
    "use",
]

_current = None


def use(connection):
    """Make `connection` the one that :func:`call` and :func:`note` use."""
    global _current
    _current = connection


def call(name, /, **args):
    """Ask the core for `name`; errors become the classes that tests catch."""
    if _current is None:
        raise CoreError("not-started", f"{name} needs the core of vtbuild: this interpreter was not started by it")
    try:
        return _current.call(name, args)
    except CoreError as error:
        from virttest.error_kinds import to_exception

        raise to_exception(error, name, args) from None


def note(name, /, **fields):
    """Tell the core something, where there is one."""
    if _current is not None:
        _current.note(name, **fields)
