//! What is selected, before a single parameter is computed: enough to tell what an edit has reached.

use rustc_hash::{FxHashMap, FxHashSet};
use vtbuild_cfg::Variant;
use vtbuild_cfg::variant::Fingerprint;

use crate::db::Stretch;

/// The variants that a configuration selects, each with a mark of the statements that it is made of.
#[derive(Clone, Default)]
pub struct Outline {
    stretches: Vec<Stretch>,
}

/// What differs between two outlines.
#[derive(Default)]
pub struct Reached<'a> {
    /// Variants that are gone, in their old order.
    pub removed: Vec<&'a Variant>,
    /// Variants that are new, or made of other statements than before, in their new order: with what they were. Their values may
    /// come out the same all the same.
    pub rest: Vec<(Option<&'a Variant>, &'a Variant)>,
}

impl Outline {
    pub(crate) fn new(stretches: Vec<Stretch>) -> Self {
        Self { stretches }
    }

    /// How many variants there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.stretches.iter().map(|stretch| stretch.variants.len()).sum()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What an edit since `before` has reached. Variants are known by their names; of several with one name the first stands for
    /// the first.
    #[must_use]
    pub fn since<'a>(&'a self, before: &'a Self) -> Reached<'a> {
        let marks = |outline: &'a Self| {
            outline
                .stretches
                .iter()
                .map(|stretch| stretch.fingerprint)
                .collect()
        };
        let (was, is): (FxHashSet<_>, FxHashSet<_>) = (marks(before), marks(self));
        let of = |outline: &'a Self, other: FxHashSet<_>| {
            numbered(
                outline
                    .stretches
                    .iter()
                    .filter(move |stretch| !other.contains(&stretch.fingerprint)),
            )
        };
        let (old, new) = (of(before, is), of(self, was));
        let mut by_key: FxHashMap<Key<'a>, (_, &'a Variant)> =
            old.iter().map(|(key, mark, it)| (*key, (*mark, *it))).collect();
        let mut reached = Reached::default();
        for (key, mark, variant) in new {
            match by_key.remove(&key) {
                Some((earlier, _)) if earlier == mark => {}
                earlier => reached.rest.push((earlier.map(|(_, variant)| variant), variant)),
            }
        }
        let gone = old.into_iter().filter(|(key, _, _)| by_key.contains_key(key));
        reached.removed = gone.map(|(_, _, variant)| variant).collect();
        reached
    }
}

/// A name, and how many had it before.
type Key<'a> = (&'a str, usize);

fn numbered<'a>(stretches: impl Iterator<Item = &'a Stretch>) -> Vec<(Key<'a>, Fingerprint, &'a Variant)> {
    let mut seen: FxHashMap<&str, usize> = FxHashMap::default();
    let each = |stretch: &'a Stretch| stretch.marks.iter().copied().zip(stretch.variants.iter());
    let mut list = Vec::new();
    for (mark, variant) in stretches.flat_map(each) {
        let nth = seen.entry(variant.name()).or_default();
        list.push(((variant.name(), *nth), mark, variant));
        *nth += 1;
    }
    list
}
