//! [`MachineSpec`] -> the words of QEMU's command line.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::spec::{
    CacheMode, Cdrom, Device, Disk, DiskBus, MachineSpec, MonitorKind, Nic, Serial, SerialKind,
};
use crate::accel::Accel;

/// Where one machine's sockets and logs are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// A folder of its own for sockets; its path must be short.
    pub sockets: Utf8PathBuf,
    /// The folder for logs.
    pub logs: Utf8PathBuf,
}

impl Places {
    /// The socket of a monitor.
    pub fn monitor(&self, name: &str) -> Utf8PathBuf {
        self.sockets.join(format!("m-{name}"))
    }

    /// The socket of a serial port.
    pub fn serial(&self, name: &str) -> Utf8PathBuf {
        self.sockets.join(format!("s-{name}"))
    }

    /// The log of a serial port of the machine `vm`.
    pub fn serial_log(&self, vm: &str, name: &str) -> Utf8PathBuf {
        self.logs.join(format!("serial-{name}-{vm}.log"))
    }
}

/// The whole command line but the program. `incoming` makes a machine that waits for a migration.
pub fn argv(spec: &MachineSpec, places: &Places, accel: Accel, incoming: bool) -> Vec<String> {
    let mut line = Line::default();
    line.push("-name", format!("{},debug-threads=on", escape(&spec.name)));
    line.word("-S", !incoming);
    line.word("-nodefaults", true);
    line.push("-machine", spec.machine_type.clone());
    line.push("-accel", accel.name());
    line.option("-cpu", cpu(spec, accel));
    line.push("-smp", smp(spec));
    line.push("-m", format!("{}M", spec.mem_mib));
    line.option("-uuid", spec.uuid.clone());
    line.push("-display", "none");
    line.option("-rtc", rtc(spec));
    boot(&mut line, spec);
    monitors(&mut line, spec, places);
    let mut buses = Buses::new(spec);
    for device in &spec.devices {
        match device {
            Device::Disk(disk) => add_disk(&mut line, disk, &mut buses),
            Device::Cdrom(cdrom) => add_cdrom(&mut line, cdrom, &mut buses),
            Device::Nic(nic) => add_nic(&mut line, nic),
            Device::Serial(serial) => add_serial(&mut line, serial, &spec.name, places, &mut buses),
            Device::Rng { name } => {
                line.push(
                    "-object",
                    format!("rng-random,id=rng-{name},filename=/dev/urandom"),
                );
                line.push("-device", format!("virtio-rng-pci,id={name},rng=rng-{name}"));
            }
            Device::Balloon { name } => line.push("-device", format!("virtio-balloon-pci,id={name}")),
            Device::Vga { model } => line.push("-vga", model.clone()),
            Device::Panic { port } => {
                let port = port
                    .as_ref()
                    .map(|port| format!(",ioport={port}"))
                    .unwrap_or_default();
                line.push("-device", format!("pvpanic,id=pvpanic{port}"));
            }
        }
    }
    line.word("-no-reboot", spec.no_reboot);
    line.word("-no-shutdown", spec.no_shutdown);
    line.option("-incoming", incoming.then(|| "defer".to_owned()));
    line.0.extend(spec.extra.iter().cloned());
    line.0
}

#[derive(Default)]
struct Line(Vec<String>);

impl Line {
    fn push(&mut self, option: &str, value: impl Into<String>) {
        self.0.push(option.to_owned());
        self.0.push(value.into());
    }

    fn option(&mut self, option: &str, value: Option<String>) {
        if let Some(value) = value {
            self.push(option, value);
        }
    }

    fn word(&mut self, word: &str, wanted: bool) {
        if wanted {
            self.0.push(word.to_owned());
        }
    }
}

/// In a list of `key=value` a comma within a value is written twice.
fn escape(value: &str) -> String {
    value.replace(',', ",,")
}

fn cpu(spec: &MachineSpec, accel: Accel) -> Option<String> {
    let cpu = spec.cpu.as_deref()?;
    // What the host has is all that can be translated, too; only the name differs.
    match (accel, cpu.strip_prefix("host")) {
        (Accel::Tcg, Some(flags)) if flags.is_empty() || flags.starts_with(',') => {
            Some(format!("max{flags}"))
        }
        _ => Some(cpu.to_owned()),
    }
}

fn smp(spec: &MachineSpec) -> String {
    let smp = &spec.smp;
    let parts = [
        ("maxcpus", smp.max),
        ("sockets", smp.sockets),
        ("cores", smp.cores),
        ("threads", smp.threads),
    ];
    let parts = parts
        .into_iter()
        .filter_map(|(key, value)| Some(format!(",{key}={}", value?)));
    format!("{}{}", smp.cpus, parts.collect::<String>())
}

fn list(parts: &[(&str, Option<&str>)]) -> Option<String> {
    let parts: Vec<_> = parts
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", escape((*value)?))))
        .collect();
    (!parts.is_empty()).then(|| parts.join(","))
}

