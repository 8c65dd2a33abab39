"""The test providers of this run, under the names by which upstream's helpers look for tests in them."""

import os

from virttest import absent, data_dir

__getattr__ = absent(__name__)


def get_test_provider_names(backend=None):
    """The names of all providers, or of those that have tests for `backend`."""
    return [name for name, backends in _providers().items() if backend is None or backend in backends]


def get_test_provider_info(provider):
    """A provider: ``uri``, and ``backends`` with the folder (``path``) and the configuration files of each.

    Where a provider was given a name of its own, the folders do not tell it: the test's own is meant, which is first.
    """
    found = _providers()
    if not found:
        raise KeyError(f"no test provider is known, {provider!r} neither")
    backends = found.get(provider) or next(iter(found.values()))
    entries = {name: {"path": path, "cartesian_configs": []} for name, path in backends.items()}
    return {"name": provider, "uri": f"file://{os.path.dirname(next(iter(backends.values())))}", "backends": entries}


def get_test_provider_subdirs(backend=None):
    """The folders with tests for `backend`, or all of them."""
    return [
        path
        for backends in _providers().values()
        for name, path in backends.items()
        if backend is None or name == backend
    ]


def _providers():
    """The folders of the run's providers: by root, the backends below it. Their names are those of their roots."""
    found = {}
    for folder in data_dir.provider_folders():
        if os.path.isdir(os.path.join(folder, "tests")):
            root = os.path.dirname(folder)
            found.setdefault(os.path.basename(root), {})[os.path.basename(folder)] = folder
    return found
