//! Notes of what a plan found.

use std::sync::Arc;

use camino::Utf8PathBuf;
use rustc_hash::FxHashMap;
use vtbuild_cache::{Digest, Hit};
use vtbuild_cfg::variant::Fingerprint;

use super::pick::{Names, digest};
use super::{Entry, Fact, Group, Kind, Memo, Node};
use crate::graph::{Graph, Link};
use crate::plan::{Forecast, Plan};
use crate::resolve::{FILE, Made, ResolveError, Resolver, Today};
use crate::spec::{ActionId, Spec};

/// How many records are read together.
const AT_ONCE: usize = 4096;

/// What is known of a variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum What {
    /// It runs when it is named, not with everything.
    LeftOut,
    /// It became this action.
    Action(ActionId),
}

/// A variant that notes may be made of.
#[derive(Clone, Debug)]
pub struct Noted {
    /// Of the statements that are applied to it.
    pub fingerprint: Fingerprint,
    /// What it is called.
    pub names: Names,
    /// What it is shown as.
    pub title: Arc<str>,
    /// Whether it has `dep` entries.
    pub dep: bool,
    /// What became of it.
    pub what: What,
}

/// A variant of new notes: a new one, or one of the notes from before.
#[derive(Clone, Debug)]
pub enum Source {
    /// A new one.
    New(Noted),
    /// The same as before.
    Old(u32),
}

/// What notes are made from.
pub struct Notes<'a> {
    /// The actions.
    pub graph: &'a Graph,
    /// What was found.
    pub plan: &'a Plan,
    /// Where it was found.
    pub resolver: &'a Resolver,
    /// Files beside its sources that a declaration looked into; nothing where that is not known.
    pub looked_into: &'a dyn Fn(&Spec) -> Option<Vec<Utf8PathBuf>>,
    /// The notes from before.
    pub before: Option<&'a Memo>,
}

