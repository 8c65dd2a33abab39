//! Making the cache smaller: what is worth least goes first.
//!
//! A thing is worth the seconds that are lost with it, by each byte it occupies, halved for every week without use: for a
//! blob the time that its action took and that of all that stands on it, for a record without outputs the time that its
//! action took, for what lies beside the blobs ([`Aside`]) the time to fetch or unpack it again. A collection never removes
//! what a living process uses (see `pins.rs`, [`hold`]), nor what was used within the last ten minutes. A record goes with its
//! first blob; the other blobs that only it needed are worth nothing then, and go next.
//!
//! What goes is remembered for a week: when it is made again within that time, the limit is too low, and whoever made it is
//! told ([`Store::made_again`]).

mod aside;
mod stat;
mod worth;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use heed::{RoTxn, RwTxn};
use serde::{Deserialize, Serialize};

pub use aside::{Aside, hold};
pub use stat::{Kind, Stat};

use crate::blob::BlobEntry;
use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::hit::{Hit, hits_from_bytes};
use crate::lock::{FileLock, Mode, Place};
use crate::pins::Removing;
use crate::record::Record;
use crate::store::{Store, from_json, now_unix_ms, to_json};
use aside::Entry;
use worth::{Candidate, Choice, Item, Records, worth};

/// The usual time of grace, see [`Limits::grace`].
const GRACE: Duration = Duration::from_secs(10 * 60);

/// How long a corrupted file is kept for a look.
const QUARANTINE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How long a collected result is remembered. Made again later than that, it was rightly collected.
const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 3600);

/// A blob's use is noted at most once in this time, in milliseconds.
const BLOB_NOTED_EVERY_MS: u64 = 3600 * 1000;

/// The same for a record without outputs: there are many of them.
const RECORD_NOTED_EVERY_MS: u64 = 24 * 3600 * 1000;

/// How far a collection goes.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// What blobs, records without outputs and what lies beside them may occupy on disk, in bytes.
    pub max_bytes: u64,
    /// What was used more recently than this stays: it may belong to a record that is about to be published.
    pub grace: Duration,
    /// What lies beside the blobs.
    pub asides: Vec<Aside>,
    /// Whether it is only said what would go.
    pub dry_run: bool,
}

impl Limits {
    /// The usual collection down to `max_bytes`.
    #[must_use]
    pub fn of(max_bytes: u64) -> Self {
        Self {
            max_bytes,
            grace: GRACE,
            asides: Vec::new(),
            dry_run: false,
        }
    }
}

/// Something that was collected.
#[derive(Debug, Clone, PartialEq)]
pub struct Gone {
    /// What it was: the rule that had made it, or the kind of what lies beside the blobs.
    pub kind: String,
    /// Its target, or its name.
    pub name: String,
    /// What it occupied, in bytes.
    pub bytes: u64,
}

/// What a collection did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Report {
    /// What was occupied before, in bytes.
    pub before_bytes: u64,
    /// What is occupied now, in bytes. Above the limit only if everything left is in use.
    pub after_bytes: u64,
    /// What went, least worth first.
    pub gone: Vec<Gone>,
    /// Records removed: each with a blob of its own, or by itself where it has none.
    pub records_removed: u64,
    /// Things that would have gone, had no process been using them or had they not been used so recently.
    pub in_use: u64,
    /// How long it took to make what was removed, in seconds.
    pub lost_seconds: f64,
}

/// A result that was made again although it had been collected a short time before.
#[derive(Debug, Clone, PartialEq)]
pub struct MadeAgain {
    /// The target.
    pub label: String,
    /// How long it took this time, in seconds.
    pub seconds: f64,
    /// How long ago it had been collected.
    pub ago: Duration,
}

/// What is remembered of a result that was collected.
#[derive(Serialize, Deserialize)]
struct Collected {
    unix_ms: u64,
}

/// Everything that a collection may remove.
#[derive(Default)]
struct Everything {
    candidates: Vec<Candidate>,
    asides: Vec<Entry>,
    bytes: u64,
    in_use: u64,
}

