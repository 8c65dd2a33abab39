//! The files that the program carries in itself: the configuration set, the built-in test provider and the Python test
//! host. They are written out once, under a name made of their content, so that two versions never meet.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use include_dir::{Dir, DirEntry, include_dir};
use vtbuild_cache::{Digest, hold};

use crate::exit::Failure;

/// How often the files are written where another process collects them at the same moment.
const TRIES: usize = 3;

static SETS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/cfg/sets");
static PROVIDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/providers/bundled");
static PYTHON: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/providers/python");

/// Where the carried files are on this host.
#[derive(Clone, Debug)]
pub struct Bundled {
    root: Utf8PathBuf,
    /// The content of the Python test host.
    pub python_digest: Digest,
}

impl Bundled {
    /// Writes the files below `cache` unless they are there.
    pub fn unpack(cache: &Utf8Path) -> Result<Self, Failure> {
        let parts = [("sets", &SETS), ("provider", &PROVIDER), ("python", &PYTHON)];
        let mut whole = String::new();
        let mut python_digest = Digest::of(b"");
        for (name, dir) in parts {
            let digest = digest_of(dir);
            if name == "python" {
                python_digest = digest;
            }
            whole.push_str(&format!("{name} {digest}\n"));
        }
        let root = cache.join("bundled").join(Digest::of(whole.as_bytes()).short());
        // What is held is not collected; what was about to be is written again.
        for _ in 0..TRIES {
            if hold(&root) {
                break;
            }
            let failed = |error: std::io::Error| {
                Failure::environment(format!("failed to unpack the bundled files to {root}: {error}"))
            };
            unpack_beside(&root, &parts).map_err(failed)?;
        }
        Ok(Self { root, python_digest })
    }

    /// The configuration set.
    pub fn sets(&self) -> Utf8PathBuf {
        self.root.join("sets")
    }

    /// The built-in test provider.
    pub fn provider(&self) -> Utf8PathBuf {
        self.root.join("provider")
    }

    /// The recipes of bundled guests.
    pub fn recipes(&self) -> Utf8PathBuf {
        self.provider().join("recipes")
    }

    /// The folder from which Python imports the test host.
    pub fn python(&self) -> Utf8PathBuf {
        self.root.join("python")
    }
}

/// Files that are there for working on the project alone.
fn is_ours(path: &std::path::Path) -> bool {
    !path.components().any(|part| {
        ["__pycache__", "tests"]
            .iter()
            .any(|name| part.as_os_str() == *name)
    })
}

fn is_carried(dir: &Dir<'_>, path: &std::path::Path) -> bool {
    // `tests` is the layout's own word inside a test provider; in the Python package it holds unit tests.
    std::ptr::eq(dir, &raw const PROVIDER) || is_ours(path)
}

fn files<'d>(dir: &'d Dir<'d>, found: &mut Vec<&'d include_dir::File<'d>>) {
    for entry in dir.entries() {
        match entry {
            DirEntry::Dir(dir) => files(dir, found),
            DirEntry::File(file) => found.push(file),
        }
    }
}

fn carried<'d>(dir: &'d Dir<'d>) -> Vec<&'d include_dir::File<'d>> {
    let mut found = Vec::new();
    files(dir, &mut found);
    found.retain(|file| is_carried(dir, file.path()) && file.path().extension().is_none_or(|e| e != "pyc"));
    found.sort_by_key(|file| file.path());
    found
}

fn digest_of(dir: &Dir<'_>) -> Digest {
    let mut listing = String::new();
    for file in carried(dir) {
        listing.push_str(&format!(
            "{} {}\n",
            file.path().display(),
            Digest::of(file.contents())
        ));
    }
    Digest::of(listing.as_bytes())
}

fn unpack_beside(root: &Utf8Path, parts: &[(&str, &Dir<'_>)]) -> std::io::Result<()> {
    let beside = Utf8PathBuf::from(format!("{root}.{}", std::process::id()));
    for (name, dir) in parts {
        for file in carried(dir) {
            let path = beside.join(name).as_std_path().join(file.path());
            fs::create_dir_all(path.parent().unwrap_or(&path))?;
            fs::write(&path, file.contents())?;
            if file.contents().starts_with(b"#!") {
                fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
            }
        }
        // A part without files is a folder all the same.
        fs::create_dir_all(beside.join(name))?;
    }
    match fs::rename(&beside, root) {
        // Somebody else was quicker.
        Err(_) if root.is_dir() => fs::remove_dir_all(&beside),
        done => done,
    }
}