impl Notes<'_> {
    /// Notes of these variants, in their order; of those that are not in the cache, or that are tied to others, only the names.
    /// `settings` is the digest of what else declarations looked at.
    ///
    /// # Errors
    /// When the store or a file cannot be read.
    pub fn of(&self, variants: &[Source], settings: Digest, remark: String) -> Result<Memo, ResolveError> {
        let mut memo = Memo {
            sum: 0,
            settings,
            remark,
            facts: Vec::new(),
            nodes: Vec::new(),
            groups: Vec::new(),
            entries: Vec::with_capacity(variants.len()),
            titles: String::new(),
            places: FxHashMap::default(),
        };
        let mut tables = Tables::default();
        for chunk in variants.chunks(AT_ONCE) {
            let hits = self.records(chunk)?;
            for (variant, hit) in chunk.iter().zip(hits) {
                self.add(&mut memo, &mut tables, variant, hit)?;
            }
        }
        memo.facts = tables.facts.list;
        memo.groups = tables.groups.list;
        Ok(memo)
    }

    fn add(
        &self,
        memo: &mut Memo,
        tables: &mut Tables,
        variant: &Source,
        hit: Option<Hit>,
    ) -> Result<(), ResolveError> {
        match variant {
            Source::Old(at) => {
                let Some(before) = self.before else { return Ok(()) };
                let mut entry = before.entries[*at as usize];
                if entry.kind == Kind::Served {
                    entry.group = tables.taken_over(before, entry.group, &mut memo.nodes);
                }
                entry.title = memo.keep_title(before.title(*at));
                memo.entries.push(entry);
            }
            Source::New(noted) => {
                let mut entry = Entry {
                    fingerprint: noted.fingerprint,
                    names: digest(&noted.names),
                    key: Digest::of(b""),
                    trace: Digest::of(b""),
                    seconds: 0.0,
                    group: 0,
                    title: (0, 0),
                    kind: Kind::LeftOut,
                    dep: noted.dep,
                };
                if let What::Action(id) = noted.what {
                    entry.kind = Kind::Named;
                    if let Some(hit) = hit
                        && let Some((key, made, group)) = self.group(id, &hit, memo, tables)?
                    {
                        (entry.key, entry.trace, entry.seconds) = (key, hit.trace, made.seconds);
                        entry.group = tables.groups.put(group);
                        entry.kind = Kind::Served;
                    }
                }
                entry.title = memo.keep_title(&noted.title);
                memo.entries.push(entry);
            }
        }
        Ok(())
    }

    /// The records of those variants that are served from one.
    fn records(&self, variants: &[Source]) -> Result<Vec<Option<Hit>>, ResolveError> {
        let served = |variant: &Source| match variant {
            Source::New(Noted {
                what: What::Action(id),
                ..
            }) => self.served(*id).and_then(|(key, made)| Some((key, made.trace?))),
            _ => None,
        };
        let wanted: Vec<Option<(Digest, Digest)>> = variants.iter().map(served).collect();
        let keys: Vec<Digest> = wanted.iter().flatten().map(|(key, _)| *key).collect();
        let mut found = self.resolver.store().lookup_many(&keys)?.into_iter();
        let record = |wanted: Option<(Digest, Digest)>| {
            let (_, trace) = wanted?;
            found.next()?.into_iter().find(|hit| hit.trace == trace)
        };
        Ok(wanted.into_iter().map(record).collect())
    }

    fn served(&self, id: ActionId) -> Option<(Digest, &Made)> {
        match self.plan.of(id) {
            Forecast::Hit { key, made } => Some((*key, made)),
            Forecast::Miss(_) | Forecast::Maybe | Forecast::Idle => None,
        }
    }

    /// What a test that is served depends on; nothing where notes cannot tell.
    fn group(
        &self,
        id: ActionId,
        hit: &Hit,
        memo: &mut Memo,
        tables: &mut Tables,
    ) -> Result<Option<(Digest, &Made, Group)>, ResolveError> {
        let Some((key, made)) = self.served(id) else {
            return Ok(None);
        };
        // One that others may take something from is declared with them.
        if !made.artefacts.is_empty() || !hit.outputs.is_empty() {
            return Ok(None);
        }
        let Some(nodes) = self.below(id, memo, tables)? else {
            return Ok(None);
        };
        let facts = self.facts(self.graph.spec(id), Some(hit), tables)?;
        Ok(facts.map(|facts| (key, made, Group { facts, nodes })))
    }

    /// All that an action stands on, each after what it stands on itself; nothing where a test is among them.
    fn below(
        &self,
        id: ActionId,
        memo: &mut Memo,
        tables: &mut Tables,
    ) -> Result<Option<Box<[u32]>>, ResolveError> {
        let mut nodes = Vec::new();
        for (earlier, link) in self.graph.waits_for(id) {
            match link {
                Link::Aid { .. } => continue,
                Link::After => return Ok(None),
                Link::Input { .. } => {}
            }
            let Some(below) = self.below(earlier, memo, tables)? else {
                return Ok(None);
            };
            let Some(node) = self.node(earlier, memo, tables)? else {
                return Ok(None);
            };
            for node in below.iter().copied().chain([node]) {
                if !nodes.contains(&node) {
                    nodes.push(node);
                }
            }
        }
        Ok(Some(nodes.into()))
    }

    fn node(&self, id: ActionId, memo: &mut Memo, tables: &mut Tables) -> Result<Option<u32>, ResolveError> {
        let Some((key, made)) = self.served(id) else {
            return Ok(None);
        };
        if let Some(at) = tables.nodes.get(&key) {
            let is_same = memo.nodes[*at as usize].trace == made.trace;
            return Ok(is_same.then_some(*at));
        }
        let spec = self.graph.spec(id);
        // What a test makes comes with the test, what reads parameters is not one for all, and a file that is missing may be
        // fetched.
        let is_missing = spec.rule == FILE && made.artefacts.is_empty();
        if !spec.variant.is_empty() || !spec.offered.is_empty() || is_missing {
            return Ok(None);
        }
        let records = self.resolver.store().lookup_many(&[key])?;
        let hit = records.iter().flatten().find(|hit| Some(hit.trace) == made.trace);
        if spec.rule != FILE && hit.is_none() {
            return Ok(None);
        }
        let Some(facts) = self.facts(spec, hit, tables)? else {
            return Ok(None);
        };
        let node = Node {
            rule: spec.rule.name.to_owned(),
            title: spec.title.to_string(),
            seconds: made.seconds,
            key,
            trace: made.trace,
            facts,
        };
        Ok(Some(tables.add_node(node, &mut memo.nodes)))
    }

    /// What of the world outside the configuration an action's key and record depend on.
    fn facts(
        &self,
        spec: &Spec,
        hit: Option<&Hit>,
        tables: &mut Tables,
    ) -> Result<Option<Box<[u32]>>, ResolveError> {
        let Some(looked_into) = (self.looked_into)(spec) else {
            return Ok(None);
        };
        let mut facts = Vec::new();
        let sources = spec.sources.iter().chain(&spec.host.files);
        let paths = sources.map(|source| source.path.clone());
        for path in paths.chain(looked_into) {
            let state = self.resolver.state(&path)?.into();
            facts.push(tables.facts.put(Fact::Source { path, state }));
        }
        let mut today = Today::new(self.resolver);
        for seen in hit.into_iter().flat_map(|hit| hit.observed.iter()) {
            match crate::observe::Observation::parse(seen.name) {
                None => return Ok(None),
                Some(_) if today.around(seen.name)?.is_none() => {}
                Some(_) => {
                    let (name, digest) = (seen.name.to_owned(), seen.digest);
                    facts.push(tables.facts.put(Fact::Seen { name, digest }));
                }
            }
        }
        facts.sort_unstable();
        facts.dedup();
        Ok(Some(facts.into()))
    }
}

