"""Programs of upstream's distribution that its packages start: each in a folder of its own, found by that one name.

The environment's own folder of programs holds an interpreter and pip: on a test's ``PATH`` they would take the place of the
host's.
"""

import os
import sys

from vtbuild_host import layers

_LAUNCHER = """#!{python} -IBS
import runpy, sys
sys.path.insert(0, {packages!r})
runpy.run_path({program!r}, run_name="__main__")
"""


def offer(name, folder):
    """Make the program `name` of the environment known to this process and to what it starts.

    :param folder: an existing folder that goes with the test.
    """
    place = os.path.join(folder, "programs")
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, name)
    program = os.path.join(layers.UPSTREAM, "bin", name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(_LAUNCHER.format(python=sys.executable, packages=layers.UPSTREAM, program=program))
    os.chmod(path, 0o755)
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), place])
