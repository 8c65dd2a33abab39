"""Folders of a test and of its provider."""

import os
import sys

from virttest import absent
from vtbuild_host.deps import Deps

_absent = absent(__name__)

#: The folders of a test, as the start message names them.
FOLDERS = ("debugdir", "logdir", "outputdir", "tmpdir", "bindir", "srcdir", "data_dir", "workdir")

_dirs = {}
_deps = Deps()


class MissingDepsDirError(Exception):
    """No ``deps`` folder was found for a test."""


def configure(dirs, deps_dirs, provider_folders=(), deps_builds=()):
    """Take over the folders of the start message. A search for ``deps`` never leaves `provider_folders`.

    :param deps_builds: what was built before the test began, as the start message has it.
    """
    global _deps
    _dirs.clear()
    _dirs.update(dirs)
    _deps = Deps(deps_dirs, provider_folders, deps_builds)


def provider_folders():
    """The folders of the test's provider and of those beside it: roots, backends, and their ``tests``."""
    return _deps.provider_folders()


def used_deps():
    """What :func:`get_deps_dir` has returned: the test depends on what is in there."""
    return list(_deps.used)


def get_deps_dir(target=None):
    """Return the ``deps`` folder nearest to the file that calls, or `target` inside the nearest one that holds it.

    What was built of it before the test began, where the parameter ``deps_build`` names it.
    """
    caller = sys._getframe(1).f_code.co_filename
    found = _deps.find(caller, target)
    if found is None:
        raise MissingDepsDirError(_deps.missing(caller, target))
    return found


def deps():
    """The folders that the test asks for with :func:`get_deps_dir`, and what was built of them."""
    return _deps


def is_built(path):
    """Whether `path` is in a folder with what was built before the test began: the times of its files matter."""
    return _deps.is_built(path)


def _folder(name):
    if name not in _dirs:
        raise RuntimeError(f"the folder {name} is known only while vtbuild runs a test")
    return _dirs[name]


def get_root_dir():
    """The folder of upstream's package where that is there, else that of the test's provider."""
    from vtbuild_host import layers

    return os.path.join(layers.UPSTREAM, "virttest") if layers.UPSTREAM else _folder("bindir")


def get_data_dir():
    """The folder below which ``images``, ``isos`` and other data are."""
    return _folder("data_dir")


def get_tmp_dir(public=True):
    """A folder that is thrown away when the test has ended. `public` says that other users may look into it."""
    folder = _folder("tmpdir")
    os.makedirs(folder, exist_ok=True)
    if public:
        os.chmod(folder, os.stat(folder).st_mode | 0o005)
    return folder


def get_log_dir():
    """The folder of the test's log."""
    return _folder("debugdir")


def get_download_dir():
    """Where a test keeps what it downloads."""
    return os.path.join(get_data_dir(), "downloads")


def get_backing_data_dir():
    """Where the data folder is when it is a link."""
    return os.path.realpath(get_data_dir())


def get_shared_dir():
    """The folder ``shared`` of upstream's package: scripts, key maps, sources for the guest."""
    return _upstream("shared")


def get_base_backend_dir():
    """The folder ``backends`` of upstream's package."""
    return _upstream("backends")


def _upstream(name):
    from vtbuild_host import layers

    if layers.UPSTREAM is None:
        raise RuntimeError(
            f"the folder {name} of avocado-vt is there only where its package lies beneath the test host"
        )
    return os.path.join(layers.UPSTREAM, "virttest", name)


class SubdirList(list):
    """A folder and all folders below it but hidden ones, and but those whose names contain one of `filterlist`."""

    def __init__(self, basedir, filterlist=None):
        super().__init__()
        for folder, below, _ in os.walk(os.path.abspath(basedir)):
            self.append(folder)
            below[:] = sorted(
                name
                for name in below
                if not name.startswith(".") and not any(word in name for word in filterlist or ())
            )


#: Folders under the names of constants; they are known only while a test runs.
_CONSTANTS = {
    "DATA_DIR": get_data_dir,
    "BACKING_DATA_DIR": get_backing_data_dir,
    "SHARED_DIR": get_shared_dir,
    "BASE_BACKEND_DIR": get_base_backend_dir,
    "DOWNLOAD_DIR": get_download_dir,
    "DEPS_DIR": lambda: os.path.join(get_shared_dir(), "deps"),
}


def __getattr__(name):
    return _CONSTANTS[name]() if name in _CONSTANTS else _absent(name)
