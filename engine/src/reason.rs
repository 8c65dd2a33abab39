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
    /// It passed with this key, which was not kept (a look at the world that is looked at each time), or is gone.
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
    /// It is compared with what is recorded of it.
    Audit,
    /// Its key is marked: it gave two answers.
    Nondeterministic {
        /// What was recorded.
        was: String,
        /// What it came to when it ran again.
        became: String,
    },
}

/// How many changed fields are named before the rest is counted.
const NAMED: usize = 3;
/// From how many words on a value is a list that is compared word by word.
const LIST: usize = 20;
/// How much of a changed value is shown.
const SHOWN: usize = 60;
/// How much of a digest is shown.
const DIGEST: usize = 12;

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("it has not run before"),
            Self::Changed { changes } => changed(f, changes),
            Self::Failed { status } => write!(f, "its last verdict was {status}"),
            Self::Evicted => f.write_str("its last pass was not kept, or is no longer in the cache"),
            Self::Observed { name } => write!(f, "{name} changed"),
            Self::Strict => f.write_str(
                "its record tells only what it read, and --strict-keys asks for all of its parameters",
            ),
            Self::Forced => f.write_str("it was asked to run again"),
            Self::Audit => f.write_str("an audit compares it with what is recorded"),
            Self::Nondeterministic { was, became } => write!(
                f,
                "it is marked as non-deterministic ({was} was recorded, and it came to {became}), so it is never served; `vtbuild cache unmark` takes the mark away"
            ),
        }
    }
}

fn changed(f: &mut fmt::Formatter<'_>, changes: &[Change]) -> fmt::Result {
    for (at, change) in changes.iter().take(NAMED).enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        write!(f, "{comma}{}: ", change.field)?;
        match words(change) {
            Some(words) => f.write_str(&words)?,
            None => {
                let (old, new) = (shown(change.old.as_deref()), shown(change.new.as_deref()));
                write!(f, "{old} -> {new}")?;
            }
        }
    }
    match changes.len().saturating_sub(NAMED) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// How two long lists of words differ, such as the flags of two processors: nobody compares them by eye.
#[must_use]
pub fn words(change: &Change) -> Option<String> {
    let list = |value: &Option<String>| -> Option<Vec<String>> {
        let text = value.as_deref()?.strip_prefix('"')?.strip_suffix('"')?;
        let words = || text.split(' ').map(str::to_owned);
        (words().count() >= LIST && words().all(|word| !word.is_empty())).then(|| words().collect())
    };
    let (old, new) = (list(&change.old)?, list(&change.new)?);
    let only = |these: &[String], those: &[String]| {
        let only: Vec<&str> = these
            .iter()
            .filter(|word| !those.contains(word))
            .map(String::as_str)
            .collect();
        only.join(" ")
    };
    let (gone, come) = (only(&old, &new), only(&new, &old));
    match (gone.is_empty(), come.is_empty()) {
        // The same words in another order: that is for the eye.
        (true, true) => None,
        (false, true) => Some(format!("without {gone}")),
        (true, false) => Some(format!("with {come}")),
        (false, false) => Some(format!("without {gone}, with {come}")),
    }
}

fn shown(value: Option<&str>) -> String {
    match value {
        None => "(none)".to_owned(),
        Some(text) if is_digest(text) => text[1..=DIGEST].to_owned(),
        Some(text) if text.chars().count() > SHOWN => {
            format!("{}…", text.chars().take(SHOWN).collect::<String>())
        }
        Some(text) => text.to_owned(),
    }
}

/// Whether a value as a manifest has it is a digest: 64 hexadecimal digits.
fn is_digest(text: &str) -> bool {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.is_some_and(|inner| inner.len() == 64 && inner.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_cut_and_other_values_are_not() {
        let changed = |old: &str, new: &str| {
            let change = Change {
                field: "sources.x.py".into(),
                old: Some(format!("\"{old}\"")),
                new: Some(format!("\"{new}\"")),
            };
            let changes = vec![change];
            Reason::Changed { changes }.to_string()
        };
        let (old, new) = ("0123456789abcdef".repeat(4), "fedcba9876543210".repeat(4));
        assert_eq!(changed(&old, &new), "sources.x.py: 0123456789ab -> fedcba987654");
        assert_eq!(changed("0123", "4567"), "sources.x.py: \"0123\" -> \"4567\"");
    }

    #[test]
    fn long_lists_are_compared_word_by_word() {
        let list = |extra: &str| {
            let words: Vec<String> = (0..LIST).map(|at| format!("flag{at}")).collect();
            Some(format!("\"{} {extra}\"", words.join(" ")))
        };
        let change = |old, new| Change {
            field: "host.processor flags".into(),
            old,
            new,
        };
        let changed = Reason::Changed {
            changes: vec![change(list("sgx"), list("avx"))],
        };
        assert_eq!(changed.to_string(), "host.processor flags: without sgx, with avx");
        assert_eq!(words(&change(Some("\"a b\"".into()), list("avx"))), None);
    }

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
