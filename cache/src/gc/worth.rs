//! What speaks for keeping a thing, and which goes next. Decides only: no files, no index, no clock.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crate::digest::Digest;
use crate::hit::Hit;

/// After this long without use a thing is worth half.
const HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many blobs are removed at a time.
const BATCH: usize = 128;

/// A thing that can be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Item {
    Blob(Digest),
    /// A record without outputs, by its trace.
    Record(Digest),
    /// An entry beside the blobs, by its place in the list of them.
    Aside(usize),
}

/// A thing and what speaks for keeping it.
#[derive(Debug)]
pub(super) struct Candidate {
    pub(super) item: Item,
    pub(super) bytes: u64,
    pub(super) worth: f64,
}

/// What a thing is worth: the seconds that are lost with it by each byte that is gained, halved for every week without use.
pub(super) fn worth(seconds: f64, bytes: u64, idle: Duration) -> f64 {
    let weeks = idle.as_secs_f64() / HALF_LIFE.as_secs_f64();
    seconds / bytes.max(1) as f64 * 0.5_f64.powf(weeks)
}

/// The records by their traces: the key of each, and its light part.
#[derive(Default)]
pub(super) struct Records {
    hits: HashMap<Digest, (Digest, Hit)>,
    /// The records that have a blob among their outputs.
    makers: HashMap<Digest, Vec<Digest>>,
    /// The records that have a blob among their inputs.
    readers: HashMap<Digest, Vec<Digest>>,
}

impl Records {
    pub(super) fn add(&mut self, key: Digest, hit: Hit) {
        for blob in hit.blobs() {
            self.makers.entry(blob).or_default().push(hit.trace);
        }
        for blob in &hit.inputs {
            self.readers.entry(*blob).or_default().push(hit.trace);
        }
        self.hits.insert(hit.trace, (key, hit));
    }

    /// The records that have the blob among their outputs, with their keys.
    pub(super) fn made_of(&self, blob: &Digest) -> impl Iterator<Item = &(Digest, Hit)> {
        self.named(&self.makers, blob)
    }

    /// The record with this trace, with its key.
    pub(super) fn of_trace(&self, trace: &Digest) -> Option<&(Digest, Hit)> {
        self.hits.get(trace)
    }

    fn named<'r>(
        &'r self,
        table: &'r HashMap<Digest, Vec<Digest>>,
        blob: &Digest,
    ) -> impl Iterator<Item = &'r (Digest, Hit)> {
        let traces = table.get(blob).into_iter().flatten();
        traces.filter_map(|trace| self.hits.get(trace))
    }

    /// How many seconds are lost with the blob: as many as the quickest action takes that makes it, and since what is made
    /// again is seldom the same to the byte, all that stands on it. Nothing where no record has it: nobody can find it.
    pub(super) fn seconds(&self, blob: &Digest) -> f64 {
        let own = self.made_of(blob).map(|(_, hit)| hit.seconds).reduce(f64::min);
        own.map_or(0.0, |own| own + self.above(blob))
    }

    /// How long everything took that has the blob among its inputs, directly or through others.
    fn above(&self, blob: &Digest) -> f64 {
        let mut seconds = 0.0;
        let mut seen = HashSet::new();
        let mut blobs = vec![*blob];
        while let Some(blob) = blobs.pop() {
            for (_, hit) in self.named(&self.readers, &blob) {
                if seen.insert(hit.trace) {
                    seconds += hit.seconds;
                    blobs.extend(hit.blobs());
                }
            }
        }
        seconds
    }
}

/// Which things go next.
pub(super) struct Choice<'r> {
    /// Worth most first: taken from the end.
    order: Vec<Item>,
    removable: HashMap<Item, u64>,
    /// Blobs whose last record went.
    orphans: Vec<Digest>,
    alive: HashMap<Digest, usize>,
    gone: HashSet<Digest>,
    records: &'r Records,
}

impl<'r> Choice<'r> {
    /// A choice among things that may all be removed.
    pub(super) fn new(mut candidates: Vec<Candidate>, records: &'r Records) -> Self {
        candidates.sort_by(|a, b| b.worth.total_cmp(&a.worth).then_with(|| a.item.cmp(&b.item)));
        let removable = candidates
            .iter()
            .map(|candidate| (candidate.item, candidate.bytes));
        let alive = records.makers.iter().map(|(blob, traces)| (*blob, traces.len()));
        Self {
            removable: removable.collect(),
            alive: alive.collect(),
            order: candidates.into_iter().map(|candidate| candidate.item).collect(),
            orphans: Vec::new(),
            gone: HashSet::new(),
            records,
        }
    }

