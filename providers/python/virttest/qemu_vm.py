"""A machine, as a test sees it. QEMU itself is started, watched and ended by the core."""

import logging
import time

from virttest import absent, core, missing, virt_vm
from virttest.guest_access import GuestAccess

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.qemu_vm")


class ImageUnbootableError(virt_vm.VMError):
    """The machine finds nothing to boot on its image."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name

    def __str__(self):
        return f"machine {self.name} finds nothing to boot"


class QemuSegFaultError(virt_vm.VMError):
    """QEMU crashed."""

    def __init__(self, crash_message):
        super().__init__(crash_message)
        self.crash_message = crash_message

    def __str__(self):
        return f"QEMU crashed: {self.crash_message}"


#: What a machine can do beside what stands here, loaded when a test first asks for any of it.
_PARTS = (
    ("virttest.vm_inside", "GuestFacts"),  # what the guest says of itself
    ("virttest.vm_devices", "DeviceAccess"),
    ("virttest.vm_nics", "NicAccess"),
    ("virttest.vm_block", "BlockAccess"),
    ("virttest.vm_process", "ProcessAccess"),
)


class VM(GuestAccess):
    """One machine by its name; its guest is reached as :class:`GuestAccess` says. All times are in seconds."""

    # How long is waited where neither test nor variant says.
    MIGRATE_TIMEOUT = 3600
    CREATE_TIMEOUT = 20

    MIGRATION_PROTOS = ("tcp", "unix", "exec", "fd")

    def __init__(self, name, params, root_dir=None, address_cache=None):
        self.name = name
        self.params = params
        self.root_dir = root_dir
        self.address_cache = address_cache if address_cache is not None else {}
        self.vm_type = self.driver_type = "qemu"
        self.migration_uri = None
        self._forget()

    def __repr__(self):
        return f"<machine {self.name}>"

    # Life.

    def create(
        self,
        name=None,
        params=None,
        root_dir=None,
        timeout=CREATE_TIMEOUT,
        migration_mode=None,
        migration_exec_cmd=None,
        migration_fd=None,
        mac_source=None,
    ):
        """Start the machine, or start it anew. `params` replace those that it had.

        :param migration_mode: a protocol: the machine then waits for one that migrates to it.
        :param migration_exec_cmd: for ``exec``: the command that gives the state.
        :param mac_source: a machine whose network cards have the addresses that this one's shall have.
        """
        _nothing_else("create", {"migration_fd": migration_fd})
        self.name = name or self.name
        self.params = params if params is not None else self.params
        self.root_dir = root_dir or self.root_dir
        self._forget()
        view = _plain(self.params)
        if mac_source is not None and mac_source is not self:
            for nic in mac_source.virtnet:
                view[f"mac_{nic.nic_name}_{self.name}"] = nic.mac
        answer = core.call(
            "vm.create",
            vm=self.name,
            params=view,
            migration_mode=migration_mode,
            migration_exec_cmd=migration_exec_cmd,
            source=mac_source.name if mac_source is not None and mac_source is not self else None,
        )
        #: Where the machine waits for its state, where it does: ``tcp:127.0.0.1:PORT``, ``unix:PATH``.
        self.migration_uri = (answer or {}).get("uri")

    @property
    def migration_port(self):
        """The port at which the machine waits for its state; None where it does not."""
        port = self._waits_at("tcp").rpartition(":")[2]
        return int(port) if port else None

    @property
    def migration_file(self):
        """The socket at which the machine waits for its state; None where it does not."""
        return self._waits_at("unix").partition(":")[2] or None

    def _waits_at(self, protocol):
        uri = self.migration_uri or ""
        return uri if uri.startswith(f"{protocol}:") else ""

    def clone(self, name=None, params=None, root_dir=None, address_cache=None, copy_state=False):
        """Return another machine like this one that does not run; it shares nothing with this one."""
        if copy_state:
            raise virt_vm.VMError(f"machine {self.name}: the state of a machine cannot be cloned by this host")
        return VM(
            name or self.name,
            (params if params is not None else self.params).copy(),
            root_dir or self.root_dir,
            address_cache,
        )

    def destroy(self, gracefully=True, free_mac_addresses=True):
        """End the machine: by a shut-down from inside where `gracefully`, else, or if that fails, at once."""
        if not self.is_dead():
            core.call("vm.destroy", vm=self.name, gracefully=gracefully)
        self._forget()

    def needs_restart(self, name, params, basedir):
        """Whether it has to be started, or started anew, as its command line would be another one with `params`."""
        return self.is_dead() or core.call("vm.differs", vm=name, params=_plain(params))

    def pause(self):
        """Stop the guest's processors."""
        core.call("vm.pause", vm=self.name)

    def resume(self, timeout=None):
        """Let the guest's processors go on."""
        core.call("vm.resume", vm=self.name, timeout=timeout)

    def system_reset(self):
        """Press the reset button."""
        self.monitor.system_reset()

    def graceful_shutdown(self, timeout=60):
        """Shut the guest down from inside; whether it was off within `timeout`."""
        try:
            core.call("vm.shutdown", vm=self.name, method="shell", timeout=float(timeout))
        except virt_vm.VMTimeoutError:
            return False
        return True

    def wait_for_shutdown(self, timeout=240):
        """Whether the guest is off within `timeout`."""
        return core.call("vm.wait_for_dead", vm=self.name, timeout=float(timeout))

    def wait_until_dead(self, timeout, first_delay, delay):
        """Whether the machine is dead within `timeout`, the first look being after `first_delay`."""
        return self._wait(self.is_dead, timeout, first_delay, delay)

    def _forget(self):
        """QEMU is another one: what was known of it does not count any more."""
        self._forget_monitors()
        self._container = None
        self._ports = None
        self._virtnet = None

    def _forget_monitors(self):
        self._monitors = None
        self._console = None

    # State.

    def _state(self):
        try:
            return core.call("vm.state", vm=self.name)
        except virt_vm.VMDeadError:
            return {"alive": False, "dead": True, "pid": None, "status": None}

    def is_alive(self):
        """Whether QEMU runs and its monitor answers."""
        return self._state()["alive"]

    def is_dead(self):
        """Whether QEMU does not run."""
        return self._state()["dead"]

    def is_paused(self):
        """Whether the guest's processors are stopped, for whatever reason."""
        return self._state()["status"] in ("paused", "prelaunch", "postmigrate", "io-error", "watchdog", "suspended")

    def verify_alive(self):
        """Raise VMDeadError, VMDeadKernelCrashError or MonitorError unless all is well."""
        core.call("vm.verify", vm=self.name)

    def verify_kernel_crash(self):
        """Raise VMDeadKernelCrashError if the guest's kernel has said on its serial port that it crashed."""
        core.call("vm.verify", vm=self.name, checks=["kernel-crash"])

    def verify_status(self, status):
        """Raise VMStatusError unless the machine is in this state."""
        if not self.monitor.verify_status(status):
            raise virt_vm.VMStatusError(f"machine {self.name} is {self.monitor.get_status_name()!r}, not {status!r}")

    def wait_for_status(self, status, timeout, first=0.0, step=1.0, text=None):
        """Whether the machine comes into this state within `timeout`."""
        return self._wait(lambda: self.monitor.verify_status(status), timeout, first, step, text)

    @staticmethod
    def _wait(condition, timeout, first, step, text=None):
        from avocado.utils.wait import wait_for

        return bool(wait_for(condition, timeout, first, step, text))

    def get_pid(self):
        """The id of QEMU's process, None where it does not run."""
        return self._state()["pid"]

    #: No shell stands between the core and QEMU: both ids are the same.
    get_shell_pid = get_pid

    def get_params(self):
        """The machine's parameters."""
        return self.params

    # Monitors.

    @property
    def monitors(self):
        """All monitors, in the order of the parameter ``monitors``."""
        if self._monitors is None:
            from virttest.qemu_monitor import make_monitor

            entries = core.call("monitor.list", vm=self.name)
            self._monitors = [(entry.get("main", False), make_monitor(self.name, entry)) for entry in entries]
        return [monitor for _, monitor in self._monitors]

    @property
    def monitor(self):
        """The main monitor."""
        monitors = self.monitors
        if not monitors:
            raise virt_vm.VMDeadError(f"machine {self.name} has no monitor")
        return next((monitor for main, monitor in self._monitors if main), monitors[0])

    @property
    def catch_monitor(self):
        """A monitor beside the main one that nobody uses, or None where there is none."""
        main = self.monitor
        return next((monitor for monitor in self.monitors if monitor is not main), None)

    @property
    def qmp_monitors(self):
        """The monitors that speak QMP."""
        return self.get_monitors_by_type("qmp")

    def get_monitors_by_type(self, mon_type):
        """The monitors that speak ``qmp``, or ``human``."""
        return [monitor for monitor in self.monitors if monitor.protocol == mon_type]

    def screendump(self, filename, debug=True):
        """Save what the display shows to `filename`, as PPM."""
        core.call("vm.screendump", vm=self.name, path=filename)

    def send_string(self, sr):
        """Type letters and digits."""
        for char in sr:
            self.send_key(f"shift-{char.lower()}" if char.isupper() else char)

    def send_key(self, keystr):
        """Press keys: ``ctrl-alt-f1``, ``ret`` …"""
        self.monitor.sendkey(keystr)
        time.sleep(0.2)

    # Migration.

    def migrate(
        self,
        timeout=MIGRATE_TIMEOUT,
        protocol="tcp",
        cancel_delay=None,
        offline=False,
        stable_check=False,
        clean=True,
        save_path=None,
        dest_host="localhost",
        remote_port=None,
        not_wait_for_migration=False,
        fd_src=None,
        fd_dst=None,
        migration_exec_cmd_src=None,
        migration_exec_cmd_dst=None,
        env=None,
        migrate_capabilities=None,
        mig_inner_funcs=None,
        migrate_parameters=(None, None),
    ):
        """Migrate the machine to another QEMU on this host; this object then stands for that one.

        :param protocol: ``tcp``, ``unix``, ``exec`` or ``fd``.
        :param cancel_delay: cancel after so many seconds, where that is not 0: the machine stays where it is.
        :param offline: stop the guest meanwhile.
        :param stable_check: compare the two states, stopped, byte by byte.
        :param migration_exec_cmd_src: for ``exec``: a command that takes the state, ``%s`` standing for a file.
        :param migrate_parameters: QEMU's parameters for the source and for the destination.
        :param not_wait_for_migration: only begin it, and return the destination: another machine.
        :return: what the core knows: ``status``, ``total_time`` and ``downtime`` (milliseconds).
        """
        if protocol not in self.MIGRATION_PROTOS:
            raise virt_vm.VMMigrateProtoUnknownError(protocol)
        # The core switches to post-copy, and over a pause before the switch, by itself where a capability says so.
        unknown = [name for name, _ in mig_inner_funcs or () if name not in ("postcopy", "continue_pre_switchover")]
        _nothing_else("migrate", {"mig_inner_funcs": unknown, "fd_src": fd_src, "fd_dst": fd_dst})
        source, destination = migrate_parameters or (None, None)
        try:
            result = core.call(
                "vm.migrate",
                vm=self.name,
                timeout=float(timeout),
                protocol=protocol,
                cancel_delay=cancel_delay or None,
                offline=offline,
                stable_check=stable_check,
                clean=clean,
                save_path=save_path,
                dest_host=dest_host,
                remote_port=remote_port,
                exec_src=migration_exec_cmd_src,
                exec_dst=migration_exec_cmd_dst,
                capabilities=_switches(migrate_capabilities),
                parameters=source,
                dest_parameters=destination,
                not_wait=not_wait_for_migration or None,
                changes=self.changed_devices() if self._container is not None else None,
            )
        except virt_vm.VMError:
            self._forget_monitors()
            raise
        if result.get("status") == "cancelled":
            return result
        if result.get("destination"):
            return VM(result["destination"], self.params, self.root_dir)
        self._moved()
        LOG.info("machine %s: migration by %s: %s", self.name, protocol, result)
        return result

    def _moved(self):
        """The machine has another QEMU, with the same devices."""
        self._forget_monitors()
        self._ports = None
        if self._container is not None and self.is_alive():
            self._container.monitor = self.monitor
            self._container.settle()

    def mig_finished(self):
        """Whether no migration is under way."""
        return self._migration() in ("none", "completed", "failed", "cancelled")

    def mig_succeeded(self):
        """Whether the last migration succeeded."""
        return self._migration() == "completed"

    def mig_failed(self):
        """Whether the last migration failed."""
        return self._migration() == "failed"

    def mig_cancelled(self):
        """Whether the last migration was cancelled.

        :raise VMMigrateCancelError: where it was too late; VMMigrateFailedError where it failed.
        """
        state = self._migration()
        if state == "completed":
            raise virt_vm.VMMigrateCancelError(f"the migration of {self.name} succeeded before it could be cancelled")
        if state == "failed":
            raise virt_vm.VMMigrateFailedError(f"the migration of {self.name} failed before it could be cancelled")
        return state == "cancelled"

    def _migration(self):
        return self.monitor.cmd("query-migrate").get("status", "none")

    def wait_for_migration(self, timeout):
        """Wait for the end of a migration.

        :raise VMMigrateTimeoutError: after `timeout`.
        """
        if not self._wait(self.mig_finished, timeout, 0.0, 0.2):
            raise virt_vm.VMMigrateTimeoutError(f"the migration of {self.name} did not end within {timeout} s")

    # States in files and in images.

    def save_to_file(self, path):
        """Write the state of the paused machine to a file."""
        self.verify_status("paused")
        self.monitor.migrate_set_speed("1T")
        self.monitor.migrate(f"exec:cat>{path}")
        self.wait_for_migration(self.MIGRATE_TIMEOUT)
        if not self.mig_succeeded():
            raise virt_vm.VMMigrateFailedError(f"the state of {self.name} could not be written to {path}")
        self.monitor.system_reset()
        self.verify_status("paused")

    def restore_from_file(self, path):
        """Start the machine anew with the state in a file; it is paused afterwards."""
        if self.is_alive():
            self.verify_status("paused")
            self.destroy(gracefully=False)
        self.create(migration_mode="exec", migration_exec_cmd=f"cat {path}")
        if not self._wait(lambda: not self.monitor.verify_status("inmigrate"), self.MIGRATE_TIMEOUT, 0.0, 0.2):
            raise virt_vm.VMStatusError(f"machine {self.name} still waits for its state from {path}")
        self.verify_status("paused")

    def savevm(self, tag_name):
        """Keep the state of the paused machine in its image, under a name."""
        self._snapshot("savevm", tag_name)
        self.monitor.system_reset()
        self.verify_status("paused")

    def loadvm(self, tag_name):
        """Bring the paused machine to a state that is kept in its image."""
        self._snapshot("loadvm", tag_name)

    def delvm(self, tag_name):
        """Remove a state from the image."""
        self._snapshot("delvm", tag_name)

    def _snapshot(self, command, tag_name):
        self.verify_status("paused")
        output = self.monitor.human_monitor_cmd(f"{command} {tag_name}")
        if output.strip():
            raise virt_vm.VMError(f"{command} {tag_name} on {self.name}: {output.strip()}")
        self.verify_status("paused")

    @property
    def uuid(self):
        """The machine's UUID."""
        return self.get_uuid()

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        from virttest import parts

        if parts.add(VM, _PARTS):
            return getattr(self, name)
        raise missing(f"virttest.qemu_vm.VM.{name}")


def _plain(params):
    return params.handed_over() if hasattr(params, "handed_over") else params


def _nothing_else(method, options):
    """Raise VMError for an option of the field that this host does not know, where it is used."""
    for name, value in options.items():
        if value:
            raise virt_vm.VMError(str(missing(f"vm.{method}({name}=…)")))


def _switches(capabilities):
    """Migration capabilities as tests write them (``on``/``off``, or booleans), as booleans."""
    if not capabilities:
        return None
    return {
        name: value if isinstance(value, bool) else str(value).lower() == "on" for name, value in capabilities.items()
    }
