"""``python3 -m virttest``: run one test for the core, over the socket named by ``VTBUILD_HOST_FD``."""

import os
import sys

if os.environ.get("PYTHONPATH") and sys.path[0] == os.getcwd():
    del sys.path[0]  # -m puts the current folder first: a file that happens to lie there must not replace a module

from virttest.runner import main

sys.exit(main())
