//! Whether notes are still true.

use std::collections::BTreeSet;

use camino::Utf8Path;
use vtbuild_cache::Digest;

use super::format::name;
use super::{Entry, Fact, Kind, Memo};
use crate::resolve::{ResolveError, Resolver, Today};

/// Which notes are true today.
#[derive(Debug)]
pub struct Held {
    groups: Vec<bool>,
    /// Where the store does not attest the notes: which records are still the first that a look-up would meet.
    records: Option<Vec<bool>>,
    /// The outputs of all that the variants stand on.
    pub blobs: Vec<Digest>,
}

impl Held {
    pub(super) fn holds(&self, at: u32, entry: &Entry) -> bool {
        let recorded = || self.records.as_ref().is_none_or(|records| records[at as usize]);
        match entry.kind {
            Kind::Named => false,
            Kind::Served => self.groups[entry.group as usize] && recorded(),
            Kind::LeftOut => true,
        }
    }

    /// Whether the store attests the notes.
    #[must_use]
    pub fn is_attested(&self) -> bool {
        self.records.is_none()
    }
}

impl Memo {
    /// Looks at everything that the notes depend on beside the variants themselves, each thing once. `place` is where they lie.
    ///
    /// # Errors
    /// When the store or a file cannot be read.
    pub fn check(&self, resolver: &Resolver, place: &Utf8Path) -> Result<Held, ResolveError> {
        let mut today = Today::new(resolver);
        let facts = self.facts.iter().map(|fact| match fact {
            Fact::Source { path, state } => Ok(*state == resolver.state(path)?.into()),
            Fact::Seen { name, digest } => Ok(today.around(name)? == Some(*digest)),
        });
        let facts: Vec<bool> = facts.collect::<Result<_, ResolveError>>()?;
        let all = |numbers: &[u32], hold: &[bool]| numbers.iter().all(|at| hold[*at as usize]);
        let recorded: Vec<_> = self.nodes.iter().filter(|node| node.trace.is_some()).collect();
        let keys: Vec<Digest> = recorded.iter().map(|node| node.key).collect();
        let mut hits = resolver.store().lookup_many(&keys)?.into_iter();
        let mut blobs = BTreeSet::new();
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in &self.nodes {
            let there = match node.trace {
                None => true,
                Some(trace) => {
                    let found = hits.next().unwrap_or_default();
                    let first = found.into_iter().next().filter(|hit| hit.trace == trace);
                    blobs.extend(first.iter().flat_map(vtbuild_cache::Hit::blobs));
                    first.is_some()
                }
            };
            nodes.push(there && all(&node.facts, &facts));
        }
        let groups = self.groups.iter();
        let groups = groups.map(|group| all(&group.facts, &facts) && all(&group.nodes, &nodes));
        Ok(Held {
            groups: groups.collect(),
            records: if resolver.store().attests(name(place), self.sum)? {
                None
            } else {
                Some(self.recorded(resolver)?)
            },
            blobs: blobs.into_iter().collect(),
        })
    }

    fn recorded(&self, resolver: &Resolver) -> Result<Vec<bool>, ResolveError> {
        let keys: Vec<Digest> = self.entries.iter().map(|entry| entry.key).collect();
        let newest = resolver.store().newest(&keys)?;
        let same = |(entry, newest): (&Entry, Option<Digest>)| newest == Some(entry.trace);
        Ok(self.entries.iter().zip(newest).map(same).collect())
    }
}
