"""QEMU's monitors: one that speaks QMP, one that speaks the human language. The sockets live in the core."""

import json
import logging
import os
import time

from virttest import absent, core, missing

__getattr__ = absent(__name__)

LOG = logging.getLogger("avocado.virttest.qemu_monitor")


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


class QMPEventError(MonitorError):
    """A command did not bring the event that it should."""

    def __init__(self, cmd, qmp_event, vm_name, name):
        super().__init__(cmd, qmp_event, vm_name, name)
        self.cmd = cmd
        self.qmp_event = qmp_event
        self.vm_name = vm_name
        self.name = name

    def __str__(self):
        return f"monitor {self.name} of {self.vm_name} told of no {self.qmp_event} after {self.cmd!r}"


def get_monitor_function(vm, cmd):
    """Return the method of the machine's main monitor for `cmd`, spelled with - or _ as this QEMU has it."""
    return getattr(vm.monitor, vm.monitor.get_workable_cmd(cmd).replace("-", "_"))


class Monitor:
    """What both kinds of monitor have in common. Times are in seconds."""

    #: ``qmp`` or ``human``.
    protocol = None
    #: The commands that are loaded when a test first asks for any of them.
    _PARTS = ()
    CMD_TIMEOUT = 240

    def __init__(self, vm_name, handle, name=None):
        self.vm_name = vm_name
        self.handle = handle
        self.name = name or handle.rpartition("/")[2]
        self._commands = None

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

    def get_workable_cmd(self, cmd):
        """`cmd` with - or _, whichever this monitor has.

        :raise MonitorNotSupportedCmdError: where it has neither.
        """
        for spelling in dict.fromkeys((cmd, cmd.replace("_", "-"), cmd.replace("-", "_"))):
            if self._has_command(spelling):
                return spelling
        raise MonitorNotSupportedCmdError(self.name, cmd)

    def verify_supported_cmd(self, cmd):
        """Raise MonitorNotSupportedCmdError unless this monitor has the command."""
        if not self._has_command(cmd):
            raise MonitorNotSupportedCmdError(self.name, cmd)

    def _has_command(self, cmd):
        if self._commands is None:
            self._commands = frozenset(self._list_commands())
        return cmd in self._commands

    def info_numa(self):
        """The NUMA nodes: ``(megabytes, processors)`` of each."""
        return self.parse_info_numa(self.human_monitor_cmd("info numa"))

    @staticmethod
    def parse_info_numa(text):
        """Read what ``info numa`` prints."""
        nodes = {}
        for line in text.splitlines():
            words = line.split()
            if words[:1] != ["node"] or len(words) < 3:
                continue
            size, processors = nodes.setdefault(int(words[1]), (0, set()))
            if words[2] == "size:":
                nodes[int(words[1])] = (int(words[3]), processors)
            elif words[2] == "cpus:":
                nodes[int(words[1])] = (size, {int(word) for word in words[3:]})
        return [nodes[number] for number in sorted(nodes)]

    def wait_for_migrate_progress(self, target):
        """Wait until `target` per cent of the memory are over there, or a new round begins."""
        last = 0
        while True:
            now = self.get_migrate_progress()
            if now >= target or now < last:
                return
            last = now
            time.sleep(0.1)

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
        from virttest import parts

        if parts.add(type(self), self._PARTS):
            return getattr(self, name)
        raise missing(f"monitor.{name}", f"{type(self).__name__}.cmd reaches all commands")


class HumanMonitor(Monitor):
    """A monitor that takes and gives text."""

    protocol = "human"
    _PARTS = (("virttest.hmp_commands", "HumanCommands"),)

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

    def verify_status(self, status):
        """Whether this word stands in what the monitor says of the machine's state: ``paused (prelaunch)``."""
        return status in self.get_status()

    def get_status_name(self):
        """The word for the machine's state."""
        text = self.get_status()
        return text[text.rfind("(") + 1 : text.rfind(")")] if "(" in text else text.rpartition(":")[2].strip()

    def send_args_cmd(self, cmdlines, timeout=Monitor.CMD_TIMEOUT, convert=True):
        """Give one or several commands, separated by ``;``, and return what it, or each of them, printed.

        :param convert: ``key=value,key=value`` becomes ``value value``, as the human monitor wants it.
        """
        outputs = []
        for line in _lines(cmdlines):
            name, _, rest = line.partition(" ")
            if convert and "=" in rest:
                name = self.get_workable_cmd(name)
                values = [word.partition("=")[2].strip() for word in rest.split(",")]
                line = " ".join([name, *values])
            outputs.append(self.human_monitor_cmd(line, timeout))
        return outputs[0] if len(outputs) == 1 else outputs

    def cmd_qmp(self, cmd, args=None, q_id=None, timeout=Monitor.CMD_TIMEOUT, debug=True, fd=None):
        """There is no QMP here."""
        raise MonitorNotSupportedError(f"monitor {self.name} speaks the human language, not QMP")

    def _list_commands(self):
        for line in self.human_monitor_cmd("help").splitlines():
            names = line.partition(" ")[0]
            yield from names.split("|")


