"""A shell in a guest: over ssh, or on a serial port. The connection itself lives in the core."""

import re
import time

from aexpect.exceptions import ExpectTimeoutError, ShellCmdError, ShellError, ShellStatusError
from virttest import core, missing

#: Where neither the variant nor the test says what a prompt looks like.
DEFAULT_PROMPT = r"[\#\$]\s*$"

_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|[@-Z\\-_])")


class ShellSession:
    """One open shell. All times are in seconds."""

    def __init__(self, handle, prompt=DEFAULT_PROMPT, transcript=None):
        """:param transcript: a file to which the core writes everything that this session shows, where it keeps one."""
        self.handle = handle
        self.prompt = prompt
        self.linesep = "\n"
        self.status_test_command = "echo $?"
        self._transcript = transcript
        self._seen = []
        self._closed = False
        self._output = None

    # Commands.

    def cmd_status_output(self, cmd, timeout=60, internal_timeout=None, print_func=None, safe=False):
        """Run `cmd` and return its status and its output.

        :raise aexpect.ShellTimeoutError: if it does not end within `timeout`.
        :raise aexpect.ShellProcessTerminatedError: if the shell ends.
        :raise aexpect.ShellStatusError: if its status cannot be found out.
        """
        answer = self._run(cmd, timeout, True, print_func)
        if answer["status"] is None:
            raise ShellStatusError(cmd, answer["output"])
        return answer["status"], answer["output"]

    def cmd_output(self, cmd, timeout=60, internal_timeout=None, print_func=None, safe=False):
        """Run `cmd` and return its output, whatever its status."""
        return self._run(cmd, timeout, False, print_func)["output"]

    def cmd_status(self, cmd, timeout=60, internal_timeout=None, print_func=None, safe=False):
        """Run `cmd` and return its status."""
        return self.cmd_status_output(cmd, timeout, internal_timeout, print_func)[0]

    def cmd(self, cmd, timeout=60, internal_timeout=None, print_func=None, ok_status=None, ignore_all_errors=False):
        """Run `cmd` and return its output.

        :param ok_status: the statuses that are no error; ``[0]`` where it is not given.
        :raise aexpect.ShellCmdError: on any other status, unless `ignore_all_errors`.
        """
        try:
            status, output = self.cmd_status_output(cmd, timeout, internal_timeout, print_func)
            if status not in (ok_status or [0]):
                raise ShellCmdError(cmd, status, output)
            return output
        except Exception:
            if ignore_all_errors:
                return None
            raise

    def cmd_output_safe(self, cmd, timeout=60, internal_timeout=None, print_func=None, strict=False):
        """The same as :meth:`cmd_output`: kernel messages on a serial console do not disturb it."""
        return self.cmd_output(cmd, timeout, internal_timeout, print_func)

    def cmd_status_output_safe(self, cmd, timeout=60, internal_timeout=None, print_func=None, strict=False):
        """The same as :meth:`cmd_status_output`."""
        return self.cmd_status_output(cmd, timeout, internal_timeout, print_func)

    #: Older names of the four.
    get_command_output = cmd_output
    get_command_status = cmd_status
    get_command_status_output = cmd_status_output

    def _run(self, cmd, timeout, status, print_func):
        answer = core.call("session.cmd", session=self.handle, command=cmd, timeout=float(timeout), status=status)
        self._show(answer["output"], print_func)
        return answer

    # Typing and reading.

    def send(self, cont=""):
        """Type `cont` as it is."""
        core.call("session.send", session=self.handle, text=cont, eol=False)

    def sendline(self, cont=""):
        """Type `cont` and the return key."""
        core.call("session.send", session=self.handle, text=cont, eol=True)

    def sendcontrol(self, char):
        """Type `char` with the control key: ``c`` interrupts, ``d`` ends the input."""
        code = ord(char.upper()) - ord("@")
        if not 0 <= code < 32:
            raise ValueError(f"there is no control key for {char!r}")
        self.send(chr(code))

    send_ctrl = sendcontrol

    def read_nonblocking(self, internal_timeout=None, timeout=None):
        """Return what has come since the last read, when nothing more has come for `internal_timeout` (0.1)."""
        quiet = 0.1 if internal_timeout is None else internal_timeout
        text = core.call(
            "session.read", session=self.handle, timeout=float(quiet if timeout is None else min(quiet, timeout))
        )
        self._show(text, None)
        return text

    def read_until_output_matches(
        self, patterns, filter_func=None, timeout=60.0, internal_timeout=None, print_func=None, match_func=None
    ):
        """Read until one of `patterns` is found in all that came; return its index and the output.

        :param filter_func: given what came so far; the patterns are looked for in what it returns.
        :param match_func: called as ``match_func(text, patterns)`` instead of looking for the patterns.
        """
        if filter_func is None and match_func is None:
            return self._read_until("all", patterns, timeout, internal_timeout, print_func)
        return self._read_until_here(patterns, filter_func, timeout, internal_timeout, print_func, match_func)

    def read_until_last_line_matches(self, patterns, timeout=60.0, internal_timeout=None, print_func=None):
        """Read until one of `patterns` is found in the last line that is not empty; return its index and the output."""
        return self._read_until("last_line", patterns, timeout, internal_timeout, print_func)

    def read_until_any_line_matches(self, patterns, timeout=60.0, internal_timeout=None, print_func=None):
        """Read until one of `patterns` is found in any line; return its index and the output."""
        return self._read_until("any_line", patterns, timeout, internal_timeout, print_func)

    def read_up_to_prompt(self, timeout=60, internal_timeout=None, print_func=None):
        """Read until the prompt comes and return the output."""
        return self.read_until_last_line_matches([self.prompt], timeout, internal_timeout, print_func)[1]

    def _read_until(self, scope, patterns, timeout, internal_timeout, print_func):
        answer = core.call(
            "session.read_until",
            session=self.handle,
            patterns=_as_list(patterns),
            timeout=float(timeout),
            internal_timeout=internal_timeout,
            scope=scope,
        )
        self._show(answer["output"], print_func)
        return answer["match"], answer["output"]

    def _read_until_here(self, patterns, filter_func, timeout, internal_timeout, print_func, match_func):
        output, end = "", time.monotonic() + timeout
        match_func = match_func or self.match_patterns
        while True:
            text = self.read_nonblocking(internal_timeout)
            output += text
            if text and print_func:
                for line in text.splitlines():
                    print_func(line)
            match = match_func(filter_func(output) if filter_func else output, _as_list(patterns))
            if match is not None:
                return match, output
            if time.monotonic() >= end:
                raise ExpectTimeoutError(patterns, output)

    @staticmethod
    def match_patterns(cont, patterns):
        """Return the index of the first of `patterns` that is found in `cont`, or None."""
        return next((index for index, pattern in enumerate(patterns) if re.search(pattern, cont)), None)

    # What it has shown.

    def get_output(self):
        """Everything that this session has shown, as far as it was read."""
        if self._transcript:
            with open(self._transcript, encoding="utf-8", errors="replace") as transcript:
                return transcript.read()
        if not self._closed:
            self.read_nonblocking()
        return "".join(self._seen)

    def get_stripped_output(self):
        """The same without the sequences that colour text and move the cursor."""
        return _ESCAPES.sub("", self.get_output())

    def set_output_func(self, output_func):
        """Have a function called with each line that the session shows, after what :meth:`set_output_params` says."""
        self._output = (output_func, (), "")

    def set_output_params(self, output_params):
        """Say what the function is given before each line."""
        function, _, prefix = self._output or (None, (), "")
        self._output = (function, tuple(output_params), prefix)

    def set_output_prefix(self, output_prefix):
        """Say what stands before each line."""
        function, params, _ = self._output or (None, (), "")
        self._output = (function, params, output_prefix)

    def _show(self, text, print_func):
        self._seen.append(text)
        if self._output and self._output[0]:
            function, params, prefix = self._output
            for line in text.splitlines():
                function(*params, prefix + line)
        if print_func:
            for line in text.splitlines():
                print_func(line)

    # Settings and life.

    def set_prompt(self, prompt):
        """Say what the prompt looks like: a regular expression."""
        self._configure(prompt=prompt)

    def set_linesep(self, linesep):
        """Say what the return key sends."""
        self._configure(linesep=linesep)

    def set_status_test_command(self, status_test_command):
        """Say which command prints the status of the command before it."""
        self._configure(status_test_command=status_test_command)

    def _configure(self, prompt=None, linesep=None, status_test_command=None):
        core.call(
            "session.configure", session=self.handle, prompt=prompt, linesep=linesep, status_command=status_test_command
        )
        self.prompt = prompt or self.prompt
        self.linesep = linesep or self.linesep
        self.status_test_command = status_test_command or self.status_test_command

    def is_alive(self):
        """Whether the connection stands."""
        return not self._closed and core.call("session.alive", session=self.handle)

    def is_responsive(self, timeout=5.0):
        """Whether the return key brings anything within `timeout`."""
        try:
            if not self.is_alive():
                return False
            self.read_nonblocking(0.1)
            self.sendline()
            end = time.monotonic() + timeout
            while time.monotonic() < end:
                if self.read_nonblocking(0.1).strip():
                    return True
        except ShellError:
            pass  # it ended meanwhile
        return False

    def close(self, sig=None):
        """Close the session; once more does nothing."""
        del sig
        if not self._closed:
            self._closed = True
            core.call("session.close", session=self.handle)

    kill = close

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __getattr__(self, name):
        raise missing(f"session.{name}")


def _as_list(patterns):
    return [patterns] if isinstance(patterns, str) else list(patterns)
