//! Remembering what was asked of parameters: what was not asked cannot have mattered.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::List;

/// What was asked of a variant's parameters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadSet {
    /// Names that were asked for, present or not.
    pub keys: BTreeSet<String>,
    /// Objects whose views were made: the names ending in `_OBJECT` were looked at.
    pub suffixes: BTreeSet<String>,
}

/// Remembers questions. Shared by a variant's parameters and all views of them.
#[derive(Debug)]
pub(super) struct Recorder {
    /// The variant's own parameters.
    variant: Arc<List>,
    asked: Mutex<ReadSet>,
}

impl Recorder {
    pub(super) fn new(variant: Arc<List>) -> Recorder {
        Recorder {
            variant,
            asked: Mutex::default(),
        }
    }

    /// Remembers the question for a name; whether the variant has it.
    pub(super) fn record(&self, key: &str) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.keys.contains(key) {
            asked.keys.insert(key.to_owned());
        }
        self.variant.get(key).is_some()
    }

    /// Remembers that names ending in `_object` were looked at.
    pub(super) fn scan(&self, object: &str) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if !asked.suffixes.contains(object) {
            asked.suffixes.insert(object.to_owned());
        }
    }

    pub(super) fn report(&self) -> ReadSet {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
