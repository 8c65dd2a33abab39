//! What is plugged in: images, CD drives, network cards, ports.

use camino::Utf8Path;

use super::{fingerprint, one_of, owned, properties};
use crate::image::ImageSpec;
use crate::machine::spec::{CacheMode, Cdrom, Device, Disk, DiskBus, Nic, Serial, SerialKind};
use crate::params::{ParamError, Params};

/// The guest's port for logins, unless the parameters say otherwise.
const SSH_PORT: u16 = 22;

/// Everything that is plugged in, in the order of the command line.
pub(super) fn devices(vm: &str, params: &Params, data_dir: &Utf8Path) -> Result<Vec<Device>, ParamError> {
    let mut devices = Vec::new();
    if let Some(model) = one_of(
        params,
        "vga",
        &["none", "std", "cirrus", "virtio", "qxl", "vmware"],
    )? {
        devices.extend((model != "none").then_some(Device::Vga { model }));
    }
    if params.switch("enable_pvpanic")?.unwrap_or(false) {
        devices.push(Device::Panic {
            port: owned(params, "ioport_pvpanic"),
        });
    }
    for name in params.objects("serials") {
        devices.push(Device::Serial(serial(name, &params.object(name))?));
    }
    // A guest without entropy logs nobody in: there is a source unless the parameters say none.
    let rngs = if params.get("virtio_rngs").is_some() {
        params.objects("virtio_rngs")
    } else {
        vec!["rng0"]
    };
    devices.extend(rngs.into_iter().map(|name| Device::Rng {
        name: name.to_owned(),
    }));
    for name in params.objects("images") {
        let own = params.object(name);
        if own.switch("boot_drive")?.unwrap_or(true) {
            devices.push(Device::Disk(disk(name, &own, data_dir)?));
        }
    }
    for name in params.objects("cdroms") {
        devices.extend(cdrom(name, &params.object(name), data_dir)?.map(Device::Cdrom));
    }
    for name in params.objects("nics") {
        devices.extend(nic(vm, name, &params.object(name))?.map(Device::Nic));
    }
    devices.extend(params.objects("balloon").into_iter().map(|name| Device::Balloon {
        name: name.to_owned(),
    }));
    Ok(devices)
}

fn serial(name: &str, params: &Params) -> Result<Serial, ParamError> {
    let kind = match params.text("serial_type") {
        None | Some("isa-serial" | "isa") => SerialKind::Isa,
        Some("virtconsole") => SerialKind::VirtConsole,
        Some("virtserialport") => SerialKind::VirtPort,
        Some(_) => return Err(params.bad("serial_type", "one of isa-serial, virtconsole, virtserialport")),
    };
    Ok(Serial {
        name: name.to_owned(),
        kind,
        port_name: owned(params, "serial_name"),
    })
}

fn bus(params: &Params, key: &str) -> Result<DiskBus, ParamError> {
    let hba = || params.text("scsi_hba").unwrap_or("virtio-scsi-pci").to_owned();
    Ok(match params.text(key) {
        None | Some("virtio" | "virtio_blk" | "virtio-blk" | "virtio-blk-pci") => DiskBus::Virtio,
        Some("scsi" | "virtio_scsi" | "scsi-hd" | "scsi-cd" | "scsi-disk") => DiskBus::Scsi(hba()),
        Some("ide") => DiskBus::Ide,
        Some("ahci") => DiskBus::Ahci,
        Some("nvme") => DiskBus::Nvme,
        Some("usb" | "usb2" | "usb3") => DiskBus::Usb,
        Some(_) => return Err(params.bad(key, "one of virtio, scsi, scsi-hd, ide, ahci, nvme, usb3")),
    })
}

