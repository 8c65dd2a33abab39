//! What an action reads while it runs, beyond what its key holds.
//!
//! A key holds what a rule knows beforehand. Much is known only afterwards: which of 240 parameters a test asked for, which
//! files its Python loaded. Those are *observed*: kept with the record, and compared with what they are today before the
//! record is served. One key may have several records that observed different things.
//!
//! | stored name | what | digest of |
//! |---|---|---|
//! | `file:NAME` | a file below a test provider or the data folder, or that it is absent | its content |
//! | `list:NAME` | a folder there that was looked through | the names in it, or that it is absent |
//! | `host:NAME` | something of the host that a rule asks for while it runs | the answer as text, or that there is none |
//! | `param:NAME` | a parameter; absent is a value too | its text |
//! | `suffix:NAME` | that the names ending in `_NAME` were turned into an object's view | the names in which `_NAME` stands more than once: they alone reach a view under another name than their own |
//! | `params` | all of them | all names and values |

use std::hash::BuildHasher;
use std::sync::Arc;

use camino::Utf8PathBuf;
use rustc_hash::FxBuildHasher;
use vtbuild_cache::{Digest, Fields, Keyed, Value, digest_of};

use crate::variant::Params;

const FILE: &str = "file:";
const LISTING: &str = "list:";
const HOST: &str = "host:";
const PARAM: &str = "param:";
const SUFFIX: &str = "suffix:";
const EVERYTHING: &str = "params";

