//! What an emulator says about itself: the same every time, so it needs to be asked once.

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};

use super::{PATIENCE, QemuError};
use crate::process::{Command, Launcher, Output};

/// The answers of one emulator.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answers {
    /// Its version with all that its packager added: `10.0.2 (Debian 1:10.0.2+ds-2)`.
    pub version: String,
    /// Machine types by their other names: `q35` is `pc-q35-10.0`.
    pub aliases: BTreeMap<String, String>,
    /// Where it looks for firmware, in this order.
    pub data_dirs: Vec<Utf8PathBuf>,
}

impl Answers {
    /// Asks `binary`.
    ///
    /// # Errors
    /// When it does not run, or says nothing that we understand.
    pub async fn ask(launcher: &Launcher, binary: &Utf8Path) -> Result<Self, QemuError> {
        let (version, machines, folders) = tokio::try_join!(
            version(launcher, binary),
            ask(launcher, binary, &["-machine", "help"]),
            ask(launcher, binary, &["-L", "help"])
        )?;
        Ok(Self {
            version,
            aliases: machines.stdout.lines().filter_map(alias).collect(),
            data_dirs: folders.stdout.lines().map(Utf8PathBuf::from).collect(),
        })
    }

    /// The machine type that `-machine` stands for: the versioned name, without properties.
    #[must_use]
    pub fn machine_type<'a>(&'a self, machine: &'a str) -> &'a str {
        let name = machine.split(',').next().unwrap_or(machine);
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// Where the emulator finds a firmware file; where it would look first, if there is none.
    #[must_use]
    pub fn firmware(&self, name: &str) -> Option<Utf8PathBuf> {
        let places = || self.data_dirs.iter().map(|folder| folder.join(name));
        places().find(|path| path.is_file()).or_else(|| places().next())
    }
}

/// The version of `binary` with all that its packager added.
pub(super) async fn version(launcher: &Launcher, binary: &Utf8Path) -> Result<String, QemuError> {
    let said = ask(launcher, binary, &["--version"]).await?;
    let line = said.stdout.lines().next().unwrap_or_default();
    let Some((_, told)) = line.split_once(" version ") else {
        return Err(QemuError::Version {
            path: binary.to_owned(),
            printed: said.stdout.clone() + &said.stderr,
        });
    };
    Ok(told.trim().to_owned())
}

async fn ask(launcher: &Launcher, binary: &Utf8Path, words: &[&str]) -> Result<Output, QemuError> {
    let command = Command::new(binary).args(words.iter().copied());
    let output = launcher.output(command, PATIENCE).await;
    output.map_err(|source| QemuError::Run {
        path: binary.to_owned(),
        question: words.join(" "),
        source,
    })
}

/// `q35   Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-10.0)`
fn alias(line: &str) -> Option<(String, String)> {
    let (_, of) = line.split_once("(alias of ")?;
    let name = line.split_whitespace().next()?;
    Some((name.to_owned(), of.split(')').next()?.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_lead_to_versioned_ones() {
        let line = "q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-10.0) (deprecated)";
        let answers = Answers {
            aliases: alias(line).into_iter().collect(),
            ..Answers::default()
        };
        assert_eq!(answers.machine_type("q35,smm=off"), "pc-q35-10.0");
        assert_eq!(answers.machine_type("pc-q35-9.2"), "pc-q35-9.2");
        assert_eq!(alias("pc-q35-10.0          Standard PC (Q35 + ICH9, 2009)"), None);
    }

    #[test]
    fn the_first_folder_that_has_a_file_counts() {
        let dir = tempfile::tempdir().unwrap();
        let dir = Utf8Path::from_path(dir.path()).unwrap();
        let answers = Answers {
            data_dirs: vec![dir.join("a"), dir.join("b")],
            ..Answers::default()
        };
        std::fs::create_dir_all(dir.join("b")).unwrap();
        std::fs::write(dir.join("b/bios.bin"), "").unwrap();
        assert_eq!(answers.firmware("bios.bin"), Some(dir.join("b/bios.bin")));
        assert_eq!(answers.firmware("other.bin"), Some(dir.join("a/other.bin")));
        assert_eq!(Answers::default().firmware("bios.bin"), None);
    }
}
