//! What is needed of the host, for which backend, and what brings it.

use camino::{Utf8Path, Utf8PathBuf};

use crate::qemu::find_program;

/// How badly something is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing runs without it.
    Always,
    /// Some tests call it.
    SomeTests,
}

/// A program of the host, or a C header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The program's name, or the header's as it is included.
    pub program: &'static str,
    /// The Debian package that has it.
    pub package: &'static str,
    /// What it is for: "runs guests".
    pub purpose: &'static str,
    /// How badly it is needed.
    pub need: Need,
    /// Where it is, if it is there.
    pub found: Option<Utf8PathBuf>,
}

/// Backends whose machines are ours.
const QEMU: &[&str] = &["qemu", "openvswitch", "spice"];
/// Backends whose machines are libvirt's.
const LIBVIRT: &[&str] = &["libvirt", "v2v", "libguestfs", "virttools"];
/// All of them.
const ANY: &[&str] = &[];

/// The backends, program, package, purpose, need.
type Row = (
    &'static [&'static str],
    &'static str,
    &'static str,
    &'static str,
    Need,
);

#[rustfmt::skip]
const PROGRAMS: [Row; 34] = {
    use Need::{Always, SomeTests};
    [
        (ANY, "python3", "python3", "runs tests", Always),
        (QEMU, "qemu-system-x86_64", "qemu-system-x86", "runs guests", Always),
        (ANY, "qemu-img", "qemu-utils", "makes and checks images", Always),
        (LIBVIRT, "virsh", "libvirt-clients", "talks to libvirt", Always),
        (&["openvswitch"], "ovs-vsctl", "openvswitch-switch", "sets switches up", Always),
        (&["v2v"], "virt-v2v", "virt-v2v", "converts guests", Always),
        (&["libguestfs"], "guestfish", "libguestfs-tools", "looks into images", Always),
        (&["lvsb"], "virt-sandbox", "libvirt-sandbox", "starts sandboxes", Always),
        (ANY, "git", "git", "fetches test providers, reads revisions (vtbuild diff)", SomeTests),
        (ANY, "gpg", "gnupg", "checks the signatures of test providers", SomeTests),
        (ANY, "sh", "dash", "carries migrations through commands (exec)", SomeTests),
        (ANY, "gzip", "gzip", "compresses migrations (exec with gzip), unpacks downloads", SomeTests),
        (ANY, "xz", "xz-utils", "unpacks guest images that were downloaded", SomeTests),
        (ANY, "bzip2", "bzip2", "unpacks downloads", SomeTests),
        (ANY, "zstd", "zstd", "unpacks downloads", SomeTests),
        (ANY, "qemu-io", "qemu-utils", "reads and writes images in image tests", SomeTests),
        (ANY, "gcc", "gcc", "builds what tests need on the host", SomeTests),
        (ANY, "make", "make", "builds what tests need on the host", SomeTests),
        (ANY, "diff", "diffutils", "compares what tests leave", SomeTests),
        (ANY, "ip", "iproute2", "sets up and shows networks", SomeTests),
        (ANY, "tcpdump", "tcpdump", "sees the addresses of guests behind a bridge", SomeTests),
        (ANY, "nc", "netcat-openbsd", "reads sockets of QEMU in some tests", SomeTests),
        (ANY, "arping", "iputils-arping", "finds guests behind a bridge", SomeTests),
        (ANY, "genisoimage", "genisoimage", "makes media for unattended installations", SomeTests),
        (LIBVIRT, "libvirtd", "libvirt-daemon-system", "runs the machines, where virtqemud does not", SomeTests),
        (LIBVIRT, "virt-install", "virtinst", "installs guests of libvirt", SomeTests),
        (LIBVIRT, "virt-clone", "virtinst", "copies guests of libvirt", SomeTests),
        (LIBVIRT, "virt-xml", "virtinst", "edits guests of libvirt", SomeTests),
        (LIBVIRT, "fakeroot", "fakeroot", "packs media without being root", SomeTests),
        (LIBVIRT, "getfattr", "attr", "reads attributes of files", SomeTests),
        (LIBVIRT, "semanage", "policycoreutils-python-utils", "sets SELinux contexts", SomeTests),
        (LIBVIRT, "restorecon", "policycoreutils", "sets SELinux contexts", SomeTests),
        (&["v2v", "libguestfs"], "perl", "perl", "runs tools of libguestfs", SomeTests),
        (&["lvsb"], "virsh", "libvirt-clients", "talks to libvirt", SomeTests),
    ]
};

