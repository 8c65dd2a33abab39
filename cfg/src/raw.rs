//! A dictionary with its suffixed keys still apart, on its way to be flattened or joined with another.

/// A key: its base, and the suffixes in order of application.
type Key = (String, Vec<String>);

/// All of one variant's data as owned text.
#[derive(Clone, Default, Debug)]
pub(crate) struct RawDict {
    pub(crate) name: String,
    pub(crate) shortname: String,
    pub(crate) dep: Vec<String>,
    pub(crate) maps: Vec<(String, String, String)>,
    entries: Vec<(Key, String)>,
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
            entries: Vec::new(),
        }
    }

    /// Sets a key, keeping its place if it is present.
    pub(crate) fn set(&mut self, base: String, suffixes: Vec<String>, value: String) {
        let key = (base, suffixes);
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some((_, slot)) => *slot = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Takes over everything that `other` has; names stay.
    pub(crate) fn update(&mut self, other: RawDict) {
        self.dep = other.dep;
        if !other.maps.is_empty() {
            self.maps = other.maps;
        }
        for ((base, suffixes), value) in other.entries {
            self.set(base, suffixes, value);
        }
    }

    /// The final keys and values. A suffixed key loses its suffixes if that is no loss: if the plain key, or every key
    /// of the same base, has its value. Otherwise suffixes follow the base, the last applied first.
    pub(crate) fn flatten(mut self, keep_dups: bool) -> Vec<(String, String)> {
        // Judged by what is there before anything is renamed.
        let before = self.entries.clone();
        for (key, value) in before.iter().filter(|((_, suffixes), _)| !suffixes.is_empty()) {
            let mut same_base = before.iter().filter(|((base, _), _)| *base == key.0);
            let plain = same_base.clone().find(|((_, suffixes), _)| suffixes.is_empty());
            self.entries.retain(|(known, _)| known != key);
            if !keep_dups && plain.is_some_and(|(_, plain)| plain == value) {
                continue;
            }
            let name = if !keep_dups && same_base.all(|(_, other)| other == value) {
                key.0.clone()
            } else {
                key.1
                    .iter()
                    .rev()
                    .fold(key.0.clone(), |name, suffix| name + suffix)
            };
            self.set(name, Vec::new(), value.clone());
        }
        self.entries
            .into_iter()
            .map(|((base, _), value)| (base, value))
            .collect()
    }
}
