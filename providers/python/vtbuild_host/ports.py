"""Ports of the host, leased: no two tests are given the same one, be they of one run or of several.

Upstream looks for the first port that nobody listens at and uses it a while later; two tests that look at the same time
find the same one. Here a port is taken by locking a file that stands for it, for as long as the process lives: the
system takes the lock back, however the process ends.
"""

import errno
import fcntl
import os
import socket
import tempfile

#: Locks of this process, by port. Nothing closes them before the process ends.
_leases = {}


def _folder():
    folder = os.path.join(tempfile.gettempdir() if not os.path.isdir("/run/lock") else "/run/lock", "vtbuild-ports")
    try:
        os.makedirs(folder, exist_ok=True)
        os.chmod(folder, 0o1777)
    except OSError:
        pass  # somebody else's, and open to all
    return folder


def _is_free(port):
    """Whether nobody listens at `port`, on any address of either family."""
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tried.bind((address, port))
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                continue
            return False
    return True


def _lease(port):
    """Take `port`, if nobody has it; return whether it is ours now."""
    if port in _leases:
        return False  # given out to this very test already
    try:
        lock = os.open(os.path.join(_folder(), str(port)), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    except OSError:
        return _is_free(port)  # without a place for locks it is as good as upstream's own search
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return False
    if not _is_free(port):
        os.close(lock)
        return False
    _leases[port] = lock
    return True


def find_free_port(start_port=1024, end_port=65535, address="localhost", sequent=False, **_):
    """Lease one port between the two; None where none is left."""
    found = find_free_ports(start_port, end_port, 1, address, sequent)
    return found[0] if found else None


def find_free_ports(start_port, end_port, count, address="localhost", sequent=False, **_):
    """Lease `count` ports between the two (with `sequent` in a row); as many as there are where there are fewer."""
    del address  # a port is leased for all of them
    ports = []
    for port in range(int(start_port), int(end_port)):
        if _lease(port):
            ports.append(port)
            if len(ports) == int(count):
                break
        elif sequent:
            ports = []
    return ports


def lease_for_this_process():
    """Have upstream's modules lease ports instead of looking for free ones."""
    from avocado.utils.network import ports as theirs
    from virttest import utils_misc

    for module in (theirs, utils_misc):
        module.find_free_port = find_free_port
        module.find_free_ports = find_free_ports
