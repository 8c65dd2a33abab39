//! What the store holds, and making it smaller.
//!
//! A blob is worth the seconds it takes to make again, by each byte it occupies, halved for every week
//! without use. Collection removes the least worth first. It never removes what the caller keeps, what any
//! process has pinned, or what was used within the last ten minutes (it may belong to a record about to be
//! published). A record goes with its first blob; the other blobs that only it needed are worth nothing then,
//! and go next.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use camino::Utf8Path;
use heed::RoTxn;

use crate::blob::BlobEntry;
use crate::digest::Digest;
use crate::error::{StoreError, io_at};
use crate::hit::{Hit, hits_from_bytes};
use crate::index::Table;
use crate::lock::{FileLock, Mode, Place};
use crate::store::{Store, now_unix_ms};

/// The usual time of grace, see [`Limits::grace`].
const GRACE: Duration = Duration::from_secs(10 * 60);

/// After this long without use a blob is worth half, in days.
const HALF_LIFE_DAYS: f64 = 7.0;

/// How many blobs are locked and removed at a time.
const BATCH: usize = 128;

/// How long a corrupted file is kept for a look.
const QUARANTINE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How much a store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stat {
    /// Blobs.
    pub blobs: u64,
    /// What they occupy on disk, in bytes; holes of sparse files do not count.
    pub blob_bytes: u64,
    /// Records that look-ups can answer with.
    pub records: u64,
    /// Targets whose history is remembered.
    pub labels: u64,
    /// Files whose digest is remembered.
    pub files: u64,
    /// The index on disk, in bytes.
    pub index_bytes: u64,
    /// Corrupted files that are kept for a look, in bytes.
    pub quarantine_bytes: u64,
}

/// How far a collection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// What blobs may occupy on disk, in bytes.
    pub max_bytes: u64,
    /// A blob used more recently than this stays: it may belong to a record that is about to be published.
    pub grace: Duration,
}

/// What a collection did.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Report {
    /// What blobs occupied before, in bytes.
    pub before_bytes: u64,
    /// What they occupy now, in bytes. Above the limit only if everything left is in use or kept.
    pub after_bytes: u64,
    /// Blobs removed.
    pub blobs_removed: u64,
    /// Records removed because a blob of theirs went.
    pub records_removed: u64,
    /// Blobs that would have gone, had no process been using them.
    pub in_use: u64,
    /// How long it took to make what was removed, in seconds. Large next to the time of a run: the limit is
    /// too low.
    pub lost_seconds: f64,
}

/// A blob and what speaks for keeping it.
struct Candidate {
    digest: Digest,
    bytes: u64,
    worth: f64,
    removable: bool,
}

/// The records by their traces: the key of each, and its light part.
#[derive(Default)]
struct Records {
    hits: HashMap<Digest, (Digest, Hit)>,
    of_blob: HashMap<Digest, Vec<Digest>>,
}

impl Store {
    /// How much the store holds.
    ///
    /// # Errors
    /// When its folders or its index cannot be read.
    pub fn stat(&self) -> Result<Stat, StoreError> {
        let (mut blobs, mut blob_bytes) = (0, 0);
        for digest in self.blobs()? {
            // Another process may have removed it meanwhile.
            let Ok(metadata) = fs::symlink_metadata(self.blob_path(&digest)) else {
                continue;
            };
            blobs += 1;
            blob_bytes += on_disk(&metadata);
        }
        let txn = self.index().read()?;
        let tables = self.index().tables;
        let count = |table: Table| {
            table
                .database
                .len(&txn)
                .map_err(|error| self.index().error(error))
        };
        Ok(Stat {
            blobs,
            blob_bytes,
            records: count(tables.records)?,
            labels: count(tables.labels)?,
            files: count(tables.files)?,
            index_bytes: self.index().bytes()?,
            quarantine_bytes: bytes_below(&self.layout().quarantine_dir()),
        })
    }

    /// Removes blobs, and the records they belong to, until the blobs occupy at most `max_bytes` on disk.
    /// What `keep` answers yes to stays, and so does what is in use or was within the last ten minutes.
    ///
    /// # Errors
    /// When the store cannot be read or written. What was removed by then is whole: no record is left without
    /// blobs.
    pub fn gc(&self, max_bytes: u64, keep: &dyn Fn(&Digest) -> bool) -> Result<Report, StoreError> {
        self.gc_within(
            Limits {
                max_bytes,
                grace: GRACE,
            },
            keep,
        )
    }

