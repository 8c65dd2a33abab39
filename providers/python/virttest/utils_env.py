"""The machines of a test, by name, and whatever else its parts want to share."""

from virttest import absent, missing

__getattr__ = absent(__name__)


class Env(dict):
    """Machines under ``vm__NAME``, and free entries, for as long as one test runs."""

    _PREFIX = "vm__"

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.data = self

    def get_vm(self, name):
        """Return the machine `name`, or None where there is none."""
        return self.get(f"{self._PREFIX}{name}")

    def register_vm(self, name, vm):
        """Make `vm` known as `name`."""
        self[f"{self._PREFIX}{name}"] = vm

    def unregister_vm(self, name):
        """Forget the machine `name`; it goes on running."""
        del self[f"{self._PREFIX}{name}"]

    def create_vm(self, vm_type, target, name, params, bindir):
        """Make a machine `name` that does not run yet, register and return it."""
        from virttest.qemu_vm import VM
        from virttest.virt_vm import VMError

        if vm_type not in (None, "", "qemu"):
            raise VMError(f"machine {name}: vm_type {vm_type!r} (target {target!r}) is unknown; this host runs qemu")
        vm = VM(name, params, bindir, self)
        self.register_vm(name, vm)
        return vm

    def get_all_vms(self):
        """Return all machines, in the order in which they were registered."""
        return [value for key, value in self.items() if str(key).startswith(self._PREFIX)]

    get_vms = get_all_vms

    def start_ip_sniffing(self, params):
        """Guests on user networks are reached over this host: there is nothing to listen for."""

    def stop_ip_sniffing(self, params=None):
        """Nothing listens."""

    def __getattr__(self, name):
        raise missing(f"virttest.utils_env.Env.{name}")
