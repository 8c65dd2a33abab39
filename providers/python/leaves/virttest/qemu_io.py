"""Reading and writing an image by ``qemu-io``, which the core runs."""

import logging

from avocado.utils.process import CmdError, CmdResult
from virttest import absent, core

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.qemu_io")


class QemuIOSystem:
    """One run of ``qemu-io`` for every command."""

    def __init__(self, test, params, image_name, blkdebug_cfg="", io_options="", log_filename=None, log_func=None):
        """:param image_name: the image's file. :param io_options: options before the command, as ``-r`` or ``-n``."""
        self.image_name = f"blkdebug:{blkdebug_cfg}:{image_name}" if blkdebug_cfg else image_name
        self.io_options = io_options.split()
        self.image_format = params.get("image_format", "qcow2")

    def cmd_output(self, command, timeout=60):
        """Give one command, as ``write -P 1 0 64k``, and return what ``qemu-io`` prints; CmdError where it fails."""
        options = self.io_options
        if "-f" not in options and not self.image_name.startswith("blkdebug:"):
            options = ["-f", self.image_format, *options]
        args = [*options, "-c", command, self.image_name]
        text = " ".join(["qemu-io", *args])
        answer = core.call("image.run", program="io", args=args, timeout=float(timeout))
        output = answer["stdout"] + answer["stderr"]
        LOG.debug("%s: %s", text, output.strip())
        if answer["status"] != 0:
            raise CmdError(
                text, CmdResult(text, answer["stdout"].encode(), answer["stderr"].encode(), answer["status"])
            )
        return output

    def close(self):
        """Nothing is left open between commands."""
