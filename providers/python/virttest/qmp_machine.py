"""The commands of QMP that deal with the machine itself, and with its migration, as methods of a monitor."""

from virttest import absent
from virttest.qmp_block import given

__getattr__ = absent(__name__)

#: QEMU's names for the buttons of a mouse by their bits, as the human monitor counts them.
_BUTTONS = {1: "left", 2: "middle", 4: "right"}


class MachineCommands:
    """The part of :class:`virttest.qemu_monitor.QMPMonitor` for machines. Sizes are in bytes."""

    # Objects.

    def qom_get(self, path, qproperty):
        """A property of an object."""
        return self.cmd("qom-get", {"path": path, "property": qproperty})

    def qom_set(self, path, qproperty, qvalue):
        """Set a property of an object."""
        return self.cmd("qom-set", {"path": path, "property": qproperty, "value": qvalue})

    def set_link(self, name, up):
        """Plug a network cable in, or pull it."""
        return self.cmd("set_link", {"name": name, "up": up})

    def balloon(self, size):
        """Leave the guest `size` bytes of memory."""
        return self.cmd("balloon", {"value": int(size)})

    def system_wakeup(self):
        """Wake a suspended guest."""
        return self.cmd("system_wakeup")

    def exit_preconfig(self):
        """Let a machine that was started with ``-preconfig`` go on."""
        return self.cmd(self.get_workable_cmd("x-exit-preconfig"))

    def set_numa_node(self, option_type, **options):
        """Describe a NUMA node, a distance, or a processor's place before the machine goes on."""
        return self.cmd("set-numa-node", {"type": option_type, **given(**options)})

    # Keys and mouse.

    def press_release_key(self, key, down=True):
        """Press one key, or release it."""
        event = {"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": key}}}
        return self.cmd("input-send-event", {"events": [event]})

    def mouse_move(self, dx, dy):
        """Move the mouse."""
        moves = [{"type": "rel", "data": {"axis": axis, "value": int(by)}} for axis, by in (("x", dx), ("y", dy))]
        return self.cmd("input-send-event", {"events": moves})

    def mouse_button(self, state):
        """Press the buttons in `state` (1 left, 2 middle, 4 right) and release the others."""
        presses = [
            {"type": "btn", "data": {"down": bool(int(state) & bit), "button": name}} for bit, name in _BUTTONS.items()
        ]
        return self.cmd("input-send-event", {"events": presses})

    def query_mice(self):
        """The mice that the guest has."""
        return self.query("mice")

    # What this QEMU and this host can do.

    def query_cpu_model_expansion(self, cpu_model):
        """All properties of a CPU model."""
        model = {"type": "full", "model": {"name": cpu_model}}
        return self.cmd("query-cpu-model-expansion", model)["model"]["props"]

    def query_sgx(self):
        """What the machine has of SGX."""
        return self.query("sgx")

    def query_sgx_capabilities(self):
        """What the host has of SGX."""
        return self.query("sgx-capabilities")

    def query_sev(self):
        """What the machine has of SEV."""
        return self.query("sev")

    def query_sev_launch_measure(self):
        """The measurement of a SEV guest's start."""
        return self.query("sev-launch-measure")

    # Migration.

    def migrate(self, uri, full_copy=None, incremental_copy=None, wait=False):
        """Start to migrate to `uri`."""
        arguments = {"uri": uri, **given(blk=full_copy or None, inc=incremental_copy or None)}
        answer = self.cmd("migrate", arguments)
        if wait:
            from avocado.utils.wait import wait_for

            wait_for(lambda: self.query("migrate").get("status") not in _UNDER_WAY, self.CMD_TIMEOUT, step=0.1)
        return answer

    def migrate_incoming(self, uri):
        """Wait at `uri` for a machine that migrates here."""
        return self.cmd("migrate-incoming", {"uri": uri})

    def migrate_start_postcopy(self):
        """Let the guest go on at the destination, where the rest of its memory follows."""
        return self.cmd("migrate-start-postcopy")

    def migrate_continue(self, state):
        """Let a migration that waits in `state` go on."""
        return self.cmd("migrate-continue", {"state": state})

    def migrate_set_speed(self, value):
        """Bytes a second that a migration may send: a number, or text as ``1G``."""
        from virttest.utils_numeric import normalize_data_size

        size = int(float(normalize_data_size(str(value), "B")))
        return self.set_migrate_parameter("max-bandwidth", size)

    def migrate_set_downtime(self, value):
        """How long (seconds) a migration may stop the machine."""
        return self.set_migrate_parameter("downtime-limit", int(float(value) * 1000))

    def set_migrate_parameter(self, parameter, value, error_on_missing=False, disable_auto_x_evaluation=True):
        """Set one of QEMU's migration parameters; `error_on_missing` says that QEMU may not know it."""
        from virttest.qemu_monitor import MonitorNotSupportedError

        if error_on_missing and parameter not in self.query("migrate-parameters"):
            raise MonitorNotSupportedError(f"QEMU has no migration parameter {parameter!r}")
        return self.cmd("migrate-set-parameters", {parameter: value})

    def get_migrate_parameter(self, parameter, error_on_missing=False, disable_auto_x_evaluation=True):
        """Return one of QEMU's migration parameters, None where it is not set."""
        return self.query("migrate-parameters").get(parameter)

    def set_migrate_capability(self, state, capability, disable_auto_x_evaluation=True):
        """Turn a migration capability on or off."""
        self._capabilities(capability)
        return self.cmd("migrate-set-capabilities", {"capabilities": [{"capability": capability, "state": state}]})

    def get_migrate_capability(self, capability, disable_auto_x_evaluation=True):
        """Whether a migration capability is on."""
        return self._capabilities(capability)[capability]

    def _capabilities(self, wanted):
        from virttest.qemu_monitor import MonitorNotSupportedMigCapError

        known = {entry["capability"]: entry["state"] for entry in self.query("migrate-capabilities")}
        if wanted not in known:
            raise MonitorNotSupportedMigCapError(f"QEMU has no migration capability {wanted!r}")
        return known

    def get_migrate_progress(self):
        """How much of the memory is over there, in per cent."""
        ram = self.query("migrate").get("ram", {})
        total = ram.get("total", 0)
        return 100.0 * (total - ram.get("remaining", total)) / total if total else 0.0


#: States of a migration that will change.
_UNDER_WAY = ("none", "setup", "active", "device", "pre-switchover", "postcopy-active", "cancelling", "wait-unplug")
