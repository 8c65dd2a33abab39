"""Reaching the guest of a machine: addresses, sessions, files, and its serial console."""

from virttest import absent, core, data_dir, virt_vm
from virttest.session import DEFAULT_PROMPT, ShellSession
from vtbuild_host import files

__getattr__ = absent(__name__)


class GuestAccess:
    """The part of a machine that deals with its guest. All times are in seconds."""

    # How long is waited where neither test nor variant says.
    LOGIN_TIMEOUT = 10
    LOGIN_WAIT_TIMEOUT = 240
    COPY_FILES_TIMEOUT = 600
    REBOOT_TIMEOUT = 240

    #: The open serial console.
    _console = None

    # Devices and addresses.

    def _devices(self):
        return core.call("vm.devices", vm=self.name)

    @property
    def qemu_command(self):
        """The command line that QEMU was started with."""
        import shlex

        return shlex.join(self._devices()["cmdline"])

    def get_uuid(self):
        """The machine's UUID."""
        return self._devices()["uuid"]

    def get_address(self, index=0):
        """The address at which the host reaches network card `index`."""
        if self._virtnet is not None and _nic_number(index) >= len(self._devices()["macs"]):
            self.virtnet[_nic_number(index)]  # plugged since; an IndexError where there is no such card
            return "127.0.0.1"
        return core.call("vm.address", vm=self.name, index=_nic_number(index))

    def get_port(self, port, nic_index=0):
        """The port of the host that leads to the guest's `port`."""
        return core.call("vm.port", vm=self.name, guest_port=int(port), nic_index=_nic_number(nic_index))

    def get_mac_address(self, nic_index=0):
        """The MAC address of network card `nic_index`."""
        macs = self._devices()["macs"]
        if not 0 <= _nic_number(nic_index) < len(macs):
            raise virt_vm.VMMACAddressMissingError(nic_index)
        return macs[_nic_number(nic_index)]

    # Sessions.

    def login(self, nic_index=0, timeout=LOGIN_TIMEOUT, username=None, password=None):
        """Log in once and return the session."""
        return self._login(timeout, nic_index, username, password, wait=False)

    def wait_for_login(
        self,
        nic_index=0,
        timeout=LOGIN_WAIT_TIMEOUT,
        internal_timeout=LOGIN_TIMEOUT,
        serial=False,
        restart_network=False,
        username=None,
        password=None,
    ):
        """Try to log in until it works, for at most `timeout`, and return the session.

        :raise virttest.remote.LoginTimeoutError: if it never works.
        """
        return self._login(
            timeout, nic_index, username, password, internal_timeout=internal_timeout, serial=serial or None
        )

    def serial_login(self, timeout=LOGIN_TIMEOUT, username=None, password=None, virtio=False):
        """Log in once on the serial console and return the session."""
        return self._login(timeout, None, username, password, serial=True, wait=False)

    def wait_for_serial_login(
        self,
        timeout=LOGIN_WAIT_TIMEOUT,
        internal_timeout=LOGIN_TIMEOUT,
        restart_network=False,
        username=None,
        password=None,
        virtio=False,
    ):
        """Try to log in on the serial console until it works, for at most `timeout`, and return the session."""
        return self._login(timeout, None, username, password, internal_timeout=internal_timeout, serial=True)

    def _login(self, timeout, nic_index, username, password, internal_timeout=None, serial=None, wait=True):
        answer = core.call(
            "vm.login",
            vm=self.name,
            timeout=float(timeout),
            wait=wait,
            serial=serial,
            username=username,
            password=password,
            internal_timeout=internal_timeout,
            nic_index=None if nic_index is None else _nic_number(nic_index),
        )
        return self._session(answer["session"])

    def _session(self, handle, transcript=None):
        return ShellSession(handle, self.params.get("shell_prompt", DEFAULT_PROMPT), transcript)

    def reboot(self, session=None, method="shell", nic_index=0, timeout=REBOOT_TIMEOUT, serial=False):
        """Reboot the guest, wait until it can be logged in to again, and return a new session.

        :param session: where to type the command (method ``shell``); it is closed.
        :param method: ``shell``, or ``system_reset`` for the reset button.
        """
        answer = core.call(
            "vm.reboot",
            vm=self.name,
            session=session.handle if session else None,
            method=method,
            nic_index=_nic_number(nic_index),
            timeout=float(timeout),
            serial=serial or None,
        )
        if session:
            session.close()
        return self._session(answer["session"])

    def copy_files_to(
        self,
        host_path,
        guest_path,
        nic_index=0,
        limit="",
        verbose=False,
        timeout=COPY_FILES_TIMEOUT,
        username=None,
        password=None,
    ):
        """Copy a file or a folder from the host into the guest. `limit` is in kilobits a second.

        Files that were built before the test began keep their times, so that ``make`` in the guest finds nothing to do.
        """
        times = data_dir.is_built(host_path) or None
        files.hand_over(host_path)
        self._copy("vm.copy_to", host_path, guest_path, nic_index, limit, timeout, username, password, times=times)

    def copy_files_from(
        self,
        guest_path,
        host_path,
        nic_index=0,
        limit="",
        verbose=False,
        timeout=COPY_FILES_TIMEOUT,
        username=None,
        password=None,
    ):
        """Copy a file or a folder from the guest to the host. `limit` is in kilobits a second."""
        self._copy("vm.copy_from", host_path, guest_path, nic_index, limit, timeout, username, password)

    def _copy(self, call, host_path, guest_path, nic_index, limit, timeout, username, password, **more):
        core.call(
            call,
            **more,
            vm=self.name,
            host_path=host_path,
            guest_path=guest_path,
            nic_index=_nic_number(nic_index),
            limit=limit or None,
            timeout=float(timeout),
            username=username,
            password=password,
        )

    # The serial console.

    @property
    def serial_console(self):
        """The first serial port as a session, without logging in."""
        if self._console is None:
            handle = core.call("vm.console", vm=self.name)["session"]
            self._console = self._session(handle, core.call("vm.serial_log", vm=self.name)["path"])
        return self._console

    def create_serial_console(self):
        """Open the serial console; reading ``serial_console`` does it too."""
        return self.serial_console

    def cleanup_serial_console(self):
        """Close the serial console."""
        if self._console is not None:
            self._console.close()
            self._console = None


def _nic_number(index):
    """Tests write a card's number also as text."""
    return int(index)
