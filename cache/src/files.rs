//! Digests of files outside the store, remembered so that an unchanged file is not read again.
//!
//! A file is taken for unchanged when size, time of change, time of inode change, inode and device are what
//! they were when it was hashed. Clocks are coarse: a file that was changed within the last two seconds could
//! change again without a trace, so its digest is computed each time and not remembered.

use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::time::{SystemTime, UNIX_EPOCH};

use camino::Utf8Path;

use crate::digest::Digest;
use crate::hit::take;
use crate::index::Damage;
use crate::store::Store;

/// How long ago a file must have been changed before its digest is remembered, in nanoseconds.
const SETTLED_NS: i128 = 2_000_000_000;

/// What is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileState {
    /// Nothing, or a link to nothing.
    Absent,
    /// A file.
    File {
        /// The digest of its content.
        digest: Digest,
        /// Its size in bytes.
        size: u64,
    },
    /// A directory, a socket or the like.
    NotAFile,
}

impl Store {
    /// What is at `path`, reading the file only when it may have changed since it was last asked for.
    ///
    /// # Errors
    /// When the file cannot be read or the index cannot be used.
    pub fn file_digest(&self, path: &Utf8Path) -> io::Result<FileState> {
        let mut states = self.file_digests(&[path])?;
        Ok(states.pop().expect("one path has one state"))
    }

    /// [`file_digest`](Self::file_digest) of many paths, in their order: one look into the index, and one
    /// write for those that had to be read.
    ///
    /// # Errors
    /// When a file cannot be read (the message names it) or the index cannot be used.
    pub fn file_digests<P: AsRef<Utf8Path>>(&self, paths: &[P]) -> io::Result<Vec<FileState>> {
        let (index, table) = (self.index(), self.index().tables.files);
        let mut states = Vec::with_capacity(paths.len());
        let mut learnt = Vec::new();
        let txn = index.read().map_err(io::Error::other)?;
        for path in paths.iter().map(AsRef::as_ref) {
            let name = name_of(path)?;
            let known = index
                .get(&txn, table, name.as_bytes())
                .map_err(io::Error::other)?;
            // A damaged entry is the same as none: the file is read, and the entry written anew.
            let known = known.and_then(|bytes| bytes.and_then(Entry::from_bytes).ok());
            let (state, entry) = state_of(path, known).map_err(|error| named(path, &error))?;
            states.push(state);
            learnt.extend(entry.map(|entry| (name, entry)));
        }
        drop(txn);
        if !learnt.is_empty() {
            let write = index.write(|txn| {
                learnt
                    .iter()
                    .try_for_each(|(name, entry)| index.put(txn, table, name.as_bytes(), &entry.to_bytes()))
            });
            write.map_err(io::Error::other)?;
        }
        Ok(states)
    }
}

/// What is at `path`, and what is worth remembering.
fn state_of(path: &Utf8Path, known: Option<Entry>) -> io::Result<(FileState, Option<Entry>)> {
    let before = match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Identity::of(&metadata),
        Ok(_) => return Ok((FileState::NotAFile, None)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok((FileState::Absent, None));
        }
        Err(error) => return Err(error),
    };
    if let Some(known) = known.filter(|known| known.identity == before) {
        return Ok((
            FileState::File {
                digest: known.digest,
                size: before.size,
            },
            None,
        ));
    }
    let settled = before.is_settled();
    let (digest, size) = Digest::of_file(path)?;
    let after = Identity::of(&fs::metadata(path)?);
    let entry = (settled && before == after).then_some(Entry {
        identity: before,
        digest,
    });
    Ok((FileState::File { digest, size }, entry))
}

fn named(path: &Utf8Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("read {path}: {error}"))
}

/// The same file under a relative and an absolute path is remembered once, and never under a path that
/// depends on the current directory.
fn name_of(path: &Utf8Path) -> io::Result<Digest> {
    let absolute = camino::absolute_utf8(path)?;
    Ok(Digest::of(absolute.as_str().as_bytes()))
}

fn now_ns() -> i128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i128::try_from(since.as_nanos()).unwrap_or(i128::MAX)
}

/// By what a change of a file shows without reading it. Times are in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    size: u64,
    mtime_ns: i128,
    ctime_ns: i128,
    inode: u64,
    device: u64,
}

impl Identity {
    /// The identity of the file that has this metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        let ns = |seconds: i64, ns: i64| i128::from(seconds) * 1_000_000_000 + i128::from(ns);
        Self {
            size: metadata.len(),
            mtime_ns: ns(metadata.mtime(), metadata.mtime_nsec()),
            ctime_ns: ns(metadata.ctime(), metadata.ctime_nsec()),
            inode: metadata.ino(),
            device: metadata.dev(),
        }
    }

    /// Whether the file was changed so long ago that another change since would show: only then may what was read
    /// of it be remembered by its identity.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        now_ns() - self.mtime_ns.max(self.ctime_ns) >= SETTLED_NS
    }

    /// The identity as bytes, for [`from_bytes`](Self::from_bytes).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 56] {
        let mut bytes = [0; 56];
        bytes[..8].copy_from_slice(&self.size.to_le_bytes());
        bytes[8..24].copy_from_slice(&self.mtime_ns.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.ctime_ns.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.inode.to_le_bytes());
        bytes[48..].copy_from_slice(&self.device.to_le_bytes());
        bytes
    }

    /// The identity that was made these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 56]) -> Self {
        let number = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        let time = |at: usize| i128::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]));
        Self {
            size: number(0),
            mtime_ns: time(8),
            ctime_ns: time(24),
            inode: number(40),
            device: number(48),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    identity: Identity,
    digest: Digest,
}

impl Entry {
    fn to_bytes(self) -> Vec<u8> {
        [&self.identity.to_bytes()[..], self.digest.as_bytes()].concat()
    }

    fn from_bytes(mut bytes: &[u8]) -> Result<Self, Damage> {
        let identity = Identity::from_bytes(&take(&mut bytes)?);
        Ok(Self {
            identity,
            digest: Digest::from_bytes(take(&mut bytes)?),
        })
    }
}
