//! The QEMU programs of this host: where they are, which version, and what tells one installation from another.

mod answers;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use crate::process::{Launcher, OutputError};

pub use answers::Answers;

const PATIENCE: Duration = Duration::from_secs(30);

/// A program that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// It is not installed where we look.
    #[error(
        "find `{program}` ({searched}): install package {package} (`apt-get install {package}`) or set `{param}`"
    )]
    Missing {
        /// The program's name or path.
        program: String,
        /// Where was looked.
        searched: String,
        /// The Debian package that has it.
        package: &'static str,
        /// The parameter that names another one.
        param: &'static str,
    },
    /// It does not run.
    #[error("run `{path} {question}`: {source}")]
    Run {
        /// The program.
        path: Utf8PathBuf,
        /// What it was asked.
        question: String,
        /// Why.
        source: OutputError,
    },
    /// It runs but is something else.
    #[error("read the version of {path} from what it prints: {printed:?}")]
    Version {
        /// The program.
        path: Utf8PathBuf,
        /// What it printed.
        printed: String,
    },
}

/// A version of QEMU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Version {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
    /// Third number.
    pub micro: u32,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.micro)
    }
}

/// What tells one installed program from another: part of the key of everything that it makes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Identity {
    /// The file itself, links followed.
    pub path: Utf8PathBuf,
    /// Its size in bytes.
    pub size: u64,
    /// Its modification time, in nanoseconds since 1970.
    pub modified_ns: i128,
    /// Its version with all that its packager added: `10.0.2 (Debian 1:10.0.2+ds-2)`.
    pub version: String,
}

/// The installed programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Qemu {
    /// The emulator, as it is to be started.
    pub binary: Utf8PathBuf,
    /// `qemu-img`.
    pub img: Utf8PathBuf,
    /// `qemu-io`; tests may want it, we do not.
    pub io: Option<Utf8PathBuf>,
    /// The emulator's version.
    pub version: Version,
    /// What tells this emulator from others.
    pub identity: Identity,
}

impl Qemu {
    /// Finds the programs. `binary` and `img` are the parameters `qemu_binary` and `qemu_img_binary`: paths, or names to be
    /// looked up in `PATH`; by default `qemu-system-x86_64` and `qemu-img`.
    ///
    /// # Errors
    /// See [`QemuError`]; a missing program's error says which package has it.
    pub async fn find(
        launcher: &Launcher,
        binary: Option<&str>,
        img: Option<&str>,
    ) -> Result<Qemu, QemuError> {
        let binary = emulator(binary)?;
        let version = answers::version(launcher, &binary).await?;
        Self::of(binary, img, version)
    }

    /// The same where the emulator has said before what it is: it is not asked again.
    ///
    /// # Errors
    /// The same.
    pub fn known(binary: Option<&str>, img: Option<&str>, answers: &Answers) -> Result<Qemu, QemuError> {
        Self::of(emulator(binary)?, img, answers.version.clone())
    }

    fn of(binary: Utf8PathBuf, img: Option<&str>, told: String) -> Result<Qemu, QemuError> {
        let img = require(img.unwrap_or("qemu-img"), "qemu-utils", "qemu_img_binary")?;
        let parsed = parse_version(&told).and_then(|version| Some((version, identity(&binary, &told)?)));
        let Some((version, identity)) = parsed else {
            return Err(QemuError::Version {
                path: binary,
                printed: told,
            });
        };
        Ok(Qemu {
            img,
            io: find_program("qemu-io"),
            version,
            identity,
            binary,
        })
    }
}

fn emulator(name: Option<&str>) -> Result<Utf8PathBuf, QemuError> {
    require(
        name.unwrap_or("qemu-system-x86_64"),
        "qemu-system-x86",
        "qemu_binary",
    )
}

fn require(program: &str, package: &'static str, param: &'static str) -> Result<Utf8PathBuf, QemuError> {
    find_program(program).ok_or_else(|| QemuError::Missing {
        program: program.to_owned(),
        searched: if program.contains('/') {
            "no such program".into()
        } else {
            "not in PATH".into()
        },
        package,
        param,
    })
}

/// The path of a program: itself when it has a slash, else the first of its name in `PATH`.
pub fn find_program(program: &str) -> Option<Utf8PathBuf> {
    if program.contains('/') {
        return Some(Utf8PathBuf::from(program)).filter(|path| executable(path));
    }
    let path = std::env::var("PATH").unwrap_or_default();
    // Tools for administrators are often not in a user's own PATH.
    let folders = path
        .split(':')
        .chain(["/usr/sbin", "/sbin"])
        .filter(|folder| !folder.is_empty());
    folders
        .map(|folder| Utf8Path::new(folder).join(program))
        .find(|path| executable(path))
}

fn executable(path: &Utf8Path) -> bool {
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The numbers that `10.0.2 (Debian 1:10.0.2+ds-2)` begins with.
fn parse_version(told: &str) -> Option<Version> {
    let mut numbers = told.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next()?.ok();
    Some(Version {
        major: next()?,
        minor: next()?,
        micro: next().unwrap_or(0),
    })
}

fn identity(binary: &Utf8Path, version: &str) -> Option<Identity> {
    let path = binary.canonicalize_utf8().ok()?;
    let meta = path.metadata().ok()?;
    let modified_ns = i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec());
    Some(Identity {
        path,
        size: meta.len(),
        modified_ns,
        version: version.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_begins_with_its_numbers() {
        let read = |told: &str| parse_version(told).map(|version| version.to_string());
        assert_eq!(read("10.0.2 (Debian 1:10.0.2+ds-2)").as_deref(), Some("10.0.2"));
        assert_eq!(read("9.1").as_deref(), Some("9.1.0"));
        assert_eq!(read("9.2.50 (v9.2.0-1-gabc)").as_deref(), Some("9.2.50"));
        assert_eq!(read("BusyBox v1.36"), None);
        assert_eq!(read(""), None);
    }

    #[test]
    fn an_emulator_that_is_known_is_not_started() {
        let dir = tempfile::tempdir().unwrap();
        let binary = Utf8Path::from_path(dir.path()).unwrap().join("qemu");
        // Whoever starts it gets no answer.
        std::fs::write(&binary, "#!/bin/false\n").unwrap();
        std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        let answers = |version: &str| Answers {
            version: version.to_owned(),
            ..Answers::default()
        };
        let known = |version| Qemu::known(Some(binary.as_str()), Some("/bin/true"), &answers(version));
        let qemu = known("10.0.2 (mine)").unwrap();
        assert_eq!((qemu.version.major, qemu.version.micro), (10, 2));
        assert_eq!(qemu.identity.version, "10.0.2 (mine)");
        let unknown = known("").unwrap_err();
        assert!(matches!(unknown, QemuError::Version { .. }), "{unknown}");
    }

    #[test]
    fn a_missing_program_comes_with_its_package() {
        let error = require("qemu-system-vax", "qemu-system-misc", "qemu_binary")
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "find `qemu-system-vax` (not in PATH): install package qemu-system-misc (`apt-get install qemu-system-misc`) or \
             set `qemu_binary`"
        );
        assert!(find_program("/bin/sh").is_some() && find_program("sh").is_some());
        assert!(find_program("/etc/passwd").is_none());
    }
}
