//! Parameters -> [`MachineSpec`].

use camino::Utf8Path;

use super::spec::{
    Boot, CacheMode, Cdrom, Device, Disk, DiskBus, MachineSpec, Monitor, MonitorKind, Nic, Rtc, Serial,
    SerialKind, Smp,
};
use crate::image::ImageSpec;
use crate::params::{ParamError, Params};

/// Memory of a machine whose parameters say nothing.
const DEFAULT_MEM_MIB: u64 = 1024;

/// The guest's port for logins, unless the parameters say otherwise.
const SSH_PORT: u16 = 22;

impl MachineSpec {
    /// Reads the machine `name`. `params` is that machine's own view ([`Params::object`]); `data_dir` is what relative
    /// names of images, kernels and media start from.
    ///
    /// # Errors
    /// [`ParamError`], naming the parameter and the object.
    pub fn from_params(name: &str, params: &Params, data_dir: &Utf8Path) -> Result<MachineSpec, ParamError> {
        Ok(MachineSpec {
            name: name.to_owned(),
            machine_type: machine_type(params),
            cpu: cpu(params),
            smp: smp(params)?,
            mem_mib: mem_mib(params)?,
            uuid: uuid(name, params)?,
            boot: boot(params, data_dir)?,
            rtc: rtc(params)?,
            devices: devices(name, params, data_dir)?,
            monitors: monitors(params)?,
            paused: params.switch("paused_after_start_vm")?.unwrap_or(false),
            no_reboot: params.switch("disable_reboot")?.unwrap_or(false),
            no_shutdown: params.switch("disable_shutdown")?.unwrap_or(false),
            extra: words(params, "extra_params")?,
        })
    }
}

fn owned(params: &Params, key: &str) -> Option<String> {
    params.text(key).map(str::to_owned)
}

/// One of a few words.
fn one_of(params: &Params, key: &str, words: &[&str]) -> Result<Option<String>, ParamError> {
    match params.text(key) {
        Some(value) if !words.contains(&value) => {
            Err(params.bad(key, format!("one of {}", words.join(", "))))
        }
        value => Ok(value.map(str::to_owned)),
    }
}

fn words(params: &Params, key: &str) -> Result<Vec<String>, ParamError> {
    let text = params.get(key).unwrap_or_default();
    shell_words::split(text).map_err(|_| params.bad(key, "words in which every quote is closed"))
}

/// A leading comma is how such properties are usually written; the command line needs exactly one.
fn properties(params: &Params, key: &str) -> Option<String> {
    params
        .text(key)
        .map(|text| text.trim_start_matches(',').to_owned())
}

fn machine_type(params: &Params) -> String {
    let kind = params.text("machine_type").unwrap_or("pc");
    // Older configurations write ARCH:TYPE.
    let kind = kind.rsplit(':').next().unwrap_or(kind);
    match properties(params, "machine_type_extra_params") {
        Some(extra) => format!("{kind},{extra}"),
        None => kind.to_owned(),
    }
}

fn cpu(params: &Params) -> Option<String> {
    let model = params.text("cpu_model")?;
    let flags = params
        .text("cpu_model_flags")
        .map(|flags| flags.trim_start_matches(','));
    Some(flags.map_or_else(|| model.to_owned(), |flags| format!("{model},{flags}")))
}

fn smp(params: &Params) -> Result<Smp, ParamError> {
    let cpus = params.number("smp")?.unwrap_or(1);
    if cpus == 0 {
        return Err(params.bad("smp", "at least one processor"));
    }
    Ok(Smp {
        cpus,
        max: params.number("vcpu_maxcpus")?,
        sockets: params.number("vcpu_sockets")?,
        cores: params.number("vcpu_cores")?,
        threads: params.number("vcpu_threads")?,
    })
}

