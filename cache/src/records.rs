//! Looking records up, reserving keys, publishing records.
//!
//! A key may have several records: runs of the same action that observed something different. Which of them holds today is
//! for the caller to find out; the store keeps the newest few.

use std::collections::HashSet;

use heed::RwTxn;

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::history::Run;
use crate::hit::{Hit, first_trace, hits_from_bytes, hits_to_bytes};
use crate::index::Damage;
use crate::lock::{FileLock, Mode};
use crate::notice::Notice;
use crate::record::Record;
use crate::store::{Store, from_json, to_json};

/// From this many blobs on, reading all folders of the store is cheaper than asking for each file.
const LIST_FROM: usize = 4096;

/// How many records of one key are kept: the newest.
const RECORDS_A_KEY: usize = 8;

/// The right to produce and publish the record of one key. No other thread or process has it meanwhile; it
/// ends when dropped, and with the process.
#[derive(Debug)]
pub struct Reservation {
    key: Digest,
    _lock: FileLock,
}

impl Reservation {
    /// The reserved key.
    #[must_use]
    pub fn key(&self) -> Digest {
        self.key
    }
}

/// What [`Store::lookup_or_reserve`] found.
#[derive(Debug)]
pub enum Lookup {
    /// The record, whoever made it.
    Hit(Box<Record>),
    /// There is none, and it is ours to make.
    Miss(Reservation),
}

