//! What living processes use: no collection removes it.
//!
//! Each process lists in a file of its own what it has looked up, put and used: digests of blobs, and traces of records that have
//! none, one after the other. The file goes
//! with the process, however that ends. Whoever removes blobs reads all lists and removes under one exclusive lock; whoever
//! adds to a list has the same lock, shared. So what was there after it was listed stays there.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::layout::Layout;
use crate::lock::{FileLock, Mode, Place};

/// What this process uses.
#[derive(Debug, Default)]
pub(crate) struct Pins(Mutex<Option<List>>);

#[derive(Debug)]
struct List {
    file: File,
    digests: HashSet<Digest>,
}

impl Pins {
    /// Keeps these blobs until [`release`](Self::release), whether or not they are there yet. Waits while another process is
    /// removing some.
    pub(crate) fn add(
        &self,
        layout: &Layout,
        digests: impl Iterator<Item = Digest>,
    ) -> Result<(), StoreError> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = |digest: &Digest| list.as_ref().is_some_and(|list| list.digests.contains(digest));
        let new: Vec<Digest> = digests.filter(|digest| !known(digest)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let path = layout.pins();
        if list.is_none() {
            let file = OpenOptions::new().create_new(true).append(true).open(&path);
            *list = Some(List {
                file: file.map_err(io_at("create", &path))?,
                digests: HashSet::new(),
            });
        }
        let list = list.as_mut().expect("it was made if it was not there");
        let bytes: Vec<u8> = new.iter().flat_map(|digest| *digest.as_bytes()).collect();
        let _nobody_removes = FileLock::wait(&layout.removing(), Place::ONLY, Mode::Shared)?;
        list.file.write_all(&bytes).map_err(io_at("write", &path))?;
        list.digests.extend(new);
        Ok(())
    }

    /// Lets go of everything.
    pub(crate) fn release(&self, layout: &Layout) -> Result<(), StoreError> {
        let mut list = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if list.take().is_some() {
            let path = layout.pins();
            fs::remove_file(&path).map_err(io_at("remove", &path))?;
        }
        Ok(())
    }
}

/// The right to remove blobs, and what must stay. Nobody else removes meanwhile, and no process begins to use a blob.
pub(crate) struct Removing {
    _lock: FileLock,
    pinned: HashSet<Digest>,
}

impl Removing {
    pub(crate) fn begin(layout: &Layout) -> Result<Self, StoreError> {
        let lock = FileLock::wait(&layout.removing(), Place::ONLY, Mode::Exclusive)?;
        let mut pinned = HashSet::new();
        for path in layout.pins_of_all()? {
            let bytes = match fs::read(&path) {
                Ok(bytes) => bytes,
                // Its process has just let go.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(io_at("read", &path)(error)),
            };
            // A list whose last entry is half written belongs to a process that died writing it.
            let (digests, _) = bytes.as_chunks::<32>();
            pinned.extend(digests.iter().map(|bytes| Digest::from_bytes(*bytes)));
        }
        Ok(Self { _lock: lock, pinned })
    }

    /// Gives the right back; what was used by then.
    pub(crate) fn into_pinned(self) -> HashSet<Digest> {
        self.pinned
    }

    /// Whether a living process uses a blob.
    pub(crate) fn is_pinned(&self, digest: &Digest) -> bool {
        self.pinned.contains(digest)
    }
}
