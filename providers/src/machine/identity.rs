//! What a machine is, wherever its files lie: the part of its command line that its guest can notice.
//!
//! Two machines of one identity on the same disks can take over each other's state. Paths and ports are the host's affair and
//! are not in it: what the files behind the paths hold must be told apart by other means.

use camino::Utf8PathBuf;

use super::argv::{Places, argv};
use super::spec::{Device, DiskBus, MachineSpec};
use crate::accel::Accel;

/// Words of the command line that begin a machine in a way of their own.
const BEGINNINGS: [&str; 6] = ["-S", "-incoming", "-loadvm", "-snapshot", "-preconfig", "-icount"];
/// Parts of devices and options that QEMU does not save, and what a person calls them.
const UNSAVABLE: [(&str, &str); 10] = [
    ("nvme", "an NVMe drive"),
    ("9p", "a 9p file system"),
    ("virtfs", "a 9p file system"),
    ("fsdev", "a 9p file system"),
    ("vhost-user", "a device of another process"),
    ("virtiofs", "a virtiofs file system"),
    ("vfio", "a device of the host"),
    ("usb-host", "a device of the host"),
    ("ivshmem", "memory that it shares"),
    ("memory-backend-file", "memory in a file"),
];

impl MachineSpec {
    /// The command line with names instead of paths and without ports, word by word.
    pub fn identity(&self, accel: Accel) -> Vec<String> {
        let mut spec = self.clone();
        for device in &mut spec.devices {
            match device {
                Device::Disk(disk) => disk.file = Utf8PathBuf::from(&disk.name),
                Device::Cdrom(cdrom) => {
                    cdrom.file = cdrom.file.as_ref().map(|_| Utf8PathBuf::from(&cdrom.name));
                }
                _ => {}
            }
        }
        let boot = &mut spec.boot;
        for file in [&mut boot.kernel, &mut boot.initrd, &mut boot.bios]
            .into_iter()
            .flatten()
        {
            *file = file.file_name().unwrap_or_default().into();
        }
        let places = Places {
            sockets: Utf8PathBuf::new(),
            logs: Utf8PathBuf::new(),
        };
        argv(&spec, &places, accel, false)
    }

    /// Why the state of this machine cannot be saved and taken over by others, as a clause about it; `None` where it can.
    pub fn why_not_saved(&self) -> Option<String> {
        self.beginning()
            .or_else(|| self.devices.iter().find_map(unsavable))
            .or_else(|| {
                let words = self.extra.iter().chain(self.more.iter().map(|(_, value)| value));
                words.into_iter().find_map(|word| unsavable_word(word))
            })
    }

    /// What is special about how it begins.
    fn beginning(&self) -> Option<String> {
        let clock = |key: &str, value: &Option<String>, usual: &str| {
            let other = value.as_deref().filter(|value| *value != usual)?;
            Some(format!("its clock is not the host's (`{key} = {other}`)"))
        };
        let once = self.boot.once.as_ref();
        self.paused
            .then(|| "it stays paused after its start".to_owned())
            .or_else(|| clock("rtc_base", &self.rtc.base, "utc"))
            .or_else(|| clock("rtc_clock", &self.rtc.clock, "host"))
            .or_else(|| once.map(|_| "its first start is another than the next (`boot_once`)".to_owned()))
    }
}

fn unsavable(device: &Device) -> Option<String> {
    match device {
        Device::Disk(disk) if disk.bus == DiskBus::Nvme => {
            Some(format!("QEMU cannot save an NVMe drive ({})", disk.name))
        }
        Device::Disk(disk) => disk.extra.as_deref().and_then(unsavable_word),
        Device::Cdrom(cdrom) => {
            let name = &cdrom.name;
            cdrom.file.as_ref().map(|_| format!("a medium is in {name}"))
        }
        Device::Nic(nic) => {
            let extra = nic.extra.iter().chain(&nic.netdev_extra);
            extra.into_iter().find_map(|words| unsavable_word(words))
        }
        _ => None,
    }
}

