"""The devices of a machine as objects: the container is ours, the classes of devices and buses are upstream's."""

from vtbuild_host import layers

layers.extend(__path__, "virttest", "qemu_devices")
