"""The fork server: an interpreter that has imported what tests use, and becomes a test by forking.

``python3 -m vtbuild_host.forkserver MODULE ORDERS GUARD`` imports MODULE, calls its ``preload()``, and then waits at
the socket with the descriptor ORDERS. Each order makes two processes::

    server ── guard ── test

The *guard* replaces itself by the program behind the descriptor GUARD, which from then on looks after the test as
after any other command of the core: it tells how it ended, and ends it with all that it started. The *test* returns
from :func:`become`, sets up what is its own, and calls MODULE's ``main()``.

What is imported here is the same for all tests of a run: packages whose content is in their keys. Nothing of a test
provider is.

An order is one message: JSON, and the descriptors that it names, in its order.

===========  ========================================================================================================
``options``  what a guard is started with, as pairs: ``--link``, ``--stdin``, ``--stdout``, ``--stderr`` and ``--fd``
             with a number that stands for a descriptor; ``--remove`` with a path
``env``      variables of the test's environment: a text, or null where it is to be taken out
``dir``      the test's working directory
===========  ========================================================================================================

A stream without a descriptor is ``/dev/null``. Each ``--fd`` has in the test the number that the order gives it.
"""

import ctypes
import fcntl
import gc
import importlib
import json
import os
import signal
import socket
import sys

#: An order is no longer, in bytes, and has no more descriptors.
_LONGEST = 1 << 16
_MOST = 32

_STREAMS = ("--stdin", "--stdout", "--stderr")
_PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None)


def main(arguments):
    """Serve until the server's own guard ends it; in the process of a test, run that."""
    name, orders, guard = arguments
    orders = socket.socket(fileno=int(orders))
    orders.set_inheritable(False)
    os.set_inheritable(int(guard), False)
    problem = None
    try:
        module = importlib.import_module(name)
        module.preload()
    except Exception as error:
        problem = error  # each test says it, in its own log
    gc.collect()
    gc.freeze()  # a collection in a test's process would copy all pages of what is shared
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # guards have said all before they end
    order = become(orders, int(guard))
    orders.close()
    os.close(int(guard))
    _settle(order)
    if problem is not None:
        raise problem
    return module.main()


def become(orders, guard):
    """Fork for every order. Return in the process of a test, with its order; never in the server."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(orders, _LONGEST, _MOST, socket.MSG_CMSG_CLOEXEC)
        if not message:
            continue  # somebody wanted to know whether the server is there
        order = Order(json.loads(message), descriptors)
        if _forked(order):
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            if _is_test(order, guard):
                return order
        order.close()


class Order:
    """What a test is started with."""

    def __init__(self, message, descriptors):
        self.env = message["env"]
        self.dir = message["dir"]
        self.link = None
        self.streams = dict.fromkeys(_STREAMS)
        #: Descriptors by the number that they are to have in the test.
        self.given = {}
        self.remove = []
        left = iter(descriptors)
        self._all = descriptors
        for option, value in message["options"]:
            if option == "--remove":
                self.remove += [option, value]
                continue
            descriptor = next(left)
            if option == "--link":
                self.link = descriptor
            elif option in self.streams:
                self.streams[option] = descriptor
            else:
                self.given[int(value)] = descriptor

    def close(self):
        """Close all that came with the order."""
        for descriptor in self._all:
            os.close(descriptor)

    def refuse(self, error):
        """Tell the core, as a guard would, that nothing was started."""
        os.write(self.link, f"failed fork: {error.strerror}\n".encode())


def _forked(order):
    """Fork; return whether this is the child."""
    try:
        return os.fork() == 0
    except OSError as error:
        order.refuse(error)
        return False


def _is_test(order, guard):
    """In the process that is to be the guard: fork the test, in which this returns True, and become the guard."""
    try:
        os.setsid()
        me = os.getpid()
        test = os.fork()
        if test == 0:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != me:
                os._exit(1)
            return True
        null = os.open(os.devnull, os.O_RDWR)
        for number in range(3):
            os.dup2(null, number)
        os.set_inheritable(order.link, True)
        words = ["vtbuild", "__guard", "--link", str(order.link), *order.remove, "--adopt", str(test)]
        os.execve(guard, words, os.environ)
    except OSError as error:
        order.refuse(error)
    os._exit(1)  # and the test with it


def _settle(order):
    """In the test's process: its descriptors, its environment, its folder."""
    # Out of the way of the numbers that are to be given.
    above = max([2, *order.given]) + 1
    moved = {number: fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for number, fd in order.given.items()}
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for number, option in enumerate(_STREAMS):
        os.dup2(null if order.streams[option] is None else order.streams[option], number)
    os.close(null)
    order.close()
    for number, descriptor in moved.items():
        os.dup2(descriptor, number)
        os.close(descriptor)
    for key, value in order.env.items():
        if value is None:
            os.environ.pop(key, None)
        else:
            os.environ[key] = value
    if order.dir is not None:
        os.chdir(order.dir)


if __name__ == "__main__":
    if sys.path[0] == os.getcwd():
        del sys.path[0]  # -m puts the current folder first: a file that happens to lie there must not replace a module
    sys.exit(main(sys.argv[1:]))
