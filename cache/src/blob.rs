//! Blobs: immutable files named by the digest of their content.

use std::fs::{self, File, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::hit::take;
use crate::index::Damage;
use crate::notice::Notice;
use crate::sparse::copy_and_hash;
use crate::store::{Store, now_unix_ms};

/// How often the time of a blob's last use is written, in milliseconds.
const NOTED_EVERY_MS: u64 = 60_000;

/// A blob in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blob {
    /// The digest of its content, and its name.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
}

/// What becomes of a file that is put into the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// The store takes the file itself; afterwards it is no longer at its path. Nobody may have it open for
    /// writing.
    Move,
    /// The file stays; the store keeps a copy.
    Copy,
}

/// A blob whose content was compared with its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified {
    /// Its size in bytes.
    pub size: u64,
}

impl Store {
    /// Stores `bytes`.
    ///
    /// # Errors
    /// When the store cannot be written, such as on a full disk. Nothing half-written is left then.
    pub fn put_bytes(&self, bytes: &[u8]) -> Result<Blob, StoreError> {
        let blob = Blob {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
        };
        // First kept, then looked for: what is there now stays.
        self.pin(std::iter::once(blob.digest))?;
        if self.use_unchanged(&blob.digest)? {
            return Ok(blob);
        }
        let scratch = Scratch::new(self);
        let mut file = File::create_new(&scratch.path).map_err(io_at("create", &scratch.path))?;
        file.write_all(bytes).map_err(io_at("write", &scratch.path))?;
        self.publish_blob(&file, &scratch, blob)
    }

    /// Stores the content of the plain file at `path`; holes of a sparse file are kept.
    ///
    /// # Errors
    /// When the file is missing, is no plain file or changes meanwhile, or the store cannot be written.
    /// Nothing half-written is left then.
    pub fn put_file(&self, path: &Utf8Path, take: Take) -> Result<Blob, StoreError> {
        let metadata = fs::symlink_metadata(path).map_err(io_at("read", path))?;
        if !metadata.is_file() {
            return Err(StoreError::NotAFile {
                path: path.to_owned(),
            });
        }
        let scratch = Scratch::new(self);
        match take {
            Take::Move => match fs::rename(path, &scratch.path) {
                Ok(()) => self.adopt(path, &scratch).inspect_err(|_| {
                    // What was not published goes back to where it was; the error that is returned says why.
                    let _ = fs::rename(&scratch.path, path);
                }),
                Err(error) if error.kind() == ErrorKind::CrossesDevices => {
                    let blob = self.copy_in(path, &scratch)?;
                    fs::remove_file(path).map_err(io_at("remove", path))?;
                    Ok(blob)
                }
                Err(error) => Err(io_at("move", path)(error)),
            },
            Take::Copy => self.copy_in(path, &scratch),
        }
    }

    /// Publishes a file that lies on the store's file system already.
    fn adopt(&self, original: &Utf8Path, scratch: &Scratch) -> Result<Blob, StoreError> {
        let path = &scratch.path;
        let file = File::open(path).map_err(io_at("open", original))?;
        let before = Stamp::of(&file).map_err(io_at("inspect", original))?;
        let (digest, size) = Digest::of_file(path).map_err(io_at("read", original))?;
        if Stamp::of(&file).map_err(io_at("inspect", original))? != before {
            return Err(StoreError::Changed {
                path: original.to_owned(),
            });
        }
        self.publish_blob(&file, scratch, Blob { digest, size })
    }

    fn copy_in(&self, path: &Utf8Path, scratch: &Scratch) -> Result<Blob, StoreError> {
        let mut from = File::open(path).map_err(io_at("open", path))?;
        let before = Stamp::of(&from).map_err(io_at("inspect", path))?;
        let mut to = File::create_new(&scratch.path).map_err(io_at("create", &scratch.path))?;
        let (digest, size) = copy_and_hash(&mut from, &mut to).map_err(io_at("copy to", &scratch.path))?;
        if Stamp::of(&from).map_err(io_at("inspect", path))? != before {
            return Err(StoreError::Changed {
                path: path.to_owned(),
            });
        }
        self.publish_blob(&to, scratch, Blob { digest, size })
    }

