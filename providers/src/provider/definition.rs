//! The definition file of a test provider: where it is, and which folder holds the tests of which backend.

use camino::{Utf8Path, Utf8PathBuf};

use super::error::ProviderError;
use super::{GENERIC, TestProvider};
use crate::ini::{Ini, Place};

/// The section that says where the provider is; all others are backends.
const PROVIDER: &str = "provider";
/// An older name of the generic backend.
const AGNOSTIC: &str = "agnostic";
/// Addresses that git is asked for.
const GIT_SCHEMES: [&str; 5] = ["git", "http", "https", "ssh", "git+ssh"];

/// A definition file, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// The provider's name: the file's, without `.ini`.
    pub name: String,
    /// Where the address is written.
    pub place: Place,
    /// Where the provider comes from.
    pub source: Source,
    /// The backends, in the order of the file.
    backends: Vec<Backend>,
}

/// One backend of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Backend {
    name: String,
    subdir: String,
    place: Place,
}

/// Where a provider comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder of this host, used as it is at any moment.
    Folder(Utf8PathBuf),
    /// A git repository, used at one commit.
    Git(GitSource),
}

/// A git repository and which of its commits is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSource {
    /// What git is given to fetch from.
    pub url: String,
    /// The branch asked for.
    pub branch: Option<String>,
    /// The tag or commit asked for; it counts for more than the branch.
    pub reference: Option<String>,
    /// The file with the key that must have signed the tag.
    pub pubkey: Option<Utf8PathBuf>,
    /// Where branch or tag are written; else the address.
    pub place: Place,
}

impl Definition {
    /// Reads a definition file.
    ///
    /// # Errors
    /// When it is malformed, its address means nothing, or its name cannot begin the names of tests.
    pub fn read(path: &Utf8Path) -> Result<Self, ProviderError> {
        let name = path.file_stem().unwrap_or_default();
        if !is_label(name) {
            return Err(ProviderError::Name {
                path: path.to_owned(),
                name: name.to_owned(),
            });
        }
        let ini = Ini::read(path).map_err(|(place, reason)| ProviderError::Malformed { place, reason })?;
        let place = ini.place(PROVIDER, Some("uri"));
        let uri = ini
            .value(PROVIDER, "uri")
            .ok_or_else(|| ProviderError::Malformed {
                place: ini.place(PROVIDER, None),
                reason: "it has no `uri` in a section [provider]".into(),
            })?;
        let source = source(&ini, uri, path)?;
        let backend = |name: &&str| *name != PROVIDER && !name.eq_ignore_ascii_case("default");
        let backends = ini.sections().into_iter().filter(backend).map(|name| Backend {
            name: if name == AGNOSTIC { GENERIC[0] } else { name }.to_owned(),
            subdir: ini.value(name, "subdir").unwrap_or_default().to_owned(),
            place: ini.place(name, Some("subdir")),
        });
        Ok(Self {
            name: name.to_owned(),
            backends: backends.collect(),
            place,
            source,
        })
    }

    /// The provider, whose files are below `root`.
    ///
    /// # Errors
    /// When a backend's folder is missing or leads out of `root`.
    pub fn provider(&self, root: &Utf8Path) -> Result<TestProvider, ProviderError> {
        let root = clean(root);
        let mut provider = TestProvider {
            name: self.name.clone(),
            root: root.clone(),
            backends: std::collections::BTreeMap::new(),
        };
        for backend in &self.backends {
            let folder = clean(&root.join(&backend.subdir));
            // A folder of the user's may lead anywhere; what was fetched may not.
            let leaves = matches!(self.source, Source::Git(_)) && !folder.starts_with(&root);
            if leaves || !folder.is_dir() {
                return Err(ProviderError::Folder {
                    place: backend.place.clone(),
                    folder: backend.subdir.clone(),
                    root,
                    section: backend.name.clone(),
                });
            }
            provider.backends.insert(backend.name.clone(), folder);
        }
        Ok(provider)
    }
}

/// Whether a name can stand before the names of tests in a configuration, where other marks mean something.
fn is_label(name: &str) -> bool {
    let letter = |letter: char| letter.is_alphanumeric() || ['-', '_'].contains(&letter);
    name.split('.')
        .all(|part| !part.is_empty() && part.chars().all(letter))
}

fn source(ini: &Ini, uri: &str, path: &Utf8Path) -> Result<Source, ProviderError> {
    let beside = path.parent().unwrap_or(Utf8Path::new(""));
    let [branch, reference, pubkey] = ["branch", "ref", "pubkey"].map(|key| ini.value(PROVIDER, key));
    let wanted = ["ref", "branch"]
        .into_iter()
        .find(|key| ini.value(PROVIDER, key).is_some());
    let place = ini.place(PROVIDER, Some("uri"));
    let git = |url: String| GitSource {
        url,
        branch: branch.map(str::to_owned),
        reference: reference.map(str::to_owned),
        pubkey: pubkey.map(|file| beside.join(file)),
        place: ini.place(PROVIDER, Some(wanted.unwrap_or("uri"))),
    };
    if let (Some(_), None) = (pubkey, reference) {
        return Err(ProviderError::Malformed {
            place: ini.place(PROVIDER, Some("pubkey")),
            reason: "a `pubkey` proves a signed tag; name the tag with `ref`".into(),
        });
    }
    let folder = match Address::of(uri) {
        Address::Git => return Ok(Source::Git(git(uri.to_owned()))),
        Address::Path(folder) => beside.join(folder),
        Address::Unknown(scheme) => {
            return Err(ProviderError::Scheme {
                place,
                scheme: scheme.to_owned(),
            });
        }
    };
    if folder.as_str().ends_with(".git") && !folder.exists() {
        // Away for now; a commit of it may be there all the same.
        return Ok(Source::Git(git(folder.into_string())));
    }
    if !folder.is_dir() {
        return Err(ProviderError::NoFolder { place, folder });
    }
    let pinned = branch.or(reference).is_some();
    if pinned || is_bare(&folder) {
        Ok(Source::Git(git(clean(&folder).into_string())))
    } else {
        Ok(Source::Folder(folder))
    }
}

/// What an address is, by its looks.
enum Address<'u> {
    Git,
    Path(Utf8PathBuf),
    Unknown(&'u str),
}

impl<'u> Address<'u> {
    /// Guides write both `file:///a/b` and `file://a/b` for `/a/b`. `host:path` is what ssh has.
    fn of(uri: &'u str) -> Self {
        match uri.split_once("://") {
            Some(("file", path)) => Self::Path(Utf8Path::new("/").join(path)),
            Some((scheme, _)) if GIT_SCHEMES.contains(&scheme) => Self::Git,
            Some((scheme, _)) => Self::Unknown(scheme),
            None => match uri.split_once(':') {
                Some((host, _)) if !host.contains('/') && !host.starts_with('-') => Self::Git,
                _ => Self::Path(uri.into()),
            },
        }
    }
}

/// Whether a folder is a git repository without files checked out.
fn is_bare(folder: &Utf8Path) -> bool {
    folder.join("HEAD").is_file() && folder.join("objects").is_dir() && folder.join("refs").is_dir()
}

/// Without `.`, `..` and links.
pub(super) fn clean(path: &Utf8Path) -> Utf8PathBuf {
    path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned())
}
