"""Machines that upstream starts listen on the loopback address, where a test's parameters name no other.

Upstream's forwarded ports, displays and migration listen on every address of the host.
"""

import re

LOOPBACK = "127.0.0.1"

#: Where an address is left out: forwarded ports and VNC displays.
_ANYWHERE = re.compile(r"(?P<before>\bhostfwd=(?:tcp|udp):|(?:^|\s)-vnc )(?=:\d)")
_ANY_INCOMING = re.compile(r"^(?P<before>tcp:)(?:0|0\.0\.0\.0|\[::\])?(?=:\d)")


def command(text):
    """A command line of QEMU whose ports are for this host."""
    return _ANYWHERE.sub(rf"\g<before>{LOOPBACK}", text)


def incoming(uri):
    """The same for where a machine waits to be migrated to."""
    return _ANY_INCOMING.sub(rf"\g<before>{LOOPBACK}", uri)


def listen_there():
    """Have upstream's modules use both."""
    from virttest.qemu_devices import qcontainer
    from virttest.qemu_monitor import QMPMonitor

    cmdline, migrate_incoming = qcontainer.DevContainer.cmdline, QMPMonitor.migrate_incoming
    qcontainer.DevContainer.cmdline = lambda self, *args, **kwargs: command(cmdline(self, *args, **kwargs))
    QMPMonitor.migrate_incoming = lambda self, uri, *args, **kwargs: migrate_incoming(
        self, incoming(uri), *args, **kwargs
    )
