"""Finding programs of the host."""

import os
import shutil


class CmdNotFoundError(Exception):
    """A program is in none of the folders that were searched."""

    def __init__(self, cmd, paths):
        super().__init__(cmd, paths)
        self.cmd = cmd
        self.paths = paths

    def __str__(self):
        return f"program {self.cmd!r} is in none of {', '.join(self.paths)}"


_SYSTEM_FOLDERS = ("/usr/libexec", "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


def find_command(cmd, default=None, check_exec=True):
    """Return the absolute path of the program `cmd`; `default`, or CmdNotFoundError, where there is none."""
    folders = list(dict.fromkeys([*os.environ.get("PATH", "").split(os.pathsep), *_SYSTEM_FOLDERS]))
    mode = os.F_OK | os.X_OK if check_exec else os.F_OK
    found = shutil.which(cmd, mode=mode, path=os.pathsep.join(folders))
    if found:
        return os.path.abspath(found)
    if default is not None:
        return default
    raise CmdNotFoundError(cmd, folders)


def init_dir(*args):
    """Join `args` to a path, make that folder where it is missing, and return it."""
    directory = os.path.join(*args)
    os.makedirs(directory, exist_ok=True)
    return directory
