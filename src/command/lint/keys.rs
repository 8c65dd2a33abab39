//! Keys that are set, but never read by anything known.

use std::collections::HashSet;
use std::fs;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use vtbuild_cfg::lint::keys;
use vtbuild_cfg::{Diagnostic, Program, Severity};

/// The code of these notes.
pub const CODE: &str = "unread-key";
/// The keys that rules and providers read, without the names of objects.
const KNOWN: [&str; 185] = [
    "backend",
    "balloon",
    "bios_path",
    "blk_extra_params",
    "boot_drive",
    "boot_menu",
    "boot_once",
    "boot_order",
    "bootindex",
    "cd_format",
    "cdrom",
    "cdroms",
    "check_image",
    "cmds_installed_host",
    "connect_uri",
    "cpu_model",
    "cpu_model_flags",
    "create_image",
    "deps_build",
    "deps_build_host",
    "deps_build_make_flags",
    "deps_build_output",
    "deps_build_source",
    "deps_build_timeout",
    "deps_build_with_source",
    "disable_kvm",
    "disable_reboot",
    "disable_shutdown",
    "drive_cache",
    "drive_format",
    "enable_ceph",
    "enable_curl",
    "enable_gluster",
    "enable_iscsi",
    "enable_kvm",
    "enable_nbd",
    "enable_pvpanic",
    "enable_ssh",
    "enable_watchdog",
    "expected_guest_dmesg",
    "expected_host_dmesg",
    "expected_hugepage_size",
    "extra_params",
    "file_transfer_port",
    "force_create_image",
    "guest_dmesg_ignore",
    "guest_dmesg_level",
    "guest_dmesg_logfile",
    "guest_numa_nodes",
    "host_dmesg_ignore",
    "host_dmesg_level",
    "host_dmesg_logfile",
    "hugepage",
    "hugepage_path",
    "hugepages_qemu_overhead",
    "image_aio",
    "image_chain",
    "image_cluster_size",
    "image_extra_params",
    "image_format",
    "image_name",
    "image_raw_device",
    "image_readonly",
    "image_recipe",
    "image_size",
    "image_snapshot",
    "images",
    "inactivity_treshold",
    "inactivity_watcher",
    "initrd",
    "input_dev_bus_type",
    "input_dev_type",
    "inputs",
    "ioport_pvpanic",
    "iothreads",
    "keep_screendumps",
    "kernel",
    "kernel_extra_params_add",
    "kernel_extra_params_remove",
    "kernel_hp_file",
    "kernel_params",
    "kill_timeout",
    "ksm_pages_to_scan",
    "ksm_run",
    "ksm_sleep_ms",
    "login_timeout",
    "mac",
    "machine_type",
    "machine_type_extra_params",
    "main_vm",
    "max_vms",
    "maxmem",
    "mem",
    "mem_devs",
    "mig_protocol",
    "migrate_vms",
    "monitor_type",
    "monitors",
    "netdev_extra_params",
    "nettype",
    "nic_extra_params",
    "nic_model",
    "nics",
    "not_preprocess",
    "numa_cpus",
    "numa_mem",
    "numa_memdev",
    "nv_backend",
    "os_type",
    "overcommit_hugepages",
    "password",
    "paused_after_start_vm",
    "pcie_extra_root_port",
    "post_command",
    "post_command_noncritical",
    "post_command_timeout",
    "pre_command",
    "pre_command_noncritical",
    "pre_command_timeout",
    "preallocated",
    "provider",
    "qemu_binary",
    "qemu_force_use_drive_expression",
    "qemu_img_binary",
    "reboot_command",
    "redirs",
    "remove_image",
    "required_kernel",
    "required_qemu",
    "requires_root",
    "rtc_base",
    "rtc_clock",
    "rtc_drift",
    "screendump_delay",
    "scsi_hba",
    "serial_name",
    "serial_type",
    "serials",
    "setup_hugepages",
    "setup_ksm",
    "setup_thp",
    "shell_linesep",
    "shell_port",
    "shell_prompt",
    "shutdown_command",
    "skip_image_processing",
    "slots",
    "smp",
    "start_vm",
    "status_test_command",
    "store_vm_info",
    "take_regular_screendumps",
    "target_hugepages",
    "test_config",
    "test_timeout",
    "timeout",
    "type",
    "usb_devices",
    "usb_type",
    "usbs",
    "use_mem",
    "username",
    "uuid",
    "vcpu_cores",
    "vcpu_devices",
    "vcpu_maxcpus",
    "vcpu_sockets",
    "vcpu_threads",
    "verify_guest_dmesg",
    "verify_host_dmesg",
    "vga",
    "vhost",
    "virtio_rngs",
    "vm_accelerator",
    "vm_arch_name",
    "vm_hugepage_mountpoint",
    "vm_info_cmds",
    "vm_info_delay",
    "vm_memdev_model",
    "vm_secure_guest_type",
    "vm_type",
    "vmcoreinfo",
    "vms",
    "watchdog_action",
    "watchdog_device_type",
];

