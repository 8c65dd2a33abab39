//! What a machine consists of: plain data, equal where the machines are equal, serialisable so that it can enter a key.

use camino::Utf8PathBuf;
use serde::Serialize;

/// A machine, ready to become a QEMU command line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MachineSpec {
    /// The name of the object in `vms`.
    pub name: String,
    /// QEMU's machine type and its properties: `pc`, `q35,smm=off`.
    pub machine_type: String,
    /// CPU model and flags; QEMU's default where there is none.
    pub cpu: Option<String>,
    /// Virtual processors.
    pub smp: Smp,
    /// Memory in MiB.
    pub mem_mib: u64,
    /// The machine's UUID.
    pub uuid: Option<String>,
    /// How it starts.
    pub boot: Boot,
    /// Its clock.
    pub rtc: Rtc,
    /// Everything that is plugged in, in the order of the command line.
    pub devices: Vec<Device>,
    /// Options, with their values, of what has no model of its own.
    pub more: Vec<(String, String)>,
    /// What follows the memory's size: how large it may grow, and in how many modules (`,maxmem=8G,slots=4`).
    pub mem_limits: String,
    /// The monitors; the first QMP monitor is the one that we use ourselves, and exists always.
    pub monitors: Vec<Monitor>,
    /// Stay paused after the start.
    pub paused: bool,
    /// End QEMU instead of resetting when the guest reboots.
    pub no_reboot: bool,
    /// Keep QEMU, paused, after the guest has shut down.
    pub no_shutdown: bool,
    /// Words appended to the command line as they are.
    pub extra: Vec<String>,
    /// A kind of confidential guest, which cannot be started here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secure: Option<String>,
}

/// Virtual processors. What is absent is left to QEMU.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Smp {
    /// Processors at the start.
    pub cpus: u32,
    /// Processors that there may be after hot plugging.
    pub max: Option<u32>,
    /// Sockets.
    pub sockets: Option<u32>,
    /// Cores in a socket.
    pub cores: Option<u32>,
    /// Threads in a core.
    pub threads: Option<u32>,
}

/// How a machine starts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Boot {
    /// Letters of devices, `cdn`.
    pub order: Option<String>,
    /// The same, for the first start only.
    pub once: Option<String>,
    /// Show the firmware's menu.
    pub menu: Option<bool>,
    /// A kernel to start without firmware's and boot loader's help.
    pub kernel: Option<Utf8PathBuf>,
    /// Its initial RAM disk.
    pub initrd: Option<Utf8PathBuf>,
    /// Its command line.
    pub append: Option<String>,
    /// A firmware image instead of QEMU's own.
    pub bios: Option<Utf8PathBuf>,
}

/// The machine's clock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rtc {
    /// `utc`, `localtime` or a date.
    pub base: Option<String>,
    /// `host`, `rt` or `vm`.
    pub clock: Option<String>,
    /// `none` or `slew`.
    pub drift: Option<String>,
}

/// Something plugged into a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "device", rename_all = "lowercase")]
pub enum Device {
    /// A hard disk.
    Disk(Disk),
    /// A CD drive with a medium.
    Cdrom(Cdrom),
    /// A network card.
    Nic(Nic),
    /// A serial port or console.
    Serial(Serial),
    /// A source of random numbers.
    Rng {
        /// Identifier.
        name: String,
    },
    /// A memory balloon.
    Balloon {
        /// Identifier.
        name: String,
    },
    /// A graphics card; its picture is seen through screen dumps only.
    Vga {
        /// `std`, `cirrus`, `virtio`, `qxl`, `vmware`.
        model: String,
    },
    /// Reports a guest's panic as an event.
    Panic {
        /// The I/O port.
        port: Option<String>,
    },
}

/// What a disk hangs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskBus {
    /// virtio-blk.
    Virtio,
    /// A SCSI controller of this model.
    Scsi(String),
    /// The machine's own IDE (or, on q35, SATA) controller.
    Ide,
    /// An AHCI controller.
    Ahci,
    /// NVMe. Blocks migration.
    Nvme,
    /// A USB stick on a controller of its own.
    Usb,
}

/// A hard disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Disk {
    /// The name of the object in `images`.
    pub name: String,
    /// The file. Replace it with an overlay before the machine starts.
    pub file: Utf8PathBuf,
    /// The file's format.
    pub format: String,
    /// The bus.
    pub bus: DiskBus,
    /// `none`, `writeback`, `writethrough`, `directsync`, `unsafe`.
    pub cache: Option<CacheMode>,
    /// `threads`, `native`, `io_uring`.
    pub aio: Option<String>,
    /// The guest may not write.
    pub readonly: bool,
    /// Position in the order of booting.
    pub bootindex: Option<u32>,
    /// The serial number that the guest sees.
    pub serial: Option<String>,
    /// Whether the guest's discards reach the file.
    pub discard: Option<bool>,
    /// Properties appended to the device.
    pub extra: Option<String>,
    /// As one `-drive` with a name of its own instead of as a block graph of named nodes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub classic: bool,
}

/// The classical cache modes of a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// Past the host's page cache.
    None,
    /// Through the page cache; flushed when the guest says so.
    Writeback,
    /// Through the page cache; every write is flushed.
    Writethrough,
    /// Past the page cache; every write is flushed.
    Directsync,
    /// Through the page cache; never flushed. Right for a throw-away overlay.
    Unsafe,
}

