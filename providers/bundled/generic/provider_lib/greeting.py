"""A library of the provider, for the self test that imports one."""


def greeting(name):
    """Return a greeting for `name`."""
    return "hello, %s" % name
