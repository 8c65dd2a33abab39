//! Which variants a `dep` entry means.
//!
//! The language gives an entry as a name: the labels of the variants around the dependent one, then the labels as
//! written (`A.two` for `- three: two` under `A`). The field's runners take it as a piece of the other test's name. Here
//! it is matched label by label: the labels that both names begin with fall away, and what is left of the entry must stand
//! together somewhere in what is left of the name. A provider's prefix (`bundled.` in front of every test of a provider) and
//! inner variants of the dependency then do no harm, and `boot` never means `reboot`.

use rustc_hash::FxHashMap;

/// Names of variants, looked up by `dep` entries.
#[derive(Debug, Default)]
pub struct DepIndex {
    names: Vec<Vec<Box<str>>>,
    holding: FxHashMap<Box<str>, Vec<u32>>,
}

impl DepIndex {
    /// An index of `names`, numbered in order; an empty name matches nothing.
    pub fn of<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut index = Self::default();
        for (at, name) in names.enumerate() {
            let labels: Vec<Box<str>> = labels(name).map(Box::from).collect();
            let number = u32::try_from(at).expect("fewer than 2^32 variants");
            for label in &labels {
                let holders = index.holding.entry(label.clone()).or_default();
                if holders.last() != Some(&number) {
                    holders.push(number);
                }
            }
            index.names.push(labels);
        }
        index
    }

    /// The numbers of the names that `dep` means, in order.
    pub fn matching(&self, dep: &str) -> impl Iterator<Item = usize> {
        let wanted: Vec<&str> = labels(dep).collect();
        let holders = wanted.last().and_then(|last| self.holding.get(*last));
        let candidates = holders.map(Vec::as_slice).unwrap_or_default();
        candidates
            .iter()
            .map(|&at| at as usize)
            .filter(move |&at| means(&wanted, &self.names[at]))
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

fn means(wanted: &[&str], name: &[Box<str>]) -> bool {
    let shared = wanted.iter().zip(name).take_while(|(w, n)| **w == &***n).count();
    let (wanted, rest) = (&wanted[shared..], &name[shared..]);
    wanted.is_empty()
        || rest
            .windows(wanted.len())
            .any(|part| part.iter().zip(wanted).all(|(n, w)| &**n == *w))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(names: &[&str], dep: &str) -> Vec<usize> {
        DepIndex::of(names.iter().copied()).matching(dep).collect()
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
