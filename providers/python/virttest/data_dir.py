"""Folders of a test and of its provider."""

import os
import sys

from virttest import absent

__getattr__ = absent(__name__)

_dirs = {}
_deps_dirs = []
_provider_folders = set()
_used_deps = []


class MissingDepsDirError(Exception):
    """No ``deps`` folder was found for a test."""


def configure(dirs, deps_dirs, provider_folders=()):
    """Take over the folders of the start message. A search for ``deps`` never leaves `provider_folders`."""
    _dirs.clear()
    _dirs.update(dirs)
    _deps_dirs[:] = deps_dirs
    _provider_folders.clear()
    _provider_folders.update(os.path.realpath(folder) for folder in provider_folders)
    _used_deps.clear()


def used_deps():
    """What :func:`get_deps_dir` has returned: the test depends on what is in there."""
    return list(_used_deps)


def get_deps_dir(target=None):
    """Return the ``deps`` folder nearest to the file that calls, or `target` inside the nearest one that holds it.

    The folders above the calling file are searched first, up to the provider's root or one that holds ``.git``; then
    those that the provider names.
    """
    caller = os.path.dirname(os.path.realpath(sys._getframe(1).f_code.co_filename))
    for folder in [*_deps_above(caller), *_deps_dirs]:
        found = os.path.join(folder, target) if target else folder
        if os.path.exists(found):
            if found not in _used_deps:
                _used_deps.append(found)
            return found
    wanted = f"deps/{target}" if target else "deps"
    raise MissingDepsDirError(f"there is no {wanted} in or above {caller}, nor in {_deps_dirs or 'the provider'}")


def _deps_above(folder):
    inside = False
    while True:
        was_inside, inside = inside, _is_in_provider(folder)
        if was_inside and not inside:
            return
        yield os.path.join(folder, "deps")
        above = os.path.dirname(folder)
        if above == folder or os.path.exists(os.path.join(folder, ".git")):
            return
        folder = above


def _is_in_provider(folder):
    return any(folder == root or folder.startswith(os.path.join(root, "")) for root in _provider_folders)


def _folder(name):
    if name not in _dirs:
        raise RuntimeError(f"the folder {name} is known only while vtbuild runs a test")
    return _dirs[name]


def get_root_dir():
    """The folder of the test's provider."""
    return _folder("bindir")


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