fn mem_mib(params: &Params) -> Result<u64, ParamError> {
    let mib = params
        .size("mem", 1 << 20)?
        .map_or(DEFAULT_MEM_MIB, |bytes| bytes >> 20);
    if mib == 0 {
        Err(params.bad("mem", "at least 1 MiB"))
    } else {
        Ok(mib)
    }
}

fn uuid(name: &str, params: &Params) -> Result<Option<String>, ParamError> {
    match params.text("uuid") {
        None => Ok(None),
        // The same at every start, or the machine would never equal itself.
        Some("random") => {
            let [a, b] = [fingerprint(&["uuid", name]), fingerprint(&["more", name])];
            let [a2, a3] = [(a >> 16) & 0xffff, a & 0xfff];
            Ok(Some(format!(
                "{:08x}-{a2:04x}-4{a3:03x}-8{:03x}-{:012x}",
                a >> 32,
                (b >> 48) & 0xfff,
                b & 0xffff_ffff_ffff
            )))
        }
        Some(text) => {
            let shape: Vec<usize> = text.split('-').map(str::len).collect();
            let digits = text.chars().all(|c| c == '-' || c.is_ascii_hexdigit());
            if shape == [8, 4, 4, 4, 12] && digits {
                Ok(Some(text.to_owned()))
            } else {
                Err(params.bad("uuid", "a UUID or `random`"))
            }
        }
    }
}

fn boot(params: &Params, data_dir: &Utf8Path) -> Result<Boot, ParamError> {
    let file = |key: &str| params.text(key).map(|name| data_dir.join(name));
    let boot = Boot {
        order: owned(params, "boot_order"),
        once: owned(params, "boot_once"),
        menu: params.switch("boot_menu")?,
        kernel: file("kernel"),
        initrd: file("initrd"),
        append: owned(params, "kernel_params"),
        bios: file("bios_path"),
    };
    match &boot {
        Boot {
            kernel: None,
            initrd: Some(_),
            ..
        } => Err(params.bad("initrd", "a `kernel` beside it")),
        Boot {
            kernel: None,
            append: Some(_),
            ..
        } => Err(params.bad("kernel_params", "a `kernel` beside it")),
        _ => Ok(boot),
    }
}

fn rtc(params: &Params) -> Result<Rtc, ParamError> {
    Ok(Rtc {
        base: owned(params, "rtc_base"),
        clock: one_of(params, "rtc_clock", &["host", "rt", "vm"])?,
        drift: one_of(params, "rtc_drift", &["none", "slew"])?,
    })
}

fn devices(vm: &str, params: &Params, data_dir: &Utf8Path) -> Result<Vec<Device>, ParamError> {
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
        bootindex: params.number("bootindex")?,
        serial: owned(params, "drive_serial"),
        discard: one_of(params, "drive_discard", &["ignore", "off", "unmap", "on"])?
            .map(|word| matches!(word.as_str(), "unmap" | "on")),
        extra: properties(params, "blk_extra_params"),
    })
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
        bootindex: params.number("bootindex")?,
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
        bootindex: params.number("bootindex")?,
        extra: properties(params, "nic_extra_params"),
        netdev_extra: properties(params, "netdev_extra_params"),
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

/// FNV-1a over the words, each ended by a zero.
fn fingerprint(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn monitors(params: &Params) -> Result<Vec<Monitor>, ParamError> {
    let mut monitors = Vec::new();
    for name in params.objects("monitors") {
        let own = params.object(name);
        let kind = match own.text("monitor_type") {
            None | Some("qmp") => MonitorKind::Qmp,
            Some("human") => MonitorKind::Human,
            Some(_) => return Err(own.bad("monitor_type", "qmp or human")),
        };
        monitors.push(Monitor {
            name: name.to_owned(),
            kind,
        });
    }
    if !monitors.iter().any(|monitor| monitor.kind == MonitorKind::Qmp) {
        monitors.insert(
            0,
            Monitor {
                name: "qmp".to_owned(),
                kind: MonitorKind::Qmp,
            },
        );
    }
    Ok(monitors)
}
