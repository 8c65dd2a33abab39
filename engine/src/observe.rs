//! What an action reads while it runs, beyond what its key holds.
//!
//! A key holds what a rule knows beforehand. Much is known only afterwards: which of 240 parameters a test asked for, which
//! files its Python loaded. Those are *observed*: kept with the record, and compared with what they are today before the
//! record is served. One key may have several records that observed different things.
//!
//! | stored name | what | digest of |
//! |---|---|---|
//! | `file:NAME` | a file below a test provider | its content |
//! | `param:NAME` | a parameter; absent is a value too | its text |
//! | `suffix:NAME` | that the names ending in `_NAME` were turned into an object's view | the names in which `_NAME` stands more than once: they alone reach a view under another name than their own |
//! | `params` | all of them | all names and values |

use std::sync::Arc;

use camino::Utf8PathBuf;
use vtbuild_cache::{Digest, Fields, Keyed, Value, digest_of};

use crate::variant::Params;

const FILE: &str = "file:";
const PARAM: &str = "param:";
const SUFFIX: &str = "suffix:";
const EVERYTHING: &str = "params";

/// One thing that was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Read {
    /// A file: the name that is the same on every machine, and where it is on this one.
    File {
        /// Its name, beginning with its provider's.
        name: String,
        /// Where it is.
        path: Utf8PathBuf,
    },
    /// A parameter, there or not.
    Param(Arc<str>),
    /// The view of an object: which names end in `_` and this text.
    Suffix(Arc<str>),
    /// All parameters: somebody iterated over them.
    Everything,
}

impl Read {
    /// The name under which it is stored.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File { name, .. } => format!("{FILE}{name}"),
            Self::Param(name) => format!("{PARAM}{name}"),
            Self::Suffix(name) => format!("{SUFFIX}{name}"),
            Self::Everything => EVERYTHING.to_owned(),
        }
    }
}

/// A stored name, taken apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Observation<'a> {
    File(&'a str),
    Param(&'a str),
    Suffix(&'a str),
    Everything,
}

impl<'a> Observation<'a> {
    /// What the stored `name` means; `None` for one that a later version wrote.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        if name == EVERYTHING {
            return Some(Self::Everything);
        }
        let file = name.strip_prefix(FILE).map(Self::File);
        let param = || name.strip_prefix(PARAM).map(Self::Param);
        file.or_else(param)
            .or_else(|| name.strip_prefix(SUFFIX).map(Self::Suffix))
    }
}

/// The parameters that an action may read while it runs, sorted by name. A view of a variant's own list: thousands of actions
/// have one.
#[derive(Clone, Default, Debug)]
pub struct Offered {
    params: Arc<Params>,
    /// Places in the list, by name.
    sorted: Box<[u32]>,
}

impl PartialEq for Offered {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Offered {}

impl Offered {
    /// All parameters of a variant but those that `left_out` says yes to. Where a name stands twice the last one counts.
    ///
    /// # Panics
    /// Past 2^32 parameters.
    #[must_use]
    pub fn of(params: &Arc<Params>, left_out: impl Fn(&str) -> bool) -> Self {
        let name = |at: u32| &*params[at as usize].0;
        let count = u32::try_from(params.len()).expect("a variant has fewer than 2^32 parameters");
        let mut sorted: Vec<u32> = (0..count).rev().filter(|at| !left_out(name(*at))).collect();
        sorted.sort_by(|a, b| name(*a).cmp(name(*b)));
        sorted.dedup_by(|earlier, last| name(*earlier) == name(*last));
        Self {
            params: params.clone(),
            sorted: sorted.into(),
        }
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        let of = |at: &u32| &self.params[*at as usize];
        let at = self
            .sorted
            .binary_search_by(|at| of(at).0.as_ref().cmp(name))
            .ok()?;
        Some(&of(&self.sorted[at]).1)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        self.sorted.iter().map(|at| &self.params[*at as usize])
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The digest of what a `suffix:` observation saw; `None` where no name holds the suffix twice.
    pub(crate) fn repeated(&self, suffix: &str) -> Option<Digest> {
        let suffix = format!("_{suffix}");
        let twice = |name: &str| {
            name.strip_suffix(&suffix)
                .is_some_and(|rest| rest.contains(&suffix))
        };
        let names: Vec<&str> = self
            .iter()
            .map(|(name, _)| &**name)
            .filter(|name| twice(name))
            .collect();
        (!names.is_empty()).then(|| Digest::of(names.join("\0").as_bytes()))
    }

    /// The digest of all names and values.
    pub(crate) fn everything(&self) -> Digest {
        digest_of(self)
    }
}

impl Keyed for Offered {
    fn domain(&self) -> &'static str {
        "parameters"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        for (name, value) in self.iter() {
            sink.put(name, Value::Text(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offered(params: &[(&str, &str)]) -> Offered {
        let params: Params = params
            .iter()
            .map(|(name, value)| (Arc::from(*name), Arc::from(*value)))
            .collect();
        Offered::of(&Arc::new(params), |name| name.starts_with('_'))
    }

    #[test]
    fn the_last_value_of_a_name_counts() {
        let offered = offered(&[("mem", "1"), ("_private", "x"), ("cpu", "2"), ("mem", "3")]);
        assert_eq!(offered.get("mem").map(|value| &**value), Some("3"));
        assert_eq!(offered.get("_private"), None);
        assert_eq!(offered.iter().count(), 2);
    }

    #[test]
    fn a_suffix_sees_only_names_that_hold_it_twice() {
        assert_eq!(offered(&[("mem_vm1", "1"), ("vm1", "2")]).repeated("vm1"), None);
        let [one, two] = ["a_vm1_vm1", "b_vm1_vm1"].map(|name| offered(&[(name, "1")]).repeated("vm1"));
        assert!(one.is_some() && two.is_some() && one != two);
    }

    #[test]
    fn stored_names_come_apart_again() {
        let file = Read::File {
            name: "bundled/boot.py".into(),
            path: "/x".into(),
        };
        let reads = [
            file,
            Read::Param("mem".into()),
            Read::Suffix("vm1".into()),
            Read::Everything,
        ];
        let names = reads.map(|read| read.name());
        let parsed: Vec<_> = names.iter().map(|name| Observation::parse(name)).collect();
        let expected = [
            Observation::File("bundled/boot.py"),
            Observation::Param("mem"),
            Observation::Suffix("vm1"),
            Observation::Everything,
        ];
        assert_eq!(parsed, expected.map(Some));
        assert_eq!(Observation::parse("host:kernel"), None);
    }
}
