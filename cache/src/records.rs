//! Looking records up, reserving keys, publishing records.

use std::collections::HashSet;

use heed::RwTxn;

use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::history::Run;
use crate::index::Damage;
use crate::lock::{FileLock, Mode};
use crate::notice::Notice;
use crate::record::{Hit, Record};
use crate::store::{Store, from_json, to_json};

/// From this many blobs on, reading all folders of the store is cheaper than asking for each file.
const LIST_FROM: usize = 4096;

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
    /// The record of `key`, if there is one and all its outputs are stored. A record that lacks an output is
    /// a miss, and a [`Notice`] says so; a damaged one is removed and reported.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn lookup(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        let Some(record) = self.record_of(key)? else {
            return Ok(None);
        };
        match record
            .outputs
            .iter()
            .find(|output| !self.has_blob(&output.digest))
        {
            None => Ok(Some(record)),
            Some(output) => {
                let (label, output) = (record.label.clone(), output.name.clone());
                self.notice(Notice::OutputMissing {
                    key: *key,
                    label,
                    output,
                });
                Ok(None)
            }
        }
    }

    /// The record of `key`, whatever became of its outputs.
    pub(crate) fn record_of(&self, key: &Digest) -> Result<Option<Record>, StoreError> {
        self.fetch(self.index().tables.records, key.as_bytes(), |bytes| {
            decode(key, bytes)
        })
    }

    /// The light part of the records of `keys`, in their order, from one state of the index.
    ///
    /// As [`lookup`](Self::lookup), a record that lacks an output is a miss; the notice is left to `lookup`.
    ///
    /// # Errors
    /// When the index or the folders of blobs cannot be read.
    pub fn lookup_many(&self, keys: &[Digest]) -> Result<Vec<Option<Hit>>, StoreError> {
        let table = self.index().tables.hits;
        let mut damaged = Vec::new();
        let mut hits = Vec::with_capacity(keys.len());
        let txn = self.index().read()?;
        for key in keys {
            let found = self.index().get(&txn, table, key.as_bytes())?;
            hits.push(match found.map(|content| content.and_then(Hit::from_bytes)) {
                Some(Err(damage)) => {
                    damaged.push((key.as_bytes().to_vec(), damage));
                    None
                }
                Some(Ok(hit)) => Some(hit),
                None => None,
            });
        }
        drop(txn);
        self.remove_damaged(table, &damaged)?;
        self.drop_incomplete(&mut hits)?;
        Ok(hits)
    }

    /// Turns hits that lack a blob into misses.
    fn drop_incomplete(&self, hits: &mut [Option<Hit>]) -> Result<(), StoreError> {
        let wanted: HashSet<Digest> = hits.iter().flatten().flat_map(Hit::blobs).collect();
        let present: HashSet<Digest> = if wanted.len() < LIST_FROM {
            wanted
                .into_iter()
                .filter(|digest| self.has_blob(digest))
                .collect()
        } else {
            self.blobs()?.collect()
        };
        for slot in hits {
            if slot
                .as_ref()
                .is_some_and(|hit| !hit.blobs().all(|blob| present.contains(&blob)))
            {
                *slot = None;
            }
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
        self.index().write(|txn| {
            records
                .iter()
                .try_for_each(|(record, _)| self.write_record(txn, record))
        })
    }

    fn write_record(&self, txn: &mut RwTxn<'_>, record: &Record) -> Result<(), StoreError> {
        let (index, tables, key) = (self.index(), self.index().tables, record.key.as_bytes());
        index.put(txn, tables.hits, key, &record.hit().to_bytes())?;
        index.put(txn, tables.records, key, &to_json(record))?;
        self.note_in(txn, &record.label, &Run::from(record), None)
    }

    /// Removes the record of `key`, so that its action runs again. Blobs stay until they are collected.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn forget(&self, key: &Digest) -> Result<bool, StoreError> {
        self.index().write(|txn| self.remove_record(txn, key))
    }

    /// Removes a record; its label's history keeps what entered the key.
    pub(crate) fn remove_record(&self, txn: &mut RwTxn<'_>, key: &Digest) -> Result<bool, StoreError> {
        let (index, tables) = (self.index(), self.index().tables);
        let content = index.get(txn, tables.records, key.as_bytes())?;
        let record = content.and_then(|content| content.and_then(|bytes| decode(key, bytes)).ok());
        if let Some(record) = record {
            self.save_manifest(txn, record)?;
        }
        let light = index.delete(txn, tables.hits, key.as_bytes())?;
        Ok(index.delete(txn, tables.records, key.as_bytes())? || light)
    }
}

/// A record that stands under another key than its own is damaged, however well it reads.
fn decode(key: &Digest, bytes: &[u8]) -> Result<Record, Damage> {
    let record: Record = from_json(bytes)?;
    if record.key == *key {
        Ok(record)
    } else {
        Err(Damage::Content("it is the record of another key".to_owned()))
    }
}
