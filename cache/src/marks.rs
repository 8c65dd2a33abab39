//! Marks on keys whose action gave two answers: it is neither served nor stored until somebody takes the mark away.

use std::collections::HashSet;

use heed::RoTxn;
use heed::WithoutTls;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::store::{Store, from_json, to_json};

/// That an action is not determined by its key and by what it observes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The action's key.
    pub key: Digest,
    /// The name of its rule.
    pub rule: String,
    /// The target under which it is recorded.
    pub label: String,
    /// What people call it.
    pub title: String,
    /// What was recorded, in words.
    pub was: String,
    /// What it came to when it ran again.
    pub became: String,
    /// When that was found, in milliseconds since 1970.
    pub found_unix_ms: u64,
}

impl Store {
    /// Marks a key and removes its records. From now on no look-up finds any.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn mark(&self, mark: &Mark) -> Result<(), StoreError> {
        let (index, table) = (self.index(), self.index().tables.marks);
        index.write(|txn| index.put(txn, table, mark.key.as_bytes(), &to_json(mark)))?;
        self.forget(&mark.key)?;
        Ok(())
    }

    /// Takes the mark of a key away; whether there was one.
    ///
    /// # Errors
    /// When the index cannot be written.
    pub fn unmark(&self, key: &Digest) -> Result<bool, StoreError> {
        let (index, table) = (self.index(), self.index().tables.marks);
        index.write(|txn| index.delete(txn, table, key.as_bytes()))
    }

    /// The mark of a key.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn mark_of(&self, key: &Digest) -> Result<Option<Mark>, StoreError> {
        self.fetch(self.index().tables.marks, key.as_bytes(), from_json)
    }

    /// All marks, by label.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn marks(&self) -> Result<Vec<Mark>, StoreError> {
        let txn = self.index().read()?;
        let keys = self.marked(&txn)?;
        drop(txn);
        let mut marks = Vec::new();
        for key in keys {
            marks.extend(self.mark_of(&key)?);
        }
        marks.sort_by(|a, b| (&a.label, a.key).cmp(&(&b.label, b.key)));
        Ok(marks)
    }

    /// The keys that are marked: mostly none. A mark that is damaged is still one.
    pub(crate) fn marked(&self, txn: &RoTxn<'_, WithoutTls>) -> Result<HashSet<Digest>, StoreError> {
        let table = self.index().tables.marks.database;
        let entries = table.iter(txn).map_err(|error| self.index().error(error))?;
        let mut keys = HashSet::new();
        for entry in entries {
            let (key, _) = entry.map_err(|error| self.index().error(error))?;
            keys.extend(<[u8; 32]>::try_from(key).ok().map(Digest::from_bytes));
        }
        Ok(keys)
    }
}
