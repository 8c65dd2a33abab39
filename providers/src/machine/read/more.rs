//! What has no model of its own: memory modules, NUMA nodes, I/O threads, USB, input, watchdog. It goes to the command line
//! as it is read, before what the parameters append themselves.

use super::owned;
use crate::params::{ParamError, Params};

/// Properties of the memory behind a module, as QEMU and the parameters name them.
const MEMORY: [&str; 15] = [
    "size",
    "policy",
    "host-nodes",
    "mem-path",
    "prealloc",
    "prealloc-threads",
    "share",
    "merge",
    "dump",
    "align",
    "pmem",
    "discard-data",
    "readonly",
    "hugetlb",
    "hugetlbsize",
];
/// Properties of a module (`_dimm`).
const DIMM: [&str; 7] = [
    "addr",
    "slot",
    "node",
    "label-size",
    "unarmed",
    "uuid",
    "readonly",
];
/// Properties of a virtio memory device (`_memory`).
const VIRTIO_MEM: [&str; 7] = [
    "memdev",
    "requested-size",
    "block-size",
    "node",
    "memaddr",
    "prealloc",
    "unplugged-inaccessible",
];
/// USB controllers under the names that parameters use for them, where QEMU has another one.
const CONTROLLERS: [(&str, &str); 4] = [
    ("uhci", "piix3-usb-uhci"),
    ("ehci", "usb-ehci"),
    ("xhci", "qemu-xhci"),
    ("ich9-usb-uhci1", "piix3-usb-uhci"),
];
/// Ports of a PCI Express machine that stay free for plugging, unless the parameters say otherwise.
const FREE_PORTS: u8 = 2;
/// Where the first of them is on its bus.
const FIRST_PORT: u8 = 0x10;
/// How many there can be.
const PORTS: u8 = 14;

/// Options with their values.
type Options = Vec<(String, String)>;

/// Reads all of it.
pub(super) fn options(params: &Params) -> Result<Options, ParamError> {
    let mut options = Options::new();
    let mut add = |option: &str, value: String| options.push((option.to_owned(), value));
    for name in params.objects("iothreads") {
        add("-object", format!("iothread,id={name}"));
    }
    for (option, value) in root_ports(params)? {
        add(&option, value);
    }
    if params.switch("hugepage")?.unwrap_or(false) {
        let path = params.text("hugepage_path").unwrap_or(huge_page_mount(params));
        add("-mem-path", path.to_owned());
    }
    for name in params.objects("mem_devs") {
        for (option, value) in memory(name, &params.object(name))? {
            add(&option, value);
        }
    }
    for name in params.objects("guest_numa_nodes") {
        add("-numa", numa_node(&params.object(name)));
    }
    for name in params.objects("usbs") {
        add("-device", usb_controller(name, &params.object(name)));
    }
    for name in params.objects("usb_devices") {
        add("-device", usb_device(name, params)?);
    }
    for name in params.objects("inputs") {
        add("-device", input(name, &params.object(name))?);
    }
    if params.switch("enable_watchdog")?.unwrap_or(false) {
        let model = params.text("watchdog_device_type").unwrap_or("i6300esb");
        add("-device", format!("{model},id=watchdog0"));
        let action = params.text("watchdog_action").unwrap_or("reset");
        add("-action", format!("watchdog={action}"));
    }
    if params.switch("vmcoreinfo")?.unwrap_or(false) {
        add("-device", "vmcoreinfo".to_owned());
    }
    Ok(options)
}

/// Where huge pages of the host are mounted for a test.
pub fn huge_page_mount(params: &Params) -> &str {
    params
        .text("vm_hugepage_mountpoint")
        .unwrap_or("/mnt/kvm_hugepage")
}

/// The largest memory and the slots for modules, for `-m`.
pub(super) fn memory_limits(params: &Params) -> String {
    let own = params.object("mem");
    let max = own.text("maxmem").map(|max| format!(",maxmem={max}"));
    let slots = own.text("slots").map(|slots| format!(",slots={slots}"));
    match max {
        Some(max) => max + &slots.unwrap_or_default(),
        None => String::new(),
    }
}

/// Those of `keys` that the parameters set, as a list of properties.
fn properties(params: &Params, keys: &[&str]) -> String {
    let set = keys
        .iter()
        .filter_map(|key| Some(format!(",{key}={}", params.text(key)?)));
    set.collect()
}

