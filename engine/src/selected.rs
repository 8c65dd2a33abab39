//! What a configuration selects at one time, and how it differs from what it selected before.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::variant::Variant;

/// The variants that are selected, in order. Stretches of them that an edit did not reach are shared with the selection before
/// it: they are the same without a look at a single variant.
#[derive(Clone, Default, Debug)]
pub struct Selected {
    stretches: Vec<Arc<[Variant]>>,
}

/// What differs between two selections.
#[derive(Debug, Default)]
pub struct Differences<'a> {
    /// Variants that are gone, in their old order.
    pub removed: Vec<&'a Variant>,
    /// Variants that are new, or other than before, in their new order: with what they were.
    pub rest: Vec<(Option<&'a Variant>, &'a Variant)>,
}

impl Selected {
    pub(crate) fn new(stretches: Vec<Arc<[Variant]>>) -> Self {
        Self { stretches }
    }

    /// The variants, in order.
    pub fn variants(&self) -> impl Iterator<Item = &Variant> {
        self.stretches.iter().flat_map(|stretch| stretch.iter())
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What differs from the selection `before`. Variants are known by their names; of several with one name the first stands
    /// for the first.
    #[must_use]
    pub fn since<'a>(&'a self, before: &'a Self) -> Differences<'a> {
        let place = |stretch: &Arc<[Variant]>| Arc::as_ptr(stretch).cast::<Variant>();
        let (was, is): (FxHashSet<_>, FxHashSet<_>) = (
            before.stretches.iter().map(place).collect(),
            self.stretches.iter().map(place).collect(),
        );
        let old = before
            .stretches
            .iter()
            .filter(|stretch| !is.contains(&place(stretch)));
        let mut old = numbered(old);
        let new = self
            .stretches
            .iter()
            .filter(|stretch| !was.contains(&place(stretch)));
        let mut found = Differences::default();
        for (key, variant) in numbered(new).list {
            let earlier = old.by_key.remove(&key);
            if earlier != Some(variant) {
                found.rest.push((earlier, variant));
            }
        }
        let gone = old
            .list
            .into_iter()
            .filter(|(key, _)| old.by_key.contains_key(key));
        found.removed = gone.map(|(_, variant)| variant).collect();
        found
    }
}

/// A name, and how many had it before.
type Key<'a> = (&'a str, usize);

struct Numbered<'a> {
    list: Vec<(Key<'a>, &'a Variant)>,
    by_key: FxHashMap<Key<'a>, &'a Variant>,
}

fn numbered<'a>(stretches: impl Iterator<Item = &'a Arc<[Variant]>>) -> Numbered<'a> {
    let mut seen: FxHashMap<&str, usize> = FxHashMap::default();
    let mut list = Vec::new();
    for variant in stretches.flat_map(|stretch| stretch.iter()) {
        let nth = seen.entry(&variant.name).or_default();
        list.push(((&*variant.name, *nth), variant));
        *nth += 1;
    }
    let by_key = list.iter().copied().collect();
    Numbered { list, by_key }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variant(name: &str, value: &str) -> Variant {
        Variant {
            name: name.into(),
            shortname: name.into(),
            test_id: name.into(),
            dep: Vec::new(),
            name_map: Vec::new(),
            short_name_map: Vec::new(),
            params: Arc::new(vec![("key".into(), value.into())]),
        }
    }

    fn stretch(variants: &[(&str, &str)]) -> Arc<[Variant]> {
        variants
            .iter()
            .map(|(name, value)| variant(name, value))
            .collect()
    }

    #[test]
    fn shared_stretches_do_not_differ_and_others_are_compared_by_name() {
        let shared = stretch(&[("a", "1"), ("b", "1")]);
        let before = Selected::new(vec![
            shared.clone(),
            stretch(&[("c", "1"), ("d", "1"), ("e", "1")]),
        ]);
        let after = Selected::new(vec![stretch(&[("c", "2"), ("e", "1"), ("f", "1")]), shared]);
        let found = after.since(&before);
        let removed: Vec<_> = found.removed.iter().map(|variant| &*variant.name).collect();
        assert_eq!(removed, ["d"]);
        let rest: Vec<_> = found
            .rest
            .iter()
            .map(|(old, new)| (old.is_some(), &*new.name))
            .collect();
        assert_eq!(rest, [(true, "c"), (false, "f")]);
        let none = before.since(&before);
        assert!(none.removed.is_empty() && none.rest.is_empty());
    }

    #[test]
    fn variants_of_one_name_are_told_apart_by_their_order() {
        let before = Selected::new(vec![stretch(&[("a", "1"), ("a", "2")])]);
        let after = Selected::new(vec![stretch(&[("a", "1"), ("a", "3"), ("a", "2")])]);
        let found = after.since(&before);
        assert!(found.removed.is_empty());
        let old = |at: usize| found.rest[at].0.map(|variant| &*variant.params[0].1);
        assert_eq!((old(0), old(1)), (Some("2"), None));
    }
}
