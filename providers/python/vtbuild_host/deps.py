"""Folders that tests ask for with ``data_dir.get_deps_dir``: where they are, and what was built of them beforehand.

The same in every runtime. The folders above the calling file are searched first, up to the provider's root or one that
holds ``.git``, then those that the provider names. For a folder that the parameter ``deps_build`` names, what is
given is a folder of the test's own with what was built of it; the test then depends on that, not on the sources.
"""

import os

from vtbuild_host.forks import Notes


class Deps:
    """What there is for one test, and what the test asked for."""

    def __init__(self, folders=(), provider_folders=(), builds=()):
        """Take over these of the start message: ``deps_dirs``, ``module_paths`` and ``deps_builds``."""
        self._folders = list(folders)
        self._provider_folders = list(dict.fromkeys(os.path.realpath(folder) for folder in provider_folders))
        self._builds = list(builds)
        #: The folders on whose content the test depends.
        self.used = Notes()

    @classmethod
    def of(cls, start):
        """Those of a start message."""
        return cls(start.get("deps_dirs", []), start.get("module_paths", []), start.get("deps_builds", []))

    def provider_folders(self):
        """The folders of the test's provider and of those beside it: roots, backends, and their ``tests``."""
        return list(self._provider_folders)

    def find(self, caller, target=None):
        """The ``deps`` folder nearest to the file `caller`, or `target` in the nearest one that holds it; or None."""
        above = self._above(os.path.dirname(os.path.realpath(caller)))
        for folder in [*above, *self._folders]:
            found = os.path.join(folder, target) if target else folder
            if os.path.exists(found):
                build = self.build(found)
                return build["folder"] if build else self.use(found)
        return None

    def missing(self, caller, target=None):
        """Why :meth:`find` gave None."""
        wanted = f"deps/{target}" if target else "deps"
        above = os.path.dirname(os.path.realpath(caller))
        return f"there is no {wanted} in or above {above}, nor in {self._folders or 'the provider'}"

    def use(self, folder):
        """Take note that the test depends on all that is in `folder`; return it."""
        self.used.add(folder)
        return folder

    def build(self, folder, make_flags=None):
        """What was built of the sources in `folder`, or what is in `folder`; None where there is no such build.

        :param make_flags: with these words for ``make`` and no others.
        """
        real = os.path.realpath(folder)
        for build in self._builds:
            here = real in (os.path.realpath(build["source"]), os.path.realpath(build["folder"]))
            if here and make_flags in (None, build["make_flags"]):
                return build
        return None

    def is_built(self, path):
        """Whether `path` is in a folder with what was built before the test began: the times of its files matter."""
        real = os.path.join(os.path.realpath(path), "")
        return any(real.startswith(os.path.join(os.path.realpath(build["folder"]), "")) for build in self._builds)

    def _above(self, folder):
        inside = False
        while True:
            was_inside, inside = inside, self._is_in_provider(folder)
            if was_inside and not inside:
                return
            yield os.path.join(folder, "deps")
            yield os.path.join(folder, "shared", "deps")  # as in upstream's package
            above = os.path.dirname(folder)
            if above == folder or os.path.exists(os.path.join(folder, ".git")):
                return
            folder = above

    def _is_in_provider(self, folder):
        roots = self._provider_folders
        return any(folder == root or folder.startswith(os.path.join(root, "")) for root in roots)