fn memory(name: &str, params: &Params) -> Result<Options, ParamError> {
    let own = params.object("mem");
    let backend = own.text("backend").unwrap_or("memory-backend-ram");
    let behind = format!("{backend},id=mem-{name}{}", properties(&own, &MEMORY));
    let mut options = vec![("-object".to_owned(), behind)];
    if !params.switch("use_mem")?.unwrap_or(true) {
        return Ok(options);
    }
    let module = match params.text("vm_memdev_model").unwrap_or("dimm") {
        "dimm" => {
            let model = if params.text("nv_backend").is_some() {
                "nvdimm"
            } else {
                "pc-dimm"
            };
            let own = params.object("dimm");
            format!(
                "{model},id=dimm-{name},memdev=mem-{name}{}",
                only(params, &own, "dimm", &DIMM)
            )
        }
        "virtio-mem" => {
            let own = params.object("memory");
            let more = only(params, &own, "memory", &VIRTIO_MEM);
            format!("virtio-mem-pci,id=virtio_mem-{name}{more}")
        }
        _ => return Err(params.bad("vm_memdev_model", "dimm or virtio-mem")),
    };
    options.push(("-device".to_owned(), module));
    Ok(options)
}

/// Properties that are set for this kind of object alone: `node_dimm`, not `node`.
fn only(params: &Params, own: &Params, kind: &str, keys: &[&str]) -> String {
    let set = keys
        .iter()
        .filter(|key| params.get(&format!("{key}_{kind}")).is_some())
        .filter_map(|key| Some(format!(",{key}={}", own.text(key)?)));
    set.collect()
}

fn numa_node(params: &Params) -> String {
    let mut node = "node".to_owned();
    for (property, key) in [("nodeid", "numa_nodeid"), ("initiator", "numa_initiator")] {
        node.extend(owned(params, key).map(|value| format!(",{property}={value}")));
    }
    match (params.text("numa_memdev"), params.text("numa_mem")) {
        (Some(memory), _) => node.push_str(&format!(",memdev={memory}")),
        (None, Some(size)) => node.push_str(&format!(",mem={size}")),
        (None, None) => {}
    }
    let cpus = params.text("numa_cpus").unwrap_or_default();
    let cpus = cpus.split(',').map(str::trim).filter(|cpus| !cpus.is_empty());
    node.extend(cpus.map(|cpus| format!(",cpus={cpus}")));
    node
}

fn usb_controller(name: &str, params: &Params) -> String {
    let kind = params.text("usb_type").unwrap_or("qemu-xhci");
    let known = CONTROLLERS.iter().find(|(alias, _)| *alias == kind);
    format!("{},id={name}", known.map_or(kind, |(_, model)| *model))
}

fn usb_device(name: &str, params: &Params) -> Result<String, ParamError> {
    let own = params.object(name);
    let Some(model) = own.text("usb_type") else {
        return Err(own.bad(
            "usb_type",
            format!("the model of the USB device {name}, as usb-tablet"),
        ));
    };
    // On the controller of its own, else on the first one.
    let bus = own
        .text("usb_bus")
        .or_else(|| params.objects("usbs").first().copied());
    let bus = bus.map(|bus| format!(",bus={bus}.0")).unwrap_or_default();
    Ok(format!("{model},id=usb-{name}{bus}"))
}

fn input(name: &str, params: &Params) -> Result<String, ParamError> {
    let kind = params.text("input_dev_type").unwrap_or_default();
    if !["mouse", "keyboard", "tablet"].contains(&kind) {
        return Err(params.bad("input_dev_type", "mouse, keyboard or tablet"));
    }
    match params.text("input_dev_bus_type").unwrap_or("virtio") {
        "virtio" => Ok(format!("virtio-{kind}-pci,id=input_{name}")),
        "usb" => {
            let kind = if kind == "keyboard" { "kbd" } else { kind };
            Ok(format!("usb-{kind},id=input_{name}"))
        }
        _ => Err(params.bad("input_dev_bus_type", "virtio or usb")),
    }
}