class QMPMonitor(Monitor):
    """A monitor that takes and gives objects."""

    protocol = "qmp"
    _PARTS = (("virttest.qmp_machine", "MachineCommands"), ("virttest.qmp_block", "BlockCommands"))

    def __init__(self, vm, name, monitor_params=None, suppress_exceptions=False):
        """
        :param vm: the machine's name; or else an object with a ``name``, whose process has a monitor: a storage daemon.
        :param name: the monitor's handle; or the monitor's name.
        :param monitor_params: for a monitor that is to be opened: its socket is ``monitor_filename``.
        :raise MonitorConnectError: where nobody answers there, unless `suppress_exceptions`.
        """
        self._events = []
        if monitor_params is None:
            super().__init__(vm, name)
            return
        super().__init__(vm.name, None, name)
        self.monitor_params = monitor_params
        try:
            self.handle = _open(vm.name, name, monitor_params)
        except MonitorError as error:
            if not suppress_exceptions:
                raise
            LOG.warning("%s", error)

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
        """Send an object as it is and return QMP's whole answer."""
        return self.cmd_raw(json.dumps(obj), timeout)

    def cmd_raw(self, data, timeout=Monitor.CMD_TIMEOUT):
        """Send a line as it is, JSON or not, and return QMP's whole answer."""
        return core.call("monitor.raw", monitor=self.handle, text=data.strip(), timeout=float(timeout))

    def get_greeting(self):
        """What QMP said when the monitor was opened."""
        return core.call("monitor.greeting", monitor=self.handle)

    def system_reset(self):
        """Press the reset button, and wait until QEMU says that the machine was reset."""
        self.clear_event("RESET")
        answer = self.cmd("system_reset")
        if self.wait_for_event("RESET", 120) is None:
            raise QMPEventError("system_reset", "RESET", self.vm_name, self.name)
        return answer

    def query(self, what, debug=True):
        """``query-what``; where QEMU has no such command, the text of the human monitor's ``info what``."""
        try:
            return self.cmd(f"query-{what}")
        except QMPCmdError as error:
            if error.data.get("class") != "CommandNotFound":
                raise
            return self.human_monitor_cmd(f"info {what}")

    info = query

    def send_args_cmd(self, cmdlines, timeout=Monitor.CMD_TIMEOUT, convert=True):
        """Run commands written as one text, ``name key=value,key=value; …``; return the value of it, or of each.

        Numbers, ``true`` and ``false`` are taken as that. A command that QMP does not have goes to the human monitor.

        :param convert: names may be spelled with - or _, whichever QEMU has.
        """
        values = []
        for line in _lines(cmdlines):
            name, _, rest = line.partition(" ")
            arguments = {}
            for word in filter(None, (word.strip() for word in rest.split(","))):
                key, _, text = word.partition("=")
                # The name of a descriptor is a text, even where it is a number.
                arguments[key.strip()] = text.strip() if key.strip() == "fd" else _convert(text.strip())
            try:
                name = self.get_workable_cmd(name) if convert else name
            except MonitorNotSupportedCmdError:
                values.append(self.human_monitor_cmd(line, timeout))
                continue
            values.append(self.cmd(name, arguments or None, timeout))
        return values[0] if len(values) == 1 else values

    def verify_responsive(self):
        """Raise MonitorError unless the monitor answers."""
        self.query("status")

    def _list_commands(self):
        return (command["name"] for command in self.cmd("query-commands"))

    def get_status(self):
        """``query-status``: an object."""
        return self.query("status")

    def get_status_name(self):
        """The word for the machine's state."""
        return self.get_status()["status"]

    def verify_status(self, status):
        """Whether the machine is in this state: ``running``, ``paused`` (for whatever reason it stands still) …"""
        state = self.get_status()
        if status in ("running", "paused"):
            return state.get("running", state["status"] == "running") is (status == "running")
        return state["status"] == status

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


def _lines(cmdlines):
    return [line.strip() for line in cmdlines.split(";") if line.strip()]


def _convert(text):
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            pass
    return text


def _open(owner, name, params):
    """The handle of a monitor that belongs to none of the core's machines."""
    if params.get("chardev_backend", "unix_socket") != "unix_socket":
        raise missing("virttest.qemu_monitor.QMPMonitor(with another chardev_backend than unix_socket)")
    path = os.path.abspath(params["monitor_filename"])
    log = owner if owner == name else f"{owner}-{name}"
    return core.call("monitor.open", name=log, path=path)["monitor"]


def _no_descriptor(fd):
    if fd is not None:
        raise MonitorNotSupportedError("file descriptors cannot be passed to a monitor by this host")


def make_monitor(vm_name, entry):
    """Make the proxy for one entry of the core's ``monitor.list``."""
    kind = QMPMonitor if entry["protocol"] == "qmp" else HumanMonitor
    return kind(vm_name, entry["monitor"])
