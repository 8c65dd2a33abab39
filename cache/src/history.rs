//! What happened to a target before: for explanations and estimates, never for hits.

use heed::RwTxn;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::manifest::Manifest;
use crate::record::Record;
use crate::store::{Store, from_json, to_json};

/// How many runs of a label are remembered.
const REMEMBERED_RUNS: usize = 16;

/// One run of a target, whatever came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// The action's key.
    pub key: Digest,
    /// The [`trace`](Record::trace) of its record, where one was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace: Option<Digest>,
    /// How it ended, such as `PASS` or `FAIL`.
    pub status: String,
    /// Why, on one line, when it did not pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// When it ended, in milliseconds since 1970.
    pub finished_unix_ms: u64,
    /// The host it ran on.
    pub host: String,
}

/// The last run of a target, with what entered its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Last {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// What entered its key.
    pub manifest: Manifest,
}

/// What the index keeps of a label; the label itself guards against two labels with one digest.
#[derive(Serialize, Deserialize)]
struct History {
    label: String,
    /// Of the newest run; `None` while the record of that run has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    manifest: Option<Manifest>,
    /// Newest first.
    runs: Vec<Run>,
}

impl From<&Record> for Run {
    fn from(record: &Record) -> Self {
        Self {
            key: record.key,
            trace: Some(record.trace()),
            status: record.status.clone(),
            reason: None,
            seconds: record.seconds,
            finished_unix_ms: record.finished_unix_ms,
            host: record.host.clone(),
        }
    }
}

impl Store {
    /// The last run of `label`.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn last(&self, label: &str) -> Result<Option<Last>, StoreError> {
        let Some(History { manifest, runs, .. }) = self.history(label)? else {
            return Ok(None);
        };
        let Some(run) = runs.into_iter().next() else {
            return Ok(None);
        };
        let manifest = match (manifest, &run.trace) {
            (Some(manifest), _) => Some(manifest),
            (None, Some(trace)) => self.record_of(trace)?.map(|record| record.manifest),
            (None, None) => None,
        };
        Ok(manifest.map(|manifest| Last { run, manifest }))
    }

    /// The remembered runs of `label`, newest first, at most 16.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn runs(&self, label: &str) -> Result<Vec<Run>, StoreError> {
        Ok(self
            .history(label)?
            .map(|history| history.runs)
            .unwrap_or_default())
    }

    /// Remembers that `label` ran. Publishing a record does so by itself.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn note(&self, label: &str, last: &Last) -> Result<(), StoreError> {
        self.index()
            .write(|txn| self.note_in(txn, label, &last.run, Some(&last.manifest)))
    }

    /// Remembers a run that did not succeed. It is history only: no look-up ever answers with it.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn record_failure(&self, label: &str, failure: &Last) -> Result<(), StoreError> {
        self.note(label, failure)
    }

    fn history(&self, label: &str) -> Result<Option<History>, StoreError> {
        let table = self.index().tables.labels;
        let history = self.fetch(table, name_of(label).as_bytes(), from_json::<History>)?;
        Ok(history.filter(|history| history.label == label))
    }

    /// Adds a run. Without a manifest, the record of the run has to be there and to have it.
    pub(crate) fn note_in(
        &self,
        txn: &mut RwTxn<'_>,
        label: &str,
        run: &Run,
        manifest: Option<&Manifest>,
    ) -> Result<(), StoreError> {
        let (index, table, name) = (self.index(), self.index().tables.labels, name_of(label));
        let mut history = self.history_in(txn, label)?.unwrap_or_else(|| History::of(label));
        history.runs.insert(0, run.clone());
        history.runs.truncate(REMEMBERED_RUNS);
        history.manifest = manifest.cloned();
        index.put(txn, table, name.as_bytes(), &to_json(&history))
    }

    /// Keeps the manifest of a record that is about to be removed, if its label's newest run has no other.
    pub(crate) fn save_manifest(&self, txn: &mut RwTxn<'_>, record: Record) -> Result<(), StoreError> {
        let (index, table, name) = (self.index(), self.index().tables.labels, name_of(&record.label));
        let Some(mut history) = self.history_in(txn, &record.label)? else {
            return Ok(());
        };
        let trace = Some(record.trace());
        let newest = history.runs.first().is_some_and(|run| run.trace == trace);
        if newest && history.manifest.is_none() {
            history.manifest = Some(record.manifest);
            index.put(txn, table, name.as_bytes(), &to_json(&history))?;
        }
        Ok(())
    }

    /// A damaged history counts as none; it is about to be written anew.
    fn history_in(&self, txn: &RwTxn<'_>, label: &str) -> Result<Option<History>, StoreError> {
        let found = self
            .index()
            .get(txn, self.index().tables.labels, name_of(label).as_bytes())?;
        let history = found.and_then(|content| content.and_then(from_json::<History>).ok());
        Ok(history.filter(|history| history.label == label))
    }
}

impl History {
    fn of(label: &str) -> Self {
        Self {
            label: label.to_owned(),
            manifest: None,
            runs: Vec::new(),
        }
    }
}

/// Labels are of any length, keys of the index are not.
fn name_of(label: &str) -> Digest {
    Digest::of(label.as_bytes())
}
