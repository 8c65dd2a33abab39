//! What this crate needs from the host, and where it comes from.

use camino::Utf8PathBuf;

use crate::qemu::find_program;

/// How badly a program is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// Nothing runs without it.
    Always,
    /// Some tests call it.
    SomeTests,
}

/// A program of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    /// The program's name.
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

/// Program, package, purpose, need.
const PROGRAMS: [(&str, &str, &str, Need); 6] = [
    (
        "qemu-system-x86_64",
        "qemu-system-x86",
        "runs guests",
        Need::Always,
    ),
    ("qemu-img", "qemu-utils", "makes and checks images", Need::Always),
    ("python3", "python3", "runs tests", Need::Always),
    (
        "sh",
        "dash",
        "carries migrations through commands (exec)",
        Need::SomeTests,
    ),
    (
        "gzip",
        "gzip",
        "compresses migrations (exec with gzip)",
        Need::SomeTests,
    ),
    (
        "qemu-io",
        "qemu-utils",
        "reads and writes images in image tests",
        Need::SomeTests,
    ),
];

/// Looks for every program.
pub fn requirements() -> Vec<Requirement> {
    let look = |(program, package, purpose, need)| Requirement {
        program,
        package,
        purpose,
        need,
        found: find_program(program),
    };
    PROGRAMS.into_iter().map(look).collect()
}

/// The packages that bring what is missing, each once, in the order of need.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_once_and_the_needed_ones_first() {
        let mut all = requirements();
        all.reverse();
        for requirement in &mut all {
            requirement.found = (requirement.program == "sh").then(|| "/bin/sh".into());
        }
        assert_eq!(
            missing_packages(&all),
            ["python3", "qemu-utils", "qemu-system-x86", "gzip"]
        );
        all.iter_mut()
            .for_each(|requirement| requirement.found = Some("/x".into()));
        assert!(missing_packages(&all).is_empty());
    }

    #[test]
    fn a_shell_is_everywhere() {
        let all = requirements();
        let shell = all
            .iter()
            .find(|requirement| requirement.program == "sh")
            .unwrap();
        assert!(
            shell
                .found
                .as_ref()
                .is_some_and(|path| path.as_str().ends_with("/sh"))
        );
    }
}
