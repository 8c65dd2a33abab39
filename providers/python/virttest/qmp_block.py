"""The commands of QMP that deal with disks, their jobs, bitmaps and exports, as methods of a monitor."""

from virttest import absent

__getattr__ = absent(__name__)


def given(**arguments):
    """Those of `arguments` that are not None, under QMP's spelling: ``node_name`` is ``node-name``."""
    return {name.replace("_", "-"): value for name, value in arguments.items() if value is not None}


class BlockCommands:
    """The part of :class:`virttest.qemu_monitor.QMPMonitor` for disks. Speeds are in bytes a second, sizes in bytes."""

    # What is there.

    def info_block(self, debug=True):
        """What ``query-block`` tells, by the name of each disk's drive, or of its node where it has no drive."""
        blocks = {}
        for entry in self.query("block"):
            inserted = entry.get("inserted", {})
            name = entry.get("device") or inserted.get("node-name") or entry.get("qdev")
            rest = {key: value for key, value in entry.items() if key != "inserted"}
            blocks[name] = {**rest, **inserted} if inserted else {**rest, "not-inserted": True}
        return blocks

    def query_named_block_nodes(self):
        """``query-named-block-nodes``: every node of the block graph."""
        return self.query("named-block-nodes")

    def query_block_job(self, device):
        """The running job of this name; empty where there is none."""
        return next((job for job in self.query("block-jobs") if job.get("device") == device), {})

    def query_jobs(self):
        """All jobs."""
        return self.query("jobs")

    def get_backingfile(self, device):
        """The file beneath the image in this drive or node; None where there is none."""
        for entry in self.query("block"):
            inserted = entry.get("inserted", {})
            if device and device in (entry.get("device"), entry.get("qdev"), inserted.get("node-name")):
                return inserted.get("backing_file")
        return None

    # Images under a running guest.

    def block_resize(self, device, size, node_name=None):
        """Make a disk `size` bytes long."""
        device = None if node_name else device
        return self.cmd("block_resize", given(device=device, node_name=node_name, size=int(size)))

    def live_snapshot(self, device, snapshot_file, **options):
        """Let a new image on top of the present one take what is written from now on."""
        return self.cmd(
            "blockdev-snapshot-sync",
            {"format": "qcow2", "mode": "absolute-paths", **options, "device": device, "snapshot-file": snapshot_file},
        )

    def blockdev_add(self, props):
        """Make a node."""
        return self.cmd("blockdev-add", props)

    def blockdev_del(self, node_name):
        """Remove a node."""
        return self.cmd("blockdev-del", {"node-name": node_name})

    def blockdev_reopen(self, props):
        """Open nodes anew with other options."""
        return self.cmd("blockdev-reopen", props)

    def x_blockdev_reopen(self, props):
        """The same, where QEMU still calls it an experiment."""
        return self.cmd("x-blockdev-reopen", props)

    # Jobs. `cmd` may be spelled with - or _, whichever QEMU has, unless `correct` is false.

    def block_stream(self, device, speed=None, base=None, cmd="block-stream", correct=True, **options):
        """Copy what is beneath an image into it."""
        return self._job(cmd, correct, {**_spelled(options), **given(device=device, speed=speed, base=base or None)})

    def block_commit(self, device, speed=None, base=None, top=None, cmd="block-commit", correct=True, **options):
        """Write an image into what is beneath it."""
        where = given(device=device, speed=speed or None, base=base or None, top=top or None)
        return self._job(cmd, correct, {**_spelled(options), **where})

    def block_mirror(self, device, target, sync, cmd="drive-mirror", correct=True, **options):
        """Copy a disk to `target`, and what is written meanwhile."""
        defaults = {"mode": "absolute-paths", "format": "qcow2"} if cmd.replace("_", "-") == "drive-mirror" else {}
        where = {"device": device, "target": target, "sync": sync}
        return self._job(cmd, correct, {**defaults, **_spelled(options), **where})

    def drive_backup(self, device, target, format, sync, speed=0, mode="absolute-paths", bitmap=""):
        """Copy a disk as it is now to `target`."""
        arguments = given(device=device, target=target, format=format, sync=sync, mode=mode)
        arguments.update(given(speed=speed or None, bitmap=bitmap or None))
        return self.cmd("drive-backup", arguments)

    def block_reopen(self, device, new_image_file, image_format, cmd="block-job-complete", correct=True):
        """Let the guest go on with the image that a mirror job has made."""
        del new_image_file, image_format  # the job knows
        return self._job(cmd, correct, {"device": device})

    def set_block_job_speed(self, device, speed=0, cmd="block-job-set-speed", correct=True):
        """Limit a job; 0 is no limit."""
        return self._job(cmd, correct, {"device": device, "speed": int(speed)})

    def cancel_block_job(self, device, cmd="block-job-cancel", correct=True):
        """Cancel a job."""
        return self._job(cmd, correct, {"device": device})

    def pause_block_job(self, device, cmd="block-job-pause", correct=True):
        """Let a job wait."""
        return self._job(cmd, correct, {"device": device})

    def resume_block_job(self, device, cmd="block-job-resume", correct=True):
        """Let a waiting job go on."""
        return self._job(cmd, correct, {"device": device})

    def _job(self, cmd, correct, arguments):
        return self.cmd(self.get_workable_cmd(cmd) if correct else cmd, arguments)

    def transaction(self, job_list):
        """Several actions, all or none."""
        return self.cmd("transaction", {"actions": job_list})

    # Bitmaps.

    def block_dirty_bitmap_add(self, node, name, disabled=None, granularity=None, persistent=None):
        """Make a bitmap that remembers what is written."""
        more = given(disabled=disabled, granularity=granularity, persistent=persistent)
        return self.cmd("block-dirty-bitmap-add", {"node": node, "name": name, **more})

    def block_dirty_bitmap_remove(self, node, name):
        """Remove a bitmap."""
        return self.cmd("block-dirty-bitmap-remove", {"node": node, "name": name})

    def block_dirty_bitmap_clear(self, node, name):
        """Let a bitmap begin anew."""
        return self.cmd("block-dirty-bitmap-clear", {"node": node, "name": name})

    def block_dirty_bitmap_enable(self, node, name):
        """Let a bitmap remember."""
        return self.cmd("block-dirty-bitmap-enable", {"node": node, "name": name})

    def block_dirty_bitmap_disable(self, node, name):
        """Let a bitmap stay as it is."""
        return self.cmd("block-dirty-bitmap-disable", {"node": node, "name": name})

    def block_dirty_bitmap_merge(self, node, src_bitmaps, dst_bitmap):
        """Add what some bitmaps remember to another one."""
        return self.cmd("block-dirty-bitmap-merge", {"node": node, "target": dst_bitmap, "bitmaps": src_bitmaps})

    def operate_dirty_bitmap(self, operation, node, name, granularity=65536):
        """``add``, ``remove`` or ``clear`` a bitmap."""
        if operation == "add":
            return self.block_dirty_bitmap_add(node, name, granularity=granularity)
        return self.cmd(f"block-dirty-bitmap-{operation}", {"node": node, "name": name})

    def debug_block_dirty_bitmap_sha256(self, node, bitmap):
        """A digest of what a bitmap remembers."""
        return self.cmd("debug-block-dirty-bitmap-sha256", {"node": node, "name": bitmap})

    def x_debug_block_dirty_bitmap_sha256(self, node, bitmap):
        """The same, as QEMU calls it."""
        return self.cmd("x-debug-block-dirty-bitmap-sha256", {"node": node, "name": bitmap})

    # Exports.

    def nbd_server_start(self, server, tls_creds=None, tls_authz=None):
        """Start QEMU's NBD server; `server` has ``type`` (``inet``, ``unix``) and that type's fields."""
        address = {"type": server["type"], "data": {key: value for key, value in server.items() if key != "type"}}
        return self.cmd("nbd-server-start", {"addr": address, **given(tls_creds=tls_creds, tls_authz=tls_authz)})

    def nbd_server_add(self, device, export_name=None, writable=None, bitmap=None):
        """Export a node over NBD."""
        return self.cmd("nbd-server-add", given(device=device, name=export_name, writable=writable, bitmap=bitmap))

    def nbd_server_remove(self, export_name, remove_mode=None):
        """End an export: ``safe``, or ``hard`` for one that is in use."""
        return self.cmd("nbd-server-remove", given(name=export_name, mode=remove_mode))

    def nbd_server_stop(self):
        """Stop QEMU's NBD server."""
        return self.cmd("nbd-server-stop")

    def block_export_add(
        self,
        uid,
        export_type,
        node_name,
        iothread=None,
        fixed_iothread=None,
        writable=None,
        writethrough=None,
        **options,
    ):
        """Export a node: `export_type` is ``nbd``, ``vhost-user-blk``, ``fuse``, …, `options` what that type takes."""
        arguments = {"id": uid, "type": export_type, "node-name": node_name}
        arguments.update(given(iothread=iothread, fixed_iothread=fixed_iothread))
        arguments.update(given(writable=writable, writethrough=writethrough))
        return self.cmd("block-export-add", {**arguments, **_spelled(options)})

    def block_export_del(self, uid, mode=None):
        """End an export."""
        return self.cmd("block-export-del", given(id=uid, mode=mode))

    def query_block_exports(self):
        """All exports."""
        return self.query("block-exports")

    # Drives with a medium.

    def eject_cdrom(self, device, force=False):
        """Open a drive and take the medium out."""
        return self.cmd("eject", {**self._drive(device), "force": bool(force)})

    def change_media(self, device, target):
        """Put another medium into a drive."""
        return self.cmd("blockdev-change-medium", {**self._drive(device), "filename": target})

    def blockdev_open_tray(self, dev_id, force=None):
        """Open a drive."""
        return self.cmd("blockdev-open-tray", given(id=dev_id, force=force))

    def blockdev_close_tray(self, dev_id):
        """Close a drive."""
        return self.cmd("blockdev-close-tray", {"id": dev_id})

    def blockdev_remove_medium(self, dev_id):
        """Take the medium out of an open drive."""
        return self.cmd("blockdev-remove-medium", {"id": dev_id})

    def blockdev_insert_medium(self, dev_id, node_name):
        """Put a node into an open, empty drive."""
        return self.cmd("blockdev-insert-medium", {"id": dev_id, "node-name": node_name})

    def _drive(self, device):
        """Name a drive as QMP wants it: tests give a drive's own name, its device's, or its node's."""
        for entry in self.query("block"):
            if entry.get("device") and device == entry["device"]:
                return {"device": device}
            # A device without an id of its own is known by its path.
            qdev = entry.get("qdev", "")
            if device in (qdev, *qdev.split("/"), entry.get("inserted", {}).get("node-name")):
                return {"id": qdev}
        return {"id": device}


def _spelled(options):
    return given(**options)
