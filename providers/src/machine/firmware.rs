//! Which files of QEMU's and of the host a machine reads beside its own disks: firmware and option ROMs.

use std::collections::BTreeSet;

use camino::Utf8PathBuf;

use super::spec::{Device, DiskBus, MachineSpec};
use crate::accel::Accel;

/// Option ROMs by the beginning of a device's name. Of several that fit, the longest counts.
const ROMS: [(&str, &str); 24] = [
    ("virtio-net", "efi-virtio.rom"),
    ("e1000", "efi-e1000.rom"),
    ("e1000e", "efi-e1000e.rom"),
    ("rtl8139", "efi-rtl8139.rom"),
    ("pcnet", "efi-pcnet.rom"),
    ("ne2k_pci", "efi-ne2k_pci.rom"),
    ("vmxnet3", "efi-vmxnet3.rom"),
    ("i8255", "pxe-eepro100.rom"),
    ("i825", "pxe-eepro100.rom"),
    ("VGA", "vgabios-stdvga.bin"),
    ("std", "vgabios-stdvga.bin"),
    ("secondary-vga", "vgabios-stdvga.bin"),
    ("cirrus", "vgabios-cirrus.bin"),
    ("qxl", "vgabios-qxl.bin"),
    ("vmware", "vgabios-vmware.bin"),
    ("virtio", "vgabios-virtio.bin"),
    ("virtio-vga", "vgabios-virtio.bin"),
    ("virtio-gpu", "vgabios-virtio.bin"),
    ("bochs-display", "vgabios-bochs-display.bin"),
    ("ramfb", "vgabios-ramfb.bin"),
    ("ati-vga", "vgabios-ati.bin"),
    ("isa-vga", "vgabios-isavga.bin"),
    ("isa-cirrus-vga", "vgabios-cirrus.bin"),
    ("vhost-user-vga", "vgabios-virtio.bin"),
];
/// The one display that can be plugged in while a machine runs; network cards all can.
const PLUGGED_DISPLAY: &str = "vgabios-bochs-display.bin";
/// Machine types without a bus that cards are plugged into, by the beginnings of their names.
const NO_SLOTS: [&str; 3] = ["isapc", "microvm", "none"];
/// Firmware by the beginning of a versioned machine type.
const MACHINES: [(&str, &[&str]); 6] = [
    ("pc-", &["bios-256k.bin", "kvmvapic.bin"]),
    ("isapc", &["bios.bin", "kvmvapic.bin"]),
    ("microvm", &["bios-microvm.bin"]),
    ("pseries", &["slof.bin", "vof.bin"]),
    ("s390-ccw", &["s390-ccw.img"]),
    ("powernv", &["skiboot.lid"]),
];
/// What starts a kernel without a boot loader.
const KERNEL: [&str; 5] = [
    "linuxboot.bin",
    "linuxboot_dma.bin",
    "multiboot.bin",
    "multiboot_dma.bin",
    "pvh.bin",
];
/// Properties whose value is a file that the machine reads.
const FILES: [&str; 8] = [
    "file",
    "filename",
    "file.filename",
    "romfile",
    "firmware",
    "pflash",
    "dtb",
    "sig",
];

/// How much of the host's processor a guest gets to see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostCpu {
    /// Nothing: all instructions are translated.
    Hidden,
    /// What it can do limits the model that the machine names.
    Flags,
    /// All of it.
    Whole,
}

impl MachineSpec {
    /// How much of the host's processor reaches the guest.
    #[must_use]
    pub fn host_cpu(&self, accel: Accel) -> HostCpu {
        let model = self.cpu.as_deref().and_then(|cpu| cpu.split(',').next());
        match (accel, model) {
            (Accel::Tcg, _) => HostCpu::Hidden,
            (Accel::Kvm, Some("host" | "max")) => HostCpu::Whole,
            (Accel::Kvm, _) => HostCpu::Flags,
        }
    }

