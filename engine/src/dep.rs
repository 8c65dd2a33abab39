//! Which variants a `dep` entry means.
//!
//! The language gives an entry as a name: the labels of the variants around the dependent one, then the labels as
//! written (`A.two` for `- three: two` under `A`). The field's runners take it as a piece of the other test's name. Here
//! it is matched label by label: the labels that both names begin with fall away, and what is left of the entry must stand
//! together somewhere in what is left of the name. A provider's prefix (`bundled.` in front of every test of a provider) and
//! inner variants of the dependency then do no harm, and `boot` never means `reboot`.

use std::sync::Arc;

use rustc_hash::FxHashMap;

/// Names of variants, looked up by `dep` entries. Only names that some entry could mean are kept.
#[derive(Debug, Default)]
pub struct DepIndex {
    /// For the last label of each entry the names that hold it, with their numbers, in order.
    holding: FxHashMap<Box<str>, Vec<(u32, Arc<str>)>>,
}

impl DepIndex {
    /// An index of `names`, numbered in order, for looking up `entries`. An empty name matches nothing.
    pub fn of<'a>(
        names: impl Iterator<Item = &'a Arc<str>>,
        entries: impl Iterator<Item = &'a Arc<str>>,
    ) -> Self {
        let last = entries.filter_map(|entry| labels(entry).last());
        let mut holding: FxHashMap<Box<str>, Vec<(u32, Arc<str>)>> =
            last.map(|label| (Box::from(label), Vec::new())).collect();
        if holding.is_empty() {
            return Self::default();
        }
        for (number, name) in (0..).zip(names) {
            for label in labels(name) {
                let Some(holders) = holding.get_mut(label) else {
                    continue;
                };
                if holders.last().is_none_or(|(last, _)| *last != number) {
                    holders.push((number, name.clone()));
                }
            }
        }
        Self { holding }
    }

    /// The numbers of the names that `entry`, one of those that the index was made for, means; in order.
    pub fn matching(&self, entry: &str) -> impl Iterator<Item = usize> {
        let wanted: Vec<&str> = labels(entry).collect();
        let holders = wanted.last().and_then(|last| self.holding.get(*last));
        let candidates = holders.map(Vec::as_slice).unwrap_or_default().iter();
        candidates
            .filter(move |(_, name)| means(&wanted, name))
            .map(|(number, _)| *number as usize)
    }
}

/// The labels of a name. A label of a named block is printed `(variable=label)`; an entry may leave the variable out.
fn labels(name: &str) -> impl Iterator<Item = &str> {
    name.split('.').map(value_of).filter(|label| !label.is_empty())
}

fn value_of(label: &str) -> &str {
    label
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .map_or(label, |inner| {
            inner.split_once('=').map_or(inner, |(_, value)| value)
        })
}

fn means(wanted: &[&str], name: &str) -> bool {
    let name: Vec<&str> = labels(name).collect();
    let shared = wanted
        .iter()
        .zip(&name)
        .take_while(|(wanted, label)| wanted == label)
        .count();
    let (wanted, rest) = (&wanted[shared..], &name[shared..]);
    wanted.is_empty() || rest.windows(wanted.len()).any(|part| part == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(names: &[&str], dep: &str) -> Vec<usize> {
        let names: Vec<Arc<str>> = names.iter().map(|name| Arc::from(*name)).collect();
        let entry = Arc::from(dep);
        DepIndex::of(names.iter(), std::iter::once(&entry))
            .matching(dep)
            .collect()
    }

    #[test]
    fn labels_match_whole_and_together() {
        let names = ["A.one", "A.two", "B.two", "A.two.fast", "reboot"];
        assert_eq!(matching(&names, "A.two"), [1, 3]);
        assert!(matching(&names, "boot").is_empty());
        assert_eq!(matching(&names, "A"), [0, 1, 3]);
    }

    #[test]
    fn a_provider_prefix_and_named_labels_do_no_harm() {
        let names = [
            "(arch=x86).bundled.image_copy",
            "(arch=x86).(test=bundled).(test=boot)",
        ];
        assert_eq!(matching(&names, "(arch=x86).image_copy"), [0]);
        assert_eq!(matching(&names, "(arch=x86).boot"), [1]);
        assert!(matching(&names, "(arch=arm).image_copy").is_empty());
    }
}
