//! Things a person should hear of although the store went on: what was corrupted, set aside or rebuilt.

use std::fmt;
use std::sync::Mutex;

use camino::Utf8PathBuf;

use crate::digest::Digest;

/// Something the store noticed and dealt with. Its text is a sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The index could not be used; it was moved aside and an empty one begun.
    IndexRebuilt {
        /// What was wrong with it.
        reason: String,
        /// Where the unusable one is now.
        moved_to: Utf8PathBuf,
    },
    /// One entry of the index was damaged and has been removed.
    EntryRemoved {
        /// Which table of the index.
        table: &'static str,
        /// The entry's key, in hex.
        key: String,
        /// What was wrong with it.
        reason: String,
    },
    /// A blob's content no longer matched its digest.
    BlobCorrupted {
        /// The digest it should have had.
        digest: Digest,
        /// Where the corrupted file is now.
        moved_to: Utf8PathBuf,
    },
    /// A blob is what its digest says, and yet somebody found it to be no good.
    BlobRejected {
        /// Its digest.
        digest: Digest,
        /// What was wrong with it.
        reason: String,
        /// Where it is now.
        moved_to: Utf8PathBuf,
    },
    /// The store lies on a network file system, where locks and maps between hosts cannot be relied on.
    NetworkFileSystem {
        /// The store's directory.
        path: Utf8PathBuf,
    },
    /// A record was not used because one of its outputs is no longer stored.
    OutputMissing {
        /// The record's key.
        key: Digest,
        /// The target the record is of.
        label: String,
        /// The name of the missing output.
        output: String,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::IndexRebuilt { reason, moved_to } => {
                write!(
                    f,
                    "cache index was unusable ({reason}); began an empty one, the old one is {moved_to}"
                )
            }
            Self::EntryRemoved { table, key, reason } => {
                let key = key.get(..12).unwrap_or(key);
                write!(
                    f,
                    "cache index entry {table}/{key} was damaged ({reason}) and has been removed"
                )
            }
            Self::BlobCorrupted { digest, moved_to } => {
                write!(
                    f,
                    "cached file {} was corrupted; it was moved to {moved_to}",
                    digest.short()
                )
            }
            Self::BlobRejected {
                digest,
                reason,
                moved_to,
            } => {
                let digest = digest.short();
                write!(
                    f,
                    "cached file {digest} was no good ({reason}); it was moved to {moved_to}"
                )
            }
            Self::NetworkFileSystem { path } => {
                let advice = "use it from one host at a time, or move it to a local disk";
                write!(f, "cache directory {path} is on a network file system; {advice}")
            }
            Self::OutputMissing { key, label, output } => {
                let key = key.short();
                write!(
                    f,
                    "cached result {key} of {label} was not used: its output '{output}' is no longer stored"
                )
            }
        }
    }
}

/// The notices of a store, in the order they came.
#[derive(Debug, Default)]
pub(crate) struct Notices(Mutex<Vec<Notice>>);

impl Notices {
    pub(crate) fn add(&self, notice: Notice) {
        let mut list = self.lock();
        if !list.contains(&notice) {
            list.push(notice);
        }
    }

    pub(crate) fn take(&self) -> Vec<Notice> {
        std::mem::take(&mut self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Notice>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}
