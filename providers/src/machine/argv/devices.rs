//! Devices and what is behind them.

use serde_json::{Value, json};

use super::{Line, Places, escape};
use crate::machine::spec::{CacheMode, Cdrom, Device, Disk, DiskBus, MachineSpec, Nic, Serial, SerialKind};

/// Adds every device of the machine.
pub(super) fn add_all(line: &mut Line, spec: &MachineSpec, places: &Places) {
    let mut buses = Buses::new(spec);
    for device in &spec.devices {
        match device {
            Device::Disk(disk) => add_disk(line, disk, &mut buses),
            Device::Cdrom(cdrom) => add_cdrom(line, cdrom, &mut buses),
            Device::Nic(nic) => add_nic(line, nic, places),
            Device::Serial(serial) => add_serial(line, serial, &spec.name, places, &mut buses),
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
}

/// Controllers that are there already, and places taken on them.
struct Buses {
    sata: bool,
    ide: u32,
    ahci: u32,
    scsi: Vec<String>,
    scsi_units: u32,
    serial: bool,
    ports: u32,
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
            ports: 0,
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
                if !self.scsi.contains(hba) {
                    line.push("-device", format!("{hba},id={}", hba_id(hba)));
                    self.scsi.push(hba.clone());
                }
                self.scsi_units += 1;
                let kind = if cd { "scsi-cd" } else { "scsi-hd" };
                (
                    kind.into(),
                    format!(",bus={}.0,scsi-id={}", hba_id(hba), self.scsi_units - 1),
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

/// The name of the first SCSI controller of a model.
fn hba_id(hba: &str) -> String {
    format!("{}0", hba.replace('-', "_"))
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
    if disk.classic {
        line.push("-drive", drive(disk));
    } else {
        for node in blockdevs(disk) {
            line.push("-blockdev", node.to_string());
        }
    }
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
    line.push("-device", format!("{device},id={name},drive=drive_{name}{tail}"));
}

/// The same as [`blockdevs`] in one option, whose nodes QEMU names itself.
fn drive(disk: &Disk) -> String {
    let mut text = format!("id=drive_{},if=none,format={}", disk.name, disk.format);
    if let Some(cache) = disk.cache {
        text += &format!(",cache={}", cache.word());
    }
    text += &disk
        .aio
        .as_ref()
        .map(|aio| format!(",aio={aio}"))
        .unwrap_or_default();
    if let Some(discard) = disk.discard {
        text += if discard {
            ",discard=unmap"
        } else {
            ",discard=ignore"
        };
    }
    if disk.readonly {
        text += ",readonly=on";
    }
    text + ",file=" + &escape(disk.file.as_str())
}

/// The block graph of a disk: the file, and the format over it. Two nodes with the names that tests of the field know
/// them by, each of which can be removed on its own.
fn blockdevs(disk: &Disk) -> [Value; 2] {
    let (name, path) = (&disk.name, &disk.file);
    let on_host = path
        .metadata()
        .map(|meta| std::os::unix::fs::FileTypeExt::is_block_device(&meta.file_type()));
    let driver = if on_host.unwrap_or(false) {
        "host_device"
    } else {
        "file"
    };
    let mut file = json!({ "driver": driver, "filename": path, "node-name": format!("file_{name}") });
    if let Some(aio) = &disk.aio {
        file["aio"] = aio.clone().into();
    }
    let mut format =
        json!({ "driver": disk.format, "node-name": format!("drive_{name}"), "read-only": disk.readonly });
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
    if disk.readonly {
        file["read-only"] = true.into();
    }
    format["file"] = file["node-name"].clone();
    [file, format]
}

fn add_cdrom(line: &mut Line, cdrom: &Cdrom, buses: &mut Buses) {
    let name = &cdrom.name;
    if let Some(path) = cdrom.file.as_ref().filter(|_| cdrom.classic) {
        let path = escape(path.as_str());
        line.push(
            "-drive",
            format!("id=drive_{name},if=none,media=cdrom,readonly=on,file={path}"),
        );
    } else if let Some(path) = &cdrom.file {
        let file = json!({ "driver": "file", "filename": path, "read-only": true });
        let node =
            json!({ "driver": "raw", "node-name": format!("drive_{name}"), "read-only": true, "file": file });
        line.push("-blockdev", node.to_string());
    }
    let (device, place) = buses.place(line, &cdrom.bus, true);
    let drive = if cdrom.file.is_some() {
        format!(",drive=drive_{name}")
    } else {
        String::new()
    };
    line.push(
        "-device",
        format!("{device},id={name}{drive}{place}{}", bootindex(cdrom.bootindex)),
    );
}

/// An address of QEMU's user network that stands for nothing else, where a guest's standing shell connects to.
pub const STANDING_ADDRESS: &str = "10.0.2.100";
/// The port that belongs to it.
pub const STANDING_PORT: u16 = 4222;

/// The name of the network behind a network card.
pub fn netdev_id(nic: &str) -> String {
    format!("net-{nic}")
}

fn add_nic(line: &mut Line, nic: &Nic, places: &Places) {
    let name = &nic.name;
    let mut standing = String::new();
    if nic.standing {
        let path = escape(places.standing(name).as_str());
        let chardev = format!("standing-{name}");
        line.push(
            "-chardev",
            format!("socket,id={chardev},path={path},server=on,wait=off"),
        );
        standing = format!(",guestfwd=tcp:{STANDING_ADDRESS}:{STANDING_PORT}-chardev:{chardev}");
    }
    // Port 0: the system chooses, and QEMU is asked afterwards what it got. Nobody can take it in between.
    let forwards: String = nic
        .forwards
        .iter()
        .map(|port| format!(",hostfwd=tcp:127.0.0.1:0-:{port}"))
        .collect();
    line.push(
        "-netdev",
        format!(
            "user,id={}{forwards}{standing}{}",
            netdev_id(name),
            extra(nic.netdev_extra.as_ref())
        ),
    );
    let tail = format!("{}{}", bootindex(nic.bootindex), extra(nic.extra.as_ref()));
    line.push(
        "-device",
        format!(
            "{},id={name},netdev={},mac={}{tail}",
            nic.model,
            netdev_id(name),
            nic.mac
        ),
    );
}

fn add_serial(line: &mut Line, serial: &Serial, vm: &str, places: &Places, buses: &mut Buses) {
    let name = &serial.name;
    let (socket, log) = (places.serial(name), places.serial_log(vm, name));
    let (socket, log) = (escape(socket.as_str()), escape(log.as_str()));
    // QEMU writes the log itself: nothing is lost while nobody is connected.
    let backend =
        format!("socket,id=chardev_{name},path={socket},server=on,wait=off,logfile={log},logappend=on");
    line.push("-chardev", backend);
    if serial.kind != SerialKind::Isa && !buses.serial {
        line.push("-device", "virtio-serial-pci,id=virtio_serial_pci0");
        buses.serial = true;
    }
    if serial.kind != SerialKind::Isa {
        buses.ports += 1;
    }
    // Port 0 is for a console that the machine's firmware knows.
    let place = format!(",bus=virtio_serial_pci0.0,nr={}", buses.ports);
    let port = escape(serial.port_name.as_ref().unwrap_or(name));
    line.push(
        "-device",
        match serial.kind {
            SerialKind::Isa => format!("isa-serial,id={name},chardev=chardev_{name}"),
            SerialKind::VirtConsole => format!("virtconsole,id={name},chardev=chardev_{name}{place}"),
            SerialKind::VirtPort => {
                format!("virtserialport,id={name},chardev=chardev_{name},name={port}{place}")
            }
        },
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accel::Accel;
    use crate::machine::argv::argv;
    use crate::params::Params;

    /// The values of `-device`, `-blockdev`, `-drive`, `-netdev` and the chardevs of serial ports.
    fn devices(entries: &[(&str, &str)]) -> Vec<String> {
        let mut params: Params = [("virtio_rngs", ""), ("image_name", "disk")]
            .into_iter()
            .collect();
        entries.iter().for_each(|(key, value)| params.set(*key, *value));
        let spec = MachineSpec::from_params("vm1", &params, "/data".into()).unwrap();
        let places = Places {
            sockets: "/run/x".into(),
            logs: "/lo,gs".into(),
        };
        let argv = argv(&spec, &places, Accel::Tcg, false);
        let wanted = |option: &str| {
            matches!(
                option,
                "-device" | "-blockdev" | "-drive" | "-netdev" | "-chardev"
            )
        };
        let pairs = argv
            .windows(2)
            .filter(|pair| wanted(&pair[0]) && !pair[1].contains("id=mon-"));
        pairs.map(|pair| pair[1].clone()).collect()
    }

    #[test]
    fn a_disk_is_a_block_graph_and_a_device() {
        let entries = [
            ("images", "image1"),
            ("drive_cache", "unsafe"),
            ("bootindex", "0"),
            ("drive_serial", "S,1"),
        ];
        assert_eq!(
            devices(&entries),
            [
                r#"{"driver":"file","filename":"/data/disk.qcow2","node-name":"file_image1","cache":{"direct":false,"no-flush":true}}"#,
                r#"{"driver":"qcow2","node-name":"drive_image1","read-only":false,"cache":{"direct":false,"no-flush":true},"file":"file_image1"}"#,
                "virtio-blk-pci,id=image1,drive=drive_image1,serial=S,,1,write-cache=on,bootindex=0",
            ]
        );
    }

    #[test]
    fn a_disk_is_one_drive_where_a_test_asks_for_it() {
        let entries = [
            ("images", "image1"),
            ("drive_cache", "none"),
            ("image_aio", "native"),
            ("qemu_force_use_drive_expression", "yes"),
            ("cdroms", "cd1"),
            ("cdrom_cd1", "isos/a,b.iso"),
        ];
        assert_eq!(
            devices(&entries),
            [
                "id=drive_image1,if=none,format=qcow2,cache=none,aio=native,file=/data/disk.qcow2",
                "virtio-blk-pci,id=image1,drive=drive_image1,write-cache=on",
                "id=drive_cd1,if=none,media=cdrom,readonly=on,file=/data/isos/a,,b.iso",
                "ide-cd,id=cd1,drive=drive_cd1,bus=ide.0,unit=0",
            ]
        );
    }

    #[test]
    fn disks_find_their_places_on_each_bus() {
        let on = |machine: &str, format: &str| {
            let entries = [
                ("images", "a b c"),
                ("machine_type", machine),
                ("pcie_extra_root_port", "0"),
                ("drive_format", format),
            ];
            let all = devices(&entries);
            all.into_iter()
                .filter(|device| !device.starts_with('{'))
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(
            on("pc", "ide"),
            "ide-hd,id=a,drive=drive_a,bus=ide.0,unit=0 ide-hd,id=b,drive=drive_b,bus=ide.0,unit=1 \
             ide-hd,id=c,drive=drive_c,bus=ide.1,unit=0"
        );
        assert!(on("q35", "ide").ends_with("ide-hd,id=c,drive=drive_c,bus=ide.2"));
        assert!(on("pc", "ahci").starts_with("ahci,id=ahci0 ide-hd,id=a,drive=drive_a,bus=ahci0.0 "));
        assert_eq!(
            on("pc", "scsi-hd"),
            "virtio-scsi-pci,id=virtio_scsi_pci0 scsi-hd,id=a,drive=drive_a,bus=virtio_scsi_pci0.0,scsi-id=0 \
             scsi-hd,id=b,drive=drive_b,bus=virtio_scsi_pci0.0,scsi-id=1 scsi-hd,id=c,drive=drive_c,bus=virtio_scsi_pci0.0,scsi-id=2"
        );
        assert!(on("q35", "nvme").starts_with("nvme,id=a,drive=drive_a,serial=a "));
        assert!(
            on("q35", "usb3").starts_with("qemu-xhci,id=xhci usb-storage,id=a,drive=drive_a,bus=xhci.0 ")
        );
    }

    #[test]
    fn ports_of_the_host_are_never_chosen_here() {
        let all = devices(&[
            ("nics", "nic1"),
            ("mac", "52:54:00:00:00:01"),
            ("file_transfer_port", "80"),
        ]);
        assert_eq!(
            all,
            [
                "user,id=net-nic1,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:80",
                "virtio-net-pci,id=nic1,netdev=net-nic1,mac=52:54:00:00:00:01",
            ]
        );
    }

    #[test]
    fn serial_output_goes_to_a_log_as_well() {
        let all = devices(&[
            ("serials", "s0 s1"),
            ("serial_type_s1", "virtserialport"),
            ("serial_name_s1", "org.x"),
        ]);
        assert_eq!(
            all,
            [
                "socket,id=chardev_s0,path=/run/x/s-s0,server=on,wait=off,logfile=/lo,,gs/serial-s0-vm1.log,logappend=on",
                "isa-serial,id=s0,chardev=chardev_s0",
                "socket,id=chardev_s1,path=/run/x/s-s1,server=on,wait=off,logfile=/lo,,gs/serial-s1-vm1.log,logappend=on",
                "virtio-serial-pci,id=virtio_serial_pci0",
                "virtserialport,id=s1,chardev=chardev_s1,name=org.x,bus=virtio_serial_pci0.0,nr=1",
            ]
        );
    }
}
