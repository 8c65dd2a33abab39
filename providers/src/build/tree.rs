//! A folder of sources on this host: what is in it, as far as a build can see it.

use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

/// What names of our own files on a target begin with.
pub(super) const RESERVED: &str = ".vtbuild-";

/// Why a folder cannot be built.
#[derive(Debug, Error)]
pub enum TreeError {
    /// It is not there, or empty.
    #[error("find sources in {0}: there is no such folder with files")]
    Empty(Utf8PathBuf),
    /// It cannot be read.
    #[error("read {path}: {source}")]
    Read {
        /// The file or folder.
        path: Utf8PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A link whose target would mean something else, or nothing, where the folder is built.
    #[error(
        "take {path} along: the link leads to {to}, out of the folder of sources; put the file itself there"
    )]
    Leaves {
        /// The link.
        path: Utf8PathBuf,
        /// Where it leads.
        to: String,
    },
    /// A name that cannot be passed on safely, or something that is no file.
    #[error("take {path} along: {reason}")]
    Unfit {
        /// What it is about.
        path: Utf8PathBuf,
        /// Why not.
        reason: &'static str,
    },
}

/// What an entry is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file, and whether it can be run. Other permissions depend on somebody's umask and mean nothing.
    File {
        /// Whether its owner may run it.
        executable: bool,
    },
    /// A symbolic link, and what it says.
    Link(String),
}

/// One thing in a folder of sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// Its path below the folder, with `/`.
    pub path: String,
    /// What it is.
    pub kind: Kind,
}

/// All that is in a folder of sources, sorted by path: a folder comes before what is in it. The folder of a version
/// control system is no part of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceTree {
    /// The folder.
    pub root: Utf8PathBuf,
    /// What is in it.
    pub entries: Vec<Entry>,
}

impl SourceTree {
    /// Looks through `root`.
    ///
    /// # Errors
    /// See [`TreeError`].
    pub fn scan(root: &Utf8Path) -> Result<Self, TreeError> {
        let mut entries = Vec::new();
        let walk = walkdir::WalkDir::new(root).min_depth(1).into_iter();
        for entry in walk.filter_entry(|entry| entry.file_name() != ".git") {
            let entry = entry.map_err(|error| TreeError::Read {
                path: root.to_owned(),
                source: error.into(),
            })?;
            let path = Utf8Path::from_path(entry.path()).ok_or_else(|| TreeError::Unfit {
                path: Utf8PathBuf::from(entry.path().to_string_lossy().into_owned()),
                reason: "its name is not UTF-8",
            })?;
            let inside = path.strip_prefix(root).unwrap_or(path);
            let kind = kind(root, inside, path, entry.file_type())?;
            let path = speakable(inside)?.to_owned();
            entries.push(Entry { path, kind });
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        let root = root.to_owned();
        if entries
            .iter()
            .any(|entry| matches!(entry.kind, Kind::File { .. }))
        {
            Ok(Self { root, entries })
        } else {
            Err(TreeError::Empty(root))
        }
    }

    /// Its files: path, and whether each can be run.
    pub fn files(&self) -> impl Iterator<Item = (&str, bool)> {
        self.entries.iter().filter_map(|entry| match entry.kind {
            Kind::File { executable } => Some((entry.path.as_str(), executable)),
            Kind::Folder | Kind::Link(_) => None,
        })
    }

    /// The SHA-256 of a file's content, in hexadecimal.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(super) fn sum(&self, path: &str) -> Result<String, TreeError> {
        let path = self.root.join(path);
        let sum = || -> io::Result<String> {
            let mut file = fs::File::open(&path)?;
            let (mut hash, mut block) = (Sha256::new(), vec![0; 64 << 10]);
            loop {
                match file.read(&mut block)? {
                    0 => return Ok(HEXLOWER.encode(&hash.finalize())),
                    count => hash.update(&block[..count]),
                }
            }
        };
        sum().map_err(|source| TreeError::Read {
            path: path.clone(),
            source,
        })
    }
}

fn kind(
    root: &Utf8Path,
    inside: &Utf8Path,
    path: &Utf8Path,
    file_type: fs::FileType,
) -> Result<Kind, TreeError> {
    let unreadable = |source| TreeError::Read {
        path: path.to_owned(),
        source,
    };
    if file_type.is_dir() {
        return Ok(Kind::Folder);
    }
    if file_type.is_symlink() {
        let to = path.read_link_utf8().map_err(unreadable)?;
        speakable(&to)?;
        return match stays_inside(root, inside, &to) {
            true => Ok(Kind::Link(to.into_string())),
            false => Err(TreeError::Leaves {
                path: path.to_owned(),
                to: to.into_string(),
            }),
        };
    }
    if !file_type.is_file() {
        return Err(TreeError::Unfit {
            path: path.to_owned(),
            reason: "it is neither a file nor a folder nor a link",
        });
    }
    let mode = path.metadata().map_err(unreadable)?.permissions().mode();
    Ok(Kind::File {
        executable: mode & 0o100 != 0,
    })
}