/// A CD drive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cdrom {
    /// The name of the object in `cdroms`.
    pub name: String,
    /// The medium; a drive without one is empty.
    pub file: Option<Utf8PathBuf>,
    /// The bus.
    pub bus: DiskBus,
    /// Position in the order of booting.
    pub bootindex: Option<u32>,
    /// As one `-drive` with a name of its own instead of as a block graph of named nodes.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub classic: bool,
}

/// A network card on QEMU's user network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Nic {
    /// The name of the object in `nics`.
    pub name: String,
    /// QEMU's device.
    pub model: String,
    /// Hardware address.
    pub mac: String,
    /// Guest's TCP ports that get a port of the host each.
    pub forwards: Vec<u16>,
    /// Position in the order of booting.
    pub bootindex: Option<u32>,
    /// Properties appended to the device.
    pub extra: Option<String>,
    /// Properties appended to the network.
    pub netdev_extra: Option<String>,
    /// Served by the host's kernel, which has to be able to.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub vhost: bool,
    /// Whether a standing shell of the guest may connect to a socket of ours. The guest's hardware is the same with and without.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub standing: bool,
}

/// What kind of serial device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SerialKind {
    /// The PC's serial port.
    Isa,
    /// A virtio console.
    VirtConsole,
    /// A named virtio port.
    VirtPort,
}

/// A serial port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Serial {
    /// The name of the object in `serials`.
    pub name: String,
    /// What the guest sees.
    pub kind: SerialKind,
    /// The name of a virtio port as the guest sees it.
    pub port_name: Option<String>,
}

/// What a monitor speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MonitorKind {
    /// JSON.
    Qmp,
    /// Text for people; carried over QMP.
    Human,
}

/// A monitor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Monitor {
    /// The name of the object in `monitors`.
    pub name: String,
    /// What it speaks.
    pub kind: MonitorKind,
}

impl CacheMode {
    /// How `-drive` spells it.
    pub fn word(self) -> &'static str {
        match self {
            CacheMode::None => "none",
            CacheMode::Writeback => "writeback",
            CacheMode::Writethrough => "writethrough",
            CacheMode::Directsync => "directsync",
            CacheMode::Unsafe => "unsafe",
        }
    }
}

impl Device {
    /// The name of its object.
    pub fn name(&self) -> Option<&str> {
        match self {
            Device::Disk(disk) => Some(&disk.name),
            Device::Cdrom(cdrom) => Some(&cdrom.name),
            Device::Nic(nic) => Some(&nic.name),
            Device::Serial(serial) => Some(&serial.name),
            Device::Rng { name } | Device::Balloon { name } => Some(name),
            Device::Vga { .. } | Device::Panic { .. } => None,
        }
    }
}

impl MachineSpec {
    /// The disks, in order.
    pub fn disks(&self) -> impl Iterator<Item = &Disk> {
        self.devices.iter().filter_map(|device| {
            if let Device::Disk(disk) = device {
                Some(disk)
            } else {
                None
            }
        })
    }

    /// The disk of this name, to be changed.
    pub fn disk_mut(&mut self, name: &str) -> Option<&mut Disk> {
        self.devices.iter_mut().find_map(|device| match device {
            Device::Disk(disk) if disk.name == name => Some(disk),
            _ => None,
        })
    }

    /// The network cards, in order.
    pub fn nics(&self) -> impl Iterator<Item = &Nic> {
        self.devices.iter().filter_map(|device| {
            if let Device::Nic(nic) = device {
                Some(nic)
            } else {
                None
            }
        })
    }

    /// Lets a standing shell of the guest connect to us, where its first network card is on a network as it is by default.
    pub fn offer_standing(&mut self) {
        let first = self.devices.iter_mut().find_map(|device| match device {
            Device::Nic(nic) => Some(nic),
            _ => None,
        });
        if let Some(nic) = first.filter(|nic| nic.netdev_extra.is_none()) {
            nic.standing = true;
        }
    }

    /// The serial ports, in order.
    pub fn serials(&self) -> impl Iterator<Item = &Serial> {
        self.devices.iter().filter_map(|device| {
            if let Device::Serial(serial) = device {
                Some(serial)
            } else {
                None
            }
        })
    }

    /// Whether there is a picture to be dumped.
    pub fn has_display(&self) -> bool {
        self.devices
            .iter()
            .any(|device| matches!(device, Device::Vga { .. }))
    }

    /// Takes devices away, and adds words to the end of the command line: what a running machine has become.
    pub fn change(&mut self, added: &[String], removed: &[String]) {
        self.devices.retain(|device| {
            device
                .name()
                .is_none_or(|name| !removed.iter().any(|gone| gone == name))
        });
        self.extra.extend(added.iter().cloned());
    }

    /// Every file that the machine reads and nobody writes: kernel, RAM disk, firmware, media.
    pub fn read_files(&self) -> Vec<&Utf8PathBuf> {
        let media = self.devices.iter().filter_map(|device| match device {
            Device::Cdrom(cdrom) => cdrom.file.as_ref(),
            _ => None,
        });
        [&self.boot.kernel, &self.boot.initrd, &self.boot.bios]
            .into_iter()
            .flatten()
            .chain(media)
            .collect()
    }
}