impl Memo {
    fn keep_title(&mut self, title: &str) -> (u32, u32) {
        let end = |titles: &String| u32::try_from(titles.len()).expect("titles are shorter than 4 GiB");
        let start = end(&self.titles);
        self.titles.push_str(title);
        (start, end(&self.titles))
    }
}

/// Values by their numbers, each once.
struct Interned<T> {
    list: Vec<T>,
    numbers: FxHashMap<T, u32>,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        let (list, numbers) = (Vec::new(), FxHashMap::default());
        Self { list, numbers }
    }
}

impl<T: Clone + Eq + std::hash::Hash> Interned<T> {
    fn put(&mut self, value: T) -> u32 {
        if let Some(known) = self.numbers.get(&value) {
            return *known;
        }
        let number = u32::try_from(self.list.len()).expect("notes have fewer than 2^32 parts");
        self.numbers.insert(value.clone(), number);
        self.list.push(value);
        number
    }
}

/// What the entries of notes have in common.
#[derive(Default)]
struct Tables {
    facts: Interned<Fact>,
    groups: Interned<Group>,
    /// Places of nodes by their keys.
    nodes: FxHashMap<Digest, u32>,
    /// The new numbers of groups from before.
    taken: FxHashMap<u32, u32>,
}

impl Tables {
    fn add_node(&mut self, node: Node, nodes: &mut Vec<Node>) -> u32 {
        let number = u32::try_from(nodes.len()).expect("notes have fewer than 2^32 parts");
        self.nodes.insert(node.key, number);
        nodes.push(node);
        number
    }

    fn taken_over(&mut self, before: &Memo, group: u32, nodes: &mut Vec<Node>) -> u32 {
        if let Some(known) = self.taken.get(&group) {
            return *known;
        }
        let old = &before.groups[group as usize];
        let mut numbers = Vec::new();
        for node in old.nodes.iter().map(|node| &before.nodes[*node as usize]) {
            numbers.push(match self.nodes.get(&node.key) {
                Some(known) => *known,
                None => {
                    let facts = self.facts_of(before, &node.facts);
                    self.add_node(
                        Node {
                            facts,
                            ..node.clone()
                        },
                        nodes,
                    )
                }
            });
        }
        let facts = self.facts_of(before, &old.facts);
        let number = self.groups.put(Group {
            facts,
            nodes: numbers.into(),
        });
        self.taken.insert(group, number);
        number
    }

    fn facts_of(&mut self, before: &Memo, facts: &[u32]) -> Box<[u32]> {
        let put = |fact: &u32| self.facts.put(before.facts[*fact as usize].clone());
        let mut facts: Vec<u32> = facts.iter().map(put).collect();
        facts.sort_unstable();
        facts.into()
    }
}
