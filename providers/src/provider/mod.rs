//! Test providers: folders of Python tests, their configuration files and what they need beside them.
//!
//! A provider has a folder for each backend (`generic`, `qemu`, …), and each of those has the same layout: `tests` with
//! Python modules, `tests/cfg` with their configuration, `cfg`, `deps` and `provider_lib`. Where the folders are is said by a
//! definition file `NAME.ini` in `test-providers.d`, whose name is the provider's.

mod imports;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};
use configparser::ini::Ini;
use thiserror::Error;

pub use imports::imports_of;

/// The backends whose tests run on every other.
pub const GENERIC: [&str; 2] = ["generic", "multi_host_migration"];

/// Why a provider cannot be used.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// The definition file is not one.
    #[error("read the test provider definition {path}: {reason}")]
    Definition {
        /// The file.
        path: Utf8PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The URI needs what is not there.
    #[error(
        "use the test provider {path}: `uri: {uri}` is not a folder on this host; clone the repository and give its folder (`uri: file:///…`)"
    )]
    Uri {
        /// The definition file.
        path: Utf8PathBuf,
        /// The URI as written.
        uri: String,
    },
    /// A folder is missing.
    #[error("use the test provider {path}: {folder}, given for [{section}], is not a folder")]
    Folder {
        /// The definition file.
        path: Utf8PathBuf,
        /// The folder that is missing.
        folder: Utf8PathBuf,
        /// The section that names it.
        section: String,
    },
}

/// A test provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TestProvider {
    /// Its name: the first label of its tests.
    pub name: String,
    /// The folder that holds all of it.
    pub root: Utf8PathBuf,
    /// The folder of each backend.
    backends: BTreeMap<String, Utf8PathBuf>,
}

impl TestProvider {
    /// The provider `name` in `root`, with one backend for each folder that holds `tests`.
    #[must_use]
    pub fn in_folder(name: &str, root: &Utf8Path) -> Self {
        let folders = root.read_dir_utf8().into_iter().flatten().flatten();
        let holds_tests = |folder: &Utf8Path| folder.join("tests").is_dir();
        let backends = folders
            .map(camino::Utf8DirEntry::into_path)
            .filter(|folder| holds_tests(folder))
            .filter_map(|folder| Some((folder.file_name()?.to_owned(), folder)))
            .collect();
        Self {
            name: name.to_owned(),
            root: root.to_owned(),
            backends,
        }
    }

    /// The provider that a definition file describes. Its name is the file's.
    ///
    /// # Errors
    /// When the file is malformed or names folders that are not there.
    pub fn from_definition(path: &Utf8Path) -> Result<Self, ProviderError> {
        let malformed = |reason: String| ProviderError::Definition {
            path: path.to_owned(),
            reason,
        };
        let text = std::fs::read_to_string(path).map_err(|error| malformed(error.to_string()))?;
        let mut ini = Ini::new_cs();
        let sections = ini.read(text).map_err(malformed)?;
        let value = |section: &str, key: &str| sections.get(section)?.get(key)?.clone();
        let uri = value("provider", "uri")
            .ok_or_else(|| malformed("it has no `uri` in its section [provider]".to_owned()))?;
        let root = local_folder(&uri, path).ok_or_else(|| ProviderError::Uri {
            path: path.to_owned(),
            uri: uri.clone(),
        })?;
        let mut backends = BTreeMap::new();
        for section in sections
            .keys()
            .filter(|section| *section != "provider" && *section != "default")
        {
            let folder = clean(&root.join(value(section, "subdir").unwrap_or_default()));
            if !folder.is_dir() {
                let (path, section) = (path.to_owned(), section.clone());
                return Err(ProviderError::Folder {
                    path,
                    folder,
                    section,
                });
            }
            // An older name for the same.
            let backend = if section == "agnostic" {
                GENERIC[0]
            } else {
                section
            };
            backends.insert(backend.to_owned(), folder);
        }
        let name = path.file_stem().unwrap_or("provider").to_owned();
        Ok(Self {
            name,
            root: clean(&root),
            backends,
        })
    }

    /// The folder of a backend.
    #[must_use]
    pub fn backend(&self, backend: &str) -> Option<&Utf8Path> {
        self.backends.get(backend).map(Utf8PathBuf::as_path)
    }

    /// The folders that are looked into for tests of `backend`, in order: its own, then the generic one.
    #[must_use]
    pub fn folders(&self, backend: &str) -> Vec<&Utf8Path> {
        let mut names = vec![backend];
        names.extend(GENERIC.into_iter().filter(|generic| *generic != backend));
        names.into_iter().filter_map(|name| self.backend(name)).collect()
    }