fn rtc(spec: &MachineSpec) -> Option<String> {
    let rtc = &spec.rtc;
    list(&[
        ("base", rtc.base.as_deref()),
        ("clock", rtc.clock.as_deref()),
        ("driftfix", rtc.drift.as_deref()),
    ])
}

fn boot(line: &mut Line, spec: &MachineSpec) {
    let boot = &spec.boot;
    let menu = boot.menu.map(|menu| if menu { "on" } else { "off" });
    line.option(
        "-boot",
        list(&[
            ("order", boot.order.as_deref()),
            ("once", boot.once.as_deref()),
            ("menu", menu),
        ]),
    );
    line.option("-bios", boot.bios.as_ref().map(ToString::to_string));
    line.option("-kernel", boot.kernel.as_ref().map(ToString::to_string));
    line.option("-initrd", boot.initrd.as_ref().map(ToString::to_string));
    line.option("-append", boot.append.clone());
}

fn monitors(line: &mut Line, spec: &MachineSpec, places: &Places) {
    for monitor in spec
        .monitors
        .iter()
        .filter(|monitor| monitor.kind == MonitorKind::Qmp)
    {
        let (name, path) = (&monitor.name, escape(places.monitor(&monitor.name).as_str()));
        line.push(
            "-chardev",
            format!("socket,id=mon-{name},path={path},server=on,wait=off"),
        );
        line.push("-mon", format!("chardev=mon-{name},mode=control"));
    }
}

/// Controllers that are there already, and places taken on them.
struct Buses {
    sata: bool,
    ide: u32,
    ahci: u32,
    scsi: Vec<String>,
    scsi_units: u32,
    serial: bool,
    usb: bool,
}

impl Buses {
    fn new(spec: &MachineSpec) -> Buses {
        let sata = spec
            .machine_type
            .split(',')
            .next()
            .is_some_and(|kind| kind.contains("q35"));
        Buses {
            sata,
            ide: 0,
            ahci: 0,
            scsi: Vec::new(),
            scsi_units: 0,
            serial: false,
            usb: false,
        }
    }

    /// The device's word for a disk or CD on this bus and its `bus=` part; adds the controller when it is the first.
    fn place(&mut self, line: &mut Line, bus: &DiskBus, cd: bool) -> (String, String) {
        let ide = if cd { "ide-cd" } else { "ide-hd" };
        match bus {
            DiskBus::Virtio => ("virtio-blk-pci".into(), String::new()),
            DiskBus::Nvme => ("nvme".into(), String::new()),
            DiskBus::Scsi(hba) => {
                let known = self.scsi.iter().position(|known| known == hba);
                let number = known.unwrap_or_else(|| {
                    line.push("-device", format!("{hba},id=scsi{}", self.scsi.len()));
                    self.scsi.push(hba.clone());
                    self.scsi.len() - 1
                });
                self.scsi_units += 1;
                let kind = if cd { "scsi-cd" } else { "scsi-hd" };
                (
                    kind.into(),
                    format!(",bus=scsi{number}.0,scsi-id={}", self.scsi_units - 1),
                )
            }
            DiskBus::Ide if !self.sata => {
                self.ide += 1;
                (
                    ide.into(),
                    format!(",bus=ide.{},unit={}", (self.ide - 1) / 2, (self.ide - 1) % 2),
                )
            }
            DiskBus::Ide | DiskBus::Ahci => {
                let controller = if self.sata { "ide" } else { "ahci0" };
                if !self.sata && self.ahci == 0 {
                    line.push("-device", "ahci,id=ahci0");
                }
                self.ahci += 1;
                (ide.into(), format!(",bus={controller}.{}", self.ahci - 1))
            }
            DiskBus::Usb => {
                if !self.usb {
                    line.push("-device", "qemu-xhci,id=xhci");
                    self.usb = true;
                }
                ("usb-storage".into(), ",bus=xhci.0".into())
            }
        }
    }
}

fn bootindex(index: Option<u32>) -> String {
    index
        .map(|index| format!(",bootindex={index}"))
        .unwrap_or_default()
}

fn extra(text: Option<&String>) -> String {
    text.map(|text| format!(",{text}")).unwrap_or_default()
}

fn add_disk(line: &mut Line, disk: &Disk, buses: &mut Buses) {
    line.push("-blockdev", blockdev(disk).to_string());
    let (device, place) = buses.place(line, &disk.bus, false);
    let name = &disk.name;
    // NVMe refuses to start without a serial number.
    let serial = disk
        .serial
        .clone()
        .or_else(|| (disk.bus == DiskBus::Nvme).then(|| name.clone()));
    let serial = serial
        .map(|serial| format!(",serial={}", escape(&serial)))
        .unwrap_or_default();
    let write_cache = match disk.cache {
        None => "",
        Some(CacheMode::Writethrough | CacheMode::Directsync) => ",write-cache=off",
        Some(_) => ",write-cache=on",
    };
    let write_cache = if matches!(disk.bus, DiskBus::Nvme) {
        ""
    } else {
        write_cache
    };
    let tail = format!(
        "{place}{serial}{write_cache}{}{}",
        bootindex(disk.bootindex),
        extra(disk.extra.as_ref())
    );
    line.push("-device", format!("{device},id={name},drive=drive-{name}{tail}"));
}

