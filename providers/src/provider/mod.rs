//! Test providers: folders of Python tests, their configuration files and what they need beside them.
//!
//! A provider has a folder for each backend (`generic`, `qemu`, …), and each of those has the same layout: `tests` with
//! Python modules, `tests/cfg` with their configuration, `cfg`, `deps` and `provider_lib`. Where the folders are is said by a
//! definition file `NAME.ini` in `test-providers.d`, whose name is the provider's.

mod definition;
mod error;
mod git;
mod imports;
mod signature;

use std::collections::BTreeMap;

use camino::{Utf8Path, Utf8PathBuf};

pub use definition::{Definition, GitSource, Source};
pub use error::ProviderError;
pub use git::Repositories;
pub use imports::imports_of;

/// The backends whose tests run on every other.
pub const GENERIC: [&str; 2] = ["generic", "multi_host_migration"];

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

    /// The same provider where the folder `from` has been copied to `to`; unchanged if it is not in that folder.
    #[must_use]
    pub fn copied(&self, from: &Utf8Path, to: &Utf8Path) -> Self {
        let there = |path: &Utf8PathBuf| match path.strip_prefix(from) {
            Ok(inside) => to.join(inside),
            Err(_) => path.clone(),
        };
        let backends = self.backends.iter();
        Self {
            name: self.name.clone(),
            root: there(&self.root),
            backends: backends
                .map(|(name, folder)| (name.clone(), there(folder)))
                .collect(),
        }
    }

    /// The folder of a backend.
    #[must_use]
    pub fn backend(&self, backend: &str) -> Option<&Utf8Path> {
        self.backends.get(backend).map(Utf8PathBuf::as_path)
    }

    /// All backends with their folders, sorted.
    pub fn backends(&self) -> impl Iterator<Item = (&str, &Utf8Path)> {
        self.backends
            .iter()
            .map(|(name, folder)| (name.as_str(), folder.as_path()))
    }

    /// How many configuration files and how many Python modules a backend has.
    #[must_use]
    pub fn counts(&self, backend: &str) -> (usize, usize) {
        let tests = self.backend(backend).map(|folder| folder.join("tests"));
        let (mut configs, mut modules) = (0, 0);
        let mut folders: Vec<Utf8PathBuf> = tests.into_iter().collect();
        while let Some(folder) = folders.pop() {
            for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
                let path = entry.path();
                match path.extension() {
                    _ if entry.file_type().is_ok_and(|kind| kind.is_dir()) => folders.push(path.to_owned()),
                    Some("cfg") => configs += 1,
                    Some("py") if path.file_name() != Some("__init__.py") => modules += 1,
                    _ => {}
                }
            }
        }
        (configs, modules)
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

#[cfg(test)]
mod tests {
    use super::definition::clean;
    use super::*;

    fn read(path: &Utf8Path) -> Result<TestProvider, ProviderError> {
        let definition = Definition::read(path)?;
        match &definition.source {
            Source::Folder(folder) => definition.provider(folder),
            Source::Git(git) => panic!("{git:?}"),
        }
    }

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
        let provider = read(&ini).unwrap();
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
            ("[provider]\nbranch: master\n", "bad.ini:1: it has no `uri`"),
            ("\n[provider]\nuri: nowhere\n", "bad.ini:3: "),
            ("[provider]\nuri: svn://host/tests\n", "`svn://`"),
            ("[provider]\nuri: .\npubkey: a.pub\n", "bad.ini:3: a `pubkey`"),
            (
                "[provider]\nuri: .\n[qemu]\nsubdir: nowhere\n",
                "bad.ini:4: there is no folder `nowhere`",
            ),
        ];
        for (text, expected) in cases {
            std::fs::write(&ini, text).unwrap();
            let error = read(&ini).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn a_name_that_tests_cannot_have_is_refused() {
        let (_dir, root) = provider();
        for (name, good) in [
            ("user-libvirt", true),
            ("a_b.2", true),
            ("größe", true),
            ("a b", false),
            ("a,b", false),
            ("a..b", false),
            ("x:y", false),
        ] {
            let ini = root.join(format!("{name}.ini"));
            std::fs::write(&ini, "[provider]\nuri: .\n").unwrap();
            let read = Definition::read(&ini);
            assert_eq!(read.is_ok(), good, "{read:?}");
        }
    }

    #[test]
    fn addresses_of_git_are_told_from_folders() {
        let (_dir, root) = provider();
        let ini = root.join("git.ini");
        let bare = root.join("bare");
        for folder in ["objects", "refs"] {
            std::fs::create_dir_all(bare.join(folder)).unwrap();
        }
        std::fs::write(bare.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        let git = [
            "https://h/r.git",
            "git@host:team/r.git",
            "ssh://h/r",
            "git://h/r",
            "bare",
            "generic\nbranch: x",
        ];
        for uri in git {
            std::fs::write(&ini, format!("[provider]\nuri: {uri}\n")).unwrap();
            let source = Definition::read(&ini).unwrap().source;
            assert!(matches!(source, Source::Git(_)), "{uri}: {source:?}");
        }
        let guides = root.as_str().trim_start_matches('/');
        for uri in [
            format!("file://{root}"),
            format!("file://{guides}"),
            ".".into(),
            root.to_string(),
        ] {
            std::fs::write(&ini, format!("[provider]\nuri: {uri}\n")).unwrap();
            match Definition::read(&ini).unwrap().source {
                Source::Folder(folder) => assert_eq!(clean(&folder), root, "{uri}"),
                source @ Source::Git(_) => panic!("{uri}: {source:?}"),
            }
        }
    }
}