/// What is wrong with a word of the command line that parameters give as it is.
fn unsavable_word(word: &str) -> Option<String> {
    if BEGINNINGS.contains(&word) {
        return Some(format!("`{word}` begins it in its own way"));
    }
    if let Some((_, what)) = UNSAVABLE.iter().find(|(part, _)| word.contains(part)) {
        return Some(format!("QEMU cannot save {what} (`{word}`)"));
    }
    let file = word.contains('/') && !word.ends_with("/dev/urandom") && !word.ends_with("/dev/random");
    file.then(|| format!("what is in the files of `{word}` is not known"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::params::Params;

    fn spec(entries: &[(&str, &str)], data_dir: &str) -> MachineSpec {
        let mut params: Params = [
            ("images", "image1"),
            ("image_name", "images/jeos"),
            ("nics", "nic1"),
            ("serials", "serial0"),
            ("kernel", "images/jeos/vmlinuz"),
        ]
        .into_iter()
        .collect();
        entries.iter().for_each(|(key, value)| params.set(*key, *value));
        MachineSpec::from_params("vm1", &params, data_dir.into()).unwrap()
    }

    fn reason(key: &str, value: &str) -> String {
        spec(&[(key, value)], "/d").why_not_saved().unwrap_or_default()
    }

    #[test]
    fn where_files_are_is_not_in_it() {
        let here = spec(&[], "/here").identity(Accel::Tcg);
        assert_eq!(here, spec(&[], "/there").identity(Accel::Tcg));
        let other = spec(&[("image_name", "elsewhere/other")], "/there");
        assert_eq!(here, other.identity(Accel::Tcg));
        let text = here.join(" ");
        assert!(!text.contains("/here") && !text.contains("images/"), "{text}");
        assert!(
            text.contains("-kernel vmlinuz") && text.contains("file_image1"),
            "{text}"
        );
    }

    #[test]
    fn what_the_guest_notices_is() {
        let base = spec(&[], "/d").identity(Accel::Tcg);
        assert_ne!(base, spec(&[], "/d").identity(Accel::Kvm));
        for (key, value) in [
            ("mem", "512"),
            ("smp", "2"),
            ("machine_type", "q35"),
            ("drive_format", "ide"),
            ("mac", "52:54:00:00:00:01"),
            ("kernel_params", "quiet"),
            ("kernel", "images/jeos/other"),
            ("uuid", "random"),
            ("extra_params", "-no-hpet"),
        ] {
            let changed = spec(&[(key, value)], "/d").identity(Accel::Tcg);
            assert_ne!(base, changed, "{key} = {value}");
        }
    }

    #[test]
    fn a_plain_machine_can_be_saved_and_others_say_why_not() {
        assert_eq!(spec(&[], "/d").why_not_saved(), None);
        assert_eq!(spec(&[("rtc_base", "utc")], "/d").why_not_saved(), None);
        for (key, value, says) in [
            ("drive_format", "nvme", "NVMe drive (image1)"),
            ("paused_after_start_vm", "yes", "paused"),
            ("rtc_base", "2006-06-17T16:01:21", "clock"),
            ("rtc_clock", "vm", "clock"),
            ("boot_once", "d", "boot_once"),
            ("extra_params", "-S", "begins it"),
            (
                "extra_params",
                "-device vfio-pci,host=01:00.0",
                "device of the host",
            ),
            ("extra_params", "-virtfs local,path=x", "9p"),
            ("extra_params", "-fw_cfg name=opt/x,file=y", "files"),
            ("netdev_extra_params", "smb=/srv", "files"),
        ] {
            let reason = reason(key, value);
            assert!(reason.contains(says), "{key} = {value}: {reason}");
        }
        let cdrom = [("cdroms", "cd1"), ("cdrom", "isos/x.iso")];
        let cdrom = spec(&cdrom, "/d").why_not_saved();
        assert_eq!(cdrom.as_deref(), Some("a medium is in cd1"));
    }
}