fn disk(name: &str, params: &Params, data_dir: &Utf8Path) -> Result<Disk, ParamError> {
    let image = ImageSpec::from_params(name, params, data_dir)?;
    let aio = one_of(params, "image_aio", &["threads", "native", "io_uring"])?;
    let cache = cache(params)?;
    if aio.as_deref() == Some("native") && !matches!(cache, Some(CacheMode::None | CacheMode::Directsync)) {
        return Err(params.bad(
            "image_aio",
            "`drive_cache` to be none or directsync beside `native`",
        ));
    }
    Ok(Disk {
        name: name.to_owned(),
        file: image.file,
        format: image.format,
        bus: bus(params, "drive_format")?,
        cache,
        aio,
        readonly: params.switch("image_readonly")?.unwrap_or(false),
        bootindex: bootindex(params)?,
        serial: owned(params, "drive_serial"),
        discard: one_of(params, "drive_discard", &["ignore", "off", "unmap", "on"])?
            .map(|word| matches!(word.as_str(), "unmap" | "on")),
        extra: disk_extra(params),
        classic: classic(params)?,
    })
}

/// Whether images are given by `-drive`, which tests of the older commands for jobs on disks ask for: a drive's name is
/// the device of those.
fn classic(params: &Params) -> Result<bool, ParamError> {
    Ok(params.switch("qemu_force_use_drive_expression")?.unwrap_or(false))
}

/// Properties appended to a disk's device, and the I/O thread that serves it.
fn disk_extra(params: &Params) -> Option<String> {
    let own = properties(params, "blk_extra_params");
    let thread = params
        .text("image_iothread")
        .filter(|_| !params.objects("iothreads").is_empty());
    match (own, thread) {
        (own, None) => own,
        (None, Some(thread)) => Some(format!("iothread={thread}")),
        (Some(own), Some(thread)) => Some(format!("{own},iothread={thread}")),
    }
}

/// The place in the order of booting. A kernel that QEMU itself loads takes the first one.
fn bootindex(params: &Params) -> Result<Option<u32>, ParamError> {
    let first = u32::from(params.text("kernel").is_some());
    Ok(params
        .number::<u32>("bootindex")?
        .map(|index| index.saturating_add(first)))
}

fn cache(params: &Params) -> Result<Option<CacheMode>, ParamError> {
    Ok(Some(match params.text("drive_cache") {
        None => return Ok(None),
        Some("none" | "off") => CacheMode::None,
        Some("writeback") => CacheMode::Writeback,
        Some("writethrough") => CacheMode::Writethrough,
        Some("directsync") => CacheMode::Directsync,
        Some("unsafe") => CacheMode::Unsafe,
        Some(_) => {
            return Err(params.bad(
                "drive_cache",
                "one of none, writeback, writethrough, directsync, unsafe",
            ));
        }
    }))
}

fn cdrom(name: &str, params: &Params, data_dir: &Utf8Path) -> Result<Option<Cdrom>, ParamError> {
    // A drive is only there when something says what is in it, if only "nothing".
    let Some(medium) = params.get("cdrom") else {
        return Ok(None);
    };
    let file = Some(medium.trim())
        .filter(|name| !name.is_empty())
        .map(|name| data_dir.join(name));
    let bus = if params.text("cd_format").is_some() {
        bus(params, "cd_format")?
    } else {
        DiskBus::Ide
    };
    if matches!(bus, DiskBus::Virtio | DiskBus::Nvme) {
        return Err(params.bad("cd_format", "one of ide, ahci, scsi-cd, usb3"));
    }
    Ok(Some(Cdrom {
        name: name.to_owned(),
        file,
        bus,
        bootindex: bootindex(params)?,
        classic: classic(params)?,
    }))
}

