"""Disks of a running machine: finding them, and the jobs on them."""

import json

from virttest import absent

__getattr__ = absent(__name__)


class BlockAccess:
    """The part of a machine that deals with its disks. Speeds are in bytes a second, or text as ``10M``."""

    def get_block(self, p_dict=None):
        """The name of the first disk of which all of `p_dict` is true; None where there is none.

        :param p_dict: fields of ``query-block`` at any depth, as ``file`` or ``backing_file``.
        """
        if not p_dict:
            return None
        for name, block in self.monitor.info_block().items():
            fields = list(_fields(block))
            if all(
                any(key == field and _same(value, found) for field, found in fields) for key, value in p_dict.items()
            ):
                return name
        return None

    def check_block_locked(self, value):
        """Whether the drive that `value` names (itself, its file …) is locked by the guest."""
        for name, block in self.monitor.info_block().items():
            if value == name or value in str(block):
                return bool(block.get("locked"))
        raise AssertionError(f"machine {self.name} has no drive {value!r}")

    def live_snapshot(self, base_file, snapshot_file, snapshot_format="qcow2"):
        """Let a new image take what is written from now on to the disk with the image `base_file`.

        :return: the name of the disk that has the new image; None where none has it.
        """
        self.monitor.live_snapshot(self.get_block({"file": base_file}), snapshot_file, format=snapshot_format)
        return self.get_block({"file": snapshot_file})

    def block_stream(self, device, speed, base=None, correct=True, **options):
        """Copy what is beneath an image into it."""
        return self.monitor.block_stream(device, _speed(speed), base, correct=correct, **options)

    def block_commit(self, device, speed, base=None, top=None, correct=True, **options):
        """Write an image into what is beneath it."""
        return self.monitor.block_commit(device, _speed(speed), base, top, correct=correct, **options)

    def block_mirror(self, device, target, sync, correct=True, **options):
        """Copy a disk, and what is written to it meanwhile."""
        if "speed" in options:
            options["speed"] = _speed(options["speed"])
        return self.monitor.block_mirror(device, target, sync, correct=correct, **options)

    def block_reopen(self, device, new_image, format="qcow2", correct=True):
        """Let the guest go on with the copy that a mirror job has made."""
        return self.monitor.block_reopen(device, new_image, format, correct=correct)

    def cancel_block_job(self, device, correct=True):
        """Cancel a job."""
        return self.monitor.cancel_block_job(device, correct=correct)

    def pause_block_job(self, device, correct=True):
        """Let a job wait."""
        return self.monitor.pause_block_job(device, correct=correct)

    def resume_block_job(self, device, correct=True):
        """Let a waiting job go on."""
        return self.monitor.resume_block_job(device, correct=correct)

    def set_job_speed(self, device, speed="0", correct=True):
        """Limit a job; 0 is no limit."""
        return self.monitor.set_block_job_speed(device, _speed(speed), correct=correct)

    def get_job_status(self, device):
        """What is known of a job; empty where there is none."""
        return self.monitor.query_block_job(device)

    def eject_cdrom(self, device, force=False):
        """Open a drive and take the medium out."""
        return self.monitor.eject_cdrom(device, force)

    def change_media(self, device, target, force=None):
        """Put another medium into a drive."""
        return self.monitor.change_media(device, target)

    def balloon(self, size):
        """Leave the guest `size` mebibytes of memory."""
        return self.monitor.balloon(int(float(size) * (1 << 20)))


def _speed(value):
    from virttest.utils_numeric import normalize_data_size

    return int(float(normalize_data_size(str(value), "B")))


def _fields(block):
    """Every field of an object, at any depth."""
    for key, value in block.items():
        yield key, value
        if isinstance(value, dict):
            yield from _fields(value)


def _same(wanted, found):
    return wanted == found or _parsed(wanted) == _parsed(found)


def _parsed(name):
    """``json:{…}`` names an image by its options, in any order."""
    return json.loads(name[len("json:") :]) if isinstance(name, str) and name.startswith("json:") else name