    /// [`gc`](Self::gc) with another time of grace.
    ///
    /// # Errors
    /// As `gc`.
    pub fn gc_within(&self, limits: Limits, keep: &dyn Fn(&Digest) -> bool) -> Result<Report, StoreError> {
        let Limits { max_bytes, grace } = limits;
        let _collecting = FileLock::wait(&self.layout().collecting(), Place::ONLY, Mode::Exclusive)?;
        let records = self.read_records()?;
        let candidates = self.candidates(&records, grace, keep)?;
        let before_bytes = candidates.iter().map(|candidate| candidate.bytes).sum();
        let mut report = Report {
            before_bytes,
            after_bytes: before_bytes,
            ..Report::default()
        };
        let mut choice = Choice::new(candidates, &records);
        while report.after_bytes > max_bytes {
            let batch = choice.next_batch(report.after_bytes - max_bytes);
            if batch.is_empty() {
                break;
            }
            self.remove_batch(&batch, &records, &mut report)?;
        }
        self.clean_quarantine()?;
        Ok(report)
    }

    /// Marks blobs as used now, so that collection prefers others: for results that were hits and not
    /// touched.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn touch(&self, digests: &[Digest]) -> Result<(), StoreError> {
        let (index, table, now) = (self.index(), self.index().tables.blobs, now_unix_ms());
        index.write(|txn| {
            for digest in digests {
                let entry = index.get(txn, table, digest.as_bytes())?.and_then(Result::ok);
                if let Some(entry) = entry.and_then(|bytes| BlobEntry::from_bytes(bytes).ok()) {
                    let entry = BlobEntry {
                        used_unix_ms: now,
                        ..entry
                    };
                    index.put(txn, table, digest.as_bytes(), &entry.to_bytes())?;
                }
            }
            Ok(())
        })
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

    fn candidates(
        &self,
        records: &Records,
        grace: Duration,
        keep: &dyn Fn(&Digest) -> bool,
    ) -> Result<Vec<Candidate>, StoreError> {
        let txn = self.index().read()?;
        let now = now_unix_ms();
        let mut candidates = Vec::new();
        for digest in self.blobs()? {
            let Ok(metadata) = fs::symlink_metadata(self.blob_path(&digest)) else {
                continue;
            };
            let used = self.used_unix_ms(&txn, &digest)?;
            let idle = Duration::from_millis(now.saturating_sub(used));
            let bytes = on_disk(&metadata);
            let seconds = records.seconds(&digest);
            let worth = seconds / bytes.max(1) as f64 * 0.5_f64.powf(days(idle) / HALF_LIFE_DAYS);
            candidates.push(Candidate {
                digest,
                bytes,
                worth,
                removable: idle >= grace && !keep(&digest),
            });
        }
        Ok(candidates)
    }

    /// When the blob was last used; never, for a blob the index lost.
    fn used_unix_ms(&self, txn: &RoTxn<'_>, digest: &Digest) -> Result<u64, StoreError> {
        let entry = self
            .index()
            .get(txn, self.index().tables.blobs, digest.as_bytes())?;
        let entry = entry.and_then(|content| content.and_then(BlobEntry::from_bytes).ok());
        Ok(entry.map_or(0, |entry| entry.used_unix_ms))
    }

    /// Removes blobs nobody uses: first what the index says of them, then the files.
    fn remove_batch(
        &self,
        batch: &[(Digest, u64)],
        records: &Records,
        report: &mut Report,
    ) -> Result<(), StoreError> {
        let mut free = Vec::new();
        for (digest, bytes) in batch {
            match FileLock::try_now(&self.layout().blob_locks(), digest.into(), Mode::Exclusive)? {
                Some(lock) => free.push((digest, bytes, lock)),
                None => report.in_use += 1,
            }
        }
        let (index, tables) = (self.index(), self.index().tables);
        index.write(|txn| {
            for (digest, ..) in &free {
                index.delete(txn, tables.blobs, digest.as_bytes())?;
                for (key, hit) in records.made_of(digest) {
                    if self.remove_record(txn, key, &hit.trace)? {
                        report.records_removed += 1;
                        report.lost_seconds += hit.seconds;
                    }
                }
            }
            Ok(())
        })?;
        for (digest, bytes, _lock) in free {
            let path = self.blob_path(digest);
            fs::remove_file(&path).map_err(io_at("remove", &path))?;
            report.blobs_removed += 1;
            report.after_bytes -= bytes;
        }
        Ok(())
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

impl Records {
    fn add(&mut self, key: Digest, hit: Hit) {
        for blob in hit.blobs() {
            self.of_blob.entry(blob).or_default().push(hit.trace);
        }
        self.hits.insert(hit.trace, (key, hit));
    }

    /// The records that have the blob among their outputs, with their keys.
    fn made_of(&self, blob: &Digest) -> impl Iterator<Item = &(Digest, Hit)> {
        let traces = self.of_blob.get(blob).into_iter().flatten();
        traces.filter_map(|trace| self.hits.get(trace))
    }

    /// How long the blob takes to make again: as long as the quickest action that makes it.
    fn seconds(&self, blob: &Digest) -> f64 {
        let quickest = self.made_of(blob).map(|(_, hit)| hit.seconds).reduce(f64::min);
        quickest.unwrap_or(0.0)
    }
}

/// Which blobs go next. Decides only; it touches neither files nor index.
struct Choice<'r> {
    /// Worth most first: taken from the end.
    order: Vec<Digest>,
    removable: HashMap<Digest, u64>,
    /// Blobs whose last record went.
    orphans: Vec<Digest>,
    alive: HashMap<Digest, usize>,
    gone: HashSet<Digest>,
    records: &'r Records,
}

impl<'r> Choice<'r> {
    fn new(mut candidates: Vec<Candidate>, records: &'r Records) -> Self {
        candidates.retain(|candidate| candidate.removable);
        candidates.sort_by(|a, b| b.worth.total_cmp(&a.worth).then_with(|| a.digest.cmp(&b.digest)));
        let removable = candidates
            .iter()
            .map(|candidate| (candidate.digest, candidate.bytes))
            .collect();
        let order = candidates.into_iter().map(|candidate| candidate.digest).collect();
        let alive = records
            .of_blob
            .iter()
            .map(|(blob, keys)| (*blob, keys.len()))
            .collect();
        Self {
            order,
            removable,
            orphans: Vec::new(),
            alive,
            gone: HashSet::new(),
            records,
        }
    }