/// Whether a link at `inside` that says `to` leads to a place below `root`, by its words and in fact.
fn stays_inside(root: &Utf8Path, inside: &Utf8Path, to: &Utf8Path) -> bool {
    if !lexically_inside(inside.parent().unwrap_or(Utf8Path::new("")), to) {
        return false;
    }
    let real = (root.canonicalize_utf8(), root.join(inside).canonicalize_utf8());
    match real {
        (Ok(root), Ok(place)) => place.starts_with(root),
        // It leads nowhere (yet).
        _ => true,
    }
}

/// Whether `to`, seen from `folder`, never climbs out of what `folder` is relative to.
pub(super) fn lexically_inside(folder: &Utf8Path, to: &Utf8Path) -> bool {
    let mut depth = folder.components().count();
    to.components().all(|component| match component {
        Utf8Component::Normal(_) => {
            depth += 1;
            true
        }
        Utf8Component::CurDir => true,
        Utf8Component::ParentDir => {
            let inside = depth > 0;
            depth = depth.saturating_sub(1);
            inside
        }
        Utf8Component::RootDir | Utf8Component::Prefix(_) => false,
    })
}

/// A name that the line-by-line lists of a target can hold.
fn speakable(path: &Utf8Path) -> Result<&str, TreeError> {
    let unfit = |reason| TreeError::Unfit {
        path: path.to_owned(),
        reason,
    };
    if path.as_str().contains(['\n', '\t', '\\']) {
        return Err(unfit("its name has a line break, a tab or a backslash in it"));
    }
    if path.file_name().is_some_and(|name| name.starts_with(RESERVED)) {
        return Err(unfit("names that begin with .vtbuild- are taken"));
    }
    Ok(path.as_str())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn folder() -> (tempfile::TempDir, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().join("app")).unwrap();
        fs::create_dir_all(root.join("sub/empty")).unwrap();
        fs::create_dir(root.join(".git")).unwrap();
        fs::write(root.join(".git/config"), "").unwrap();
        fs::write(root.join("Makefile"), "all:\n").unwrap();
        fs::write(root.join("sub/run.sh"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(root.join("sub/run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("../Makefile", root.join("sub/link")).unwrap();
        (dir, root)
    }

    #[test]
    fn names_modes_links_and_empty_folders_are_seen() {
        let (_dir, root) = folder();
        let tree = SourceTree::scan(&root).unwrap();
        let seen: Vec<(&str, &Kind)> = tree.entries.iter().map(|e| (e.path.as_str(), &e.kind)).collect();
        let file = |executable| Kind::File { executable };
        assert_eq!(
            seen,
            [
                ("Makefile", &file(false)),
                ("sub", &Kind::Folder),
                ("sub/empty", &Kind::Folder),
                ("sub/link", &Kind::Link("../Makefile".into())),
                ("sub/run.sh", &file(true)),
            ]
        );
        let sum = "dadd6bd529dc891f2252764150177c3d2ef3124745fcab282c4a12ed797f6e47";
        assert_eq!(tree.sum("Makefile").unwrap(), sum);
    }

    #[test]
    fn a_link_that_leads_out_is_refused() {
        for to in ["/etc/passwd", "../outside", "sub/../../outside"] {
            let (_dir, root) = folder();
            symlink(to, root.join("bad")).unwrap();
            let error = SourceTree::scan(&root).unwrap_err();
            assert!(matches!(error, TreeError::Leaves { .. }), "{to}: {error}");
        }
        // Each word of it stays inside; the place does not.
        let (dir, root) = folder();
        fs::create_dir(dir.path().join("outside")).unwrap();
        symlink(".", root.join("here")).unwrap();
        symlink("here/../outside", root.join("bad")).unwrap();
        assert!(matches!(SourceTree::scan(&root), Err(TreeError::Leaves { .. })));
    }

    #[test]
    fn what_cannot_be_passed_on_is_said() {
        for name in ["line\nbreak", "tab\tbed", "back\\slash", ".vtbuild-mirror"] {
            let (_dir, root) = folder();
            fs::write(root.join(name), "").unwrap();
            assert!(
                matches!(SourceTree::scan(&root), Err(TreeError::Unfit { .. })),
                "{name:?}"
            );
        }
        let (_dir, root) = folder();
        rustix::fs::mkfifoat(rustix::fs::CWD, root.join("pipe").as_std_path(), 0o600.into()).unwrap();
        assert!(matches!(SourceTree::scan(&root), Err(TreeError::Unfit { .. })));
        let (_dir, root) = folder();
        assert!(matches!(
            SourceTree::scan(&root.join("sub/empty")),
            Err(TreeError::Empty(_))
        ));
        assert!(SourceTree::scan(&root.join("none")).is_err());
    }
}
