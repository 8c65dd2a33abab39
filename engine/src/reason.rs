//! Why an action runs, as a value: shown, logged and kept with the results.

use std::fmt;

use serde::Serialize;
use vtbuild_cache::Change;

/// Why an action was not served from the cache.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Reason {
    /// No action of this label was ever recorded.
    Never,
    /// What its key is made of is not what it was.
    Changed {
        /// Every field that differs.
        changes: Vec<Change>,
    },
    /// The last run of the same key did not pass.
    Failed {
        /// Its verdict.
        status: String,
    },
    /// The key is known but its record or outputs are gone.
    Evicted,
    /// A file that the last run read, beyond those declared, has changed.
    Observed {
        /// Its name.
        name: String,
    },
    /// Its last run recorded only what it read, and all parameters are to count.
    Strict,
    /// It was asked for.
    Forced,
}

/// How many changed fields are named before the rest is counted.
const NAMED: usize = 3;
/// How much of a changed value is shown.
const SHOWN: usize = 60;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("it has not run before"),
            Self::Changed { changes } => changed(f, changes),
            Self::Failed { status } => write!(f, "its last verdict was {status}"),
            Self::Evicted => f.write_str("its record or outputs are no longer in the cache"),
            Self::Observed { name } => write!(f, "{name} changed"),
            Self::Strict => f.write_str(
                "its record tells only what it read, and --strict-keys asks for all of its parameters",
            ),
            Self::Forced => f.write_str("it was asked to run again"),
        }
    }
}

fn changed(f: &mut fmt::Formatter<'_>, changes: &[Change]) -> fmt::Result {
    for (at, change) in changes.iter().take(NAMED).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let (old, new) = (shown(change.old.as_deref()), shown(change.new.as_deref()));
        write!(f, "{comma}{}: {old} -> {new}", change.field)?;
    }
    match changes.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(text) if text.chars().count() > SHOWN => {
            format!("{}…", text.chars().take(SHOWN).collect::<String>())
        }
        Some(text) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_first_changes_and_counts_the_rest() {
        let change = |field: &str| Change {
            field: field.into(),
            old: None,
            new: Some("1".into()),
        };
        let changes = ["a", "b", "c", "d", "e"].map(change).to_vec();
        let text = Reason::Changed { changes }.to_string();
        assert_eq!(text, "a: (none) -> 1, b: (none) -> 1, c: (none) -> 1 and 2 more");
    }
}
