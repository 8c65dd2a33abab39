"""QEMU's monitors: one that speaks QMP, one that speaks the human language. The sockets live in the core."""

import json

from virttest import absent, core, missing

__getattr__ = absent(__name__)


class MonitorError(Exception):
    """Something is wrong with a monitor."""


class MonitorConnectError(MonitorError):
    """The monitor cannot be reached, or is no more."""


class MonitorSocketError(MonitorError):
    """Sending or receiving failed."""


class MonitorLockError(MonitorError):
    """Somebody else has used the monitor for too long."""


class MonitorProtocolError(MonitorError):
    """The monitor did not answer in time, or not as it should."""


class MonitorNotSupportedError(MonitorError):
    """The monitor cannot do this."""


class MonitorNotSupportedCmdError(MonitorNotSupportedError):
    """The monitor has no such command."""

    def __init__(self, monitor, cmd):
        super().__init__(monitor, cmd)
        self.monitor = monitor
        self.cmd = cmd

    def __str__(self):
        return f"monitor {self.monitor} has no command {self.cmd!r}"


class MonitorNotSupportedMigCapError(MonitorNotSupportedError):
    """QEMU has no such migration capability."""


class HumanCmdError(MonitorError):
    """The human monitor refused a command."""


class QMPCmdError(MonitorError):
    """QMP refused a command; ``data`` has its ``class`` and its description, ``desc``."""

    def __init__(self, cmd, qmp_args, data):
        super().__init__(cmd, qmp_args, data)
        self.cmd = cmd
        self.qmp_args = qmp_args
        self.data = data

    def __str__(self):
        given = f" with {self.qmp_args}" if self.qmp_args else ""
        return f"QMP command {self.cmd!r}{given} failed: {self.data.get('desc')} ({self.data.get('class')})"


class Monitor:
    """What both kinds of monitor have in common. Times are in seconds."""

    #: ``qmp`` or ``human``.
    protocol = None
    CMD_TIMEOUT = 240

    def __init__(self, vm_name, handle, name=None):
        self.vm_name = vm_name
        self.handle = handle
        self.name = name or handle.rpartition("/")[2]

    def human_monitor_cmd(self, cmd="", timeout=CMD_TIMEOUT, debug=True, fd=None):
        """Give `cmd` to the human monitor and return the text that it prints."""
        _no_descriptor(fd)
        return core.call("monitor.hmp", monitor=self.handle, command=cmd, timeout=float(timeout))

    def is_responsive(self):
        """Whether the monitor answers."""
        try:
            self.verify_responsive()
        except MonitorError:
            return False
        return True

    def verify_status(self, status):
        """Whether the machine is in this state: ``running``, ``paused``, ``shutdown`` …"""
        return self.get_status_name() == status

    # Commands with the same meaning in both languages.

    def query_migrate(self):
        """What is known of the migration."""
        return self.query("migrate")

    def screendump(self, filename, debug=True):
        """Save what the display shows to `filename`, as PPM."""
        return self.human_monitor_cmd(f"screendump {filename}")

    def sendkey(self, keystr, hold_time=1):
        """Press keys: ``ctrl-alt-f1``, ``ret`` …, for `hold_time` milliseconds."""
        return self.human_monitor_cmd(f"sendkey {keystr} {hold_time}")

    def system_powerdown(self):
        """Press the power button."""
        return self.cmd("system_powerdown")

    def system_reset(self):
        """Press the reset button."""
        return self.cmd("system_reset")

    def nmi(self):
        """Inject a non-maskable interrupt."""
        return self.human_monitor_cmd("nmi")

    def quit(self):
        """End QEMU."""
        return self.cmd("quit")

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        raise missing(f"monitor.{name}", f"{type(self).__name__}.cmd reaches all commands")


class HumanMonitor(Monitor):
    """A monitor that takes and gives text."""

    protocol = "human"

    def cmd(self, cmd, timeout=Monitor.CMD_TIMEOUT, debug=True, fd=None):
        """Give `cmd` and return the text that the monitor prints."""
        return self.human_monitor_cmd(cmd, timeout, debug, fd)

    def info(self, what, debug=True):
        """``info what``."""
        return self.human_monitor_cmd(f"info {what}")

    query = info

    def verify_responsive(self):
        """Raise MonitorError unless the monitor answers."""
        self.info("status")

    def get_status(self):
        """``info status``: text."""
        return self.info("status")

    def get_status_name(self):
        """The word for the machine's state."""
        text = self.get_status()
        return text[text.rfind("(") + 1 : text.rfind(")")] if "(" in text else text.rpartition(":")[2].strip()

    def send_args_cmd(self, cmdlines, timeout=Monitor.CMD_TIMEOUT, convert=True):
        """Give one or several commands, separated by ``;``, and return what the last one printed."""
        output = ""
        for line in _lines(cmdlines):
            output = self.human_monitor_cmd(line, timeout)
        return output

    def migrate_set_speed(self, value):
        """Bytes a second that a migration may send, as ``1G``."""
        return self.human_monitor_cmd(f"migrate_set_parameter max-bandwidth {value}")


