//! What became of an action.

use std::fmt;
use std::sync::Arc;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use vtbuild_cache::Digest;

use crate::observe::Read;

/// The verdict of one action, in the field's words.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It did what it should.
    Pass,
    /// It passed with something to look at.
    Warn,
    /// The thing under test is wrong.
    Fail,
    /// The test, its preparation or its surroundings broke.
    Error,
    /// Not run: something it stands on failed, or a requirement is missing.
    Skip,
    /// The test itself decided that it does not apply here.
    Cancel,
    /// Stopped from outside.
    Interrupt,
}

impl Status {
    /// The word as printed.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Warn => "WARN",
            Self::Fail => "FAIL",
            Self::Error => "ERROR",
            Self::Skip => "SKIP",
            Self::Cancel => "CANCEL",
            Self::Interrupt => "INTERRUPT",
        }
    }

    /// The status that `word` names, as in a test host's verdict.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [
            Self::Pass,
            Self::Warn,
            Self::Fail,
            Self::Error,
            Self::Skip,
            Self::Cancel,
            Self::Interrupt,
        ]
        .into_iter()
        .find(|status| status.word() == word)
    }

    /// Whether what depends on the action may go on.
    #[must_use]
    pub fn lets_followers_run(self) -> bool {
        matches!(self, Self::Pass | Self::Warn)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Whether an outcome is certainly true, and so may be served again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Keep {
    /// It follows from the key alone.
    Store,
    /// It may be different next time, for this reason.
    Never(String),
    /// It is a look at the world, which is looked at again in each run. Nobody needs to be told.
    Afresh,
}

/// A file that an action made, still in its scratch folder or in a place of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Produced {
    /// The output's name: `disk`, `vmlinuz`.
    pub name: String,
    /// Where it is now.
    pub path: Utf8PathBuf,
}

/// What carrying an action out came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// The verdict.
    pub status: Status,
    /// Why, where there is something to say. Its first line says it; further ones show it (what a compiler printed).
    pub reason: Option<String>,
    /// Whether it may be served again.
    pub keep: Keep,
    /// Files made.
    pub outputs: Vec<Produced>,
    /// What was read beyond what had entered the key.
    pub observed: Vec<Read>,
    /// What stands behind the verdict; kept with the record.
    pub evidence: serde_json::Value,
    /// Aids that turned out to be no good. They are set aside and not served again.
    pub distrusted: Vec<Distrust>,
}

/// An aid that was no good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Distrust {
    /// The part that it was to play.
    pub role: Arc<str>,
    /// What was wrong with it.
    pub reason: String,
}

impl Outcome {
    /// A pass without outputs.
    #[must_use]
    pub fn pass() -> Self {
        Self {
            status: Status::Pass,
            reason: None,
            keep: Keep::Store,
            outputs: Vec::new(),
            observed: Vec::new(),
            evidence: serde_json::Value::Null,
            distrusted: Vec::new(),
        }
    }

    /// A verdict other than a pass. It is reported and recorded, never served again.
    #[must_use]
    pub fn ended(status: Status, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        let keep = Keep::Never(format!("{} is never served again", status.word()));
        Self {
            status,
            reason: Some(reason),
            keep,
            ..Self::pass()
        }
    }
}

/// An output of a finished action, as followers see it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Artefact {
    /// The output's name.
    pub name: String,
    /// Its content.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where it can be read. Nobody writes there.
    pub path: Utf8PathBuf,
}
