//! What the queries start from.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

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
    /// A regular file's bytes.
    Text(Arc<[u8]>),
    /// Nothing.
    Absent,
    /// No regular file: a folder, a pipe, a device. It is not opened.
    NotAFile,
    /// A file that could not be read, and why.
    Unreadable(String),
}

impl FileText {
    pub(super) fn read(path: &Utf8Path) -> Self {
        match std::fs::metadata(path) {
            Ok(meta) if !meta.is_file() => Self::NotAFile,
            Ok(_) => match std::fs::read(path) {
                Ok(bytes) => Self::Text(bytes.into()),
                Err(error) => Self::Unreadable(error.to_string()),
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Self::Absent,
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Self::Absent,
            Err(error) => Self::Unreadable(error.to_string()),
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
    pub(super) fn read(path: &Utf8Path) -> Self {
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
}
