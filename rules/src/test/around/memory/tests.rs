//! What is planned for a host, and that it is undone.

use super::*;

/// A host whose files are below a folder of the test.
struct Kernel(tempfile::TempDir);

impl Kernel {
    fn with(files: &[(&str, &str)]) -> Self {
        let kernel = Self(tempfile::tempdir().unwrap());
        for (path, text) in files {
            let path = kernel.root().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        kernel
    }

    fn usual() -> Self {
        Self::with(&[
            ("proc/meminfo", "MemTotal: 1 kB\nHugepagesize:       2048 kB\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "3\n"),
            ("sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "1\n"),
            (
                "sys/kernel/mm/hugepages/hugepages-2048kB/nr_overcommit_hugepages",
                "0\n",
            ),
            (
                "sys/kernel/mm/transparent_hugepage/enabled",
                "always [madvise] never\n",
            ),
            ("sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "1\n"),
            ("sys/kernel/mm/ksm/run", "0\n"),
            ("sys/kernel/mm/ksm/pages_to_scan", "100\n"),
            ("sys/kernel/mm/ksm/sleep_millisecs", "20\n"),
        ])
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    fn plan(&self, entries: &[(&str, &str)]) -> Result<Plan, Problem> {
        Plan::of(&entries.iter().copied().collect(), self.root())
    }

    /// Settings as `file=value`, with the file's own name.
    fn short(settings: &[Setting]) -> Vec<String> {
        let short = |setting: &Setting| format!("{}={}", setting.path.file_name().unwrap(), setting.value);
        settings.iter().map(short).collect()
    }
}

#[test]
fn pages_are_for_all_machines_of_the_test() {
    let kernel = Kernel::usual();
    let pages = |entries: &[(&str, &str)]| kernel.plan(entries).unwrap().pages.unwrap();
    let one = pages(&[("hugepage", "yes"), ("vms", "vm1"), ("mem", "512")]);
    assert_eq!((one.wanted, one.kib), (320, 2048));
    assert_eq!(one.mount, "/mnt/kvm_hugepage");
    let two = pages(&[
        ("setup_hugepages", "yes"),
        ("vms", "a b"),
        ("mem", "1G"),
        ("hugepages_qemu_overhead", "0"),
    ]);
    assert_eq!(two.wanted, 1024);
    let named = pages(&[
        ("setup_hugepages", "yes"),
        ("target_hugepages", "10"),
        ("overcommit_hugepages", "4"),
        ("vm_hugepage_mountpoint", "/x"),
    ]);
    assert_eq!((named.wanted, named.mount.as_str()), (6, "/x"));
}

#[test]
fn settings_are_those_of_the_parameters_and_what_was_found_is_kept() {
    let kernel = Kernel::usual();
    let merging = kernel
        .plan(&[("setup_ksm", "yes"), ("ksm_sleep_ms", "70")])
        .unwrap();
    assert_eq!(
        Kernel::short(&merging.wanted),
        ["pages_to_scan=5000", "sleep_millisecs=70", "run=1"]
    );
    assert_eq!(
        Kernel::short(&merging.found),
        ["pages_to_scan=100", "sleep_millisecs=20", "run=0"]
    );
    let transparent = kernel.plan(&[("setup_thp", "yes")]).unwrap();
    assert_eq!(Kernel::short(&transparent.found), ["enabled=madvise", "defrag=1"]);
    assert_eq!(transparent.wanted, []);
    let config = "/sys/kernel/mm/transparent_hugepage/enabled:always";
    let transparent = kernel
        .plan(&[("setup_thp", "yes"), ("test_config", config)])
        .unwrap();
    assert_eq!(Kernel::short(&transparent.wanted), ["enabled=always"]);
    assert_eq!(kernel.plan(&[("setup_thp", "no")]), Ok(Plan::default()));
}

#[test]
fn only_files_of_transparent_huge_pages_are_written_for_them() {
    for config in [
        "/etc/passwd:x",
        "/sys/kernel/mm/transparent_hugepage/../ksm/run:1",
        "nonsense",
    ] {
        let planned = Kernel::usual().plan(&[("setup_thp", "yes"), ("test_config", config)]);
        let (status, reason) = planned.unwrap_err();
        assert_eq!(status, Status::Error);
        assert!(reason.contains("test_config"), "{reason}");
    }
}

#[test]
fn a_host_without_them_skips() {
    let bare = Kernel::with(&[("proc/meminfo", "MemTotal: 1 kB\n")]);
    for key in ["setup_thp", "setup_ksm", "setup_hugepages", "hugepage"] {
        let (status, reason) = bare.plan(&[(key, "yes")]).unwrap_err();
        assert_eq!(status, Status::Skip, "{reason}");
        assert!(reason.contains("does not have"), "{reason}");
    }
    let (status, reason) = Kernel::usual()
        .plan(&[("setup_hugepages", "yes"), ("expected_hugepage_size", "1048576")])
        .unwrap_err();
    assert_eq!(status, Status::Skip);
    assert!(reason.contains("2048 kB"), "{reason}");
}

#[test]
fn everything_is_written_back() {
    let kernel = Kernel::usual();
    let all = [
        ("setup_thp", "yes"),
        ("setup_ksm", "yes"),
        ("setup_hugepages", "yes"),
    ];
    let plan = kernel.plan(&all).unwrap();
    for Setting { path, .. } in &plan.found {
        std::fs::write(path, "changed").unwrap();
    }
    let mount = kernel.root().join("never mounted");
    let undone = |mount| {
        let text = undoing(&plan.found, Some(mount));
        let done = std::process::Command::new("sh").args(["-c", &text]).output();
        done.unwrap().status.success()
    };
    assert!(undone(&mount));
    for Setting { path, value } in &plan.found {
        assert_eq!(read(path).as_ref(), Some(value), "{path}");
    }
    std::fs::remove_dir_all(kernel.root().join("sys/kernel/mm/ksm")).unwrap();
    assert!(!undone(&mount), "what cannot be written back is told");
}

#[test]
fn it_is_asked_for_by_each_of_its_switches() {
    let asked = |key: &str, value: &str| is_asked(&[(key, value)].into_iter().collect()).unwrap();
    assert!(asked("setup_thp", "yes") && asked("hugepage", "yes") && asked("setup_ksm", "yes"));
    assert!(!asked("setup_hugepages", "no") && !asked("mem", "512"));
}