    /// The Python module of the test type `kind`.
    #[must_use]
    pub fn module(&self, backend: &str, kind: &str) -> Option<Utf8PathBuf> {
        let file = format!("{kind}.py");
        self.folders(backend)
            .into_iter()
            .find_map(|folder| find(&folder.join("tests"), &file))
    }

    /// The folders that tests import from: the provider's own (`from qemu.tests import migration`), those of its backends
    /// (`from provider_lib import greeting`), and their `tests`.
    #[must_use]
    pub fn module_paths(&self, backend: &str) -> Vec<Utf8PathBuf> {
        let folders = self.folders(backend);
        let tests = folders.iter().map(|folder| folder.join("tests"));
        let folders = folders.iter().map(|folder| (*folder).to_owned());
        std::iter::once(self.root.clone())
            .chain(folders)
            .chain(tests)
            .collect()
    }

    /// The folders with what tests need beside them.
    #[must_use]
    pub fn deps_dirs(&self, backend: &str) -> Vec<Utf8PathBuf> {
        let deps = self
            .folders(backend)
            .into_iter()
            .map(|folder| folder.join("deps"));
        deps.filter(|folder| folder.is_dir()).collect()
    }
}

/// The first file of a name below a folder, in the order of names.
fn find(folder: &Utf8Path, name: &str) -> Option<Utf8PathBuf> {
    let direct = folder.join(name);
    if direct.is_file() {
        return Some(direct);
    }
    let mut folders: Vec<_> = folder
        .read_dir_utf8()
        .ok()?
        .flatten()
        .map(camino::Utf8DirEntry::into_path)
        .collect();
    folders.sort();
    folders
        .into_iter()
        .filter(|path| path.is_dir())
        .find_map(|path| find(&path, name))
}

/// The folder that a URI means, where it means one on this host. Guides write both `file:///a/b` and `file://a/b`.
fn local_folder(uri: &str, definition: &Utf8Path) -> Option<Utf8PathBuf> {
    let path = match uri.strip_prefix("file://") {
        Some(path) if path.starts_with('/') => Utf8PathBuf::from(path),
        Some(path) => Utf8PathBuf::from(format!("/{path}")),
        None if uri.contains("://") => return None,
        None => definition.parent().unwrap_or(Utf8Path::new("")).join(uri),
    };
    path.is_dir().then_some(path)
}

/// Without `.`, `..` where it can be told without links, and trailing slashes.
fn clean(path: &Utf8Path) -> Utf8PathBuf {
    path.canonicalize_utf8().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn provider() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = clean(Utf8Path::from_path(dir.path()).unwrap());
        for folder in [
            "generic/tests/cfg",
            "src/qemu/tests/sub",
            "src/qemu/provider_lib",
            "src/qemu/deps",
        ] {
            std::fs::create_dir_all(root.join(folder)).unwrap();
        }
        for file in [
            "generic/tests/boot.py",
            "generic/tests/both.py",
            "src/qemu/tests/sub/both.py",
        ] {
            std::fs::write(root.join(file), "").unwrap();
        }
        (dir, root)
    }

    #[test]
    fn a_definition_names_the_backends_folders() {
        let (_dir, root) = provider();
        let ini = root.join("mine.ini");
        let text = format!(
            "[provider]\n# where\nuri: file://{root}\n[generic]\nsubdir: generic/\n[qemu]\nsubdir: src/qemu/\n"
        );
        std::fs::write(&ini, text).unwrap();
        let provider = TestProvider::from_definition(&ini).unwrap();
        assert_eq!(provider.name, "mine");
        assert_eq!(
            provider.module("qemu", "boot"),
            Some(root.join("generic/tests/boot.py"))
        );
        assert_eq!(
            provider.module("qemu", "both"),
            Some(root.join("src/qemu/tests/sub/both.py"))
        );
        assert_eq!(
            provider.module("libvirt", "both"),
            Some(root.join("generic/tests/both.py"))
        );
        assert_eq!(provider.module("qemu", "none"), None);
        let paths = ["", "src/qemu", "generic", "src/qemu/tests", "generic/tests"];
        assert_eq!(
            provider.module_paths("qemu"),
            paths.map(|path| clean(&root.join(path)))
        );
        assert_eq!(provider.deps_dirs("qemu"), [root.join("src/qemu/deps")]);
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file() {
        let (_dir, root) = provider();
        let ini = root.join("bad.ini");
        let cases = [
            ("[provider]\nbranch: master\n", "no `uri`"),
            (
                "[provider]\nuri: https://example.org/tests.git\n",
                "clone the repository",
            ),
            ("[provider]\nuri: .\n[qemu]\nsubdir: nowhere\n", "[qemu]"),
        ];
        for (text, expected) in cases {
            std::fs::write(&ini, text).unwrap();
            let error = TestProvider::from_definition(&ini).unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("bad.ini"), "{error}");
        }
    }
}