    /// Makes a complete file in the scratch folder the blob: to disk, read-only, renamed into place.
    fn publish_blob(&self, file: &File, scratch: &Scratch, blob: Blob) -> Result<Blob, StoreError> {
        file.set_permissions(Permissions::from_mode(0o444))
            .map_err(io_at("make read-only", &scratch.path))?;
        file.sync_all().map_err(io_at("write", &scratch.path))?;
        let path = self.blob_path(&blob.digest);
        let folder = path.parent().expect("a blob lies in a folder");
        crate::layout::make_dir(folder)?;
        self.pin(std::iter::once(blob.digest))?;
        fs::rename(&scratch.path, &path).map_err(io_at("publish", &path))?;
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(io_at("write", folder))?;
        let stamp = Stamp::of(file).map_err(io_at("inspect", &path))?;
        self.remember(&blob.digest, stamp)?;
        Ok(blob)
    }

    /// Where the blob's content is, if it is stored. The file is read-only and must stay as it is.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> Utf8PathBuf {
        self.layout().blob(digest)
    }

    /// Whether the blob is stored.
    #[must_use]
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.blob_path(digest).is_file()
    }

    /// The blob's content, compared with its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Corrupt`] after moving the file to quarantine; faults of the
    /// disk.
    pub fn read_blob(&self, digest: &Digest) -> Result<Vec<u8>, StoreError> {
        let path = self.blob_path(digest);
        let bytes = fs::read(&path).map_err(|error| missing(digest, &path, error))?;
        if Digest::of(&bytes) == *digest {
            Ok(bytes)
        } else {
            Err(self.set_aside(digest)?)
        }
    }

    /// Reads the whole blob and compares it with its digest.
    ///
    /// # Errors
    /// [`StoreError::Missing`]; [`StoreError::Corrupt`] after moving the file to quarantine; faults of the
    /// disk.
    pub fn verify_blob(&self, digest: &Digest) -> Result<Verified, StoreError> {
        let path = self.blob_path(digest);
        let (found, size) = Digest::of_file(&path).map_err(|error| missing(digest, &path, error))?;
        if found != *digest {
            return Err(self.set_aside(digest)?);
        }
        let stamp = Stamp::at(&path).map_err(|error| missing(digest, &path, error))?;
        self.remember(digest, stamp)?;
        Ok(Verified { size })
    }

    /// Where the blob's content is, for use up to the end of this process: it is pinned, and it was checked that it is what
    /// it was: by size and time of change as recorded when it was published, and by its whole content when these differ.
    ///
    /// # Errors
    /// As [`verify_blob`](Self::verify_blob).
    pub fn use_blob(&self, digest: &Digest) -> Result<Utf8PathBuf, StoreError> {
        self.pin(std::iter::once(*digest))?;
        if !self.use_unchanged(digest)? {
            self.verify_blob(digest)?;
        }
        Ok(self.blob_path(digest))
    }

    /// The cheap check: whether the file looks as it did when its content was last known to be right. If so,
    /// it is noted as used now.
    fn use_unchanged(&self, digest: &Digest) -> Result<bool, StoreError> {
        let path = self.blob_path(digest);
        let now = match Stamp::at(&path) {
            Ok(stamp) => stamp,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_at("inspect", &path)(error)),
        };
        let known = self.fetch(
            self.index().tables.blobs,
            digest.as_bytes(),
            BlobEntry::from_bytes,
        )?;
        let Some(known) = known.filter(|entry| entry.stamp == now) else {
            return Ok(false);
        };
        // Every write of the index waits for the disk, so a blob used again and again is noted once a minute.
        if now_unix_ms().saturating_sub(known.used_unix_ms) > NOTED_EVERY_MS {
            self.remember(digest, now)?;
        }
        Ok(true)
    }

    fn remember(&self, digest: &Digest, stamp: Stamp) -> Result<(), StoreError> {
        let entry = BlobEntry {
            stamp,
            used_unix_ms: now_unix_ms(),
        };
        let table = self.index().tables.blobs;
        self.index()
            .write(|txn| self.index().put(txn, table, digest.as_bytes(), &entry.to_bytes()))
    }

    /// Takes a blob out of service that somebody found to be no good, whatever its content. Records that need it are
    /// misses from then on. One that is no longer stored is left as it is.
    ///
    /// # Errors
    /// When the file cannot be moved aside.
    pub fn reject_blob(&self, digest: &Digest, reason: &str) -> Result<(), StoreError> {
        if self.has_blob(digest) {
            let moved_to = self.move_aside(digest)?;
            self.notice(Notice::BlobRejected {
                digest: *digest,
                reason: reason.to_owned(),
                moved_to,
            });
        }
        Ok(())
    }

    fn move_aside(&self, digest: &Digest) -> Result<Utf8PathBuf, StoreError> {
        let quarantine = self.layout().quarantine(&digest.short());
        let path = self.blob_path(digest);
        fs::rename(&path, &quarantine).map_err(io_at("move aside", &path))?;
        let table = self.index().tables.blobs;
        self.index()
            .write(|txn| self.index().delete(txn, table, digest.as_bytes()))?;
        Ok(quarantine)
    }

    /// Moves a corrupted blob out of the way; answers with the error that says so.
    fn set_aside(&self, digest: &Digest) -> Result<StoreError, StoreError> {
        let quarantine = self.move_aside(digest)?;
        self.notice(Notice::BlobCorrupted {
            digest: *digest,
            moved_to: quarantine.clone(),
        });
        Ok(StoreError::Corrupt {
            digest: *digest,
            quarantine,
        })
    }
}

