"""What tests need beyond the test host, found without running them: by it the runtime of each is chosen.

``python3 -m vtbuild_host.needs`` reads ``{"tests": [{"module": PATH, "files": [PATH ..], "folders": [PATH ..]}]}`` from standard
input: `files` are the module and all that it imports inside its provider, `folders` those that it imports from, in their
order; the first is the provider's own. It prints one object for each test:

=============  ======================================================================================================
``own``        names that the runtime `own` lacks: members of its objects, names of its modules, other packages
``layered``    names that the runtime `layered` lacks: those of ``own`` that our core would have to have
``python``     packages that neither this interpreter nor upstream's environment has
``broken``     why the module can be run in none of them: Python cannot read it or what it imports, or it has no ``run``
=============  ======================================================================================================

What our packages have is asked of the packages themselves (``probe``), so that no list has to be kept. What only running
can tell (``getattr``, the names that upstream's helpers ask our objects for) is not found here; a test that stumbles
over such a name is run again by upstream, and that is remembered.
"""

import importlib.util
import json
import os
import sys
from pathlib import Path

import virttest
from vtbuild_host import layers, probe, usage

#: What the environment of upstream's packages holds beside them.
_WITH_UPSTREAM = ("six", "transitions", "packaging", "setuptools", "pkg_resources")

_PACKAGES = ("virttest", "avocado", "aexpect")


def needs(request):
    """The answers to `request`, in its order."""
    tests = request["tests"]
    groups = {}
    for test in tests:
        groups.setdefault(tuple(test["folders"]), []).append(test)
    # Names of modules mean something within one provider: others have files of the same names.
    views = {folders: _View([Path(folder) for folder in folders], group) for folders, group in groups.items()}
    looked = [(views[tuple(test["folders"])], test) for test in tests]
    reached = [view.reached(test) for view, test in looked]
    core = set(_core_modules())
    present = _presence(reached)
    return [
        {**_one(members, outside, present, core), "broken": view.broken(test)}
        for (members, outside), (view, test) in zip(reached, looked)
    ]


class _View:
    """What the tests of one provider see of it."""

    def __init__(self, folders, tests):
        files = {Path(path) for test in tests for path in test["files"]}
        #: The name of each file from the first folder that it is in. It has another one from each further folder.
        self.names = {path: _name(path, folders) for path in sorted(files)}
        others = {}
        for folder in folders:
            for path, name in self.names.items():
                if folder in path.parents:
                    others.setdefault(usage.module_name(path, folder), name)
        self.library = usage.Library(((name, path) for path, name in self.names.items()), others)
        self.provided = {_head(name) for name in (*self.library.sources, *self.library.aliases)}

    def reached(self, test):
        """The members, and the names in other packages' modules, that a test's module reaches."""
        name = self.names.get(Path(test["module"]))
        if name not in self.library.sources:
            return set(), set()
        return self.library.reach(name, lambda other: _head(other) not in self.provided)

    def broken(self, test):
        """Why a test's module cannot be run: what is wrong with it, or with what it imports."""
        unreadable = self.library.unreadable
        reasons = [unreadable[path] for path in map(Path, test["files"]) if path in unreadable]
        source = self.library.sources.get(self.names.get(Path(test["module"])))
        if source and not source.binds("run"):
            reasons.append(f"{source.path} defines no function run(test, params, env)")
        return sorted(reasons)


def _name(path, folders):
    inside = (folder for folder in folders if folder in path.parents)
    return usage.module_name(path, next(inside, path.parent))


def _head(module):
    return module.partition(".")[0]


def _symbols(members, outside):
    """What is to be asked of our packages: members of objects, and names in the modules that the host gives."""
    given = {("name", *name) for name in outside if _head(name[0]) in _PACKAGES}
    return {("member", *member) for member in members} | given


def _core_modules():
    """The modules of the upper layer that hold names: they are ours in both runtimes. A package's may be upstream's."""
    for package in ("virttest", "avocado"):
        folder = Path(layers.OWN, package)
        for path in folder.rglob("[!_]*.py"):
            yield usage.module_name(path, folder, (package,))


def _presence(reached):
    """Which of all symbols our packages have."""
    ordered = sorted(set().union(*(_symbols(*one) for one in reached)))
    return dict(zip(ordered, probe.has(ordered)))


def _one(members, outside, present, core):
    lacking = [symbol for symbol in _symbols(members, outside) if not present[symbol]]
    others = _other_packages(outside)
    ours = [symbol for symbol in lacking if present[symbol] is not None and _is_ours(symbol, core)]
    return {
        "own": sorted({*map(_spelled, lacking), *(name for name in others if name in _WITH_UPSTREAM)}),
        "layered": sorted(set(map(_spelled, ours))),
        "python": sorted(name for name in others if not _is_importable(name)),
    }


def _is_ours(symbol, core):
    """Whether a missing name would have to come from our core; a module that we do not have comes from upstream."""
    sort, module, name = symbol
    return sort == "member" or (module in core and bool(name))


def _other_packages(outside):
    """The packages among what is imported from outside of the provider that are neither the host's nor Python's."""
    standard = getattr(sys, "stdlib_module_names", None) or sys.builtin_module_names
    heads = {_head(module) for module, _ in outside}
    return {head for head in heads if head and head not in _PACKAGES and head not in standard}


def _is_importable(name):
    if name in _WITH_UPSTREAM:
        return True
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _spelled(symbol):
    _, first, second = symbol
    return f"{first}.{second}" if second else first


def main():
    """Answer the request on standard input."""
    del virttest.missed[:]
    out = os.dup(1)
    os.dup2(2, 1)  # what a module prints while it is loaded is no part of the answer
    answer = needs(json.load(sys.stdin))
    with os.fdopen(out, "w") as stream:
        json.dump(answer, stream)
    return 0


if __name__ == "__main__":
    sys.exit(main())
