"""Disk images in the hands of ``qemu-img``, which the core runs."""

import json
import logging

from avocado.core.exceptions import TestError, TestWarn
from avocado.utils.process import CmdError, CmdResult
from virttest import absent, core, missing, storage

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.qemu_storage")

#: Statuses of ``qemu-img check``.
_CHECK_UNFINISHED, _CHECK_CORRUPT, _CHECK_LEAKS = 1, 2, 3


class QemuImg:
    """One image: its parameters, its file, and what can be done with it. Times are in seconds."""

    def __init__(self, params, root_dir, tag):
        """:param params: the image's own view of the parameters. :param tag: its name, as in ``images``."""
        self.params = params
        self.root_dir = root_dir
        self.tag = tag
        self.image_format = params.get("image_format", "qcow2")
        self.size = params.get("image_size", "")
        self._filename = None

    @property
    def image_filename(self):
        """The image's file."""
        if self._filename is None:
            self._filename = storage.get_image_filename(self.params, self.root_dir)
        return self._filename

    def create(self, params=None, ignore_errors=False, timeout=240):
        """Make the image, empty, and return its file and the command's output."""
        params = self.params if params is None else params
        options = [f"cluster_size={params['image_cluster_size']}"] if params.get("image_cluster_size") else []
        if params.get("preallocated", "off") not in ("no", "off", ""):
            options.append(f"preallocation={params['preallocated']}")
        args = ["create", "-f", self.image_format]
        args += ["-o", ",".join(options)] if options else []
        result = self.run([*args, self.image_filename, params["image_size"]], timeout, ignore_errors)
        return self.image_filename, result

    def info(self, force_share=False, output="human", timeout=60):
        """Return what ``qemu-img info`` says: text, or JSON text where `output` is ``json``."""
        share = ["-U"] if force_share else []
        return self.run(["info", *share, f"--output={output}", self.image_filename], timeout).stdout_text

    def get_format(self):
        """Return the format that ``qemu-img info`` finds."""
        return json.loads(self.info(output="json"))["format"]

    def check(self, params=None, root_dir=None, force_share=False, output=None, timeout=240):
        """Run ``qemu-img check`` and return its result, whatever it is."""
        args = ["check", *(["-U"] if force_share else []), *([f"--output={output}"] if output else [])]
        return self.run([*args, "-f", self.image_format, self.image_filename], timeout, ignore_errors=True)

    def check_image(self, params=None, root_dir=None, force_share=False):
        """Check the image: TestError where it is corrupt, TestWarn where clusters leak or the check did not end."""
        if self.image_format not in ("qcow2", "qed", "vdi", "vmdk", "vhdx"):
            LOG.debug("image %s: a %s image holds nothing to check", self.tag, self.image_format)
            return
        result = self.check(force_share=force_share)
        said = (result.stdout_text + result.stderr_text).strip()
        if result.exit_status == _CHECK_CORRUPT:
            raise TestError(f"image {self.tag} ({self.image_filename}) is corrupt: {said}")
        if result.exit_status in (_CHECK_UNFINISHED, _CHECK_LEAKS):
            raise TestWarn(f"image {self.tag} ({self.image_filename}) is not clean: {said}")

    def convert(self, params, root_dir=None, cache_mode=None, timeout=600):
        """Copy the image into another format; return the new image's parameters.

        :param params: with ``convert_target``, the new image's name, whose own parameters are ``KEY_name``.
        """
        target = QemuImg(params.object_params(params["convert_target"]), self.root_dir, params["convert_target"])
        cache = ["-t", cache_mode] if cache_mode else []
        files = [self.image_filename, target.image_filename]
        self.run(["convert", *cache, "-f", self.image_format, "-O", target.image_format, *files], timeout)
        return target.params

    def resize(self, size, shrink=False, timeout=60):
        """Change the image's size: a size, or a difference as ``+1G``."""
        self.run(
            ["resize", *(["--shrink"] if shrink else []), "-f", self.image_format, self.image_filename, size], timeout
        )

    def compare_to(self, target, timeout=600):
        """Run ``qemu-img compare`` with another image and return its result: status 0 means the same content."""
        files = [self.image_filename, target.image_filename]
        return self.run(["compare", "-f", self.image_format, "-F", target.image_format, *files], timeout, True)

    def remove(self):
        """Remove the image's file; nothing happens where there is none."""
        import os

        try:
            os.unlink(self.image_filename)
        except FileNotFoundError:
            pass

    def run(self, args, timeout, ignore_errors=False):
        """Run ``qemu-img`` with `args` and return its result; CmdError where it fails."""
        command = " ".join(["qemu-img", *args])
        LOG.info("running %s", command)
        answer = core.call("image.run", program="img", args=args, timeout=float(timeout))
        result = CmdResult(command, answer["stdout"].encode(), answer["stderr"].encode(), answer["status"])
        for line in (result.stdout_text + result.stderr_text).splitlines():
            LOG.debug("[qemu-img] %s", line)
        if result.exit_status != 0 and not ignore_errors:
            raise CmdError(command, result)
        return result

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise missing(f"virttest.qemu_storage.QemuImg.{name}")