/// One thing that was read.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Read {
    /// A file: the name that is the same on every machine, and where it is on this one. What is there now is what was read,
    /// where it has not been touched since.
    File {
        /// Its name, beginning with that of a root.
        name: String,
        /// Where it is.
        path: Utf8PathBuf,
    },
    /// The name of a file that was looked for and was not there, whatever is there now.
    Absent(String),
    /// A folder whose names were read.
    Listing {
        /// Its name, beginning with that of a root.
        name: String,
        /// Where it is.
        path: Utf8PathBuf,
    },
    /// A question to the host, and the answer that was given.
    Host {
        /// The question, as the resolver's [`Facts`](crate::resolve::Facts) know it.
        name: String,
        /// The answer.
        answer: Option<String>,
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
            Self::File { name, .. } | Self::Absent(name) => format!("{FILE}{name}"),
            Self::Listing { name, .. } => format!("{LISTING}{name}"),
            Self::Host { name, .. } => format!("{HOST}{name}"),
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
    Listing(&'a str),
    Host(&'a str),
    Param(&'a str),
    Suffix(&'a str),
    Everything,
}

impl<'a> Observation<'a> {
    /// What the stored `name` means; `None` for one that a later version wrote.
    pub(crate) fn parse(name: &'a str) -> Option<Self> {
        // Most are parameters.
        let param = name.strip_prefix(PARAM).map(Self::Param);
        let file = || name.strip_prefix(FILE).map(Self::File);
        let suffix = || name.strip_prefix(SUFFIX).map(Self::Suffix);
        let everything = || (name == EVERYTHING).then_some(Self::Everything);
        let listing = || name.strip_prefix(LISTING).map(Self::Listing);
        let host = || name.strip_prefix(HOST).map(Self::Host);
        param
            .or_else(file)
            .or_else(suffix)
            .or_else(everything)
            .or_else(listing)
            .or_else(host)
    }
}

impl std::fmt::Display for Observation<'_> {
    /// What was looked at, as a person calls it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(name) | Self::Param(name) => f.write_str(name),
            Self::Listing(name) => write!(f, "the list of files in {name}"),
            Self::Host(name) => write!(f, "the host's {name}"),
            Self::Suffix(name) => write!(f, "which parameters are {name}'s"),
            Self::Everything => f.write_str("a parameter"),
        }
    }
}

/// The parameters that an action may read while it runs. A view of a variant's own list: thousands of actions have one, and
/// of each a handful is asked for, so the names are found by their hash and sorted only for those who want all of them.
#[derive(Clone, Default, Debug)]
pub struct Offered {
    params: Arc<Params>,
    /// By the hash of a name its place in the list, or [`FREE`]; where that is taken by another name, the next one that is
    /// not. A power of two of which at most half is used.
    slots: Box<[u32]>,
    count: usize,
}

/// A slot of [`Offered`] that no parameter has.
const FREE: u32 = u32::MAX;

impl PartialEq for Offered {
    fn eq(&self, other: &Self) -> bool {
        let same = |(name, value): &(Arc<str>, Arc<str>)| other.get(name) == Some(value);
        self.count == other.count && self.unsorted().all(same)
    }
}

impl Eq for Offered {}

impl Offered {
    /// All parameters of a variant but those that `left_out` says yes to. Where a name stands twice the last one counts.
    ///
    /// # Panics
    /// Past 2^31 parameters.
    #[must_use]
    pub fn of(params: &Arc<Params>, left_out: impl Fn(&str) -> bool) -> Self {
        let many = u32::try_from(params.len())
            .ok()
            .filter(|count| *count <= FREE / 2);
        let many = many.expect("a variant has fewer than 2^31 parameters");
        let mut offered = Self {
            params: params.clone(),
            slots: vec![FREE; (2 * params.len()).next_power_of_two()].into(),
            count: 0,
        };
        for at in (0..many).rev() {
            let name = &*params[at as usize].0;
            let slot = offered.slot(name);
            if offered.slots[slot] == FREE && !left_out(name) {
                offered.slots[slot] = at;
                offered.count += 1;
            }
        }
        offered
    }

    /// Where `name` is, or would be. There is always a free slot.
    fn slot(&self, name: &str) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = FxBuildHasher.hash_one(name) as usize & mask;
        while self.slots[slot] != FREE && *self.params[self.slots[slot] as usize].0 != *name {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<str>> {
        if self.is_empty() {
            return None;
        }
        let at = self.slots[self.slot(name)];
        (at != FREE).then(|| &self.params[at as usize].1)
    }

    /// All of them, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        let mut sorted: Vec<_> = self.unsorted().collect();
        sorted.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        sorted.into_iter()
    }

    fn unsorted(&self) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        let taken = self.slots.iter().filter(|at| **at != FREE);
        taken.map(|at| &self.params[*at as usize])
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The digest of what a `suffix:` observation saw; `None` where no name holds the suffix twice.
    pub(crate) fn repeated(&self, suffix: &str) -> Option<Digest> {
        let suffix = format!("_{suffix}");
        let twice = |name: &str| {
            name.strip_suffix(&suffix)
                .is_some_and(|rest| rest.contains(&suffix))
        };
        let names = self.unsorted().map(|(name, _)| &**name);
        let mut names: Vec<&str> = names.filter(|name| twice(name)).collect();
        names.sort_unstable();
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
        assert_eq!(offered.get("smp"), None);
        assert_eq!(offered.iter().count(), 2);
    }

    #[test]
    fn names_are_found_however_many_there_are_and_sorted_when_asked_for() {
        let names: Vec<String> = (0..1000).map(|at| format!("name{}", at * 7919 % 1000)).collect();
        let params: Vec<(&str, &str)> = names.iter().map(|name| (&**name, &name[4..])).collect();
        let many = offered(&params);
        for name in &names {
            assert_eq!(many.get(name).map(|value| &**value), Some(&name[4..]));
        }
        assert!(many.iter().is_sorted() && many.iter().count() == 1000);
        let mut turned = params.clone();
        turned.reverse();
        assert_eq!(many, offered(&turned));
        assert_ne!(many, offered(&params[1..]));
        assert!(Offered::default().get("name1").is_none());
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
            Read::Absent("bundled/none.py".into()),
            Read::Listing {
                name: "bundled/deps".into(),
                path: "/x".into(),
            },
            Read::Host {
                name: "kernel".into(),
                answer: None,
            },
            Read::Param("mem".into()),
            Read::Suffix("vm1".into()),
            Read::Everything,
        ];
        let names = reads.map(|read| read.name());
        let parsed: Vec<_> = names.iter().map(|name| Observation::parse(name)).collect();
        let expected = [
            Observation::File("bundled/boot.py"),
            Observation::File("bundled/none.py"),
            Observation::Listing("bundled/deps"),
            Observation::Host("kernel"),
            Observation::Param("mem"),
            Observation::Suffix("vm1"),
            Observation::Everything,
        ];
        assert_eq!(parsed, expected.map(Some));
        assert_eq!(Observation::parse("moon:phase"), None);
    }
}