/// A note for every key that neither we, nor Python below the folders, nor any `${...}` reads.
pub fn unread(program: &Program, python: &[Utf8PathBuf]) -> Vec<Diagnostic> {
    let mut named: HashSet<String> = KNOWN.iter().map(|key| (*key).to_owned()).collect();
    for folder in python {
        literals(folder, &mut named);
    }
    let uses = keys(program).into_iter();
    uses.filter(|used| !used.referenced && !is_read(&used.key, &named))
        .map(|used| Diagnostic {
            severity: Severity::Warning,
            class: vtbuild_cfg::Class::Other,
            code: CODE,
            message: format!("nothing known reads `{}`", used.key),
            location: used.first,
            help: None,
            notes: Vec::new(),
            included_from: Vec::new(),
            missing: None,
        })
        .collect()
}

/// Whether a key is read: by itself, as a key of one object (`mem_vm1`), or as a bound (`mem_max`).
fn is_read(key: &str, named: &HashSet<String>) -> bool {
    let prefixes = key.match_indices('_').map(|(at, _)| &key[..at]);
    named.contains(key)
        || prefixes
            .filter(|prefix| !prefix.is_empty())
            .any(|prefix| named.contains(prefix))
}

/// Every string in the Python files below a folder that could be a key.
fn literals(folder: &Utf8Path, named: &mut HashSet<String>) {
    static LITERAL: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"["']([A-Za-z_][A-Za-z0-9_]*)["']"#).expect("a correct pattern of constant text")
    });
    for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            literals(path, named);
        } else if path.extension() == Some("py") {
            // A file that cannot be read names nothing; tests that need it say so themselves.
            let text = fs::read_to_string(path).unwrap_or_default();
            named.extend(LITERAL.captures_iter(&text).map(|found| found[1].to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_objects_and_bounds_are_read_with_the_key() {
        let named = HashSet::from(["mem".to_owned(), "image_name".to_owned()]);
        for (key, read) in [
            ("mem", true),
            ("mem_vm1", true),
            ("image_name_stg", true),
            ("image_size", false),
            ("memory", false),
        ] {
            assert_eq!(is_read(key, &named), read, "{key}");
        }
    }

    /// The keys that the sources of the rules and the providers ask parameters for are all in the list.
    #[test]
    fn the_list_is_complete() {
        let asked = Regex::new(r#"\b(?:params|view|vm|own)\.(?:get|text|switch|number|size|objects|bad)(?:::<\w+>)?\(\s*"([a-z_0-9]+)""#).unwrap();
        let mut files = Vec::new();
        for folder in ["rules/src", "providers/src"] {
            rust_files(
                &Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join(folder),
                &mut files,
            );
        }
        let mut asked_for = 0;
        for path in files {
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("#[cfg(test)]").next().unwrap();
            for found in asked.captures_iter(text) {
                asked_for += 1;
                assert!(
                    KNOWN.contains(&&found[1]),
                    "{path} reads `{}`: add it to KNOWN",
                    &found[1]
                );
            }
        }
        assert!(asked_for > 20, "the pattern finds what sources read: {asked_for}");
    }

    fn rust_files(folder: &Utf8Path, files: &mut Vec<Utf8PathBuf>) {
        for entry in folder.read_dir_utf8().unwrap() {
            let path = entry.unwrap().into_path();
            if path.is_dir() && path.file_name() != Some("tests") {
                rust_files(&path, files);
            } else if path.extension() == Some("rs") && path.file_name() != Some("tests.rs") {
                files.push(path);
            }
        }
    }
}
