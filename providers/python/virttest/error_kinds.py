"""From the core's error kinds to the exceptions that tests catch.

One row a kind; each makes an exception out of the answer and the call's arguments. The table in
``docs/host-protocol.md`` lists the same.
"""

from virttest.core import CoreError


def to_exception(error, call, args):
    """Return the exception that stands for `error`, the answer to `call` with `args`."""
    error.message = f"failed to {error.message}"  # the core says what it failed to do: "start machine vm1: …"
    make = _KINDS.get(error.kind)
    if make is None:
        from virttest.virt_vm import VMError

        return VMError(error.message)
    return make(error, call, args)


def _vm(name):
    """A class of virttest.virt_vm made from the message alone."""

    def make(error, call, args):
        from virttest import virt_vm

        return getattr(virt_vm, name)(error.message)

    return make


def _vm_create(error, call, args):
    from virttest.virt_vm import VMCreateError

    return VMCreateError(error.message, error.data.get("status"), error.data.get("output", ""))


def _remote(name):
    """A class of aexpect.remote that takes a message and an output."""

    def make(error, call, args):
        from aexpect import remote

        return getattr(remote, name)(error.message, error.data.get("output", ""))

    return make


def _login_timeout(error, call, args):
    from aexpect.remote import LoginTimeoutError

    return LoginTimeoutError(error.data.get("output", ""), error.message)


def _monitor(name):
    """A class of virttest.qemu_monitor made from the message alone."""

    def make(error, call, args):
        from virttest import qemu_monitor

        return getattr(qemu_monitor, name)(error.message)

    return make


def _monitor_command(error, call, args):
    from virttest.qemu_monitor import QMPCmdError

    data = {"class": "GenericError", "desc": error.message, **(error.data or {})}
    return QMPCmdError(args.get("command"), args.get("arguments"), data)


def _shell(name):
    """A class of aexpect that takes the command and its output."""

    def make(error, call, args):
        from aexpect import exceptions

        return getattr(exceptions, name)(args.get("command"), error.data.get("output", ""))

    return make


def _shell_died(error, call, args):
    from aexpect import exceptions

    status, output = error.data.get("status"), error.data.get("output", "")
    if call == "session.read_until":
        return exceptions.ExpectProcessTerminatedError(args.get("patterns"), status, output)
    return exceptions.ShellProcessTerminatedError(args.get("command") or args.get("text"), status, output)


def _expect_timeout(error, call, args):
    from aexpect.exceptions import ExpectTimeoutError

    return ExpectTimeoutError(args.get("patterns"), error.data.get("output", ""))


def _unsupported(error, call, args):
    from avocado.core.exceptions import TestSkipError

    return TestSkipError(error.message)


def _misunderstanding(error, call, args):
    return CoreError(error.kind, f"{call}: {error.message}", error.data)


_KINDS = {
    "address": _vm("VMAddressError"),
    "argument": _misunderstanding,
    "call-unknown": _misunderstanding,
    "expect-timeout": _expect_timeout,
    "fork": _misunderstanding,
    "image": _vm("VMImageMissingError"),
    "kernel-crash": _vm("VMDeadKernelCrashError"),
    "login": _remote("LoginError"),
    "login-auth": _remote("LoginAuthenticationError"),
    "login-timeout": _login_timeout,
    "migrate": _vm("VMMigrateFailedError"),
    "migrate-cancel": _vm("VMMigrateCancelError"),
    "migrate-timeout": _vm("VMMigrateTimeoutError"),
    "monitor": _monitor("MonitorError"),
    "monitor-closed": _monitor("MonitorConnectError"),
    "monitor-command": _monitor_command,
    "monitor-timeout": _monitor("MonitorProtocolError"),
    "not-started": _misunderstanding,
    "reboot": _vm("VMRebootError"),
    "shell-died": _shell_died,
    "shell-status": _shell("ShellStatusError"),
    "shell-timeout": _shell("ShellTimeoutError"),
    "timeout": _vm("VMTimeoutError"),
    "transfer": _remote("TransferError"),
    "transfer-timeout": _remote("TransferTimeoutError"),
    "unsupported": _unsupported,
    "vm-create": _vm_create,
    "vm-dead": _vm("VMDeadError"),
    "vm-paused": _vm("VMPausedError"),
    "vm-status": _vm("VMStatusError"),
    "vm-unknown": _vm("VMDeadError"),
}

#: The kinds that become a class of their own; every other one becomes ``VMError``.
KINDS = tuple(_KINDS)
