//! How much the cache holds, and of what.

use std::collections::BTreeMap;
use std::fs;

use super::{Aside, aside};
use crate::error::StoreError;
use crate::index::Table;
use crate::store::Store;

/// What people call a record without outputs.
const BARE: &str = "verdict without files";

/// How much a store holds.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Stat {
    /// Blobs.
    pub blobs: u64,
    /// What they occupy on disk, in bytes; holes of sparse files do not count.
    pub blob_bytes: u64,
    /// What can be collected, by kind, largest first: blobs by the rule that made them, records without outputs, and what lies
    /// beside the blobs.
    pub kinds: Vec<Kind>,
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

/// Things of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Kind {
    /// What they are.
    pub name: String,
    /// How many.
    pub count: u64,
    /// What they occupy on disk, in bytes.
    pub bytes: u64,
    /// How long it takes to make all of them again, in seconds; what stands on them not counted.
    pub seconds: f64,
}

impl Store {
    /// How much the store holds, and what lies beside it.
    ///
    /// # Errors
    /// When its folders or its index cannot be read.
    pub fn stat(&self, asides: &[Aside]) -> Result<Stat, StoreError> {
        let mut kinds = Kinds::default();
        let records = self.read_records()?;
        let (mut blobs, mut blob_bytes) = (0, 0);
        for digest in self.blobs()? {
            let Some(bytes) = self.blob_bytes(&digest) else {
                continue;
            };
            blobs += 1;
            blob_bytes += bytes;
            let kind = self.blob_gone(&digest, &records, bytes)?.kind;
            // Of a result with several blobs each has its share, so that the sum is right.
            let share = |hit: &crate::hit::Hit| hit.seconds / hit.outputs.len() as f64;
            let made = records.made_of(&digest).map(|(_, hit)| share(hit));
            kinds.add(&kind, bytes, made.reduce(f64::min).unwrap_or_default());
        }
        for entry in asides.iter().flat_map(Aside::entries) {
            kinds.add(entry.kind, entry.bytes, entry.seconds);
        }
        let txn = self.index().read()?;
        for (trace, entry) in self.bare(&txn)? {
            let seconds = records.of_trace(&trace).map_or(0.0, |(_, hit)| hit.seconds);
            kinds.add(BARE, entry.bytes, seconds);
        }
        let tables = self.index().tables;
        let count = |table: Table| {
            table
                .database
                .len(&txn)
                .map_err(|error| self.index().error(error))
        };
        let quarantine = self.layout().quarantine_dir();
        Ok(Stat {
            blobs,
            blob_bytes,
            kinds: kinds.sorted(),
            records: count(tables.records)?,
            labels: count(tables.labels)?,
            files: count(tables.files)?,
            index_bytes: self.index().bytes()?,
            quarantine_bytes: fs::symlink_metadata(&quarantine).map_or(0, |metadata| {
                aside::bytes_at(&quarantine, &metadata) - metadata_bytes(&metadata)
            }),
        })
    }
}

/// What an empty folder occupies.
fn metadata_bytes(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::blocks(metadata) * 512
}

#[derive(Default)]
struct Kinds(BTreeMap<String, Kind>);

impl Kinds {
    fn add(&mut self, name: &str, bytes: u64, seconds: f64) {
        let kind = self.0.entry(name.to_owned()).or_insert_with(|| Kind {
            name: name.to_owned(),
            count: 0,
            bytes: 0,
            seconds: 0.0,
        });
        kind.count += 1;
        kind.bytes += bytes;
        kind.seconds += seconds;
    }

    fn sorted(self) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = self.0.into_values().collect();
        kinds.sort_by_key(|kind| std::cmp::Reverse(kind.bytes));
        kinds
    }
}
