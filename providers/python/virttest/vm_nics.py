"""The network cards of a machine: what they are, and plugging them into a running guest and out again."""

from virttest import absent, core, virt_vm

__getattr__ = absent(__name__)


class Nic(dict):
    """One network card: ``mac``, ``nic_model``, ``device_id``, ``netdev_id`` …, as keys and as attributes."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def __setattr__(self, name, value):
        self[name] = value

    def set_if_none(self, name, value):
        """Set what is not set."""
        if self.get(name) is None and value is not None:
            self[name] = value

    def set_if_value_not_none(self, name, value):
        """Set it where there is something to set."""
        if value is not None:
            self[name] = value


class VirtNet(list):
    """The network cards of a machine, by number and by name."""

    def __init__(self, params, vm_name, cards=()):
        super().__init__()
        self.vm_name = vm_name
        started = {card["name"]: card for card in cards}
        names = list(dict.fromkeys([*params.objects("nics"), *started]))
        for name in names:
            view = params.object_params(name)
            card = started.get(name, {})
            nic = Nic(nic_name=name, mac=card.get("mac") or view.get("mac"), device_id=card.get("device_id"))
            nic.update({key: view.get(key) for key in _PARAMETERS if view.get(key) is not None})
            nic.update(netdev_id=card.get("netdev_id"), nic_model=card.get("model") or view.get("nic_model"))
            nic.set_if_none("nettype", "user")
            nic.set_if_none("queues", "1")
            nic.set_if_none("vlan", str(len(self)))
            self.append(nic)

    def __getitem__(self, index):
        return super().__getitem__(self.nic_name_index(index) if isinstance(index, str) else index)

    def nic_name_list(self):
        """The names."""
        return [nic.nic_name for nic in self]

    def nic_name_index(self, name):
        """The number of the card `name`, which may be the number itself as text."""
        for number, nic in enumerate(self):
            if nic.nic_name == name:
                return number
        if str(name).isdigit() and int(name) < len(self):
            return int(name)
        raise IndexError(
            f"machine {self.vm_name} has no network card {name!r}; it has {', '.join(self.nic_name_list())}"
        )

    def generate_mac_address(self, nic_index_or_name, attempts=1024):
        """Give a card a new address and return it."""
        from virttest.utils_net import generate_mac_address_simple

        taken = {nic.mac for nic in self}
        address = next(mac for mac in iter(generate_mac_address_simple, None) if mac not in taken)
        self[nic_index_or_name].mac = address
        return address

    def get_mac_address(self, nic_index_or_name):
        """The address of a card."""
        return self[nic_index_or_name].mac.lower()

    def set_mac_address(self, nic_index_or_name, mac):
        """Say which address a card has from its next start on."""
        self[nic_index_or_name].mac = mac

    def free_mac_address(self, nic_index_or_name):
        """Take a card's address away; nobody else would get it."""
        self[nic_index_or_name].mac = None

    def generate_ifname(self, nic_index_or_name):
        """User networking has no interface on the host."""

    def update_db(self):
        """All that is known stands in the objects."""


_PARAMETERS = ("nettype", "netdst", "queues", "ifname", "ip", "vlan", "nic_extra_params", "netdev_extra_params")


