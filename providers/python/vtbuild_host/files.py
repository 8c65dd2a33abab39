"""Which files of its provider and of the data folder a test looks at by itself: its result is served again while they stay.

A file that is opened, a folder that is listed and a path that is looked for and absent are noted, whoever in the process
does it, the test or a child that it forked (:mod:`vtbuild_host.forks`); modules that are imported are not, because they are
told apart (:func:`vtbuild_host.stage.loaded_files`). Only paths below the folders that the core names count, under the names
that it gives them; the test's own scratch folders do not.

What a program reads cannot be seen. So what it is given counts as read, on its command line or in a variable that the test
set: a folder with all that is below it, and of a file of a provider all that lies beside it, since a script calls others, and
a source includes headers. Where Python starts an interpreter that is no fork (``multiprocessing`` by ``spawn``), whole
providers count.

==============================  ==========================================================================================
noted                           how it is seen
==============================  ==========================================================================================
opened, listed, handed over     by audit events: ``open``, ``os.listdir``, ``os.scandir``, ``subprocess.Popen`` and the like
there, or absent                by ``os.stat``, ``os.lstat`` and ``os.access``, which raise no event and are replaced
==============================  ==========================================================================================
"""

import os
import re
import shlex
import sys
from importlib.util import source_from_cache

from vtbuild_host.forks import Notes, in_child, share

#: The name of the data folder, and of the test's own one; all others are names of providers.
_DATA = "@data"

#: What is imported to start an interpreter that knows nothing of this one.
_SPAWNING = ("multiprocessing.popen_spawn_posix", "multiprocessing.popen_forkserver")

#: Images in the data folder are made or covered for each test; one that nobody declared is not in the test's folder.
_IMAGES = (".qcow2", ".qcow", ".raw", ".img", ".vmdk", ".vdi", ".vhdx", ".qed")

#: Folders of the test's own, which go with it.
_SCRATCH = ("debugdir", "logdir", "outputdir", "tmpdir", "srcdir", "workdir")

_stat, _lstat, _access = os.stat, os.lstat, os.access


class _Root:
    """A folder that counts, and its name."""

    def __init__(self, folder, name, own):
        self.folder = os.path.join(folder, "")
        self.name = name
        #: Whether it is the test's own data folder: what is no link in it is the test's own as well.
        self.own = own


class Watch:
    """What was looked at, by the names of files."""

    def __init__(self, roots, scratch=()):
        """:param roots: ``{"folder", "name", "own"}``: folders that count. :param scratch: folders below them that do not."""
        found = {}
        for root in roots:
            for folder in (os.path.abspath(root["folder"]), os.path.realpath(root["folder"])):
                found.setdefault(folder, _Root(folder, root["name"], root.get("own", False)))
        self._roots = sorted(found.values(), key=lambda root: -len(root.folder))
        self._begin = tuple({root.folder for root in self._roots})
        self._scratch = tuple(os.path.join(os.path.abspath(folder), "") for folder in scratch)
        self.read, self.absent, self.listed, self.trees = Notes(), Notes(), Notes(), Notes()
        #: Files of modules that forked children imported: those of this process are in ``sys.modules``.
        self.modules = Notes()
        self._environment = {name: _text(value) for name, value in os.environ.items()}

    def report(self):
        """All that was noted, as the verdict tells it."""
        kinds = {"read": self.read, "absent": self.absent, "listed": self.listed, "trees": self.trees}
        return {kind: sorted(names) for kind, names in kinds.items()}

    def look(self, path, there=None):
        """Take note that somebody looks for `path`; `there` says what was found, where that is known."""
        path, root = self._place(path)
        if root is None:
            return
        if there is None:
            there = _is_there(path)
        if not there:
            if not (root.own and path.endswith(_IMAGES)):
                self.absent.add(_name(path, root))
        elif not root.own or _is_link(path):
            self.read.add(_name(path, root))

    def listing(self, path):
        """Take note that somebody reads the names in the folder `path`."""
        path, root = self._place(path)
        if root is not None:
            self.listed.add(_name(path, root))

    def hand_over(self, path):
        """Take note that `path`, with all that is below it, is given to somebody else."""
        path, root = self._place(path)
        if root is None or not _is_there(path):
            return
        if _is_folder(path):
            self.trees.add(_name(path, root))
        else:
            self.look(path, there=True)

    def command(self, words, folder=None, env=None):
        """Take note of a command that is started in `folder`, with the variables `env` where they are not the process's."""
        folder = _text(folder or ".") or "."
        own = self._place(folder)[1]
        if own is None or not own.own:  # nobody means all of the data folder by working in it
            self.hand_over(folder)
        for word in _words(words):
            for part in {word, word.rpartition("=")[2]} - {""}:
                self._give(os.path.join(folder, part))
        for path in self._paths_in(env):
            self._give(path)

    def module(self, path):
        """Take note that a forked child imports what is in the file `path`, or was compiled to it."""
        path = _text(path)
        if path is not None and self._place(path)[1] is not None:
            self.modules.add(_source(os.path.abspath(path)))

    def everything(self):
        """Take note that all files of all providers may be read."""
        for root in self._roots:
            if root.name != _DATA:
                self.trees.add(f"{root.name}/.")

    def _give(self, path):
        """Take note that a program is given `path`."""
        self.hand_over(path)
        path, root = self._place(path)
        if root is not None and root.name != _DATA and _is_there(path) and not _is_folder(path):
            self.hand_over(os.path.dirname(path))

    def _paths_in(self, env):
        """The paths in variables that are not what they were when the test began."""
        for name, value in (os.environ if env is None else env).items():
            value = _text(value) or ""
            if value != self._environment.get(_text(name)):
                yield from filter(os.path.isabs, value.split(os.pathsep))

    def _place(self, path):
        """The absolute path, and the root that it is in; None where it is in none."""
        if path is None:
            path = "."
        path = _text(path)
        if path is None:
            return "", None
        try:
            path = os.path.abspath(path)
        except OSError:
            return path, None  # relative to a folder that is gone
        inside = os.path.join(path, "")
        if not inside.startswith(self._begin) or inside.startswith(self._scratch):
            return path, None
        return path, next(root for root in self._roots if inside.startswith(root.folder))