/// The block graph of a disk: the format over the file.
fn blockdev(disk: &Disk) -> Value {
    let (name, path) = (&disk.name, &disk.file);
    let on_host = path
        .metadata()
        .map(|meta| std::os::unix::fs::FileTypeExt::is_block_device(&meta.file_type()));
    let driver = if on_host.unwrap_or(false) {
        "host_device"
    } else {
        "file"
    };
    let mut file = json!({ "driver": driver, "filename": path, "node-name": format!("file-{name}") });
    if let Some(aio) = &disk.aio {
        file["aio"] = aio.clone().into();
    }
    let mut format =
        json!({ "driver": disk.format, "node-name": format!("drive-{name}"), "read-only": disk.readonly });
    if let Some(discard) = disk.discard {
        for node in [&mut file, &mut format] {
            node["discard"] = if discard { "unmap" } else { "ignore" }.into();
        }
    }
    if let Some(cache) = disk.cache {
        let direct = matches!(cache, CacheMode::None | CacheMode::Directsync);
        for node in [&mut file, &mut format] {
            node["cache"] = json!({ "direct": direct, "no-flush": cache == CacheMode::Unsafe });
        }
    }
    format["file"] = file;
    format
}

fn add_cdrom(line: &mut Line, cdrom: &Cdrom, buses: &mut Buses) {
    let name = &cdrom.name;
    if let Some(path) = &cdrom.file {
        let file = json!({ "driver": "file", "filename": path, "read-only": true });
        let node =
            json!({ "driver": "raw", "node-name": format!("drive-{name}"), "read-only": true, "file": file });
        line.push("-blockdev", node.to_string());
    }
    let (device, place) = buses.place(line, &cdrom.bus, true);
    let drive = if cdrom.file.is_some() {
        format!(",drive=drive-{name}")
    } else {
        String::new()
    };
    line.push(
        "-device",
        format!("{device},id={name}{drive}{place}{}", bootindex(cdrom.bootindex)),
    );
}

fn add_nic(line: &mut Line, nic: &Nic) {
    let name = &nic.name;
    // Port 0: the system chooses, and QEMU is asked afterwards what it got. Nobody can take it in between.
    let forwards: String = nic
        .forwards
        .iter()
        .map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}"))
        .collect();
    line.push(
        "-netdev",
        format!("user,id=net-{name}{forwards}{}", extra(nic.netdev_extra.as_ref())),
    );
    let tail = format!("{}{}", bootindex(nic.bootindex), extra(nic.extra.as_ref()));
    line.push(
        "-device",
        format!("{},id={name},netdev=net-{name},mac={}{tail}", nic.model, nic.mac),
    );
}

fn add_serial(line: &mut Line, serial: &Serial, vm: &str, places: &Places, buses: &mut Buses) {
    let name = &serial.name;
    let (socket, log) = (places.serial(name), places.serial_log(vm, name));
    let (socket, log) = (escape(socket.as_str()), escape(log.as_str()));
    // QEMU writes the log itself: nothing is lost while nobody is connected.
    let backend = format!("socket,id=chr-{name},path={socket},server=on,wait=off,logfile={log},logappend=on");
    line.push("-chardev", backend);
    if serial.kind != SerialKind::Isa && !buses.serial {
        line.push("-device", "virtio-serial-pci,id=virtio-serial");
        buses.serial = true;
    }
    let port = escape(serial.port_name.as_ref().unwrap_or(name));
    line.push(
        "-device",
        match serial.kind {
            SerialKind::Isa => format!("isa-serial,id={name},chardev=chr-{name}"),
            SerialKind::VirtConsole => format!("virtconsole,id={name},chardev=chr-{name}"),
            SerialKind::VirtPort => format!("virtserialport,id={name},chardev=chr-{name},name={port}"),
        },
    );
}

/// Whether every socket's path fits into the kernel's 108 bytes; the longest one if not.
pub(super) fn too_long(spec: &MachineSpec, places: &Places) -> Option<Utf8PathBuf> {
    let monitors = spec.monitors.iter().map(|monitor| places.monitor(&monitor.name));
    let serials = spec.serials().map(|serial| places.serial(&serial.name));
    monitors
        .chain(serials)
        .chain([places.sockets.join("migration")])
        .find(|path| !fits(path))
}

fn fits(path: &Utf8Path) -> bool {
    path.as_str().len() < 108
}
