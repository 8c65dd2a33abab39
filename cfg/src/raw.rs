//! A dictionary with its suffixed keys still apart, on its way to be flattened or joined with another.

use std::hash::{Hash, Hasher};

use crate::graph::NodeId;

/// A key: its base, and the suffixes in order of application.
type Key = (String, Vec<String>);

/// Where a value was made: in which factor, and as which key of the working dictionary there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Maker {
    pub(crate) factor: u32,
    pub(crate) key: u32,
}

/// A key with its value, and who made it: the last one, after those whose values a join replaced.
#[derive(Clone, Debug)]
struct Entry {
    key: Key,
    value: String,
    makers: Vec<Maker>,
}

/// A final key with its value and its makers.
pub(crate) struct Made {
    pub(crate) key: String,
    pub(crate) value: String,
    pub(crate) makers: Vec<Maker>,
}

/// All of one variant's data as owned text.
#[derive(Clone, Default, Debug)]
pub(crate) struct RawDict {
    pub(crate) name: String,
    pub(crate) shortname: String,
    pub(crate) dep: Vec<String>,
    pub(crate) maps: Vec<(String, String, String)>,
    /// The paths that were merged: one, unless joins took part.
    pub(crate) factors: Vec<Box<[NodeId]>>,
    /// The `join` that merged them.
    pub(crate) join: Option<u32>,
    entries: Vec<Entry>,
}

/// By what it says, without how that came about.
impl Hash for RawDict {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (&self.name, &self.shortname, &self.dep, &self.maps).hash(state);
        for entry in &self.entries {
            (&entry.key, &entry.value).hash(state);
        }
    }
}

impl RawDict {
    pub(crate) fn new(
        name: &str,
        shortname: &str,
        dep: &[String],
        maps: Vec<(String, String, String)>,
    ) -> Self {
        RawDict {
            name: name.to_owned(),
            shortname: shortname.to_owned(),
            dep: dep.to_owned(),
            maps,
            factors: Vec::new(),
            join: None,
            entries: Vec::new(),
        }
    }

    /// Adds a key that is not there yet; `number` is what the working dictionary calls it.
    pub(crate) fn push(&mut self, base: String, suffixes: Vec<String>, value: String, number: u32) {
        let maker = Maker {
            factor: 0,
            key: number,
        };
        self.entries.push(Entry {
            key: (base, suffixes),
            value,
            makers: vec![maker],
        });
    }

    /// Takes over everything that `other` has; names stay.
    pub(crate) fn update(&mut self, other: RawDict) {
        self.dep = other.dep;
        if !other.maps.is_empty() {
            self.maps = other.maps;
        }
        let first = self.factors.len() as u32;
        self.factors.extend(other.factors);
        for mut entry in other.entries {
            entry.makers.iter_mut().for_each(|maker| maker.factor += first);
            match self.entries.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => {
                    known.value = entry.value;
                    known.makers.append(&mut entry.makers);
                }
                None => self.entries.push(entry),
            }
        }
    }

    /// The final keys and values. A suffixed key loses its suffixes if that is no loss: if the plain key, or every key
    /// of the same base, has its value. Otherwise suffixes follow the base, the last applied first.
    pub(crate) fn flatten(self, keep_dups: bool) -> Vec<Made> {
        // Judged by what is there before anything is renamed.
        let before = self.entries.clone();
        let mut entries = self.entries;
        for Entry { key, value, makers } in before.iter().filter(|entry| !entry.key.1.is_empty()) {
            let mut same_base = before.iter().filter(|other| other.key.0 == key.0);
            let plain = same_base.clone().find(|other| other.key.1.is_empty());
            entries.retain(|known| known.key != *key);
            if !keep_dups && plain.is_some_and(|plain| plain.value == *value) {
                continue;
            }
            let name = if !keep_dups && same_base.all(|other| other.value == *value) {
                key.0.clone()
            } else {
                key.1
                    .iter()
                    .rev()
                    .fold(key.0.clone(), |name, suffix| name + suffix)
            };
            let entry = Entry {
                key: (name, Vec::new()),
                value: value.clone(),
                makers: makers.clone(),
            };
            match entries.iter_mut().find(|known| known.key == entry.key) {
                Some(known) => *known = entry,
                None => entries.push(entry),
            }
        }
        let made = |entry: Entry| Made {
            key: entry.key.0,
            value: entry.value,
            makers: entry.makers,
        };
        entries.into_iter().map(made).collect()
    }
}