/// The root bus of PCI Express lets nothing be plugged; ports on it do.
fn root_ports(params: &Params) -> Result<Options, ParamError> {
    let machine = params.text("machine_type").unwrap_or_default();
    if !machine.split(',').any(|word| word.ends_with("q35")) {
        return Ok(Options::new());
    }
    let count = params.number::<u8>("pcie_extra_root_port")?.unwrap_or(FREE_PORTS);
    if count > PORTS {
        return Err(params.bad("pcie_extra_root_port", format!("at most {PORTS}")));
    }
    let port = |number: u8| {
        let (slot, chassis) = (FIRST_PORT + number, number + 1);
        let value = format!(
            "pcie-root-port,id=pcie_extra_root_port_{number},bus=pcie.0,addr={slot:#x},chassis={chassis}"
        );
        ("-device".to_owned(), value)
    };
    Ok((0..count).map(port).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::MachineSpec;

    fn read(entries: &[(&str, &str)]) -> Result<MachineSpec, ParamError> {
        let params: Params = entries.iter().copied().collect();
        MachineSpec::from_params("vm1", &params.object("vm1"), "/data".into())
    }

    fn more(entries: &[(&str, &str)]) -> Vec<String> {
        let spec = read(entries).unwrap();
        spec.more
            .iter()
            .map(|(option, value)| format!("{option} {value}"))
            .collect()
    }

    #[test]
    fn memory_modules_and_nodes() {
        let entries = [
            ("mem", "1024"),
            ("maxmem_mem", "8G"),
            ("slots_mem", "4"),
            ("mem_devs", "mem0 mem1"),
            ("size_mem", "1G"),
            ("size_mem_mem1", "512M"),
            ("use_mem_mem0", "no"),
            ("policy_mem_mem0", "default"),
            ("node_dimm_mem1", "0"),
            ("guest_numa_nodes", "node0"),
            ("numa_memdev_node0", "mem-mem0"),
            ("numa_cpus_node0", "0,1"),
        ];
        assert_eq!(
            more(&entries),
            [
                "-object memory-backend-ram,id=mem-mem0,size=1G,policy=default",
                "-object memory-backend-ram,id=mem-mem1,size=512M",
                "-device pc-dimm,id=dimm-mem1,memdev=mem-mem1,node=0",
                "-numa node,memdev=mem-mem0,cpus=0,cpus=1",
            ]
        );
        assert_eq!(read(&entries).unwrap().mem_limits, ",maxmem=8G,slots=4");
    }

    #[test]
    fn processors_that_can_be_plugged_are_not_there_at_the_start() {
        let smp = |entries: &[(&str, &str)]| {
            let smp = read(entries).unwrap().smp;
            (smp.cpus, smp.max)
        };
        assert_eq!(smp(&[("smp", "4"), ("vcpu_devices", "a")]), (3, Some(4)));
        assert_eq!(
            smp(&[("smp", "2"), ("vcpu_maxcpus", "8"), ("vcpu_devices", "a b")]),
            (2, Some(8))
        );
        assert_eq!(smp(&[("smp", "2"), ("vcpu_maxcpus", "0")]), (2, None));
        assert_eq!(smp(&[("smp", "1"), ("vcpu_devices", "a")]), (1, Some(2)));
    }

    #[test]
    fn other_devices() {
        assert_eq!(
            more(&[
                ("iothreads", "t1"),
                ("usbs", "usb1"),
                ("usb_type_usb1", "xhci"),
                ("usb_devices", "tablet1"),
                ("usb_type_tablet1", "usb-tablet"),
                ("inputs", "m"),
                ("input_dev_type_m", "mouse"),
                ("enable_watchdog", "yes"),
            ]),
            [
                "-object iothread,id=t1",
                "-device qemu-xhci,id=usb1",
                "-device usb-tablet,id=usb-tablet1,bus=usb1.0",
                "-device virtio-mouse-pci,id=input_m",
                "-device i6300esb,id=watchdog0",
                "-action watchdog=reset",
            ]
        );
    }

    #[test]
    fn memory_in_huge_pages_is_where_they_are_mounted() {
        let hugepage = ("hugepage", "yes");
        assert_eq!(more(&[hugepage]), ["-mem-path /mnt/kvm_hugepage"]);
        let mounted = ("vm_hugepage_mountpoint", "/mnt/huge");
        assert_eq!(more(&[hugepage, mounted]), ["-mem-path /mnt/huge"]);
        let own = ("hugepage_path", "/mnt/own");
        assert_eq!(more(&[hugepage, mounted, own]), ["-mem-path /mnt/own"]);
        assert_eq!(more(&[mounted, own]).len(), 0);
    }

    #[test]
    fn a_pci_express_machine_has_ports_to_plug_into() {
        let ports = more(&[("machine_type", "q35"), ("pcie_extra_root_port", "1")]);
        assert_eq!(
            ports,
            ["-device pcie-root-port,id=pcie_extra_root_port_0,bus=pcie.0,addr=0x10,chassis=1"]
        );
        assert_eq!(more(&[("machine_type", "q35")]).len(), 2);
        assert_eq!(more(&[("machine_type", "pc")]).len(), 0);
    }

    #[test]
    fn every_mistake_names_its_parameter() {
        for (given, key, value) in [
            (("usb_devices", "u"), "usb_type", ""),
            (("inputs", "i"), "input_dev_type", "crystal ball"),
            (("mem_devs", "m"), "vm_memdev_model", "punched-cards"),
            (("machine_type", "q35"), "pcie_extra_root_port", "99"),
        ] {
            assert_eq!(
                read(&[given, (key, value)]).unwrap_err().key,
                key,
                "{key} = {value}"
            );
        }
    }
}
