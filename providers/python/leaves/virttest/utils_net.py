"""Network names and addresses that need nothing from a guest."""

import random

from virttest import absent

__getattr__ = absent(__name__)


class NetError(Exception):
    """Something is wrong with the network."""


def generate_mac_address_simple():
    """Return a random MAC address of QEMU's own range."""
    return "52:54:00:" + ":".join(f"{random.randrange(256):02x}" for _ in range(3))
