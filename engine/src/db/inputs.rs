//! What the queries start from.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::{Digest, Identity};
use vtbuild_cfg::Unit;

use crate::session::Layout;

/// A file, present or not.
#[salsa::input]
pub(crate) struct Source {
    #[returns(ref)]
    pub(crate) path: Utf8PathBuf,
    #[returns(ref)]
    pub(crate) text: FileText,
}

/// The names in a folder.
#[salsa::input]
pub(crate) struct Folder {
    #[returns(ref)]
    pub(crate) path: Utf8PathBuf,
    #[returns(ref)]
    pub(crate) list: FolderList,
}

/// Where a workspace's configuration comes from.
#[salsa::input]
pub(crate) struct Setup {
    #[returns(ref)]
    pub(crate) layout: Layout,
}

/// What was found at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum FileText {
    /// A regular file.
    Text(Arc<String>),
    /// A regular file that is no UTF-8.
    Bytes(Arc<[u8]>),
    /// Nothing.
    Absent,
    /// No regular file: a folder, a pipe, a device. It is not opened.
    NotAFile,
    /// A file that could not be read, and why.
    Unreadable(String),
}

impl FileText {
    /// What is at `path`, and by what a change of it would show; nothing if a change might not show.
    pub(crate) fn read(path: &Utf8Path) -> (Self, Option<Identity>) {
        match std::fs::metadata(path) {
            Ok(meta) if !meta.is_file() => (Self::NotAFile, None),
            Ok(meta) => match std::fs::read(path) {
                Ok(bytes) => {
                    let before = Identity::of(&meta);
                    let same = || std::fs::metadata(path).is_ok_and(|after| Identity::of(&after) == before);
                    let identity = (before.is_settled() && same()).then_some(before);
                    let text = String::from_utf8(bytes);
                    let text = text.map(|text| Self::Text(Arc::new(text)));
                    (
                        text.unwrap_or_else(|error| Self::Bytes(error.into_bytes().into())),
                        identity,
                    )
                }
                Err(error) => (Self::Unreadable(error.to_string()), None),
            },
            Err(error) if Self::is_absence(&error) => (Self::Absent, None),
            Err(error) => (Self::Unreadable(error.to_string()), None),
        }
    }

    /// Whether an error says that there is nothing at a path.
    pub(crate) fn is_absence(error: &std::io::Error) -> bool {
        use std::io::ErrorKind::{NotADirectory, NotFound};
        matches!(error.kind(), NotFound | NotADirectory)
    }

    /// The file as the language is given it, under the name `path`.
    pub(crate) fn unit(&self, path: &Utf8Path) -> Unit {
        match self {
            Self::Text(text) => Unit::File(vtbuild_cfg::parse_shared(path.as_str(), text)),
            Self::Bytes(bytes) => Unit::File(vtbuild_cfg::parse(path.as_str(), bytes)),
            Self::Absent => Unit::Absent,
            Self::NotAFile => Unit::NotAFile,
            Self::Unreadable(why) => Unit::Unreadable(why.clone()),
        }
    }
}

/// The names of a folder's files and folders, sorted; empty for one that is absent.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct FolderList {
    pub(crate) files: Vec<String>,
    pub(crate) folders: Vec<String>,
}

impl FolderList {
    pub(crate) fn read(path: &Utf8Path) -> Self {
        let mut list = Self::default();
        for entry in path.read_dir_utf8().into_iter().flatten().flatten() {
            let name = entry.file_name().to_owned();
            // Through links, as a person sees it.
            match std::fs::metadata(entry.path()) {
                Ok(meta) if meta.is_dir() => list.folders.push(name),
                Ok(_) => list.files.push(name),
                Err(_) => {}
            }
        }
        list.files.sort();
        list.folders.sort();
        list
    }

    /// The digest of all names.
    pub(crate) fn digest(&self) -> Digest {
        let mut text = String::new();
        for (kind, names) in [('f', &self.files), ('d', &self.folders)] {
            for name in names {
                // A name holds no NUL.
                text.push(kind);
                text.push_str(name);
                text.push('\0');
            }
        }
        Digest::of(text.as_bytes())
    }

    /// Adds a file that is not on disk.
    pub(super) fn add(&mut self, name: &str) {
        if let Err(at) = self.files.binary_search_by(|known| known.as_str().cmp(name)) {
            self.files.insert(at, name.to_owned());
        }
    }
}
