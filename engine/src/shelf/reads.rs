//! What was read for a program, and whether it still is what it was.

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::{Digest, Identity};

use crate::db::{FileText, FolderList};

/// One path, and what was there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Read {
    pub(crate) path: Utf8PathBuf,
    pub(crate) seen: Seen,
}

/// What was found at a path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Seen {
    /// A file.
    File {
        digest: Digest,
        size: u64,
        /// By what a change of it would show, if it would.
        identity: Option<Identity>,
    },
    /// Nothing.
    Absent,
    /// A folder, a pipe or the like where a file was looked for.
    NotAFile,
    /// A folder, by its names.
    Folder(Digest),
}

impl Seen {
    /// How much text was read, in bytes.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::File { size, .. } => *size,
            Self::Absent | Self::NotAFile | Self::Folder(_) => 0,
        }
    }
}

impl Read {
    /// What reading a file gave; nothing if it could not be read.
    pub(crate) fn of_file(path: &Utf8Path, text: &FileText, identity: Option<Identity>) -> Option<Self> {
        let file = |bytes: &[u8]| Seen::File {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            identity,
        };
        let seen = match text {
            FileText::Text(text) => file(text.as_bytes()),
            FileText::Bytes(bytes) => file(bytes),
            FileText::Absent => Seen::Absent,
            FileText::NotAFile => Seen::NotAFile,
            FileText::Unreadable(_) => return None,
        };
        let path = path.to_owned();
        Some(Self { path, seen })
    }

    /// What listing a folder gave.
    pub(crate) fn of_folder(path: &Utf8Path, list: &FolderList) -> Self {
        Self {
            path: path.to_owned(),
            seen: Seen::Folder(list.digest()),
        }
    }

    /// The same content as found now, with today's identity; nothing if it is another.
    fn again(&self) -> Option<Self> {
        match &self.seen {
            Seen::File {
                identity: Some(identity),
                ..
            } if std::fs::metadata(&self.path).is_ok_and(|found| Identity::of(&found) == *identity) => {
                Some(self.clone())
            }
            Seen::Folder(digest) => (FolderList::read(&self.path).digest() == *digest).then(|| self.clone()),
            Seen::Absent => {
                let found = std::fs::metadata(&self.path);
                found
                    .is_err_and(|error| FileText::is_absence(&error))
                    .then(|| self.clone())
            }
            Seen::File { .. } | Seen::NotAFile => {
                let (text, identity) = FileText::read(&self.path);
                Self::of_file(&self.path, &text, identity).filter(|now| now.seen.is_same(&self.seen))
            }
        }
    }
}

impl Seen {
    /// Whether the content is the same, whatever file it is in.
    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::File { digest, .. }, Self::File { digest: known, .. }) => digest == known,
            (one, other) => one == other,
        }
    }
}

/// What was read, as found now; nothing if any of it is other than it was.
pub(super) fn again(reads: &[Read]) -> Option<Vec<Read>> {
    reads.iter().map(Read::again).collect()
}
