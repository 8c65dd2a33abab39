"""Parts of a class that are loaded when they are first asked for.

A machine can do some two hundred things, of which a test asks for a dozen, and a test's interpreter compiles what it
imports. So the large classes begin with what most tests need, and get the rest as further bases at the first name that
they do not have.
"""

import importlib


def add(cls, parts):
    """Make ``module:class`` of each of `parts` bases of `cls`, after those that it has; whether that was done now."""
    new = [getattr(importlib.import_module(module), name) for module, name in parts]
    if all(part in cls.__bases__ for part in new):
        return False
    cls.__bases__ = (*cls.__bases__, *(part for part in new if part not in cls.__bases__))
    return True
