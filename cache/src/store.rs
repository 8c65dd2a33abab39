//! The store: blobs, records, history and file digests under one directory.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{SystemTime, UNIX_EPOCH};

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::gc::MadeAgain;
use crate::index::{Damage, Index, Table};
use crate::layout::Layout;
use crate::notice::{Notice, Notices};
use crate::pins::Pins;

/// A content-addressable store with its records, in one directory. Cloning it is cheap; clones are the same
/// store.
///
/// Several processes may use one directory at once. Everything is published whole or not at all, and what a
/// process held (a reservation, a pin, a half-written blob) goes with it, however it dies.
#[derive(Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) index: Index,
    pub(crate) layout: Layout,
    pub(crate) notices: Notices,
    pins: Pins,
    made_again: Mutex<Vec<MadeAgain>>,
}

/// LMDB must not open one environment twice in a process, so stores of one directory share it.
static OPEN: LazyLock<Mutex<HashMap<Utf8PathBuf, Weak<Inner>>>> = LazyLock::new(Mutex::default);

impl Store {
    /// Opens the store in `dir`, creating what is missing.
    ///
    /// # Errors
    /// When `dir` is something else than a directory, cannot be written, is of another version, or its file
    /// system is full. An index that is unusable is no error: it is moved aside, and
    /// [`notices`](Self::notices) tells so.
    pub fn open(dir: &Utf8Path) -> Result<Self, StoreError> {
        let mut open = open_stores();
        if let Some(inner) = dir
            .canonicalize_utf8()
            .ok()
            .and_then(|path| open.get(&path)?.upgrade())
        {
            return Ok(Self { inner });
        }
        let layout = Layout::create(dir)?;
        let notices = Notices::default();
        if crate::layout::is_on_network(dir) {
            notices.add(Notice::NetworkFileSystem { path: dir.to_owned() });
        }
        let index = Index::open(&layout, &notices)?;
        let inner = Arc::new(Inner {
            index,
            layout,
            notices,
            pins: Pins::default(),
            made_again: Mutex::default(),
        });
        let path = dir.canonicalize_utf8().map_err(io_at("resolve", dir))?;
        open.retain(|_, store| store.strong_count() > 0);
        open.insert(path, Arc::downgrade(&inner));
        Ok(Self { inner })
    }

    /// The store's directory.
    #[must_use]
    pub fn dir(&self) -> &Utf8Path {
        self.inner.layout.root()
    }

    /// What the store noticed and dealt with since this was last asked: for a person to read.
    #[must_use]
    pub fn notices(&self) -> Vec<Notice> {
        self.inner.notices.take()
    }

    pub(crate) fn index(&self) -> &Index {
        &self.inner.index
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.inner.layout
    }

    pub(crate) fn notice(&self, notice: Notice) {
        self.inner.notices.add(notice);
    }

    /// Keeps blobs from being collected as long as this store is open.
    pub(crate) fn pin(&self, digests: impl Iterator<Item = Digest>) -> Result<(), StoreError> {
        self.inner.pins.add(self.layout(), digests)
    }

    /// Lets go of all blobs that were looked up, put or used so far: from now on they may be collected. For a process that
    /// goes on to something else.
    ///
    /// # Errors
    /// When the list of them cannot be removed.
    pub fn release(&self) -> Result<(), StoreError> {
        self.inner.pins.release(self.layout())
    }

    /// What this process made again although it had been collected a short time before. Tells once.
    #[must_use]
    pub fn made_again(&self) -> Vec<MadeAgain> {
        std::mem::take(&mut *self.again())
    }

    pub(crate) fn again(&self) -> MutexGuard<'_, Vec<MadeAgain>> {
        self.inner
            .made_again
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads, unseals and decodes the value at `key`. A damaged one is removed, reported, and counts as not
    /// there.
    pub(crate) fn fetch<T>(
        &self,
        table: Table,
        key: &[u8],
        decode: impl FnOnce(&[u8]) -> Result<T, Damage>,
    ) -> Result<Option<T>, StoreError> {
        let txn = self.index().read()?;
        let Some(found) = self.index().get(&txn, table, key)? else {
            return Ok(None);
        };
        match found.and_then(decode) {
            Ok(value) => Ok(Some(value)),
            Err(damage) => {
                drop(txn);
                self.remove_damaged(table, &[(key.to_vec(), damage)])?;
                Ok(None)
            }
        }
    }

    /// Removes entries that were found damaged, and says so.
    pub(crate) fn remove_damaged(
        &self,
        table: Table,
        entries: &[(Vec<u8>, Damage)],
    ) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.index().write(|txn| {
            for (key, damage) in entries {
                self.index().delete(txn, table, key)?;
                let key = data_encoding::HEXLOWER.encode(key);
                self.notice(Notice::EntryRemoved {
                    table: table.name,
                    key,
                    reason: damage.to_string(),
                });
            }
            Ok(())
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("dir", &self.dir())
            .finish_non_exhaustive()
    }
}

fn open_stores() -> MutexGuard<'static, HashMap<Utf8PathBuf, Weak<Inner>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Milliseconds since 1970.
pub(crate) fn now_unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Decodes JSON kept in the index.
pub(crate) fn from_json<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Damage> {
    serde_json::from_slice(bytes).map_err(|error| Damage::Content(error.to_string()))
}

/// Encodes what [`from_json`] decodes.
pub(crate) fn to_json<T: serde::Serialize>(value: &T) -> Vec<u8> {
    serde_json::to_vec(value).expect("records have string keys and finite depth, so they always serialise")
}
