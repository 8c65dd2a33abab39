//! A variant's parameters: an ordered, immutable map whose texts are shared with the program.

use std::fmt;
use std::sync::Arc;

use crate::graph::{Graph, TextRef};
use crate::symbols::Sym;

/// Keys and values of one variant, in the order in which the keys were first set; `name` and `shortname` come first.
///
/// `dep` and the file maps are lists and maps; they are found on the [`Variant`](crate::Variant).
#[derive(Clone)]
pub struct Params {
    graph: Arc<Graph>,
    /// Keys from the number of the program's symbols on are `extra` ones.
    entries: Vec<(u32, TextRef)>,
    own: String,
    extra: Vec<String>,
}

impl Default for Params {
    fn default() -> Self {
        Params::new(Arc::default(), Vec::new(), String::new())
    }
}

impl Params {
    pub(crate) fn new(graph: Arc<Graph>, entries: Vec<(u32, TextRef)>, own: String) -> Self {
        Params {
            graph,
            entries,
            own,
            extra: Vec::new(),
        }
    }

    pub(crate) fn from_parts(graph: Arc<Graph>, pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut params = Params::new(graph, Vec::new(), String::new());
        for (key, value) in pairs {
            params.set(&key, &value);
        }
        params
    }

    /// Parameters that no configuration stands behind.
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        let mut params = Params::default();
        for (key, value) in pairs {
            params.set(key.as_ref(), value.as_ref());
        }
        params
    }

    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&str> {
        let id = self.find(key)?;
        self.entries
            .iter()
            .find(|(known, _)| *known == id)
            .map(|(_, value)| self.text(*value))
    }

    /// Keys and values in order of insertion.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|&(key, value)| (self.key(key), self.text(value)))
    }

    /// Keys and values in code-point order of the keys.
    pub fn sorted(&self) -> Vec<(&str, &str)> {
        let ranks = self.graph.ranks();
        if self.extra.is_empty() {
            let mut order: Vec<(u32, usize)> = self
                .entries
                .iter()
                .enumerate()
                .map(|(at, (key, _))| (ranks[*key as usize], at))
                .collect();
            order.sort_unstable();
            let pair = |at: usize| (self.key(self.entries[at].0), self.text(self.entries[at].1));
            return order.into_iter().map(|(_, at)| pair(at)).collect();
        }
        let mut pairs: Vec<_> = self.iter().collect();
        pairs.sort_unstable();
        pairs
    }

    /// The words of a value, without repetitions, in order: the objects that a key such as `vms` names.
    pub fn objects(&self, key: &str) -> Vec<&str> {
        let mut out: Vec<&str> = Vec::new();
        for word in self.get(key).unwrap_or_default().split_whitespace() {
            if !out.contains(&word) {
                out.push(word);
            }
        }
        out
    }

    /// The parameters as the object `object` sees them: each `key_object` also counts as `key`.
    ///
    /// Apply it again for objects within objects: `object_params("vm1").object_params("image1")`.
    #[must_use]
    pub fn object_params(&self, object: &str) -> Params {
        let suffix = format!("_{object}");
        let mut params = self.clone();
        for (key, _) in self.iter() {
            if key.ends_with(&suffix)
                && let Some(at) = key.find(&suffix)
                && let Some(value) = params.get(key).map(str::to_owned)
            {
                params.set(&key[..at], &value);
            }
        }
        params
    }

    fn find(&self, key: &str) -> Option<u32> {
        let known = self.graph.symbols.find(key).map(|sym| sym.0);
        known.or_else(|| {
            let at = self.extra.iter().position(|extra| extra == key)?;
            Some((self.graph.symbols.len() + at) as u32)
        })
    }

    fn key(&self, id: u32) -> &str {
        match (id as usize).checked_sub(self.graph.symbols.len()) {
            Some(extra) => &self.extra[extra],
            None => self.graph.symbols.text(Sym(id)),
        }
    }

    fn text(&self, at: TextRef) -> &str {
        self.graph.text(at, &self.own)
    }

    fn set(&mut self, key: &str, value: &str) {
        let id = self.find(key).unwrap_or_else(|| {
            self.extra.push(key.to_owned());
            (self.graph.symbols.len() + self.extra.len() - 1) as u32
        });
        let at = TextRef {
            arena: TextRef::OWN,
            start: self.own.len() as u32,
            len: value.len() as u32,
        };
        self.own.push_str(value);
        match self.entries.iter_mut().find(|(known, _)| *known == id) {
            Some((_, slot)) => *slot = at,
            None => self.entries.push((id, at)),
        }
    }
}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Params {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_see_their_own_values() {
        let params = Params::from_pairs([
            ("vms", "vm1 vm2  vm1"),
            ("mem", "128"),
            ("mem_vm1", "512"),
            ("x_a_vm1", "1"),
        ]);
        assert_eq!(params.objects("vms"), ["vm1", "vm2"]);
        let vm1 = params.object_params("vm1");
        assert_eq!(
            (vm1.get("mem"), vm1.get("mem_vm1"), vm1.get("x_a")),
            (Some("512"), Some("512"), Some("1"))
        );
        assert_eq!(vm1.object_params("a").get("x"), Some("1"));
        assert_eq!(params.object_params("vm2").get("mem"), Some("128"));
    }
}
