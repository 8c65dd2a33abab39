//! Parameters -> [`MachineSpec`].

mod devices;
mod more;

pub use more::huge_page_mount;

use camino::Utf8Path;

use super::spec::{Boot, MachineSpec, Monitor, MonitorKind, Rtc, Smp};
use crate::params::{ParamError, Params};

/// Memory of a machine whose parameters say nothing.
const DEFAULT_MEM_MIB: u64 = 1024;

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
            devices: devices::devices(name, params, data_dir)?,
            more: more::options(params)?,
            mem_limits: more::memory_limits(params),
            monitors: monitors(params)?,
            paused: params.switch("paused_after_start_vm")?.unwrap_or(false),
            no_reboot: params.switch("disable_reboot")?.unwrap_or(false),
            no_shutdown: params.switch("disable_shutdown")?.unwrap_or(false),
            extra: words(params, "extra_params")?,
            secure: owned(params, "vm_secure_guest_type"),
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
    let cpus: u32 = params.number("smp")?.unwrap_or(1);
    if cpus == 0 {
        return Err(params.bad("smp", "at least one processor"));
    }
    // Zero is how configurations say that QEMU is to choose.
    let chosen = |key: &str| Ok(params.number::<u32>(key)?.filter(|number| *number > 0));
    let max = chosen("vcpu_maxcpus")?;
    // Processors that are plugged later are part of `smp` where it has room for them, else they come on top.
    let later = u32::try_from(params.objects("vcpu_devices").len()).unwrap_or(u32::MAX);
    let (cpus, max) = match max {
        None if later >= cpus => (cpus, Some(cpus.saturating_add(later))),
        None if later > 0 => (cpus - later, Some(cpus)),
        max => (cpus, max),
    };
    Ok(Smp {
        cpus,
        max,
        sockets: chosen("vcpu_sockets")?,
        cores: chosen("vcpu_cores")?,
        threads: chosen("vcpu_threads")?,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entries: &[(&str, &str)]) -> Result<MachineSpec, ParamError> {
        let params: Params = entries.iter().copied().collect();
        MachineSpec::from_params("vm1", &params.object("vm1"), "/data".into())
    }

    #[test]
    fn a_machine_without_parameters_is_a_plain_pc() {
        let spec = read(&[]).unwrap();
        assert_eq!(
            (spec.machine_type.as_str(), spec.mem_mib, spec.smp.cpus),
            ("pc", 1024, 1)
        );
        assert_eq!(spec.cpu, None);
        assert_eq!(
            spec.monitors,
            [Monitor {
                name: "qmp".into(),
                kind: MonitorKind::Qmp
            }]
        );
    }

    #[test]
    fn the_machine_s_own_parameters_win() {
        let spec = read(&[("mem", "512"), ("mem_vm1", "2G"), ("smp_vm2", "7"), ("smp", "2")]).unwrap();
        assert_eq!((spec.mem_mib, spec.smp.cpus), (2048, 2));
    }

    #[test]
    fn types_and_flags_are_put_together() {
        let spec = read(&[
            ("machine_type", "i440fx:pc"),
            ("machine_type_extra_params", ",smm=off"),
            ("cpu_model", "qemu64"),
            ("cpu_model_flags", ",+aes"),
        ]);
        let spec = spec.unwrap();
        assert_eq!(
            (spec.machine_type.as_str(), spec.cpu.as_deref()),
            ("pc,smm=off", Some("qemu64,+aes"))
        );
    }

    #[test]
    fn boot_files_are_found_below_the_data_folder() {
        let spec = read(&[
            ("kernel", "images/vmlinuz"),
            ("initrd", "/abs/initrd"),
            ("kernel_params", "quiet"),
        ])
        .unwrap();
        assert_eq!(spec.boot.kernel.as_deref(), Some("/data/images/vmlinuz".into()));
        assert_eq!(spec.boot.initrd.as_deref(), Some("/abs/initrd".into()));
        assert_eq!(spec.read_files(), ["/data/images/vmlinuz", "/abs/initrd"]);
    }

    #[test]
    fn a_random_uuid_is_always_the_same() {
        let one = read(&[("uuid", "random")]).unwrap().uuid.unwrap();
        assert_eq!(Some(&one), read(&[("uuid", "random")]).unwrap().uuid.as_ref());
        assert_eq!(one.split('-').map(str::len).collect::<Vec<_>>(), [8, 4, 4, 4, 12]);
        assert_eq!(read(&[("uuid", &one)]).unwrap().uuid, Some(one));
    }

    #[test]
    fn there_is_always_a_qmp_monitor() {
        let spec = read(&[("monitors", "hmp1"), ("monitor_type_hmp1", "human")]).unwrap();
        let kinds: Vec<_> = spec
            .monitors
            .iter()
            .map(|monitor| (monitor.name.as_str(), monitor.kind))
            .collect();
        assert_eq!(kinds, [("qmp", MonitorKind::Qmp), ("hmp1", MonitorKind::Human)]);
    }

    #[test]
    fn every_mistake_names_its_parameter() {
        let mistakes = [
            ("mem", "lots"),
            ("mem", "0"),
            ("smp", "0"),
            ("smp", "many"),
            ("uuid", "not-a-uuid"),
            ("rtc_clock", "sundial"),
            ("boot_menu", "perhaps"),
            ("extra_params", "-foo 'open"),
            ("vga", "hercules"),
            ("initrd", "without-kernel"),
            ("kernel_params", "without-kernel"),
        ];
        for (key, value) in mistakes {
            assert_eq!(read(&[(key, value)]).unwrap_err().key, key, "{key} = {value}");
        }
    }
}
