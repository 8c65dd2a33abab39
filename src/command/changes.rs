//! What a change does to variants, told variant by variant and key by key.

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};
use vtbuild_cfg::Variant;

use super::cartesian::{Value, sorted, write_repr};
use crate::analysis::wrong;
use crate::exit::Failure;

/// Keys of a variant with their values as text, sorted by key.
pub type Pairs = Vec<(String, String)>;

/// A key whose value differs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// The key.
    pub key: String,
    /// Its value before; none where there was no such key.
    pub before: Option<String>,
    /// Its value after.
    pub after: Option<String>,
}

/// What a change does to a variant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// It was not there before.
    Added,
    /// It is not there any more.
    Removed,
    /// These keys differ.
    Changed(Vec<Difference>),
}

/// A variant that a change reaches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Its full name.
    pub name: String,
    /// What the change does to it.
    pub kind: Kind,
}

/// How many variants a change reaches, and how many it does not.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Counts {
    /// New ones.
    pub added: usize,
    /// Those that are gone.
    pub removed: usize,
    /// Those of which keys differ.
    pub changed: usize,
    /// All others.
    pub same: usize,
}

impl Counts {
    /// Counts changes among `after` variants that there are now.
    pub fn of(changes: &[Change], after: usize) -> Self {
        let count = |wanted: fn(&Kind) -> bool| changes.iter().filter(|change| wanted(&change.kind)).count();
        let added = count(|kind| *kind == Kind::Added);
        let changed = count(|kind| matches!(kind, Kind::Changed(_)));
        Self {
            added,
            removed: count(|kind| *kind == Kind::Removed),
            changed,
            same: after - added - changed,
        }
    }

    /// Whether no variant is reached.
    pub fn nothing(self) -> bool {
        self.added + self.removed + self.changed == 0
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (added, removed, changed) = (self.added, self.removed, self.changed);
        let same = super::plural(&self.same, "variant");
        write!(
            f,
            "{added} added, {removed} removed, {changed} changed; {same} the same"
        )
    }
}

/// All that a variant says.
pub fn pairs(variant: &Variant) -> Result<Pairs, Failure> {
    let told = sorted(variant).map_err(|error| wrong(&error))?;
    let owned = told
        .into_iter()
        .map(|(name, value)| (name.to_owned(), text(&value)));
    Ok(owned.collect())
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => (*text).to_owned(),
        value => {
            let mut text = String::new();
            write_repr(value, &mut text);
            text
        }
    }
}

/// The keys whose values differ, sorted.
pub fn differences(old: &Pairs, new: &Pairs) -> Vec<Difference> {
    let value = |pairs: &Pairs, key: &str| {
        let at = pairs.binary_search_by(|(known, _)| known.as_str().cmp(key));
        at.ok().map(|at| pairs[at].1.clone())
    };
    let mut names: Vec<&str> = old.iter().chain(new).map(|(key, _)| key.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|key| Difference {
            key: key.to_owned(),
            before: value(old, key),
            after: value(new, key),
        })
        .filter(|difference| difference.before != difference.after)
        .collect()
}

impl Change {
    /// `- NAME`, `+ NAME`, or `~ NAME` and a line for each of at most `most` keys.
    pub fn text(&self, most: usize) -> String {
        let differences = match &self.kind {
            Kind::Added => return format!("+ {}\n", self.name),
            Kind::Removed => return format!("- {}\n", self.name),
            Kind::Changed(differences) => differences,
        };
        let shown = |value: &Option<String>| {
            value
                .as_ref()
                .map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""))
        };
        let mut text = format!("~ {}\n", self.name);
        for Difference { key, before, after } in differences.iter().take(most) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "    {key}: {} -> {}", shown(before), shown(after));
        }
        if differences.len() > most {
            let _ = writeln!(text, "    and {} more keys", differences.len() - most);
        }
        text
    }

    /// The same as an object.
    pub fn json(&self) -> Json {
        let (word, keys) = match &self.kind {
            Kind::Added => ("added", None),
            Kind::Removed => ("removed", None),
            Kind::Changed(differences) => {
                let keys = differences.iter().map(|Difference { key, before, after }| {
                    (key.clone(), json!({ "before": before, "after": after }))
                });
                ("changed", Some(keys.collect::<Map<String, Json>>()))
            }
        };
        let mut object = json!({ "change": word, "name": self.name });
        if let Some(keys) = keys {
            object["keys"] = keys.into();
        }
        object
    }
}