fn missing(digest: &Digest, path: &Utf8Path, error: io::Error) -> StoreError {
    match error.kind() {
        ErrorKind::NotFound => StoreError::Missing { digest: *digest },
        _ => io_at("read", path)(error),
    }
}

/// A name in the scratch folder; what lies there is removed unless it was renamed away.
struct Scratch {
    path: Utf8PathBuf,
}

impl Scratch {
    fn new(store: &Store) -> Self {
        Self {
            path: store.layout().scratch(),
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Gone already when it was published.
        let _ = fs::remove_file(&self.path);
    }
}

/// By what a change of a file shows without reading it: size in bytes, time of change in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    pub(crate) size: u64,
    mtime_ns: i64,
}

impl Stamp {
    fn of(file: &File) -> io::Result<Self> {
        file.metadata().map(|metadata| Self::from(&metadata))
    }

    fn at(path: &Utf8Path) -> io::Result<Self> {
        fs::symlink_metadata(path).map(|metadata| Self::from(&metadata))
    }
}

impl From<&fs::Metadata> for Stamp {
    fn from(metadata: &fs::Metadata) -> Self {
        let mtime_ns = metadata
            .mtime()
            .wrapping_mul(1_000_000_000)
            .wrapping_add(metadata.mtime_nsec());
        Self {
            size: metadata.len(),
            mtime_ns,
        }
    }
}

/// What the index remembers of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlobEntry {
    pub(crate) stamp: Stamp,
    pub(crate) used_unix_ms: u64,
}

impl BlobEntry {
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        [
            self.stamp.size.to_le_bytes(),
            self.stamp.mtime_ns.to_le_bytes(),
            self.used_unix_ms.to_le_bytes(),
        ]
        .concat()
    }

    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Result<Self, Damage> {
        let size = u64::from_le_bytes(take(&mut bytes)?);
        let mtime_ns = i64::from_le_bytes(take(&mut bytes)?);
        let used_unix_ms = u64::from_le_bytes(take(&mut bytes)?);
        Ok(Self {
            stamp: Stamp { size, mtime_ns },
            used_unix_ms,
        })
    }
}