impl Store {
    /// Removes blobs with the records they belong to, records without outputs, and what lies beside them until all occupies at
    /// most `max_bytes` on disk.
    /// What a living process uses stays, and so does what was used within the time of grace.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was removed by then is whole: no record is left without
    /// blobs.
    pub fn gc(&self, limits: &Limits) -> Result<Report, StoreError> {
        let _collecting = FileLock::wait(&self.layout().collecting(), Place::ONLY, Mode::Exclusive)?;
        let records = self.read_records()?;
        let all = self.everything(&records, limits)?;
        let mut report = Report {
            before_bytes: all.bytes,
            after_bytes: all.bytes,
            ..Report::default()
        };
        let mut choice = Choice::new(all.candidates, &records);
        while report.after_bytes > limits.max_bytes {
            let batch = choice.next_batch(report.after_bytes - limits.max_bytes);
            if batch.is_empty() {
                report.in_use += all.in_use;
                break;
            }
            if limits.dry_run {
                self.foresee(&batch, &all.asides, &records, &mut report)?;
            } else {
                self.remove_batch(&batch, &all.asides, &records, &mut report)?;
            }
        }
        if !limits.dry_run {
            self.clean_quarantine()?;
            self.forget_collected()?;
        }
        Ok(report)
    }

    /// What blobs, records without outputs and what lies beside them occupy on disk, in bytes: whether a collection has
    /// anything to do.
    ///
    /// # Errors
    /// When the folders of blobs cannot be listed, or the index cannot be read.
    pub fn bytes(&self, asides: &[Aside]) -> Result<u64, StoreError> {
        let blobs = self.blobs()?.filter_map(|digest| self.blob_bytes(&digest));
        let beside = asides.iter().flat_map(Aside::entries).map(|entry| entry.bytes);
        let bare = self.bare(&*self.index().read()?)?.into_iter();
        Ok(blobs.sum::<u64>() + beside.sum::<u64>() + bare.map(|(_, entry)| entry.bytes).sum::<u64>())
    }

    /// What a blob occupies on disk; nothing where another process has removed it meanwhile.
    fn blob_bytes(&self, digest: &Digest) -> Option<u64> {
        let metadata = fs::symlink_metadata(self.blob_path(digest)).ok()?;
        Some(metadata.blocks() * 512)
    }

