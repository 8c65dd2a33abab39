"""Running programs on the host.

A command is text that is split as a POSIX shell would, or run by a shell where ``shell=True``. Its output is logged,
and a status other than zero raises :class:`CmdError` unless ``ignore_status=True``.
"""

import logging
import shlex
import subprocess
import time

LOG = logging.getLogger("avocado.utils.process")


class CmdResult:
    """What a finished command left: its status, its output, and how long it took (seconds)."""

    def __init__(self, command="", stdout=b"", stderr=b"", exit_status=None, duration=0, pid=None, encoding=None):
        self.command = command
        self.stdout = stdout
        self.stderr = stderr
        self.exit_status = exit_status
        self.duration = duration
        self.interrupted = False
        self.pid = pid
        self.encoding = encoding or "utf-8"

    @property
    def stdout_text(self):
        """Standard output as text; bytes that are none are replaced."""
        return _text(self.stdout, self.encoding)

    @property
    def stderr_text(self):
        """Standard error as text; bytes that are none are replaced."""
        return _text(self.stderr, self.encoding)

    def __str__(self):
        return f"command {self.command!r} ended with status {self.exit_status} after {self.duration:.1f} s"


class CmdError(Exception):
    """A command ended with a status other than zero, or did not end in time."""

    def __init__(self, command=None, result=None, additional_text=None):
        super().__init__(command, result, additional_text)
        self.command = command
        self.result = result
        self.additional_text = additional_text

    def __str__(self):
        text = f"command {self.command!r} failed"
        if self.result is not None:
            text = str(self.result)
            last = self.result.stderr_text.strip() or self.result.stdout_text.strip()
            text += f": {last}" if last else ""
        return f"{text} ({self.additional_text})" if self.additional_text else text


def _text(data, encoding):
    return data if isinstance(data, str) else data.decode(encoding, "replace")


def run(
    cmd,
    timeout=None,
    verbose=True,
    ignore_status=False,
    allow_output_check=None,
    shell=False,
    env=None,
    sudo=False,
    ignore_bg_processes=False,
    encoding=None,
    logger=None,
):
    """Run `cmd` to its end and return a :class:`CmdResult`.

    :param timeout: seconds after which the command is killed and CmdError raised.
    :param env: variables added to the environment.
    :raise CmdError: on a status other than zero, unless `ignore_status`.
    """
    del allow_output_check, ignore_bg_processes  # accepted, because tests pass them; both outputs are always kept
    log = logger or LOG
    if sudo:
        cmd = f"sudo -n {cmd}"
    if verbose:
        log.info("running %r", cmd)
    result = _execute(cmd, timeout, shell, env, encoding)
    if verbose:
        for stream, text in (("stdout", result.stdout_text), ("stderr", result.stderr_text)):
            for line in text.splitlines():
                log.debug("[%s] %s", stream, line)
        log.info("%s", result)
    if result.exit_status != 0 and not ignore_status:
        raise CmdError(cmd, result)
    return result


def _execute(cmd, timeout, shell, env, encoding):
    import os

    started = time.monotonic()
    argv = cmd if shell else shlex.split(cmd)
    with subprocess.Popen(
        argv,
        shell=shell,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **{key: str(value) for key, value in env.items()}} if env else None,
        start_new_session=True,
    ) as child:
        try:
            stdout, stderr = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as expired:
            _kill_group(child.pid)
            stdout, stderr = child.communicate()
            result = CmdResult(cmd, stdout, stderr, child.returncode, time.monotonic() - started, child.pid, encoding)
            result.interrupted = True
            raise CmdError(cmd, result, f"killed after {timeout} s") from expired
    return CmdResult(cmd, stdout, stderr, child.returncode, time.monotonic() - started, child.pid, encoding)


def _kill_group(pid):
    import os
    import signal

    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def system(cmd, timeout=None, verbose=True, ignore_status=False, **options):
    """Run `cmd` and return its status."""
    return run(cmd, timeout, verbose, ignore_status, **options).exit_status


def system_output(cmd, timeout=None, verbose=True, ignore_status=False, strip_trail_nl=True, **options):
    """Run `cmd` and return its standard output as bytes, without the last newline unless told otherwise."""
    output = run(cmd, timeout, verbose, ignore_status, **options).stdout
    return output.rstrip(b"\r\n") if strip_trail_nl else output


def getstatusoutput(cmd, timeout=None, verbose=False, ignore_status=True, shell=True, **options):
    """Run `cmd` by a shell and return its status and its standard output as text."""
    result = run(cmd, timeout, verbose, ignore_status, shell=shell, **options)
    return result.exit_status, result.stdout_text.rstrip("\r\n")


def getoutput(cmd, timeout=None, verbose=False, ignore_status=True, shell=True, **options):
    """Run `cmd` by a shell and return its standard output as text."""
    return getstatusoutput(cmd, timeout, verbose, ignore_status, shell, **options)[1]


def getstatus(cmd, timeout=None, verbose=False, ignore_status=True, shell=True, **options):
    """Run `cmd` by a shell and return its status."""
    return getstatusoutput(cmd, timeout, verbose, ignore_status, shell, **options)[0]


def pid_exists(pid):
    """Whether a process with this id exists."""
    import os

    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
