//! The index: an LMDB environment that several processes read and write at once.
//!
//! Every value is sealed: it carries a version and a checksum of its own, so that a damaged one is noticed,
//! removed and reported, and never believed.

mod check;
mod seal;

use std::fs::OpenOptions;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use heed::types::Bytes;
use heed::{CommitOrAbort, Env, EnvOpenOptions, MdbError, RoTxn, RwTxn, WithoutTls};

use crate::error::{StoreError, errno_at, io_at};
use crate::layout::Layout;
use crate::notice::{Notice, Notices};

pub(crate) use seal::{Damage, seal, unseal};

/// The most the index can hold. Address space only: the file grows as it is written.
const MAP_BYTES: usize = 64 << 30;

/// Threads of all processes that may read at the same moment.
const READERS: u32 = 1022;

/// What LMDB keeps in its lock file for [`READERS`] readers, in bytes, rounded up.
const LOCK_FILE_BYTES: u64 = 128 << 10;

const MAX_TABLES: u32 = 16;

/// The file that tells how the last process to close the index left it.
const LEFT: &str = "left";

/// A table of the index: bytes to sealed bytes.
#[derive(Clone, Copy)]
pub(crate) struct Table {
    pub(crate) name: &'static str,
    pub(crate) database: heed::Database<'static, Bytes, Bytes>,
}

/// The tables.
#[derive(Clone, Copy)]
pub(crate) struct Tables {
    /// Key to the light parts of its records.
    pub(crate) traces: Table,
    /// Trace to the whole record.
    pub(crate) records: Table,
    /// Digest to what is remembered of a blob.
    pub(crate) blobs: Table,
    /// Digest of a label to its history.
    pub(crate) labels: Table,
    /// Digest of a path to what is remembered of that file.
    pub(crate) files: Table,
    /// Key to the mark that keeps its records from being served.
    pub(crate) marks: Table,
    /// Key to when its record was collected.
    pub(crate) collected: Table,
    /// Trace of a record without outputs to its size and last use.
    pub(crate) bare: Table,
    /// The [`word`](Index::word), and what is [attested](Index::attest) under it.
    pub(crate) state: Table,
}

const NAMES: [&str; 9] = [
    "traces",
    "records",
    "blobs",
    "labels",
    "files",
    "marks",
    "collected",
    "bare",
    "state",
];

/// The key of the word in the table `state`.
const RECORDS: &[u8] = b"records";

/// The key of what is attested of `name` in the same table.
fn attested(name: &str) -> Vec<u8> {
    [b"attested ", name.as_bytes()].concat()
}

/// An open index.
pub(crate) struct Index {
    env: Env<WithoutTls>,
    pub(crate) tables: Tables,
    path: Utf8PathBuf,
}

impl Index {
    /// Opens the index of a store; one that is unusable is moved aside, and an empty one begun.
    pub(crate) fn open(layout: &Layout, notices: &Notices) -> Result<Self, StoreError> {
        let path = layout.index();
        match Self::open_at(&path) {
            Ok(index) => Ok(index),
            Err(Fault::Unusable(reason)) => {
                let moved_to = layout.quarantine("index");
                std::fs::rename(&path, &moved_to).map_err(io_at("move aside", &path))?;
                crate::layout::make_dir(&path)?;
                notices.add(Notice::IndexRebuilt { reason, moved_to });
                Self::open_at(&path).map_err(|fault| fault.into_error(&path))
            }
            Err(fault) => Err(fault.into_error(&path)),
        }
    }

    fn open_at(path: &Utf8Path) -> Result<Self, Fault> {
        let data = path.join("data.mdb");
        check::read_metas(&data)?;
        let env = open_env(path)?;
        let as_left =
            check::fingerprint(&data)?.is_some_and(|now| read_left(path).is_some_and(|left| left == now));
        if !as_left {
            check_current(&env, &data)?;
        }
        env.clear_stale_readers()?;
        let tables = open_tables(&env)?;
        Ok(Self {
            env,
            tables,
            path: path.to_owned(),
        })
    }

