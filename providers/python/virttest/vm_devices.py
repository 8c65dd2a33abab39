"""The devices of a machine: the container of them, processors that are plugged, and the sockets of ports."""

import os

from virttest import absent, core, virt_vm

__getattr__ = absent(__name__)


class LogFile:
    """A log that QEMU writes, read as tests read a session's output."""

    def __init__(self, path):
        self.path = path

    def get_output(self):
        """All of it."""
        try:
            with open(self.path, encoding="utf-8", errors="replace") as log:
                return log.read()
        except FileNotFoundError:
            return ""

    get_stripped_output = get_output

    def is_alive(self):
        """Whether there is such a log."""
        return os.path.exists(self.path)

    def close(self):
        """QEMU goes on writing it."""


class DeviceAccess:
    """The part of a machine that deals with its devices."""

    @property
    def devices(self):
        """The devices as objects of :mod:`virttest.qemu_devices.qcontainer`; None before the first start."""
        if self._container is None:
            try:
                known = core.call("vm.devices", vm=self.name)
            except virt_vm.VMError:
                return None
            from virttest.qemu_devices import started

            version = self.monitor.cmd("query-version")["qemu"]
            text = "{major}.{minor}.{micro}".format(**version)
            self._container = started.read(self.name, self.params, self.monitor, known["cmdline"], text)
            self._add_processors()
        return self._container

    def changed_devices(self):
        """What the running machine has, and what it has no more, of what it was started with: for its migration."""
        if self._container is None:
            return None
        import shlex

        added = [word for device in self._container.added() for word in shlex.split(device.cmdline() or "")]
        removed = list(filter(None, self._container.unplugged))
        return {"added": added, "removed": removed} if added or removed else None

    # Processors.

    def _add_processors(self):
        for name in self.params.objects("vcpu_devices"):
            view = self.params.copy()
            view.setdefault("cpu_driver", self._processor_driver())
            self._container.add_started(self._container.vcpu_device_define_by_params(view, name))

    def _processor_driver(self):
        slots = self.monitor.query("hotpluggable-cpus")
        return slots[0]["type"] if slots else ""

    def hotplug_vcpu_device(self, vcpu_id):
        """Plug a processor that the parameters describe.

        :raise virttest.virt_vm.VMDeviceError: where there is none, where it is plugged, or where QEMU has it not.
        """
        device = self._processor(vcpu_id, enabled=False)
        for key, value in self._free_processor_slot(device).items():
            if device.get_param(key) is None:
                device.set_param(key, value)
        output, verified = device.enable(self.monitor)
        if not verified or vcpu_id not in self._plugged_processors():
            raise virt_vm.VMDeviceCheckError(f"processor {vcpu_id} was not plugged: {output}")
        self.params[f"vcpu_enable_{vcpu_id}"] = "yes"

    def hotunplug_vcpu_device(self, vcpu_id, verify_timeout=10):
        """Unplug a processor; `verify_timeout` is how long (seconds) the guest may take."""
        from avocado.utils.wait import wait_for

        device = self._processor(vcpu_id, enabled=True)
        output, verified = device.disable(self.monitor)
        if not verified:
            raise virt_vm.VMDeviceCheckError(f"processor {vcpu_id} was not unplugged: {output}")
        if not wait_for(lambda: vcpu_id not in self._plugged_processors(), verify_timeout, step=0.5):
            raise virt_vm.VMDeviceCheckError(f"the guest keeps processor {vcpu_id}")
        self.params[f"vcpu_enable_{vcpu_id}"] = "no"

    def _processor(self, vcpu_id, enabled):
        found = self.devices.get_by_qid(vcpu_id)
        if not found:
            raise virt_vm.VMDeviceNotFoundError(f"machine {self.name} has no processor {vcpu_id}")
        if found[0].is_enabled() != enabled:
            raise virt_vm.VMDeviceStateError(f"processor {vcpu_id} is {'not ' if enabled else ''}plugged already")
        return found[0]

    def _free_processor_slot(self, device):
        slots = [slot for slot in self.monitor.query("hotpluggable-cpus") if "qom-path" not in slot]
        if not slots:
            raise virt_vm.VMDeviceCheckError(f"machine {self.name} has no place for another processor")
        fixed = {key: device.get_param(key) for key in slots[-1]["props"] if device.get_param(key) is not None}
        fits = [slot["props"] for slot in slots if fixed.items() <= slot["props"].items()]
        return fits[-1] if fits else {}  # QEMU lists them from the last to the first

    def _plugged_processors(self):
        paths = (slot.get("qom-path", "") for slot in self.monitor.query("hotpluggable-cpus"))
        return [path.rpartition("/")[2] for path in paths if "/peripheral/" in path]

    def hotplug_vcpu(self, cpu_id=None, plug_command="", unplug=""):
        """Plug a processor by a command of the monitor; whether it is there, and its number or QEMU's answer."""
        from virttest.qemu_monitor import QMPCmdError

        before = len(self.vcpu_threads)
        number = before if cpu_id is None else cpu_id
        command = plug_command or "cpu-add id=%s"
        command = command.format(number) if "{" in command else command % number
        try:
            self.monitor.verify_supported_cmd(command.split()[0])
            output = self.monitor.send_args_cmd(command, convert=False)
        except QMPCmdError as error:
            return False, str(error)
        step = self.params.get_numeric("vcpu_threads", 1)
        done = len(self.vcpu_threads) == (before - step if unplug == "yes" else before + step)
        return (True, number) if done else (False, output)

    # Serial ports.

    def _serials(self):
        return core.call("vm.devices", vm=self.name)["serials"]

    def get_serial_console_filename(self, name=None):
        """The socket of the serial port `name`, or of the first one."""
        from virttest import data_dir

        try:
            serials = self._serials()
        except virt_vm.VMDeadError:
            serials = []
        for serial in serials:
            if name in (None, serial["name"]):
                return serial["socket"]
        # A port that the test is about to plug, or to start a machine with.
        return os.path.join(data_dir.get_tmp_dir(), f"serial-{name}-{self.name}")

    def get_serial_console_filenames(self):
        """The sockets of all serial ports."""
        return [serial["socket"] for serial in self._serials()]

    @property
    def serial_console_log(self):
        """The file with everything that the first serial port has shown."""
        return core.call("vm.serial_log", vm=self.name)["path"]

    @property
    def logsessions(self):
        """The logs of ports that a guest writes without being asked: of its firmware, where it has such a port."""
        return {log["name"]: LogFile(log["path"]) for log in core.call("vm.devices", vm=self.name).get("logs", ())}

    @property
    def virtio_ports(self):
        """The virtio consoles and ports, as objects of ``virttest.qemu_virtio_port``."""
        if self._ports is None:
            from virttest import qemu_virtio_port

            kinds = {"virtconsole": qemu_virtio_port.VirtioConsole, "virtport": qemu_virtio_port.VirtioSerial}
            self._ports = [
                kinds[serial["kind"]](serial["name"], serial["port_name"], serial["socket"], "unix_socket")
                for serial in self._serials()
                if serial["kind"] in kinds
            ]
        return self._ports

    @virtio_ports.setter
    def virtio_ports(self, ports):
        self._ports = ports

    # Displays, which QEMU has none of here.

    def get_vnc_port(self):
        """The port of the VNC server; None, for pictures come over the monitor."""
        return self._display_port("vnc")

    def get_spice_var(self, spice_var):
        """A setting of the SPICE server; None where the machine has none."""
        return self.params.get(spice_var) if self.params.get("display") == "spice" else None

    def _display_port(self, kind):
        words = core.call("vm.devices", vm=self.name)["cmdline"]
        for option, value in zip(words, words[1:]):
            if option == f"-{kind}" and ":" in value:
                return 5900 + int(value.partition(":")[2].partition(",")[0])
        return None
