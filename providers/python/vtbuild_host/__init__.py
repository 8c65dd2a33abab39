"""What stands around a test whichever way it runs: layers of packages, the environment they come from, what a test needs.

Nothing here is imported by tests. A test sees ``virttest``, ``avocado`` and ``aexpect``; where those come from is decided
here (``docs/runtimes.md``).
"""