    /// A look at the index as it is now. Short-lived: it keeps replaced pages from being used again.
    pub(crate) fn read(&self) -> Result<RoTxn<'_, WithoutTls>, StoreError> {
        self.env.read_txn().map_err(|error| self.error(error))
    }

    /// Runs `body` in a write transaction, and commits when it succeeds. Other writers wait meanwhile.
    pub(crate) fn write<T>(
        &self,
        body: impl FnOnce(&mut RwTxn<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.error(error))?;
        let answer = body(&mut txn)?;
        txn.commit().map_err(|error| self.error(error))?;
        Ok(answer)
    }

    /// Names the index in an error of the database.
    pub(crate) fn error(&self, error: heed::Error) -> StoreError {
        convert(&self.path, error)
    }

    /// Size of the index on disk, in bytes.
    pub(crate) fn bytes(&self) -> Result<u64, StoreError> {
        self.env.real_disk_size().map_err(|error| self.error(error))
    }

    /// The sealed content at `key`; a damaged value is an error of the inner kind.
    pub(crate) fn get<'t>(
        &self,
        txn: &'t RoTxn<'_>,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Result<&'t [u8], Damage>>, StoreError> {
        let value = table.database.get(txn, key).map_err(|error| self.error(error))?;
        Ok(value.map(unseal))
    }

    /// Seals and writes `content`.
    pub(crate) fn put(
        &self,
        txn: &mut RwTxn<'_>,
        table: Table,
        key: &[u8],
        content: &[u8],
    ) -> Result<(), StoreError> {
        let put = table.database.put(txn, key, &seal(content));
        put.map_err(|error| self.error(error))?;
        if table.name == self.tables.marks.name {
            self.new_word(txn)?;
        }
        Ok(())
    }

    /// Removes the entry at `key`, if there is one.
    pub(crate) fn delete(&self, txn: &mut RwTxn<'_>, table: Table, key: &[u8]) -> Result<bool, StoreError> {
        let gone = table
            .database
            .delete(txn, key)
            .map_err(|error| self.error(error))?;
        if gone && (table.name == self.tables.traces.name || table.name == self.tables.records.name) {
            self.new_word(txn)?;
        }
        Ok(gone)
    }

    /// A word that stays the same for as long as what was found in this index would be found again: no record went, none came
    /// before another one of its key, no key was marked.
    pub(crate) fn word(&self) -> Result<u128, StoreError> {
        let txn = self.read()?;
        let word = self.get(&txn, self.tables.state, RECORDS)?;
        let word = word.and_then(|word| <[u8; 16]>::try_from(word.ok()?).ok());
        drop(txn);
        match word {
            Some(word) => Ok(u128::from_le_bytes(word)),
            None => self.write(|txn| self.new_word(txn)),
        }
    }

    /// Gives the index another word. What was attested under the one before is no longer.
    pub(crate) fn new_word(&self, txn: &mut RwTxn<'_>) -> Result<u128, StoreError> {
        let word = fastrand::u128(..);
        let cleared = self.tables.state.database.clear(txn);
        cleared.map_err(|error| self.error(error))?;
        self.put(txn, self.tables.state, RECORDS, &word.to_le_bytes())?;
        Ok(word)
    }

    /// Keeps with this state of the index, and all that follow under the same word, that `name` has the sum `sum`. Nothing where
    /// the word is another one by now.
    pub(crate) fn attest(&self, name: &str, sum: u64, word: u128) -> Result<(), StoreError> {
        self.write(|txn| {
            let now = self.get(txn, self.tables.state, RECORDS)?;
            if now.and_then(Result::ok) != Some(&word.to_le_bytes()) {
                return Ok(());
            }
            self.put(txn, self.tables.state, &attested(name), &sum.to_le_bytes())
        })
    }

    pub(crate) fn attests(&self, name: &str, sum: u64) -> Result<bool, StoreError> {
        let txn = self.read()?;
        let known = self.get(&txn, self.tables.state, &attested(name))?;
        Ok(known.and_then(Result::ok) == Some(&sum.to_le_bytes()))
    }
}

impl Drop for Index {
    /// Notes how the file was left, so that the next process need not look it through. Without the note it
    /// does.
    fn drop(&mut self) {
        if let Ok(Some(left)) = check::fingerprint(&self.path.join("data.mdb")) {
            let beside = self.path.join(format!("left.{:016x}", fastrand::u64(..)));
            let written =
                std::fs::write(&beside, left).and_then(|()| std::fs::rename(&beside, self.path.join(LEFT)));
            if written.is_err() {
                let _ = std::fs::remove_file(&beside);
            }
        }
    }
}

fn read_left(path: &Utf8Path) -> Option<String> {
    std::fs::read_to_string(path.join(LEFT)).ok()
}

/// Why an index could not be opened.
enum Fault {
    /// It is no sound database: begin another.
    Unusable(String),
    Database(heed::Error),
}

impl Fault {
    fn into_error(self, path: &Utf8Path) -> StoreError {
        match self {
            Self::Unusable(message) => StoreError::Index {
                path: path.to_owned(),
                message,
            },
            Self::Database(error) => convert(path, error),
        }
    }
}

