"""A machine, as a test sees it. QEMU itself is started, watched and ended by the core."""

import logging
import time

from virttest import absent, core, missing, virt_vm
from virttest.guest_access import GuestAccess

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.qemu_vm")


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
        self._monitors = None
        self._console = None

    def __repr__(self):
        return f"<machine {self.name}>"

    # Life.

    def create(self, name=None, params=None, root_dir=None, timeout=CREATE_TIMEOUT, migration_mode=None, **more):
        """Start the machine, or start it anew. `params` replace those that it had.

        :param migration_mode: a protocol: the machine then waits for one that migrates to it.
        """
        _nothing_else("create", more)
        self.name = name or self.name
        self.params = params if params is not None else self.params
        self.root_dir = root_dir or self.root_dir
        self._forget()
        core.call("vm.create", vm=self.name, params=_plain(self.params), migration_mode=migration_mode)

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
        """Whether the guest's processors are stopped."""
        return self._state()["status"] == "paused"

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
        :param cancel_delay: cancel after so many seconds: the machine stays where it is.
        :param offline: stop the guest meanwhile.
        :param stable_check: compare the two states, stopped, byte by byte.
        :param migration_exec_cmd_src: for ``exec``: a command that takes the state, ``%s`` standing for a file.
        :param migrate_parameters: QEMU's parameters for the source and for the destination.
        :return: what the core knows: ``status``, ``total_time`` and ``downtime`` (milliseconds).
        """
        if protocol not in self.MIGRATION_PROTOS:
            raise virt_vm.VMMigrateProtoUnknownError(protocol)
        _nothing_else("migrate", {"mig_inner_funcs": mig_inner_funcs, "fd_src": fd_src, "fd_dst": fd_dst})
        source, destination = migrate_parameters or (None, None)
        try:
            result = core.call(
                "vm.migrate",
                vm=self.name,
                timeout=float(timeout),
                protocol=protocol,
                cancel_delay=cancel_delay,
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
            )
        finally:
            self._forget()
        LOG.info("machine %s: migration by %s: %s", self.name, protocol, result)
        return result

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
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
