//! `vtbuild.lock`: what was fetched from outside, so that another host and another day take the same.
//!
//! It is written whenever something new is fetched, and is meant to be committed. `--locked` refuses to change it.

use std::io::Write;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use vtbuild_providers::download::{Download, Pin};
use vtbuild_providers::provider::GitSource;

use crate::exit::Failure;
use crate::report::diagnostics;

/// The file's name, in the workspace.
const FILE: &str = "vtbuild.lock";
/// The version of its format.
const VERSION: u32 = 1;
/// What its first lines say.
const HEADING: &str = "# What `vtbuild` fetched, written by itself. Commit it: others then get the same.\n\
                       # `vtbuild providers update` takes what is newest.\n\n";

/// The lock of a workspace.
#[derive(Clone, Debug)]
pub struct Lock {
    path: Utf8PathBuf,
    content: Content,
    written: Content,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    #[serde(default, rename = "provider", skip_serializing_if = "Vec::is_empty")]
    providers: Vec<LockedProvider>,
    #[serde(default, rename = "download", skip_serializing_if = "Vec::is_empty")]
    downloads: Vec<LockedDownload>,
}

/// What a download was when it was first fetched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct LockedDownload {
    name: String,
    url: String,
    sha256: String,
    size: u64,
}

/// A test provider's commit, and what was asked for when it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedProvider {
    /// The provider's name.
    pub name: String,
    /// The repository.
    pub uri: String,
    /// The branch asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The tag or commit asked for.
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// The commit.
    pub commit: String,
}

impl LockedProvider {
    /// A provider at a commit.
    pub fn new(name: &str, source: &GitSource, commit: String) -> Self {
        Self {
            name: name.to_owned(),
            uri: source.url.clone(),
            branch: source.branch.clone(),
            reference: source.reference.clone(),
            commit,
        }
    }
}

impl Lock {
    /// The lock in the folder of a workspace; an empty one where there is none.
    pub fn read(root: &Utf8Path) -> Result<Self, Failure> {
        let path = root.join(FILE);
        let content = match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text)
                .map_err(|error| Failure::config(diagnostics::of_toml(&path, &text, &error)))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Content {
                version: VERSION,
                providers: Vec::new(),
                downloads: Vec::new(),
            },
            Err(error) => return Err(Failure::environment(format!("failed to read {path}: {error}"))),
        };
        if content.version != VERSION {
            return Err(Failure::config(format!(
                "{path} has version {}; this vtbuild knows {VERSION}",
                content.version
            )));
        }
        let written = content.clone();
        Ok(Self {
            path,
            content,
            written,
        })
    }

    /// The commit that is locked for a provider, if it is still the one that the definition asks for.
    pub fn commit(&self, name: &str, source: &GitSource) -> Option<&str> {
        let locked = self.content.providers.iter().find(|locked| locked.name == name)?;
        let asked = LockedProvider::new(name, source, locked.commit.clone());
        (*locked == asked).then_some(locked.commit.as_str())
    }

    /// Locks a provider.
    pub fn set(&mut self, provider: LockedProvider) {
        let providers = &mut self.content.providers;
        providers.retain(|locked| locked.name != provider.name);
        providers.push(provider);
        providers.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// What a download must be, if its first address is still the one that was locked.
    pub fn pin(&self, download: &Download) -> Option<Pin> {
        let same = |locked: &&LockedDownload| locked.name == download.name && locked.url == download.urls[0];
        let locked = self.content.downloads.iter().find(same)?;
        Some(Pin {
            sha256: locked.sha256.clone(),
            size: locked.size,
        })
    }

    /// Locks what a download is.
    pub fn set_pin(&mut self, download: &Download, pin: &Pin) {
        let downloads = &mut self.content.downloads;
        downloads.retain(|locked| locked.name != download.name);
        downloads.push(LockedDownload {
            name: download.name.clone(),
            url: download.urls[0].clone(),
            sha256: pin.sha256.clone(),
            size: pin.size,
        });
        downloads.sort_by(|a, b| a.name.cmp(&b.name));
    }

    /// Forgets the providers that are no longer defined.
    pub fn keep_providers(&mut self, defined: impl Fn(&str) -> bool) {
        self.content.providers.retain(|locked| defined(&locked.name));
    }

    /// Writes what has changed: beside, then renamed.
    pub fn save(&mut self) -> Result<(), Failure> {
        if self.content == self.written {
            return Ok(());
        }
        let failed = |error: String| Failure::environment(format!("failed to write {}: {error}", self.path));
        let text = toml::to_string(&self.content).map_err(|error| failed(error.to_string()))?;
        let write = || {
            let folder = self.path.parent().unwrap_or(Utf8Path::new("."));
            let mut beside = tempfile::NamedTempFile::new_in(folder)?;
            beside.write_all(format!("{HEADING}{text}").as_bytes())?;
            beside.as_file().sync_all()?;
            let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o644);
            beside.as_file().set_permissions(everybody)?;
            beside.persist(&self.path).map_err(|error| error.error)
        };
        write().map_err(|error| failed(error.to_string()))?;
        self.written = self.content.clone();
        Ok(())
    }
}