class QMPMonitor(Monitor):
    """A monitor that takes and gives objects."""

    protocol = "qmp"

    def __init__(self, vm_name, handle, name=None):
        super().__init__(vm_name, handle, name)
        self._events = []

    def cmd(self, cmd, args=None, timeout=Monitor.CMD_TIMEOUT, debug=True, fd=None):
        """Run the command `cmd` with the arguments `args` (a dict) and return its value.

        :raise QMPCmdError: if QEMU refuses it.
        """
        _no_descriptor(fd)
        return core.call("monitor.command", monitor=self.handle, command=cmd, arguments=args, timeout=float(timeout))

    def cmd_qmp(self, cmd, args=None, q_id=None, timeout=Monitor.CMD_TIMEOUT, debug=True, fd=None):
        """Run a command and return QMP's whole answer: an object with ``return``, or with ``error``."""
        try:
            answer = {"return": self.cmd(cmd, args, timeout, debug, fd)}
        except QMPCmdError as error:
            answer = {"error": error.data}
        return answer if q_id is None else {**answer, "id": q_id}

    def cmd_obj(self, obj, timeout=Monitor.CMD_TIMEOUT):
        """Send an object (``execute``, ``arguments``, ``id``) and return QMP's whole answer."""
        return self.cmd_qmp(obj["execute"], obj.get("arguments"), obj.get("id"), timeout)

    def cmd_raw(self, data, timeout=Monitor.CMD_TIMEOUT):
        """Send the text of such an object and return QMP's whole answer."""
        try:
            return self.cmd_obj(json.loads(data), timeout)
        except (ValueError, KeyError, TypeError):
            raise MonitorNotSupportedError("text that is no QMP command cannot be sent by this host") from None

    def query(self, what, debug=True):
        """``query-what``."""
        return self.cmd(f"query-{what}")

    info = query

    def send_args_cmd(self, cmdlines, timeout=Monitor.CMD_TIMEOUT, convert=True):
        """Run commands written as one text, ``name key=value,key=value; …``; return the value of the last one.

        Values that read as JSON (numbers, ``true``, objects) are taken as that, unless `convert` is false.
        """
        value = None
        for line in _lines(cmdlines):
            name, _, rest = line.partition(" ")
            arguments = {}
            for word in filter(None, (word.strip() for word in rest.split(","))):
                key, _, text = word.partition("=")
                arguments[key.strip()] = _convert(text.strip()) if convert else text.strip()
            value = self.cmd(name, arguments or None, timeout)
        return value

    def verify_responsive(self):
        """Raise MonitorError unless the monitor answers."""
        self.query("status")

    def verify_supported_cmd(self, cmd):
        """Raise MonitorNotSupportedCmdError unless QEMU has this command."""
        if cmd not in {command["name"] for command in self.query("commands")}:
            raise MonitorNotSupportedCmdError(self.name, cmd)

    def get_status(self):
        """``query-status``: an object."""
        return self.query("status")

    def get_status_name(self):
        """The word for the machine's state."""
        return self.get_status()["status"]

    # Events.

    def get_events(self):
        """Return all events since the last :meth:`clear_events`, oldest first."""
        self._events += core.call("monitor.events", monitor=self.handle, clear=True)
        return list(self._events)

    def get_event(self, name):
        """Return the first event `name`, or None where none has come."""
        return next((event for event in self.get_events() if event["event"] == name), None)

    def wait_for_event(self, name, timeout=60.0):
        """Return the first event `name`, waiting for it where none has come; None after `timeout`."""
        event = self.get_event(name)
        if event is None and core.call("monitor.wait_event", monitor=self.handle, event=name, timeout=float(timeout)):
            event = self.get_event(name)
        return event

    def clear_event(self, name):
        """Forget all events `name`."""
        self._events = [event for event in self.get_events() if event["event"] != name]

    def clear_events(self):
        """Forget all events."""
        self.get_events()
        self._events = []

    # Migration.

    def migrate_set_speed(self, value):
        """Bytes a second that a migration may send: a number, or text as ``1G``."""
        from virttest.utils_numeric import normalize_data_size

        size = int(float(normalize_data_size(str(value), "B")))
        return self.set_migrate_parameter("max-bandwidth", size)

    def migrate_set_downtime(self, value):
        """How long (seconds) a migration may stop the machine."""
        return self.set_migrate_parameter("downtime-limit", int(float(value) * 1000))

    def set_migrate_parameter(self, parameter, value, missing=False):
        """Set one of QEMU's migration parameters."""
        return self.cmd("migrate-set-parameters", {parameter: value})

    def get_migrate_parameter(self, parameter):
        """Return one of QEMU's migration parameters, None where it is not set."""
        return self.query("migrate-parameters").get(parameter)

    def set_migrate_capability(self, state, capability, missing=False):
        """Turn a migration capability on or off."""
        return self.cmd("migrate-set-capabilities", {"capabilities": [{"capability": capability, "state": state}]})

    def get_migrate_capability(self, capability):
        """Whether a migration capability is on."""
        for entry in self.query("migrate-capabilities"):
            if entry["capability"] == capability:
                return entry["state"]
        raise MonitorNotSupportedMigCapError(f"QEMU has no migration capability {capability!r}")


def _lines(cmdlines):
    return [line.strip() for line in cmdlines.split(";") if line.strip()]


def _convert(text):
    try:
        return json.loads(text)
    except ValueError:
        return text


def _no_descriptor(fd):
    if fd is not None:
        raise MonitorNotSupportedError("file descriptors cannot be passed to a monitor by this host")


def make_monitor(vm_name, entry):
    """Make the proxy for one entry of the core's ``monitor.list``."""
    kind = QMPMonitor if entry["protocol"] == "qmp" else HumanMonitor
    return kind(vm_name, entry["monitor"])
