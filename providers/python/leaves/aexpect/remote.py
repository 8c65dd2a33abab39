"""What goes wrong when one logs in to a machine or copies files to it."""


def _with_output(msg, output):
    """The message, and the output where that is not in it already."""
    if not output or output.strip() in str(msg):
        return str(msg)
    return f"{msg}; output: {output!r}"


class LoginError(Exception):
    """Logging in failed; `output` is what the other side said."""

    def __init__(self, msg, output=""):
        super().__init__(msg, output)
        self.msg = msg
        self.output = output

    def __str__(self):
        return _with_output(self.msg, self.output)


class LoginAuthenticationError(LoginError):
    """User name or password was refused."""


class LoginTimeoutError(LoginError):
    """Nobody answered, or no prompt came, in time."""

    def __init__(self, output="", msg="logging in took too long"):
        super().__init__(msg, output)
        self.args = (output, msg)


class LoginProcessTerminatedError(LoginError):
    """The connection ended before there was a prompt."""

    def __init__(self, status, output=""):
        super().__init__(f"the connection ended with status {status}", output)
        self.args = (status, output)
        self.status = status


class TransferError(Exception):
    """Copying files failed."""

    def __init__(self, msg="", output=""):
        super().__init__(msg, output)
        self.msg = msg
        self.output = output

    def __str__(self):
        return _with_output(self.msg, self.output)


class TransferTimeoutError(TransferError):
    """Copying files took longer than it may."""


#: The field's names for a failed copy by scp.
SCPError = TransferError
SCPTransferTimeoutError = TransferTimeoutError