    /// The next things to remove, with their sizes: about as many as free `bytes`.
    pub(super) fn next_batch(&mut self, bytes: u64) -> Vec<(Item, u64)> {
        let mut batch = Vec::new();
        let mut freed = 0;
        while freed < bytes && batch.len() < BATCH {
            let orphan = self.orphans.pop().map(Item::Blob);
            let Some(item) = orphan.or_else(|| self.order.pop()) else {
                break;
            };
            let Some(size) = self.removable.remove(&item) else {
                continue;
            };
            if let Item::Blob(digest) = item {
                self.drop_records_of(&digest);
            }
            freed += size;
            batch.push((item, size));
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hit::Observations;
    use crate::record::Output;

    fn digest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Records by key, seconds, outputs and inputs.
    fn records(list: &[(&str, f64, &[&str], &[&str])]) -> Records {
        let mut records = Records::default();
        for (key, seconds, outputs, inputs) in list {
            let output = |name: &&str| Output {
                name: String::new(),
                digest: digest(name),
                size: 0,
            };
            let hit = Hit {
                trace: digest(key),
                outputs: outputs.iter().map(output).collect(),
                inputs: inputs.iter().map(|name| digest(name)).collect(),
                observed: Observations::of(&[]),
                seconds: *seconds,
                finished_unix_ms: 0,
                status: String::new(),
            };
            records.add(digest(key), hit);
        }
        records
    }

    fn chosen(records: &Records, list: &[(Item, f64)], bytes: u64) -> Vec<Item> {
        let candidate = |(item, worth): &(Item, f64)| Candidate {
            item: *item,
            bytes: 1,
            worth: *worth,
        };
        let mut choice = Choice::new(list.iter().map(candidate).collect(), records);
        let batch = choice.next_batch(bytes);
        batch.into_iter().map(|(item, _)| item).collect()
    }

    fn blob(name: &str) -> Item {
        Item::Blob(digest(name))
    }

    #[test]
    fn the_least_worth_goes_first_whatever_it_is_and_no_more_than_needed() {
        let list = [
            (blob("dear"), 9.0),
            (Item::Aside(0), 1.0),
            (blob("cheap"), 2.0),
            (blob("orphan"), 0.0),
        ];
        let order = chosen(&Records::default(), &list, 3);
        assert_eq!(order, [blob("orphan"), Item::Aside(0), blob("cheap")]);
    }

    #[test]
    fn what_only_a_removed_record_needed_goes_next() {
        let records = records(&[
            ("r", 5.0, &["big", "small"], &[]),
            ("s", 5.0, &["shared", "big"], &[]),
        ]);
        let list = [("big", 1.0), ("other", 2.0), ("small", 3.0), ("shared", 4.0)];
        let order = chosen(&records, &list.map(|(name, worth)| (blob(name), worth)), 4);
        assert_eq!(order[0], blob("big"));
        assert_eq!(order[3], blob("other"), "{order:?}");
    }

    #[test]
    fn a_blob_costs_its_quickest_maker_and_all_that_stands_on_it() {
        let records = records(&[
            ("slow", 50.0, &["image"], &[]),
            ("quick", 2.0, &["image"], &[]),
            ("install", 100.0, &["disk"], &["image"]),
            ("test", 10.0, &[], &["disk", "image"]),
        ]);
        let seconds = |name: &str| records.seconds(&digest(name)).round() as u64;
        assert_eq!(["image", "disk", "unknown"].map(seconds), [112, 110, 0]);
    }

    #[test]
    fn worth_falls_with_size_and_with_time() {
        let (day, week) = (Duration::from_secs(24 * 3600), HALF_LIFE);
        assert!(worth(10.0, 100, day) > worth(10.0, 1000, day));
        assert!(worth(11.0, 100, day) > worth(10.0, 100, day));
        let [new, old] = [Duration::ZERO, week].map(|idle| worth(10.0, 100, idle));
        assert!((new - 2.0 * old).abs() < 1e-9);
    }
}
