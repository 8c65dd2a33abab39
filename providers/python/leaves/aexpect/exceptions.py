"""What goes wrong with a session: with a command in its shell, or with what its output was expected to be."""


class ExpectError(Exception):
    """The output did not come to match any of `patterns`."""

    def __init__(self, patterns, output):
        super().__init__(patterns, output)
        self.patterns = patterns
        self.output = output

    def _patterns(self):
        patterns = [self.patterns] if isinstance(self.patterns, str) else list(self.patterns or [])
        kind = "pattern" if len(patterns) == 1 else "any pattern of"
        return f"{kind} {', '.join(repr(pattern) for pattern in patterns)}"

    def __str__(self):
        return f"nothing matched {self._patterns()}; output: {self.output!r}"


class ExpectTimeoutError(ExpectError):
    """Nothing matched in time."""

    def __str__(self):
        return f"nothing matched {self._patterns()} in time; output: {self.output!r}"


class ExpectProcessTerminatedError(ExpectError):
    """The session ended before anything matched."""

    def __init__(self, patterns, status, output):
        super().__init__(patterns, output)
        self.args = (patterns, status, output)
        self.status = status

    def __str__(self):
        return f"the session ended (status {self.status}) before {self._patterns()} matched; output: {self.output!r}"


class ShellError(Exception):
    """A command in a shell did not do what it should."""

    def __init__(self, cmd, output):
        super().__init__(cmd, output)
        self.cmd = cmd
        self.output = output

    def __str__(self):
        return f"shell command {self.cmd!r} failed; output: {self.output!r}"


class ShellTimeoutError(ShellError):
    """A command did not come back to the prompt in time."""

    def __str__(self):
        return f"shell command {self.cmd!r} did not end in time; output: {self.output!r}"


class ShellProcessTerminatedError(ShellError):
    """The shell ended while a command ran."""

    def __init__(self, cmd, status, output):
        super().__init__(cmd, output)
        self.args = (cmd, status, output)
        self.status = status

    def __str__(self):
        return f"the shell ended (status {self.status}) during command {self.cmd!r}; output: {self.output!r}"


class ShellCmdError(ShellError):
    """A command ended with a status other than zero."""

    def __init__(self, cmd, status, output):
        super().__init__(cmd, output)
        self.args = (cmd, status, output)
        self.status = status

    def __str__(self):
        return f"shell command {self.cmd!r} ended with status {self.status}; output: {self.output!r}"


class ShellStatusError(ShellError):
    """A command ended, and its status could not be found out."""

    def __str__(self):
        return f"the status of shell command {self.cmd!r} is unknown; output: {self.output!r}"
