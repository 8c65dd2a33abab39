"""Questions to QEMU whose answers depend on the program alone: asked once for each binary, then remembered.

Upstream asks some thirty of them for every machine: which devices, which processors, which commands. An answer is kept
in a folder that the core names after the binary's content, under the digest of the command.
"""

import hashlib
import json
import os
import re
import shlex
import tempfile

#: What makes a QEMU command a question: it prints and ends, and no machine comes to be.
_QUESTION = re.compile(
    r"""\s-(-?version|-?help|h)\b
      | \s--?(device|object|machine|M|cpu|netdev|chardev|audiodev|accel|display|trace)\s+(\S+,)?(\\?\?|help)(\s|$|")
      | ^echo\s.*\|\s*\S*qemu\S*\s.*-(monitor|qmp)\s+stdio""",
    re.VERBOSE | re.DOTALL,
)
_PROGRAM = re.compile(r"(^|[\s/|])qemu-(system-\w+|kvm|img|io)\b|qemu-kvm\b")

_folder = None


def is_question(command):
    """Whether `command` asks a QEMU program something that it answers the same way every time."""
    return bool(_PROGRAM.search(command) and _QUESTION.search(command))


def remember(folder):
    """Answer questions from `folder` in this process, and keep new answers there. None remembers nothing."""
    global _folder
    from avocado.utils import process

    _folder = folder
    if folder:
        os.makedirs(folder, exist_ok=True)
    inner = process.run

    def run(cmd, *args, **kwargs):
        if not is_question(cmd):
            return inner(cmd, *args, **kwargs)
        return _answer(inner, process, cmd, args, kwargs)

    process.run = run


def _answer(inner, process, cmd, args, kwargs):
    result = _recall(process, cmd)
    if result is None:
        asked = cmd
        if cmd.lstrip().startswith("echo -e"):
            asked = f"/bin/bash -c {shlex.quote(cmd)}"  # where sh is no bash, its echo prints the option
        quiet = {**kwargs, "ignore_status": True}
        result = inner(asked, *args, **quiet)
        result.command = cmd
        if result.exit_status is not None and result.exit_status >= 0 and not result.interrupted:
            _keep(cmd, result)
    if result.exit_status and not kwargs.get("ignore_status", False):
        raise process.CmdError(cmd, result)
    return result


def _path(cmd):
    return os.path.join(_folder, hashlib.sha256(cmd.encode()).hexdigest()[:32])


def _recall(process, cmd):
    if not _folder:
        return None
    try:
        with open(_path(cmd), encoding="utf-8") as file:
            kept = json.load(file)
    except (OSError, ValueError):
        return None
    if kept["command"] != cmd:
        return None
    streams = (kept["stdout"].encode("latin-1"), kept["stderr"].encode("latin-1"))
    return process.CmdResult(cmd, *streams, kept["status"], 0)


def _keep(cmd, result):
    if not _folder:
        return
    kept = {
        "command": cmd,
        "status": result.exit_status,
        "stdout": _bytes(result.stdout).decode("latin-1"),
        "stderr": _bytes(result.stderr).decode("latin-1"),
    }
    # Written beside and renamed: another test may read it at any moment.
    with tempfile.NamedTemporaryFile("w", dir=_folder, delete=False, encoding="utf-8") as file:
        json.dump(kept, file)
    os.replace(file.name, _path(cmd))


def _bytes(output):
    return output if isinstance(output, bytes) else str(output).encode()
