//! [`MachineSpec`] -> the words of QEMU's command line.

mod devices;

use camino::{Utf8Path, Utf8PathBuf};

pub use devices::{STANDING_ADDRESS, STANDING_PORT, netdev_id};

use super::spec::{MachineSpec, MonitorKind};
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

    /// The socket of a standing shell that is reached by a network card.
    pub fn standing(&self, nic: &str) -> Utf8PathBuf {
        self.sockets.join(format!("n-{nic}"))
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
    line.push("-m", format!("{}M{}", spec.mem_mib, spec.mem_limits));
    line.option("-uuid", spec.uuid.clone());
    line.push("-display", "none");
    line.option("-rtc", rtc(spec));
    boot(&mut line, spec);
    monitors(&mut line, spec, places);
    for (option, value) in &spec.more {
        line.push(option, value.clone());
    }
    devices::add_all(&mut line, spec, places);
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
/// Whether every socket's path fits into the kernel's 108 bytes; the longest one if not.
pub(super) fn too_long(spec: &MachineSpec, places: &Places) -> Option<Utf8PathBuf> {
    let monitors = spec.monitors.iter().map(|monitor| places.monitor(&monitor.name));
    let serials = spec.serials().map(|serial| places.serial(&serial.name));
    let standing = spec.nics().map(|nic| places.standing(&nic.name));
    monitors
        .chain(serials)
        .chain(standing)
        .chain([places.sockets.join("migration")])
        .find(|path| !fits(path))
}

fn fits(path: &Utf8Path) -> bool {
    path.as_str().len() < 108
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    fn line(entries: &[(&str, &str)], accel: Accel, incoming: bool) -> String {
        let params: Params = entries.iter().copied().collect();
        let spec = MachineSpec::from_params("vm1", &params, "/data".into()).unwrap();
        let places = Places {
            sockets: "/run/x".into(),
            logs: "/logs".into(),
        };
        argv(&spec, &places, accel, incoming).join(" ")
    }

    #[test]
    fn the_whole_line_of_a_small_machine() {
        let entries = [
            ("machine_type", "q35"),
            ("pcie_extra_root_port", "0"),
            ("cpu_model", "host"),
            ("smp", "2"),
            ("vcpu_sockets", "1"),
            ("mem", "256"),
            ("rtc_base", "utc"),
            ("boot_order", "cd"),
            ("boot_menu", "off"),
            ("virtio_rngs", ""),
            ("extra_params", "-global 'a.b=c d'"),
        ];
        assert_eq!(
            line(&entries, Accel::Kvm, false),
            "-name vm1,debug-threads=on -S -nodefaults -machine q35 -accel kvm -cpu host -smp 2,sockets=1 -m 256M \
             -display none -rtc base=utc -boot order=cd,menu=off \
             -chardev socket,id=mon-qmp,path=/run/x/m-qmp,server=on,wait=off -mon chardev=mon-qmp,mode=control \
             -global a.b=c d"
        );
    }

    #[test]
    fn what_the_host_has_is_called_max_when_translated() {
        assert!(
            line(
                &[("cpu_model", "host"), ("cpu_model_flags", "-x2apic")],
                Accel::Tcg,
                false
            )
            .contains("-cpu max,-x2apic ")
        );
        assert!(line(&[("cpu_model", "hosted")], Accel::Tcg, false).contains("-cpu hosted "));
    }

    #[test]
    fn a_destination_waits_and_is_not_held_back() {
        let line = line(&[], Accel::Tcg, true);
        assert!(
            line.contains("-incoming defer") && !line.contains(" -S "),
            "{line}"
        );
    }

    #[test]
    fn sockets_have_to_fit() {
        let spec = MachineSpec::from_params("vm1", &Params::new(), "/".into()).unwrap();
        let places = |dir: &str| Places {
            sockets: dir.into(),
            logs: "/logs".into(),
        };
        assert_eq!(too_long(&spec, &places("/run/x")), None);
        assert!(too_long(&spec, &places(&"/x".repeat(60))).is_some());
    }
}