fn nic(vm: &str, name: &str, params: &Params) -> Result<Option<Nic>, ParamError> {
    match params.text("nettype") {
        None | Some("user") => {}
        Some("none") => return Ok(None),
        Some(_) => return Err(params.bad("nettype", "`user` or `none`; other networks need a prepared host")),
    }
    let model = match params.text("nic_model").unwrap_or("virtio") {
        "virtio" | "virtio_net" => "virtio-net-pci".to_owned(),
        other
            if other
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) =>
        {
            other.to_owned()
        }
        _ => return Err(params.bad("nic_model", "the name of a device such as virtio, e1000, rtl8139")),
    };
    Ok(Some(Nic {
        name: name.to_owned(),
        model,
        mac: mac(vm, name, params)?,
        forwards: forwards(params)?,
        bootindex: bootindex(params)?,
        extra: properties(params, "nic_extra_params"),
        netdev_extra: properties(params, "netdev_extra_params"),
        // Some configurations write the whole option.
        vhost: matches!(params.text("vhost"), Some("on" | "yes" | "force" | "vhost=on")),
        standing: false,
    }))
}

/// The ports for logins and file transfer, and those of `redirs`.
fn forwards(params: &Params) -> Result<Vec<u16>, ParamError> {
    let mut ports = vec![params.number("shell_port")?.unwrap_or(SSH_PORT)];
    ports.extend(params.number::<u16>("file_transfer_port")?);
    for redir in params.objects("redirs") {
        ports.extend(params.number::<u16>(&format!("guest_port_{redir}"))?);
    }
    ports.sort_unstable();
    ports.dedup();
    Ok(ports)
}