class NicAccess:
    """The part of a machine that deals with its network cards."""

    @property
    def virtnet(self):
        """The network cards."""
        if self._virtnet is None:
            try:
                cards = core.call("vm.devices", vm=self.name)["nics"]
            except virt_vm.VMError:
                cards = ()  # not started yet
            self._virtnet = VirtNet(self.params, self.name, cards)
        return self._virtnet

    @virtnet.setter
    def virtnet(self, cards):
        self._virtnet = cards

    def get_ifname(self, nic_index=0):
        """The host's interface behind a card; None with user networking, which has none."""
        return self.virtnet[nic_index].ifname

    def set_link(self, netdev_name, up):
        """Plug a network cable in, or pull it."""
        self.monitor.set_link(netdev_name, up)

    def wait_for_get_address(self, nic_index_or_name, timeout=30, internal_timeout=1, ip_version="ipv4"):
        """The address at which the host reaches a card."""
        return self.get_address(self.virtnet.nic_name_index(str(nic_index_or_name)))

    def hotplug_nic(self, **params):
        """Plug a network card with its network into the running guest, and return it."""
        nic = self.add_nic(**params)
        self.activate_netdev(nic.nic_name)
        self.activate_nic(nic.nic_name)
        return nic

    def hotunplug_nic(self, nic_index_or_name):
        """Unplug a network card and remove its network."""
        name = self.virtnet[nic_index_or_name].nic_name
        self.deactivate_nic(name)
        self.deactivate_netdev(name)
        self.del_nic(name)

    def add_nic(self, **params):
        """Describe a network card that the guest does not have yet."""
        from virttest.utils_misc import generate_random_id

        nic = Nic(params)
        nic.set_if_none("nic_name", generate_random_id())
        if nic.nic_name not in self.virtnet.nic_name_list():
            self.virtnet.append(nic)
        nic = self.virtnet[nic.nic_name]
        nic.update(params)
        if nic.nic_model in (None, "virtio", "virtio_net"):
            nic.nic_model = "virtio-net-pci"
        nic.set_if_none("nettype", "user")
        nic.set_if_none("queues", "1")
        nic.set_if_none("device_id", generate_random_id())
        nic.set_if_none("netdev_id", generate_random_id())
        if not nic.mac:
            self.virtnet.generate_mac_address(nic.nic_name)
        return nic

    def del_nic(self, nic_index_or_name):
        """Forget a network card that the guest does not have any more."""
        del self.virtnet[self.virtnet.nic_name_index(self.virtnet[nic_index_or_name].nic_name)]

    def activate_netdev(self, nic_index_or_name):
        """Add the network of a card to the running machine."""
        from virttest.qemu_devices import qdevices

        nic = self.virtnet[nic_index_or_name]
        if nic.nettype != "user":
            raise virt_vm.VMUnknownNetTypeError(f"a running machine gets no network of the type {nic.nettype!r} here")
        network = qdevices.QNetdev("user", {"id": nic.netdev_id})
        for key, value in _pairs(nic.netdev_extra_params):
            network.set_param(key, value)
        _, verified = self.devices.simple_hotplug(network, self.monitor)
        if not verified:
            raise virt_vm.VMAddNetDevError(f"network {nic.netdev_id} is not there after it was added to {self.name}")

    def activate_nic(self, nic_index_or_name):
        """Plug a card whose network is there."""
        from virttest.qemu_devices import qdevices
        from virttest.qemu_devices.utils import DeviceError

        nic = self.virtnet[nic_index_or_name]
        card = {"driver": nic.nic_model, "netdev": nic.netdev_id, "mac": nic.mac, "id": nic.device_id}
        if nic.nic_model.startswith("virtio") and int(nic.queues) > 1:
            card["mq"] = "on"
        device = qdevices.QDevice(params={**card, **dict(_pairs(nic.nic_extra_params))})
        try:
            output, verified = self.devices.simple_hotplug(device, self.monitor)
        except DeviceError as error:
            output, verified = str(error), False
        if not verified:
            raise virt_vm.VMAddNicError(f"network card {nic.nic_name} was not plugged into {self.name}: {output}")

    def deactivate_nic(self, nic_index_or_name, wait=20):
        """Unplug a card; `wait` is how long (seconds) the guest may take."""
        from virttest.qemu_devices.utils import DeviceError

        nic = self.virtnet[nic_index_or_name]
        try:
            output, verified = self.devices.simple_unplug(self.devices[nic.device_id], self.monitor, wait)
        except DeviceError as error:
            output, verified = str(error), False
        if not verified:
            raise virt_vm.VMDelNicError(f"the guest of {self.name} keeps network card {nic.nic_name}: {output}")

    def deactivate_netdev(self, nic_index_or_name):
        """Remove the network of a card that was unplugged."""
        nic = self.virtnet[nic_index_or_name]
        _, verified = self.devices.simple_unplug(self.devices[nic.netdev_id], self.monitor)
        if not verified:
            raise virt_vm.VMDelNetDevError(f"network {nic.netdev_id} is still there after it was removed")


def _pairs(text):
    """``,key=value,key=value`` as pairs."""
    for word in (text or "").split(","):
        key, equals, value = word.partition("=")
        if equals:
            yield key.strip(), value.strip()