#[rustfmt::skip]
const HEADERS: [Row; 2] = [
    (ANY, "stdio.h", "libc6-dev", "builds what tests need on the host", Need::SomeTests),
    (ANY, "asm/unistd.h", "linux-libc-dev", "builds what tests need on the host", Need::SomeTests),
];

/// Looks for everything that a backend needs, programs first.
#[must_use]
pub fn requirements(backend: &str) -> Vec<Requirement> {
    let look = |find: fn(&str) -> Option<Utf8PathBuf>| {
        move |(_, program, package, purpose, need): Row| Requirement {
            program,
            package,
            purpose,
            need,
            found: find(program),
        }
    };
    let wanted = |row: &Row| row.0.is_empty() || row.0.contains(&backend);
    let programs = PROGRAMS.into_iter().filter(wanted).map(look(find_program));
    let headers = HEADERS.into_iter().filter(wanted).map(look(find_header));
    programs.chain(headers).collect()
}

/// A module of the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// Its name: `kvm_intel`.
    pub name: &'static str,
    /// Whether the kernel has it, loaded or built in.
    pub there: bool,
}

/// The kernel modules that a backend is better off with.
#[must_use]
pub fn kernel_modules(backend: &str) -> Vec<Module> {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let names: &[&str] = match backend {
        "openvswitch" => &["openvswitch"],
        "qemu" | "libvirt" if cpu.contains("AuthenticAMD") => &["kvm", "kvm_amd"],
        "qemu" | "libvirt" if cpu.contains("GenuineIntel") => &["kvm", "kvm_intel"],
        "qemu" | "libvirt" => &["kvm"],
        _ => &[],
    };
    let there = |name: &str| Utf8Path::new("/sys/module").join(name).exists();
    names
        .iter()
        .map(|name| Module {
            name,
            there: there(name),
        })
        .collect()
}

/// The packages that bring what is missing, each once, in the order of need.
#[must_use]
pub fn missing_packages(requirements: &[Requirement]) -> Vec<&'static str> {
    let mut missing: Vec<_> = requirements
        .iter()
        .filter(|requirement| requirement.found.is_none())
        .collect();
    missing.sort_by_key(|requirement| requirement.need);
    let mut packages: Vec<&'static str> = Vec::new();
    for requirement in missing {
        if !packages.contains(&requirement.package) {
            packages.push(requirement.package);
        }
    }
    packages
}

/// A header where the compiler looks: Debian keeps those of the kernel in a folder of the architecture.
fn find_header(name: &str) -> Option<Utf8PathBuf> {
    let own = format!("/usr/include/{}-linux-gnu", std::env::consts::ARCH);
    let folders = [Utf8Path::new("/usr/include"), Utf8Path::new(&own)];
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once_and_the_needed_ones_first() {
        let mut all = requirements("qemu");
        all.reverse();
        for requirement in &mut all {
            let bare = ["python3", "qemu-system-x86_64", "qemu-img", "qemu-io", "gzip"];
            requirement.found = (!bare.contains(&requirement.program)).then(|| "/x".into());
        }
        assert_eq!(
            missing_packages(&all),
            ["qemu-utils", "qemu-system-x86", "python3", "gzip"]
        );
        all.iter_mut()
            .for_each(|requirement| requirement.found = Some("/x".into()));
        assert!(missing_packages(&all).is_empty());
    }

    #[test]
    fn each_backend_needs_its_own() {
        let needs = |backend: &str, program: &str| {
            let all = requirements(backend);
            all.iter().any(|requirement| requirement.program == program)
        };
        assert!(needs("qemu", "qemu-system-x86_64") && !needs("qemu", "virsh"));
        assert!(needs("libvirt", "virsh") && !needs("libvirt", "qemu-system-x86_64"));
        assert!(needs("v2v", "virt-v2v") && needs("something new", "python3"));
    }

    #[test]
    fn a_shell_is_everywhere() {
        let all = requirements("qemu");
        let shell = all.iter().find(|requirement| requirement.program == "sh");
        let found = shell.and_then(|shell| shell.found.as_ref());
        assert!(found.is_some_and(|path| path.as_str().ends_with("/sh")));
    }
}