impl From<heed::Error> for Fault {
    fn from(error: heed::Error) -> Self {
        if is_unusable(&error) {
            Self::Unusable(error.to_string())
        } else {
            Self::Database(error)
        }
    }
}

impl From<check::Unsound> for Fault {
    fn from(error: check::Unsound) -> Self {
        match error {
            check::Unsound::Structure(what) => Self::Unusable(what),
            check::Unsound::Io(error) => Self::Database(error.into()),
        }
    }
}

/// Walks the state of the database that a reader sees now. Writers may be at work: the read transaction keeps
/// the pages of its state, but the meta page that leads to them is overwritten by the second commit after it.
fn check_current(env: &Env<WithoutTls>, data: &Utf8Path) -> Result<(), Fault> {
    loop {
        let txn = env.read_txn()?;
        let Some((file, metas)) = check::read_metas(data)? else {
            return Ok(());
        };
        let Some(meta) = metas.iter().find(|meta| meta.transaction == txn.id() as u64) else {
            continue;
        };
        return Ok(check::walk(&file, meta)?);
    }
}

fn open_env(path: &Utf8Path) -> Result<Env<WithoutTls>, heed::Error> {
    reserve_lock_file(&path.join("lock.mdb")).map_err(|errno| heed::Error::Io(errno.into()))?;
    let mut options = EnvOpenOptions::new().read_txn_without_tls();
    options
        .map_size(MAP_BYTES)
        .max_dbs(MAX_TABLES)
        .max_readers(READERS);
    loop {
        // SAFETY: the files of the environment are written through LMDB alone, under its own locks, which are
        // left switched on; nothing truncates them while they are mapped (an unusable environment is renamed,
        // never overwritten). On a network file system several hosts would break this; the store warns of it.
        match unsafe { options.open(path) } {
            Err(heed::Error::EnvAlreadyOpened) => wait_until_closed(path),
            other => return other,
        }
    }
}

fn open_tables(env: &Env<WithoutTls>) -> Result<Tables, heed::Error> {
    let txn = env.write_txn()?;
    let databases = env.create_databases_and_commit(txn, |opener, txn| {
        let mut create = |name| opener.create_database::<Bytes, Bytes>(txn, Some(name));
        let [a, b, c, d, e, f, g, h, i] = NAMES;
        let all = [
            create(a)?,
            create(b)?,
            create(c)?,
            create(d)?,
            create(e)?,
            create(f)?,
            create(g)?,
            create(h)?,
            create(i)?,
        ];
        Ok::<_, heed::Error>(CommitOrAbort::<_, ()>::Commit(all))
    })?;
    let [
        traces,
        records,
        blobs,
        labels,
        files,
        marks,
        collected,
        bare,
        state,
    ] = databases.unwrap_commit();
    let table = |index: usize, database| Table {
        name: NAMES[index],
        database,
    };
    Ok(Tables {
        traces: table(0, traces),
        records: table(1, records),
        blobs: table(2, blobs),
        labels: table(3, labels),
        files: table(4, files),
        marks: table(5, marks),
        collected: table(6, collected),
        bare: table(7, bare),
        state: table(8, state),
    })
}

/// Another store of this process is letting go of the same environment.
fn wait_until_closed(path: &Utf8Path) {
    match heed::env_closing_event(path.as_std_path()) {
        Some(event) => {
            event.wait_timeout(Duration::from_secs(1));
        }
        None => std::thread::yield_now(),
    }
}

/// Gives the lock file its blocks: LMDB writes it through a map, and a map that cannot grow kills the
/// process.
fn reserve_lock_file(path: &Utf8Path) -> rustix::io::Result<()> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file =
        file.map_err(|error| rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO))?;
    rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, LOCK_FILE_BYTES)
}

fn is_unusable(error: &heed::Error) -> bool {
    use MdbError::{
        BadTxn, BadValSize, Corrupted, Incompatible, Invalid, PageNotFound, Panic, Problem, VersionMismatch,
    };
    matches!(
        error,
        heed::Error::Mdb(
            BadTxn
                | BadValSize
                | Corrupted
                | Incompatible
                | Invalid
                | PageNotFound
                | Panic
                | Problem
                | VersionMismatch
        )
    )
}

fn convert(path: &Utf8Path, error: heed::Error) -> StoreError {
    match error {
        heed::Error::Io(error) => match rustix::io::Errno::from_io_error(&error) {
            Some(errno) => errno_at("use cache index", path)(errno),
            None => io_at("use cache index", path)(error),
        },
        heed::Error::Mdb(MdbError::MapFull) => StoreError::IndexFull {
            path: path.to_owned(),
        },
        other => StoreError::Index {
            path: path.to_owned(),
            message: other.to_string(),
        },
    }
}
