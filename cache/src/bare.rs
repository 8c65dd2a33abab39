//! Records without outputs. No blob speaks for such a record, so collection weighs the record itself: a table says how large
//! each is and when it was last used.

use heed::{RoTxn, RwTxn};

use crate::digest::Digest;
use crate::error::StoreError;
use crate::hit::take;
use crate::index::{Damage, unseal};
use crate::store::{Store, now_unix_ms};

/// What is remembered of a record without outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BareEntry {
    /// What its entries in the index take, in bytes.
    pub(crate) bytes: u64,
    pub(crate) used_unix_ms: u64,
}

impl BareEntry {
    fn to_bytes(self) -> Vec<u8> {
        [self.bytes.to_le_bytes(), self.used_unix_ms.to_le_bytes()].concat()
    }

    fn from_bytes(mut bytes: &[u8]) -> Result<Self, Damage> {
        Ok(Self {
            bytes: u64::from_le_bytes(take(&mut bytes)?),
            used_unix_ms: u64::from_le_bytes(take(&mut bytes)?),
        })
    }
}

impl Store {
    /// Notes a record without outputs, whose entries in the index take `bytes`.
    pub(crate) fn note_bare(
        &self,
        txn: &mut RwTxn<'_>,
        trace: &Digest,
        bytes: usize,
        used_unix_ms: u64,
    ) -> Result<(), StoreError> {
        let entry = BareEntry {
            bytes: bytes as u64,
            used_unix_ms,
        };
        let (index, table) = (self.index(), self.index().tables.bare);
        index.put(txn, table, trace.as_bytes(), &entry.to_bytes())
    }

    /// All records without outputs, by their traces. A damaged entry is left out: its record is served, and never collected.
    pub(crate) fn bare(&self, txn: &RoTxn<'_>) -> Result<Vec<(Digest, BareEntry)>, StoreError> {
        let (index, table) = (self.index(), self.index().tables.bare);
        let mut found = Vec::new();
        for entry in table.database.iter(txn).map_err(|error| index.error(error))? {
            let (trace, value) = entry.map_err(|error| index.error(error))?;
            let entry = unseal(value).and_then(BareEntry::from_bytes);
            if let (Ok(trace), Ok(entry)) = (trace.try_into().map(Digest::from_bytes), entry) {
                found.push((trace, entry));
            }
        }
        Ok(found)
    }

    /// Notes in a table whose entries end with the time of their last use that these are used now, unless that was noted
    /// less than `every_ms` milliseconds ago. What is not in the table is passed over.
    pub(crate) fn note_use(
        &self,
        table: crate::index::Table,
        digests: &[Digest],
        every_ms: u64,
    ) -> Result<(), StoreError> {
        let (index, now) = (self.index(), now_unix_ms());
        let mut old = Vec::new();
        let txn = index.read()?;
        for digest in digests {
            let content = index.get(&txn, table, digest.as_bytes())?.and_then(Result::ok);
            if let Some((rest, used)) = content.and_then(<[u8]>::split_last_chunk)
                && now.saturating_sub(u64::from_le_bytes(*used)) > every_ms
            {
                old.push((digest, [rest, &now.to_le_bytes()].concat()));
            }
        }
        drop(txn);
        if old.is_empty() {
            return Ok(());
        }
        index.write(|txn| {
            old.iter()
                .try_for_each(|(digest, content)| index.put(txn, table, digest.as_bytes(), content))
        })
    }
}
