"""What QMP has commands for, in the words of the human monitor."""

from virttest import absent

__getattr__ = absent(__name__)


class HumanCommands:
    """The part of :class:`virttest.qemu_monitor.HumanMonitor` that has counterparts in QMP."""

    def info_block(self, debug=True):
        """What ``info block`` prints, by the name of each drive: file, driver, and what else is said of it."""
        blocks = {}
        name = None
        for line in self.info("block").splitlines():
            head, colon, rest = line.partition(":")
            if not colon:
                continue
            if not line.startswith(" "):
                name = head.split(" ")[0]
                blocks[name] = _block(rest.strip())
            elif name and head.strip() == "Backing file":
                backing, _, depth = rest.strip().partition(" (chain depth: ")
                blocks[name].update({"backing_file": backing, "backing_file_depth": int(depth.rstrip(")") or 0)})
            elif name and head.strip() == "Removable device":
                blocks[name]["removable"] = 1
                blocks[name].update({} if "not locked" in rest else {"locked": 1})
        return blocks

    def block_resize(self, device, size, node_name=None):
        """Make a disk `size` bytes long."""
        return self.cmd(f"block_resize {node_name or device} {int(size)}B")

    def set_link(self, name, up):
        """Plug a network cable in, or pull it."""
        return self.cmd(f"set_link {name} {'on' if up else 'off'}")

    def balloon(self, size):
        """Leave the guest `size` bytes of memory."""
        return self.cmd(f"balloon {int(size) // (1 << 20)}")

    def system_wakeup(self):
        """Wake a suspended guest."""
        return self.cmd("system_wakeup")

    def live_snapshot(self, device, snapshot_file, format="qcow2", **_):
        """Let a new image on top of the present one take what is written from now on."""
        return self.cmd(f"snapshot_blkdev {device} {snapshot_file} {format}")

    def eject_cdrom(self, device, force=False):
        """Open a drive and take the medium out."""
        return self.cmd(f"eject {'-f ' if force else ''}{device}")

    def change_media(self, device, target):
        """Put another medium into a drive."""
        return self.cmd(f"change {device} {target}")

    def mouse_move(self, dx, dy):
        """Move the mouse."""
        return self.cmd(f"mouse_move {dx} {dy}")

    def mouse_button(self, state):
        """Press the buttons in `state` (1 left, 2 middle, 4 right) and release the others."""
        return self.cmd(f"mouse_button {state}")

    def query_mice(self):
        """The mice that the guest has."""
        return self.info("mice")

    def migrate(self, uri, full_copy=False, incremental_copy=False, wait=False):
        """Start to migrate to `uri`."""
        return self.cmd(f"migrate {'' if wait else '-d '}{uri}")

    def migrate_incoming(self, uri):
        """Wait at `uri` for a machine that migrates here."""
        return self.cmd(f"migrate_incoming {uri}")

    def migrate_start_postcopy(self):
        """Let the guest go on at the destination, where the rest of its memory follows."""
        return self.cmd("migrate_start_postcopy")

    def migrate_set_speed(self, value):
        """Bytes a second that a migration may send, as ``1G``."""
        return self.set_migrate_parameter("max-bandwidth", value)

    def migrate_set_downtime(self, value):
        """How long (seconds) a migration may stop the machine."""
        return self.set_migrate_parameter("downtime-limit", int(float(value) * 1000))

    def set_migrate_parameter(self, parameter, value, error_on_missing=False, disable_auto_x_evaluation=True):
        """Set one of QEMU's migration parameters."""
        return self.cmd(f"migrate_set_parameter {parameter} {value}")

    def set_migrate_capability(self, state, capability, disable_auto_x_evaluation=True):
        """Turn a migration capability on or off."""
        return self.cmd(f"migrate_set_capability {capability} {'on' if state else 'off'}")

    def get_migrate_parameter(self, parameter, error_on_missing=False, disable_auto_x_evaluation=True):
        """Return one of QEMU's migration parameters as text, None where it is not set."""
        return self._lines_of("migrate_parameters").get(parameter)

    def get_migrate_capability(self, capability, disable_auto_x_evaluation=True):
        """Whether a migration capability is on."""
        return self._lines_of("migrate_capabilities").get(capability) == "on"

    def _lines_of(self, what):
        pairs = (line.partition(":") for line in self.info(what).splitlines())
        return {name.strip(): value.strip() for name, colon, value in pairs if colon}

    def get_migrate_progress(self):
        """How much of the memory is over there, in per cent."""
        lines = self._lines_of("migrate")
        total = int((lines.get("total ram") or "0").split()[0])
        remaining = int((lines.get("remaining ram") or str(total)).split()[0])
        return 100.0 * (total - remaining) / total if total else 0.0

    def pause_block_job(self, device, correct=True):
        """Let a job wait."""
        return self.cmd(f"block_job_pause {device}")

    def resume_block_job(self, device, correct=True):
        """Let a waiting job go on."""
        return self.cmd(f"block_job_resume {device}")

    def cancel_block_job(self, device, correct=True):
        """Cancel a job."""
        return self.cmd(f"block_job_cancel {device}")

    def set_block_job_speed(self, device, speed=0, correct=True):
        """Limit a job (bytes a second); 0 is no limit."""
        return self.cmd(f"block_job_set_speed {device} {int(speed)}")


def _block(text):
    """``FILE (DRIVER, WORD, …)``, or that there is nothing in the drive."""
    if text == "[not inserted]":
        return {"not-inserted": 1}
    file, bracket, words = text.rpartition(" (")
    if not bracket:
        return {"file": text}
    driver, *rest = [word.strip() for word in words.rstrip(")").split(",")]
    marks = {"read-only": "ro", "encrypted": "encrypted"}
    return {"file": file, "drv": driver, **{marks.get(word, word): 1 for word in rest}}