    /// Notes that blobs are used now, so that collection prefers others: for results that were hits and not touched. Written
    /// at most once an hour for each.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn touch(&self, blobs: &[Digest]) -> Result<(), StoreError> {
        self.note_use(self.index().tables.blobs, blobs, BLOB_NOTED_EVERY_MS)
    }

    /// The same for records by their traces. Those with outputs are passed over: their blobs are touched. Written at most
    /// once a day for each.
    ///
    /// # Errors
    /// When the index cannot be read or written.
    pub fn touch_records(&self, traces: &[Digest]) -> Result<(), StoreError> {
        self.note_use(self.index().tables.bare, traces, RECORD_NOTED_EVERY_MS)
    }

    fn read_records(&self) -> Result<Records, StoreError> {
        let txn = self.index().read()?;
        let mut records = Records::default();
        let table = self.index().tables.traces;
        for entry in table
            .database
            .iter(&txn)
            .map_err(|error| self.index().error(error))?
        {
            let (key, value) = entry.map_err(|error| self.index().error(error))?;
            // A damaged entry is removed and reported by the look-up that meets it.
            let hits = crate::index::unseal(value).and_then(hits_from_bytes);
            let (Ok(key), Ok(hits)) = (key.try_into().map(Digest::from_bytes), hits) else {
                continue;
            };
            for hit in hits {
                records.add(key, hit);
            }
        }
        Ok(records)
    }

    fn everything(&self, records: &Records, limits: &Limits) -> Result<Everything, StoreError> {
        let pinned = Removing::begin(self.layout())?.into_pinned();
        let asides: Vec<Entry> = limits.asides.iter().flat_map(Aside::entries).collect();
        let mut all = Everything::default();
        let mut add = |item, bytes, seconds, idle, used| {
            all.bytes += bytes;
            if used || idle < limits.grace {
                all.in_use += 1;
            } else {
                let worth = worth(seconds, bytes, idle);
                all.candidates.push(Candidate { item, bytes, worth });
            }
        };
        let txn = self.index().read()?;
        let now = now_unix_ms();
        for digest in self.blobs()? {
            let Some(bytes) = self.blob_bytes(&digest) else {
                continue;
            };
            let idle = Duration::from_millis(now.saturating_sub(self.used_unix_ms(&txn, &digest)?));
            let used = pinned.contains(&digest);
            add(Item::Blob(digest), bytes, records.seconds(&digest), idle, used);
        }
        for (trace, entry) in self.bare(&txn)? {
            let idle = Duration::from_millis(now.saturating_sub(entry.used_unix_ms));
            let seconds = records.of_trace(&trace).map_or(0.0, |(_, hit)| hit.seconds);
            let used = pinned.contains(&trace);
            add(Item::Record(trace), entry.bytes, seconds, idle, used);
        }
        for (at, entry) in asides.iter().enumerate() {
            add(Item::Aside(at), entry.bytes, entry.seconds, entry.idle, false);
        }
        Ok(Everything { asides, ..all })
    }

    /// When the blob was last used; never, for a blob the index lost.
    fn used_unix_ms(&self, txn: &RoTxn<'_>, digest: &Digest) -> Result<u64, StoreError> {
        let entry = self
            .index()
            .get(txn, self.index().tables.blobs, digest.as_bytes())?;
        let entry = entry.and_then(|content| content.and_then(BlobEntry::from_bytes).ok());
        Ok(entry.map_or(0, |entry| entry.used_unix_ms))
    }

    /// Says what [`remove_batch`](Self::remove_batch) would do.
    fn foresee(
        &self,
        batch: &[(Item, u64)],
        asides: &[Entry],
        records: &Records,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        for (item, bytes) in batch {
            let gone = match item {
                Item::Blob(digest) => {
                    report.lost_seconds += records.made_of(digest).map(|(_, hit)| hit.seconds).sum::<f64>();
                    self.blob_gone(digest, records, *bytes)?
                }
                Item::Record(trace) => {
                    report.lost_seconds += records.of_trace(trace).map_or(0.0, |(_, hit)| hit.seconds);
                    self.record_gone(trace, *bytes)?
                }
                Item::Aside(at) => asides[*at].gone(),
            };
            report.after_bytes -= bytes;
            report.gone.push(gone);
        }
        Ok(())
    }

    /// Removes things nobody uses: first what the index says of them, then the files.
    fn remove_batch(
        &self,
        batch: &[(Item, u64)],
        asides: &[Entry],
        records: &Records,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let removing = Removing::begin(self.layout())?;
        let (mut blobs, mut bare) = (Vec::new(), Vec::new());
        for (item, bytes) in batch {
            match item {
                Item::Blob(digest) | Item::Record(digest) if removing.is_pinned(digest) => report.in_use += 1,
                Item::Blob(digest) => {
                    report.gone.push(self.blob_gone(digest, records, *bytes)?);
                    blobs.push((digest, bytes));
                }
                Item::Record(trace) => {
                    report.gone.push(self.record_gone(trace, *bytes)?);
                    report.after_bytes -= bytes;
                    bare.push(trace);
                }
                Item::Aside(at) if aside::remove(self.layout(), &asides[*at].path)? => {
                    report.after_bytes -= bytes;
                    report.gone.push(asides[*at].gone());
                }
                Item::Aside(_) => report.in_use += 1,
            }
        }
        self.index().write(|txn| {
            for (digest, _) in &blobs {
                self.index()
                    .delete(txn, self.index().tables.blobs, digest.as_bytes())?;
                self.collect_records(txn, records.made_of(digest), report)?;
            }
            bare.iter()
                .try_for_each(|trace| self.collect_records(txn, records.of_trace(trace), report))
        })?;
        for (digest, bytes) in blobs {
            let path = self.blob_path(digest);
            fs::remove_file(&path).map_err(io_at("remove", &path))?;
            report.after_bytes -= bytes;
        }
        Ok(())
    }

    /// Removes records, and remembers that they were collected.
    fn collect_records<'r>(
        &self,
        txn: &mut RwTxn<'_>,
        records: impl IntoIterator<Item = &'r (Digest, Hit)>,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let (index, tables) = (self.index(), self.index().tables);
        let collected = to_json(&Collected {
            unix_ms: now_unix_ms(),
        });
        for (key, hit) in records {
            if self.remove_record(txn, key, &hit.trace)? {
                index.put(txn, tables.collected, key.as_bytes(), &collected)?;
                report.records_removed += 1;
                report.lost_seconds += hit.seconds;
            }
        }
        Ok(())
    }

    /// What people call a blob: the target of a record that has it.
    fn blob_gone(&self, digest: &Digest, records: &Records, bytes: u64) -> Result<Gone, StoreError> {
        match records.made_of(digest).next() {
            Some((_, Hit { trace, .. })) => self.record_gone(trace, bytes),
            None => Ok(of_no_result(digest, bytes)),
        }
    }

    /// What people call a record: its target.
    fn record_gone(&self, trace: &Digest, bytes: u64) -> Result<Gone, StoreError> {
        let Some(Record { rule, label, .. }) = self.record_of(trace)? else {
            return Ok(of_no_result(trace, bytes));
        };
        Ok(Gone {
            kind: rule,
            name: label,
            bytes,
        })
    }

    /// Notes that a result is published: if it was collected within the last week, that was a mistake.
    pub(crate) fn note_made_again(&self, txn: &mut RwTxn<'_>, record: &Record) -> Result<(), StoreError> {
        let (index, table, key) = (self.index(), self.index().tables.collected, record.key.as_bytes());
        let Some(content) = index.get(txn, table, key)? else {
            return Ok(());
        };
        let collected = content.and_then(from_json::<Collected>).ok();
        index.delete(txn, table, key)?;
        self.again().extend(collected.map(|collected| MadeAgain {
            label: record.label.clone(),
            seconds: record.seconds,
            ago: collected.ago(),
        }));
        Ok(())
    }

    /// Forgets what was collected so long ago that it was rightly collected.
    fn forget_collected(&self) -> Result<(), StoreError> {
        let (index, table) = (self.index(), self.index().tables.collected);
        let failed = |error| index.error(error);
        let txn = index.read()?;
        let mut old = Vec::new();
        for entry in table.database.iter(&txn).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let collected = crate::index::unseal(value).and_then(from_json::<Collected>);
            if collected.is_ok_and(|collected| collected.ago() > REMEMBERED) {
                old.push(key.to_vec());
            }
        }
        drop(txn);
        if old.is_empty() {
            return Ok(());
        }
        index.write(|txn| {
            old.iter()
                .try_for_each(|key| index.delete(txn, table, key).map(drop))
        })
    }

    fn clean_quarantine(&self) -> Result<(), StoreError> {
        let dir = self.layout().quarantine_dir();
        for entry in dir.read_dir_utf8().map_err(io_at("list", &dir))? {
            let path = entry.map_err(io_at("list", &dir))?.into_path();
            let modified = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|modified| modified.elapsed().ok());
            if age.is_some_and(|age| age > QUARANTINE) {
                // Tried again by the next collection.
                let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
            }
        }
        Ok(())
    }
}

/// What is left of a result that nobody can find any more.
fn of_no_result(digest: &Digest, bytes: u64) -> Gone {
    Gone {
        kind: "of no result".to_owned(),
        name: digest.short(),
        bytes,
    }
}

impl Collected {
    fn ago(&self) -> Duration {
        Duration::from_millis(now_unix_ms().saturating_sub(self.unix_ms))
    }
}

impl Entry {
    fn gone(&self) -> Gone {
        Gone {
            kind: self.kind.to_owned(),
            name: self.path.file_name().unwrap_or_default().to_owned(),
            bytes: self.bytes,
        }
    }
}