impl Store {
    /// The newest record of `key`, if there is one and all its outputs are stored. A record that lacks an output is
    /// a miss, and a [`Notice`] says so; a damaged one is removed and reported.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn lookup(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        if self.mark_of(key)?.is_some() {
            return Ok(None);
        }
        for trace in self.traces(key)? {
            let Some(record) = self.record_of(&trace)? else {
                continue;
            };
            // First kept, then looked for: what is there now stays.
            self.pin(record.hit().stays_by())?;
            if self.is_whole(&record) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// The records of `key` by their traces, newest first, whether or not their outputs are stored.
    fn traces(&self, key: &Digest) -> Result<Vec<Digest>, StoreError> {
        let hits = self.fetch(self.index().tables.traces, key.as_bytes(), hits_from_bytes)?;
        Ok(hits.into_iter().flatten().map(|hit| hit.trace).collect())
    }

    /// Whether all outputs are stored. Where one is not, a notice says so.
    fn is_whole(&self, record: &Record) -> bool {
        match record
            .outputs
            .iter()
            .find(|output| !self.has_blob(&output.digest))
        {
            None => true,
            Some(output) => {
                let (label, output) = (record.label.clone(), output.name.clone());
                self.notice(Notice::OutputMissing {
                    key: record.key,
                    label,
                    output,
                });
                false
            }
        }
    }

    /// The record with this [`trace`](Record::trace), whatever became of its outputs.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn record_of(&self, trace: &Digest) -> Result<Option<Record>, StoreError> {
        self.fetch(self.index().tables.records, trace.as_bytes(), |bytes| {
            decode(trace, bytes)
        })
    }

    /// The light part of the records of each of `keys`, in the order of the keys, newest first, from one state of the index.
    ///
    /// As [`lookup`](Self::lookup), a record that lacks an output is a miss; the notice is left to `lookup`.
    ///
    /// # Errors
    /// When the index or the folders of blobs cannot be read.
    pub fn lookup_many(&self, keys: &[Digest]) -> Result<Vec<Vec<Hit>>, StoreError> {
        let table = self.index().tables.traces;
        let mut damaged = Vec::new();
        let mut hits = vec![Vec::new(); keys.len()];
        // In the order in which they lie in the index, so that each of its pages is visited once.
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|at| keys[*at]);
        let txn = self.index().read()?;
        let marked = self.marked(&txn)?;
        for at in order.into_iter().filter(|at| !marked.contains(&keys[*at])) {
            let key = keys[at].as_bytes();
            match self
                .index()
                .get(&txn, table, key)?
                .map(|content| content.and_then(hits_from_bytes))
            {
                Some(Ok(found)) => hits[at] = found,
                Some(Err(damage)) => damaged.push((key.to_vec(), damage)),
                None => {}
            }
        }
        drop(txn);
        self.remove_damaged(table, &damaged)?;
        // First kept, then looked for: what is there now stays.
        self.pin(hits.iter().flatten().flat_map(Hit::stays_by))?;
        self.drop_incomplete(&mut hits)?;
        Ok(hits)
    }

    /// A word that stays the same, in all processes, for as long as what was found in this store would be found again: no
    /// record went, none came before another one of its key, no key was marked. A store that was begun anew has another word.
    ///
    /// # Errors
    /// When the index cannot be used.
    pub fn word(&self) -> Result<u128, StoreError> {
        self.index().word()
    }

    /// Keeps in the index that something called `name`, whose content has the sum `sum`, was made of what was found in this store
    /// since it had this [`word`](Self::word). Nothing where it has another one by now.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn attest(&self, name: &str, sum: u64, word: u128) -> Result<(), StoreError> {
        self.index().attest(name, sum, word)
    }

    /// Whether all that was found when this content was [attested](Self::attest) would be found again. An index that was put back
    /// from before that, or begun anew, knows nothing of it, whatever its word is.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn attests(&self, name: &str, sum: u64) -> Result<bool, StoreError> {
        self.index().attests(name, sum)
    }

    /// The trace of the newest record of each of `keys`, without a look at it or at its outputs; `None` for one that is marked.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn newest(&self, keys: &[Digest]) -> Result<Vec<Option<Digest>>, StoreError> {
        let (index, txn) = (self.index(), self.index().read()?);
        let marked = self.marked(&txn)?;
        let mut newest = vec![None; keys.len()];
        let mut order: Vec<usize> = (0..keys.len()).collect();
        order.sort_unstable_by_key(|at| keys[*at]);
        for at in order.into_iter().filter(|at| !marked.contains(&keys[*at])) {
            // A damaged entry is left to those who look it up.
            let found = index.get(&txn, index.tables.traces, keys[at].as_bytes())?;
            newest[at] = found.and_then(Result::ok).and_then(first_trace);
        }
        Ok(newest)
    }

    /// Leaves out hits that lack a blob.
    fn drop_incomplete(&self, hits: &mut [Vec<Hit>]) -> Result<(), StoreError> {
        let wanted: HashSet<Digest> = hits.iter().flatten().flat_map(Hit::blobs).collect();
        let present: HashSet<Digest> = if wanted.len() < LIST_FROM {
            wanted
                .into_iter()
                .filter(|digest| self.has_blob(digest))
                .collect()
        } else {
            self.blobs()?.collect()
        };
        for of_key in hits {
            of_key.retain(|hit| hit.blobs().all(|blob| present.contains(&blob)));
        }
        Ok(())
    }

    /// All blobs that are stored, in no order.
    ///
    /// # Errors
    /// When their folders cannot be listed.
    pub fn blobs(&self) -> Result<impl Iterator<Item = Digest>, StoreError> {
        let cas = self.layout().cas();
        let mut digests = Vec::new();
        for folder in cas.read_dir_utf8().map_err(io_at("list", &cas))? {
            let folder = folder.map_err(io_at("list", &cas))?;
            let files = folder
                .path()
                .read_dir_utf8()
                .map_err(io_at("list", folder.path()))?;
            for file in files {
                let file = file.map_err(io_at("list", folder.path()))?;
                digests.extend(
                    format!("{}{}", folder.file_name(), file.file_name())
                        .parse::<Digest>()
                        .ok(),
                );
            }
        }
        Ok(digests.into_iter())
    }

    /// Reserves `key`, waiting while another has it. Whoever waited should look the key up again:
    /// [`lookup_or_reserve`](Self::lookup_or_reserve) does both.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub fn reserve(&self, key: &Digest) -> Result<Reservation, StoreError> {
        let lock = FileLock::wait(&self.layout().key_locks(), key.into(), Mode::Exclusive)?;
        Ok(Reservation {
            key: *key,
            _lock: lock,
        })
    }

    /// Reserves `key` unless another has it.
    ///
    /// # Errors
    /// When the lock cannot be made.
    pub fn try_reserve(&self, key: &Digest) -> Result<Option<Reservation>, StoreError> {
        let lock = FileLock::try_now(&self.layout().key_locks(), key.into(), Mode::Exclusive)?;
        Ok(lock.map(|lock| Reservation {
            key: *key,
            _lock: lock,
        }))
    }

    /// The record of `key`, or the right to make it. Waits while another is making it.
    ///
    /// # Errors
    /// When the index cannot be read or the lock cannot be made.
    pub fn lookup_or_reserve(&self, key: &Digest) -> Result<Lookup, StoreError> {
        if let Some(record) = self.lookup(key)? {
            return Ok(Lookup::Hit(Box::new(record)));
        }
        let reservation = self.reserve(key)?;
        Ok(match self.lookup(key)? {
            Some(record) => Lookup::Hit(Box::new(record)),
            None => Lookup::Miss(reservation),
        })
    }

    /// Publishes `record` and ends the reservation. Its outputs must be stored already. The label's history
    /// gets the run as well.
    ///
    /// # Errors
    /// [`StoreError::WrongReservation`]; [`StoreError::Missing`] for an output that is not stored; when the
    /// index cannot be written. Nothing is published then.
    pub fn publish(&self, record: &Record, reservation: Reservation) -> Result<(), StoreError> {
        self.publish_many([(record, reservation)])
    }

    /// [`publish`](Self::publish) for several records in one write: all of them or none.
    ///
    /// # Errors
    /// As `publish`.
    pub fn publish_many<'r>(
        &self,
        records: impl IntoIterator<Item = (&'r Record, Reservation)>,
    ) -> Result<(), StoreError> {
        let records: Vec<_> = records.into_iter().collect();
        for (record, reservation) in &records {
            if record.key != reservation.key {
                return Err(StoreError::WrongReservation {
                    record: record.key,
                    reserved: reservation.key,
                });
            }
            if let Some(output) = record
                .outputs
                .iter()
                .find(|output| !self.has_blob(&output.digest))
            {
                return Err(StoreError::Missing {
                    digest: output.digest,
                });
            }
        }
        let bare = records.iter().filter(|(record, _)| record.outputs.is_empty());
        self.pin(bare.map(|(record, _)| record.trace()))?;
        self.index().write(|txn| {
            records
                .iter()
                .try_for_each(|(record, _)| self.write_record(txn, record))
        })
    }

    /// Puts a record before the others of its key; the oldest beyond [`RECORDS_A_KEY`] go.
    fn write_record(&self, txn: &mut RwTxn<'_>, record: &Record) -> Result<(), StoreError> {
        let (index, tables) = (self.index(), self.index().tables);
        let hit = record.hit();
        let trace = hit.trace;
        // Even where what was there is damaged: it goes.
        if index.get(txn, tables.traces, record.key.as_bytes())?.is_some() {
            index.new_word(txn)?;
        }
        let mut hits = self.hits_in(txn, &record.key)?;
        hits.retain(|other| other.trace != trace);
        hits.insert(0, hit);
        for old in hits.split_off(hits.len().min(RECORDS_A_KEY)) {
            self.remove_whole(txn, &old.trace)?;
        }
        let whole = to_json(record);
        if record.outputs.is_empty() {
            let bytes = whole.len() + hits[0].to_bytes().len();
            self.note_bare(txn, &trace, bytes, record.finished_unix_ms)?;
        } else {
            // It had none before.
            index.delete(txn, tables.bare, trace.as_bytes())?;
        }
        index.put(txn, tables.traces, record.key.as_bytes(), &hits_to_bytes(&hits))?;
        index.put(txn, tables.records, trace.as_bytes(), &whole)?;
        self.note_made_again(txn, record)?;
        self.note_in(txn, &record.label, &Run::from(record), None)
    }

    /// The light parts under a key; a damaged entry counts as none, it is about to be written anew.
    fn hits_in(&self, txn: &RwTxn<'_>, key: &Digest) -> Result<Vec<Hit>, StoreError> {
        let content = self
            .index()
            .get(txn, self.index().tables.traces, key.as_bytes())?;
        let hits = content.and_then(|content| content.and_then(hits_from_bytes).ok());
        Ok(hits.unwrap_or_default())
    }

    /// Removes the records of `key`, so that its action runs again. Blobs stay until they are collected.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn forget(&self, key: &Digest) -> Result<bool, StoreError> {
        self.index().write(|txn| {
            for hit in self.hits_in(txn, key)? {
                self.remove_whole(txn, &hit.trace)?;
            }
            self.index()
                .delete(txn, self.index().tables.traces, key.as_bytes())
        })
    }

    /// Removes one record of a key; its label's history keeps what entered the key.
    pub(crate) fn remove_record(
        &self,
        txn: &mut RwTxn<'_>,
        key: &Digest,
        trace: &Digest,
    ) -> Result<bool, StoreError> {
        let (index, table) = (self.index(), self.index().tables.traces);
        let mut hits = self.hits_in(txn, key)?;
        let before = hits.len();
        hits.retain(|hit| hit.trace != *trace);
        if hits.is_empty() {
            index.delete(txn, table, key.as_bytes())?;
        } else if hits.len() < before {
            index.put(txn, table, key.as_bytes(), &hits_to_bytes(&hits))?;
            index.new_word(txn)?;
        }
        Ok(self.remove_whole(txn, trace)? || hits.len() < before)
    }

    fn remove_whole(&self, txn: &mut RwTxn<'_>, trace: &Digest) -> Result<bool, StoreError> {
        let (index, table) = (self.index(), self.index().tables.records);
        let content = index.get(txn, table, trace.as_bytes())?;
        let record = content.and_then(|content| content.and_then(|bytes| decode(trace, bytes)).ok());
        if let Some(record) = record {
            self.save_manifest(txn, record)?;
        }
        index.delete(txn, self.index().tables.bare, trace.as_bytes())?;
        index.delete(txn, table, trace.as_bytes())
    }
}

/// A record that stands under another trace than its own is damaged, however well it reads.
fn decode(trace: &Digest, bytes: &[u8]) -> Result<Record, Damage> {
    let record: Record = from_json(bytes)?;
    if record.trace() == *trace {
        Ok(record)
    } else {
        Err(Damage::Content("it is the record of something else".to_owned()))
    }
}