    /// The next blobs to remove, with their sizes: about as many as free `bytes`.
    fn next_batch(&mut self, bytes: u64) -> Vec<(Digest, u64)> {
        let mut batch = Vec::new();
        let mut freed = 0;
        while freed < bytes && batch.len() < BATCH {
            let Some(digest) = self.orphans.pop().or_else(|| self.order.pop()) else {
                break;
            };
            let Some(size) = self.removable.remove(&digest) else {
                continue;
            };
            self.drop_records_of(&digest);
            freed += size;
            batch.push((digest, size));
        }
        batch
    }

    fn drop_records_of(&mut self, blob: &Digest) {
        for (_, hit) in self.records.made_of(blob) {
            if !self.gone.insert(hit.trace) {
                continue;
            }
            for other in hit.blobs() {
                let alive = self.alive.entry(other).or_default();
                *alive = alive.saturating_sub(1);
                if *alive == 0 {
                    self.orphans.push(other);
                }
            }
        }
    }
}

fn days(duration: Duration) -> f64 {
    duration.as_secs_f64() / (24.0 * 3600.0)
}

/// What a file occupies, in bytes.
fn on_disk(metadata: &fs::Metadata) -> u64 {
    metadata.blocks() * 512
}

/// What everything below a folder occupies, in bytes, as far as it can be read.
fn bytes_below(dir: &Utf8Path) -> u64 {
    let Ok(entries) = dir.read_dir_utf8() else {
        return 0;
    };
    let bytes = |path: &Utf8Path| match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => bytes_below(path),
        Ok(metadata) => on_disk(&metadata),
        Err(_) => 0,
    };
    entries.flatten().map(|entry| bytes(entry.path())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    fn records(list: &[(&str, f64, &[&str])]) -> Records {
        let mut records = Records::default();
        for (key, seconds, blobs) in list {
            let blobs: Vec<_> = blobs.iter().map(|blob| digest(blob)).collect();
            let output = |digest| crate::record::Output {
                name: String::new(),
                digest,
                size: 0,
            };
            let hit = Hit {
                trace: digest(key),
                outputs: blobs.into_iter().map(output).collect(),
                observed: crate::hit::Observations::of(&[]),
                seconds: *seconds,
                finished_unix_ms: 0,
                status: String::new(),
            };
            records.add(digest(key), hit);
        }
        records
    }

    fn chosen(records: &Records, list: &[(&str, f64)], bytes: u64) -> Vec<Digest> {
        let candidate = |(name, worth): &(&str, f64)| Candidate {
            digest: digest(name),
            bytes: 1,
            worth: *worth,
            removable: true,
        };
        let mut choice = Choice::new(list.iter().map(candidate).collect(), records);
        choice
            .next_batch(bytes)
            .into_iter()
            .map(|(digest, _)| digest)
            .collect()
    }

    #[test]
    fn the_least_worth_goes_first_and_no_more_than_needed() {
        let list = [("dear", 9.0), ("cheap", 1.0), ("orphan", 0.0)];
        assert_eq!(
            chosen(&Records::default(), &list, 2),
            [digest("orphan"), digest("cheap")]
        );
    }

    #[test]
    fn what_only_a_removed_record_needed_goes_next() {
        let records = records(&[("r", 5.0, &["big", "small"]), ("s", 5.0, &["shared", "big"])]);
        let list = [("big", 1.0), ("other", 2.0), ("small", 3.0), ("shared", 4.0)];
        let order = chosen(&records, &list, 4);
        assert_eq!(order[0], digest("big"));
        assert_eq!(order[3], digest("other"), "{order:?}");
    }

    #[test]
    fn a_blob_is_worth_its_quickest_producer() {
        let records = records(&[("slow", 50.0, &["b"]), ("quick", 2.0, &["b"])]);
        assert_eq!(records.seconds(&digest("b")).to_bits(), 2.0_f64.to_bits());
        assert_eq!(records.seconds(&digest("unknown")).to_bits(), 0.0_f64.to_bits());
    }
}