def _name(path, root):
    return f"{root.name}/{path[len(root.folder):] or '.'}"


def _source(path):
    """The source of a module that may have been compiled to `path`."""
    try:
        return source_from_cache(path) if path.endswith(".pyc") else path
    except ValueError:
        return path


def _text(path):
    """A path as text; None for a descriptor and the like."""
    try:
        return os.fsdecode(path) if not isinstance(path, int) else None
    except (TypeError, ValueError):
        return None


def _is_there(path):
    try:
        _lstat(path)
    except (OSError, ValueError):
        return False
    return True


def _is_folder(path):
    try:
        return (_stat(path).st_mode & 0o170000) == 0o040000
    except (OSError, ValueError):
        return False


def _is_link(path):
    try:
        return (_lstat(path).st_mode & 0o170000) == 0o120000
    except (OSError, ValueError):
        return False


def _words(command):
    """The words of a command line: of a list, of a shell's text, and of a text in a list (``sh -c``)."""
    for word in _list(command):
        text = _text(word)
        if text is None:
            continue
        yield text
        if re.search(r"\s", text):
            try:
                yield from shlex.split(text)
            except ValueError:
                yield from text.split()


def _list(command):
    """The words of a command that may be one text."""
    return [command] if isinstance(command, (str, bytes, os.PathLike)) else list(command or ())


# The process.

_watch = None


def watch(start):
    """Note, from now on, what this process looks at of what `start` says counts."""
    global _watch
    share()
    scratch = [start["dirs"][name] for name in _SCRATCH if name in start["dirs"]]
    if start["dirs"].get("logdir"):
        # What other tests of the job leave, which lies beside it.
        scratch.append(os.path.dirname(os.path.abspath(start["dirs"]["logdir"])))
    installed, _watch = _watch, Watch(start.get("watched", []), scratch)
    if installed is None and start.get("watched"):
        sys.addaudithook(_audit)
        for name, inner in (("stat", _stat), ("lstat", _lstat), ("access", _access)):
            _replace(name, inner)


def report():
    """What was noted since :func:`watch`."""
    return _watch.report() if _watch else {}


def imported_by_children():
    """The files of modules that forked children imported."""
    return list(_watch.modules) if _watch else []


def hand_over(path):
    """Take note that `path` is given to the core, which reads it."""
    if _watch:
        _watch.hand_over(path)


def _audit(event, arguments):
    noted = _EVENTS.get(event)
    if noted is None or _watch is None:
        return
    if event == "import" or not _imports(sys._getframe(1)):
        noted(_watch, *arguments)
    elif event == "open" and in_child():
        _watch.module(arguments[0])


def _imports(frame):
    """Whether the frame is one of the machinery that imports modules."""
    return frame.f_code.co_filename.startswith("<frozen importlib")


def _opened(noting, path, mode=None, flags=0):
    written = mode[0] in "wx" if mode else flags & os.O_ACCMODE == os.O_WRONLY
    if not written:
        noting.look(path)


def _imported(noting, module, *_where):
    if module in _SPAWNING:
        noting.everything()


_EVENTS = {
    "import": _imported,
    "open": _opened,
    "os.listdir": lambda noting, path=None: noting.listing(path),
    "os.scandir": lambda noting, path=None: noting.listing(path),
    "subprocess.Popen": lambda noting, program, words, folder=None, env=None: noting.command(
        [program, *_list(words)], folder, env
    ),
    "os.system": lambda noting, command: noting.command(command),
    "os.exec": lambda noting, path, words, env=None: noting.command([path, *_list(words)], env=env),
    "os.posix_spawn": lambda noting, path, words, env=None: noting.command([path, *_list(words)], env=env),
}


def _replace(name, inner):
    """Put a function that notes the path it is called with in the place of `os.NAME`."""

    def looking(path, *arguments, **options):
        try:
            answer = inner(path, *arguments, **options)
        except (FileNotFoundError, NotADirectoryError):
            _looked(path, options, False)
            raise
        _looked(path, options, None if answer is False else True)
        return answer

    def _looked(path, options, there):
        # A realpath looks at every folder on the way.
        quiet = inner is _lstat and "posixpath" in sys._getframe(2).f_code.co_filename
        if _watch is not None and not quiet and options.get("dir_fd") is None:
            _watch.look(path, there)

    looking.__name__ = looking.__qualname__ = name
    looking.__doc__ = inner.__doc__
    # Modules ask these sets what a function can do.
    for able in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks, os.supports_effective_ids):
        if inner in able:
            able.add(looking)
    setattr(os, name, looking)
