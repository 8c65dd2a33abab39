"""Folders that modules take down while they are imported: for temporary files, for data.

Upstream's modules keep them in globals and in defaults of arguments. They are imported once for many tests
(:mod:`vtbuild_host.forkserver`), so what they take down is a placeholder, and the process of each test puts its own
folders in the placeholder's place.
"""

import contextlib
import os
import shutil
import sys
import tempfile
import types

#: The packages whose modules are looked through.
_PACKAGES = ("virttest", "avocado", "aexpect")

#: What stands for each folder of a test, by the name that it has in the start message.
_placeholders = {}

#: Where placeholders are: the globals of modules with a name among them, and functions with defaults.
_globals = []
_functions = []


@contextlib.contextmanager
def unsettled(**environment):
    """While modules are imported: a folder for placeholders, and variables of the environment.

    The folder for temporary files is stood for already; others are, by :func:`stand_in`. The folder goes afterwards.
    """
    root = tempfile.mkdtemp(prefix="vtbuild-host-")
    temporary = os.path.join(root, "tmpdir")
    os.mkdir(temporary)
    stand_in({"tmpdir": temporary})
    changes = {"TMPDIR": temporary, **{name: path.format(root=root) for name, path in environment.items()}}
    kept = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    tempfile.tempdir = None
    try:
        yield root
        _look_through()
    finally:
        for name, value in kept.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        tempfile.tempdir = None
        shutil.rmtree(root, ignore_errors=True)


def stand_in(folders):
    """Have :func:`put_in_place` replace these: placeholders by the name of the folder that they stand for."""
    _placeholders.update(folders)


def folder(name):
    """The folder `name`, or what stands for it."""
    return _placeholders[name]


def put_in_place(folders):
    """Replace each placeholder at the beginning of a text by the folder of its name."""
    places = _ordered(folders)
    for names, name in _globals:
        names[name] = _placed(names[name], places)
    for function in _functions:
        function.__defaults__ = tuple(_placed(value, places) for value in function.__defaults__)
    _globals.clear()
    _functions.clear()
    _placeholders.update(folders)


def _ordered(folders):
    standing = ((_placeholders[name], path) for name, path in folders.items() if name in _placeholders)
    return sorted(standing, key=lambda pair: -len(pair[0]))


def _placed(value, places):
    for standing, path in places:
        if isinstance(value, str) and (value == standing or value.startswith(standing + os.sep)):
            return path + value[len(standing) :]
    return value


def _look_through():
    """Find the placeholders in all modules."""
    places = _ordered(dict.fromkeys(_placeholders, ""))
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _PACKAGES and isinstance(module, types.ModuleType):
            # Not by asking it: one that loads itself once it is looked into takes down what holds then.
            _look_into(object.__getattribute__(module, "__dict__"), places, name)


def _look_into(names, places, module):
    for name, value in names.items():
        if isinstance(value, str):
            if _placed(value, places) is not value:
                _globals.append((names, name))
        elif isinstance(value, types.FunctionType):
            _look_at(value, places)
        elif isinstance(value, type) and value.__module__ == module:
            for function in vars(value).values():
                if isinstance(function, types.FunctionType):
                    _look_at(function, places)


def _look_at(function, places):
    if any(_placed(value, places) is not value for value in function.__defaults__ or ()):
        _functions.append(function)
