"""What goes wrong when one logs in to a guest or copies files: the classes of :mod:`aexpect.remote`."""

from aexpect.remote import (
    LoginAuthenticationError,
    LoginError,
    LoginProcessTerminatedError,
    LoginTimeoutError,
    SCPError,
    SCPTransferTimeoutError,
    TransferError,
    TransferTimeoutError,
)
from virttest import absent

__all__ = [
    "LoginAuthenticationError",
    "LoginError",
    "LoginProcessTerminatedError",
    "LoginTimeoutError",
    "SCPError",
    "SCPTransferTimeoutError",
    "TransferError",
    "TransferTimeoutError",
]

__getattr__ = absent(__name__)