    /// The names of the files that QEMU looks for in its own folders, those of cards that a test may plug in while the
    /// machine runs included; `machine_type` is the versioned name.
    #[must_use]
    pub fn firmware(&self, machine_type: &str) -> BTreeSet<&'static str> {
        let fits = |(begin, _): &&(&str, &[&'static str])| machine_type.starts_with(begin);
        let mut names: BTreeSet<&'static str> = BTreeSet::new();
        for (_, firmware) in MACHINES.iter().filter(fits) {
            names.extend(*firmware);
        }
        if self.boot.bios.is_some() {
            names.retain(|name| !name.starts_with("bios"));
        }
        if self.boot.kernel.is_some() {
            names.extend(KERNEL);
        }
        for device in &self.devices {
            names.extend(match device {
                Device::Nic(nic) => rom(&nic.model),
                Device::Vga { model } => rom(model),
                Device::Disk(disk) => match &disk.bus {
                    DiskBus::Scsi(model) => rom(model).filter(|_| !model.starts_with("virtio")),
                    _ => None,
                },
                _ => None,
            });
        }
        if !NO_SLOTS.iter().any(|kind| machine_type.starts_with(kind)) {
            let plugged = |name: &&str| !name.starts_with("vgabios") || *name == PLUGGED_DISPLAY;
            names.extend(ROMS.map(|(_, name)| name).into_iter().filter(plugged));
        }
        names.extend(self.appended().filter_map(|(option, value)| match option {
            "-device" | "-vga" => rom(value.split(',').next().unwrap_or(value)),
            _ => None,
        }));
        names
    }

    /// Files that the command line names by their whole path, where the parameters append to it: firmware in flash memory,
    /// ROMs. Not those that parameters of images and media name.
    #[must_use]
    pub fn named_files(&self) -> BTreeSet<Utf8PathBuf> {
        let properties = |value: &str| -> Vec<Utf8PathBuf> {
            let pairs = value.split(',').filter_map(|pair| pair.split_once('='));
            let files = pairs.filter(|(name, _)| FILES.contains(name));
            files.map(|(_, path)| Utf8PathBuf::from(path)).collect()
        };
        let whole = |(option, value): (&str, &str)| match option {
            "-bios" | "-pflash" | "-dtb" | "-kernel" | "-initrd" => vec![Utf8PathBuf::from(value)],
            _ => properties(value),
        };
        let cards = self.nics().filter_map(|nic| nic.extra.as_deref());
        self.appended()
            .flat_map(whole)
            .chain(properties(&self.machine_type))
            .chain(cards.flat_map(properties))
            .filter(|path| path.is_absolute())
            .collect()
    }

    /// Options and values that have no model of their own.
    fn appended(&self) -> impl Iterator<Item = (&str, &str)> {
        let more = self
            .more
            .iter()
            .map(|(option, value)| (option.as_str(), value.as_str()));
        let extra = self
            .extra
            .windows(2)
            .map(|pair| (pair[0].as_str(), pair[1].as_str()));
        more.chain(extra)
    }
}

/// The option ROM of a device.
fn rom(model: &str) -> Option<&'static str> {
    let fits = ROMS.iter().filter(|(begin, _)| model.starts_with(begin));
    let longest = fits.max_by_key(|(begin, _)| begin.len())?;
    // Other virtio devices than cards have none; `virtio` alone is what `-vga` calls its own.
    (longest.0 != "virtio" || model == "virtio").then_some(longest.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    fn machine(entries: &[(&str, &str)]) -> MachineSpec {
        let params: Params = entries.iter().copied().collect();
        MachineSpec::from_params("vm1", &params, "/data".into()).unwrap()
    }

    #[test]
    fn firmware_is_what_the_devices_bring() {
        let names = |machine: &MachineSpec, kind: &str| -> Vec<&str> {
            let plugged = |name: &&str| name.starts_with("efi-") || name.starts_with("pxe-");
            let names = machine.firmware(kind).into_iter();
            names.filter(|name| !plugged(name)).collect()
        };
        let plain = ["bios-256k.bin", "kvmvapic.bin", PLUGGED_DISPLAY];
        assert_eq!(names(&machine(&[]), "pc-i440fx-10.0"), plain);
        let own = machine(&[("bios_path", "ovmf.fd")]);
        assert_eq!(names(&own, "pc-i440fx-10.0"), plain[1..]);
        let entries = [
            ("nics", "nic1 nic2"),
            ("nic_model_nic1", "virtio"),
            ("nic_model_nic2", "e1000e"),
            ("vga", "qxl"),
            ("kernel", "vmlinuz"),
            ("images", "a"),
            ("image_name", "a"),
            ("drive_format", "scsi-hd"),
            ("extra_params", "-device rtl8139 -device virtio-blk-pci,drive=x"),
        ];
        let names = machine(&entries).firmware("pc-q35-10.0");
        for there in [
            "efi-virtio.rom",
            "efi-e1000e.rom",
            "efi-rtl8139.rom",
            "vgabios-qxl.bin",
            "linuxboot_dma.bin",
        ] {
            assert!(names.contains(there), "{there}: {names:?}");
        }
        for not in ["vgabios-virtio.bin", "bios-microvm.bin"] {
            assert!(!names.contains(not), "{not}: {names:?}");
        }
    }

    #[test]
    fn a_test_may_plug_in_any_card() {
        let cards = [
            "efi-e1000.rom",
            "efi-virtio.rom",
            "efi-vmxnet3.rom",
            "pxe-eepro100.rom",
        ];
        let names = machine(&[]).firmware("pc-q35-10.0");
        assert!(cards.iter().all(|card| names.contains(card)), "{names:?}");
        // These have no slots for one.
        assert_eq!(
            machine(&[]).firmware("microvm").into_iter().collect::<Vec<_>>(),
            ["bios-microvm.bin"]
        );
        assert!(
            machine(&[])
                .firmware("isapc")
                .iter()
                .all(|name| !cards.contains(name))
        );
    }

    #[test]
    fn flash_memory_is_found_among_the_appended_words() {
        let extra = "-drive if=pflash,format=raw,readonly=on,file=/fw/CODE.fd -blockdev driver=file,node-name=v,filename=/fw/VARS.fd -pflash /fw/one.fd -object memory-backend-file,id=m,mem-path=/dev/shm -serial file:/tmp/x";
        let files = machine(&[
            ("extra_params", extra),
            ("machine_type_extra_params", "dtb=/x.dtb"),
        ])
        .named_files();
        let files: Vec<&str> = files.iter().map(|path| path.as_str()).collect();
        assert_eq!(files, ["/fw/CODE.fd", "/fw/VARS.fd", "/fw/one.fd", "/x.dtb"]);
    }

    #[test]
    fn a_translated_guest_sees_nothing_of_the_processor() {
        let host = machine(&[("cpu_model", "host"), ("cpu_model_flags", "-avx")]);
        let named = machine(&[("cpu_model", "hosted")]);
        assert_eq!(host.host_cpu(Accel::Tcg), HostCpu::Hidden);
        assert_eq!(host.host_cpu(Accel::Kvm), HostCpu::Whole);
        assert_eq!(named.host_cpu(Accel::Kvm), HostCpu::Flags);
        assert_eq!(machine(&[]).host_cpu(Accel::Kvm), HostCpu::Flags);
    }
}