fn mac(vm: &str, nic: &str, params: &Params) -> Result<String, ParamError> {
    let Some(mac) = params.text("mac") else {
        // Always the same for the same machine; on a user network nobody else can have it.
        let [.., a, b, c] = fingerprint(&[vm, nic]).to_be_bytes();
        return Ok(format!("52:54:00:{a:02x}:{b:02x}:{c:02x}"));
    };
    let octets: Vec<_> = mac
        .split(':')
        .map(|octet| (octet.len(), u8::from_str_radix(octet, 16)))
        .collect();
    let good = octets.len() == 6 && octets.iter().all(|(len, octet)| *len == 2 && octet.is_ok());
    let multicast = octets
        .first()
        .is_some_and(|(_, octet)| octet.as_ref().is_ok_and(|octet| octet & 1 == 1));
    if good && !multicast {
        Ok(mac.to_lowercase())
    } else {
        Err(params.bad("mac", "an address such as 52:54:00:12:34:56"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::MachineSpec;

    fn read(entries: &[(&str, &str)]) -> Result<MachineSpec, ParamError> {
        let params: Params = entries.iter().copied().collect();
        MachineSpec::from_params("vm1", &params.object("vm1"), "/data".into())
    }

    #[test]
    fn disks_follow_their_own_parameters() {
        let spec = read(&[
            ("images", "image1 stg"),
            ("image_name", "images/one"),
            ("image_name_stg", "images/two"),
            ("image_format", "qcow2"),
            ("image_format_stg", "raw"),
            ("drive_format", "virtio"),
            ("drive_format_stg_vm1", "scsi-hd"),
            ("drive_cache_stg", "none"),
            ("image_aio_stg", "native"),
        ]);
        let spec = spec.unwrap();
        let disks: Vec<_> = spec.disks().collect();
        assert_eq!(
            (disks[0].file.as_str(), &disks[0].bus),
            ("/data/images/one.qcow2", &DiskBus::Virtio)
        );
        assert_eq!(
            (disks[1].file.as_str(), disks[1].format.as_str()),
            ("/data/images/two.raw", "raw")
        );
        assert_eq!(disks[1].bus, DiskBus::Scsi("virtio-scsi-pci".into()));
        assert_eq!(
            (disks[1].cache, disks[1].aio.as_deref()),
            (Some(CacheMode::None), Some("native"))
        );
    }

    #[test]
    fn an_overlay_takes_the_place_of_an_image() {
        let mut spec = read(&[("images", "image1"), ("image_name", "x")]).unwrap();
        spec.disk_mut("image1").unwrap().file = "/scratch/overlay.qcow2".into();
        assert_eq!(spec.disks().next().unwrap().file, "/scratch/overlay.qcow2");
        assert!(spec.disk_mut("image2").is_none());
    }

    #[test]
    fn cards_have_addresses_that_stay_and_ports() {
        let entries = [
            ("nics", "nic1 nic2"),
            ("nic_model", "virtio"),
            ("nic_model_nic2", "e1000"),
            ("mac_nic2", "52:54:00:AA:BB:CC"),
            ("redirs", "remote_shell web"),
            ("guest_port_remote_shell", "22"),
            ("guest_port_web", "80"),
        ];
        let (spec, again) = (read(&entries).unwrap(), read(&entries).unwrap());
        assert_eq!(spec, again);
        let nics: Vec<_> = spec.nics().collect();
        assert_eq!(
            (nics[0].model.as_str(), nics[0].forwards.as_slice()),
            ("virtio-net-pci", [22, 80].as_slice())
        );
        assert_eq!(
            (nics[1].model.as_str(), nics[1].mac.as_str()),
            ("e1000", "52:54:00:aa:bb:cc")
        );
        assert!(nics[0].mac.starts_with("52:54:00:"));
    }

    #[test]
    fn a_source_of_entropy_is_there_unless_refused() {
        let rngs = |spec: &MachineSpec| {
            spec.devices
                .iter()
                .filter(|device| matches!(device, Device::Rng { .. }))
                .count()
        };
        assert_eq!(rngs(&read(&[]).unwrap()), 1);
        assert_eq!(rngs(&read(&[("virtio_rngs", "")]).unwrap()), 0);
        assert_eq!(rngs(&read(&[("virtio_rngs", "a b")]).unwrap()), 2);
    }

    #[test]
    fn a_kernel_without_firmware_s_help_comes_before_all_disks() {
        let index = |kernel: &str| {
            let spec = read(&[
                ("images", "a"),
                ("image_name", "x"),
                ("bootindex", "0"),
                ("kernel", kernel),
            ])
            .unwrap();
            spec.disks().next().unwrap().bootindex
        };
        assert_eq!((index(""), index("vmlinuz")), (Some(0), Some(1)));
    }

    #[test]
    fn a_drive_is_there_when_something_is_said_about_it() {
        let drives = |entries: &[(&str, &str)]| {
            let spec = read(entries).unwrap();
            spec.devices
                .iter()
                .filter(|device| matches!(device, Device::Cdrom(_)))
                .count()
        };
        assert_eq!(drives(&[("cdroms", "cd1")]), 0);
        assert_eq!(drives(&[("cdroms", "cd1"), ("cdrom_cd1", "isos/x.iso")]), 1);
        assert_eq!(drives(&[("cdroms", "cd1"), ("cdrom_cd1", "")]), 1);
    }

    #[test]
    fn every_mistake_names_its_parameter() {
        let given = [
            ("images", "i"),
            ("image_name", "x"),
            ("nics", "n"),
            ("serials", "s"),
            ("cdroms", "c"),
            ("cdrom", ""),
        ];
        let mistakes = [
            ("drive_format", "tape"),
            ("drive_cache", "sometimes"),
            ("image_aio", "native"),
            ("image_aio", "posix"),
            ("bootindex", "first"),
            ("nettype", "bridge"),
            ("nic_model", "two words"),
            ("mac", "52:54:00:12:34"),
            ("mac", "53:54:00:12:34:56"),
            ("shell_port", "ssh"),
            ("shell_port", "70000"),
            ("serial_type", "usb"),
            ("cd_format", "virtio"),
            ("image_format", "../x"),
        ];
        for (key, value) in mistakes {
            let entries = [given.as_slice(), &[(key, value)]].concat();
            assert_eq!(read(&entries).unwrap_err().key, key, "{key} = {value}");
        }
    }
}
