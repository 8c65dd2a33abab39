//! What can go wrong with a store, told so that a person knows what to do.

use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::io::Errno;

use crate::digest::Digest;

/// Why a store could not do what was asked. Messages are fragments that fit after "failed to".
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The place for the store is something else.
    #[error(
        "open cache directory {path}: it is not a directory; remove it or choose another cache directory"
    )]
    NotADirectory {
        /// The place.
        path: Utf8PathBuf,
    },
    /// The store may not be written.
    #[error(
        "write to cache directory at {path}: {source}; make it writable or choose another cache directory"
    )]
    Unwritable {
        /// What could not be written.
        path: Utf8PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The store was laid out by another version of this program.
    #[error(
        "open cache directory {path}: its layout is '{found}', this program needs '{supported}'; \
         remove the directory or choose another one"
    )]
    WrongVersion {
        /// The store's directory.
        path: Utf8PathBuf,
        /// The layout that is there.
        found: String,
        /// The layout this program knows.
        supported: &'static str,
    },
    /// No space is left where the store lies.
    #[error("write {path}: no space left on its file system; free some, or collect garbage in the cache")]
    DiskFull {
        /// What was being written.
        path: Utf8PathBuf,
    },
    /// Any other fault of the file system.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was being done, such as `read`.
        action: &'static str,
        /// With which file.
        path: Utf8PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A path to be stored is no plain file.
    #[error("store {path}: it is not a plain file")]
    NotAFile {
        /// The path.
        path: Utf8PathBuf,
    },
    /// A file changed while it was being stored.
    #[error("store {path}: it changed while it was being read; stop what writes to it and run again")]
    Changed {
        /// The file.
        path: Utf8PathBuf,
    },
    /// A blob is not in the store.
    #[error("read blob {}: it is not in the cache; what produced it has to run again", digest.short())]
    Missing {
        /// Its digest.
        digest: Digest,
    },
    /// A blob's content was not what its digest says. It is out of the store's way already.
    #[error(
        "use blob {}: its content changed on disk; it was moved to {quarantine}, and what produced it has to \
         run again",
        digest.short()
    )]
    Corrupt {
        /// The digest it should have had.
        digest: Digest,
        /// Where the corrupted file is now.
        quarantine: Utf8PathBuf,
    },
    /// The index reached the most it can hold.
    #[error("write cache index {path}: it is full; collect garbage in the cache")]
    IndexFull {
        /// The index directory.
        path: Utf8PathBuf,
    },
    /// The index answered with an error.
    #[error("use cache index {path}: {message}; if this persists, remove that directory (blobs are kept)")]
    Index {
        /// The index directory.
        path: Utf8PathBuf,
        /// What the database said.
        message: String,
    },
    /// A record was published under another key's reservation: a bug of the caller.
    #[error("publish the record of {}: the reservation is for {}", record.short(), reserved.short())]
    WrongReservation {
        /// The key of the record.
        record: Digest,
        /// The key that was reserved.
        reserved: Digest,
    },
}

/// Turns an I/O error into the [`StoreError`] that says most.
pub(crate) fn io_at(action: &'static str, path: &Utf8Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => StoreError::DiskFull { path },
        Some(Errno::ROFS | Errno::ACCESS | Errno::PERM) => StoreError::Unwritable { path, source },
        _ => StoreError::Io { action, path, source },
    }
}

/// [`io_at`] for the calls of `rustix`.
pub(crate) fn errno_at(action: &'static str, path: &Utf8Path) -> impl FnOnce(Errno) -> StoreError {
    let convert = io_at(action, path);
    move |errno| convert(errno.into())
}
