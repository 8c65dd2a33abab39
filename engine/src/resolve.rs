//! From a spec and its inputs to a key, and from a key to a record: the one place where a hit is decided.

mod explain;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use camino::{Utf8Path, Utf8PathBuf};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;
use thiserror::Error;
use vtbuild_cache::{Digest, FileState, Hit, Observations, Observed, Seen, Store, StoreError};

use crate::db::FolderList;
use crate::graph::{Graph, Link};
use crate::key::{ActionKey, InputDigest};
use crate::observe::{Observation, Read};
use crate::outcome::Artefact;
use crate::spec::{ActionId, Declared, Host, RuleName, Spec};

/// The rule of files that people own (an image that no rule makes). Such an action is never run: it is a hit where the
/// file exists. Its one source is the file; its one output is called [`FILE_OUTPUT`].
pub const FILE: RuleName = RuleName {
    name: "file",
    version: 1,
};
/// The parameter of a [`FILE`] action that says `yes` where the file may be missing: then it has no output.
pub const OPTIONAL: &str = "optional";
/// The name of a [`FILE`] action's output.
pub const FILE_OUTPUT: &str = "disk";

/// Folders by the first part of the names under which their files enter keys and records.
pub type Roots = BTreeMap<String, Utf8PathBuf>;

/// Answers to the questions of `host:` observations: what a rule asks the host while it runs, asked again.
#[derive(Clone)]
pub struct Facts(pub Arc<Answer>);

/// What answers a question; `None` where there is no answer.
pub type Answer = dyn Fn(&str) -> Option<String> + Send + Sync;

impl std::fmt::Debug for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Facts")
    }
}

/// Why an action could not be looked up.
#[derive(Debug, Error)]
pub enum ResolveError {
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file that enters the key cannot be read. The message names it.
    #[error("read a source: {0}")]
    Source(#[from] std::io::Error),
}

/// What a finished action offers to its followers.
#[derive(Clone, Debug, PartialEq)]
pub struct Made {
    /// Its outputs.
    pub artefacts: Arc<[Artefact]>,
    /// Seconds that it took when it ran.
    pub seconds: f64,
    /// The record that it is served from, where it is.
    pub trace: Option<Digest>,
}

/// The states of a host's files, in their order.
pub type HostFiles = Arc<[FileState]>;

/// What is known of an action before it runs.
#[derive(Debug)]
pub struct Resolved {
    /// Its key.
    pub key: Digest,
    /// The states of its sources that the key was computed from.
    pub sources: Vec<FileState>,
    /// The states of the host's files that the key was computed from.
    pub host: HostFiles,
    /// Its inputs as they entered the key.
    pub inputs: Vec<InputDigest>,
}

impl Resolved {
    /// The outputs of other actions that its key is made of, each once.
    pub(crate) fn read(&self) -> impl Iterator<Item = Digest> {
        let outputs = self.inputs.iter().flat_map(|input| input.outputs.iter());
        let digests: BTreeSet<Digest> = outputs.map(|(_, digest)| *digest).collect();
        digests.into_iter()
    }
}

/// Looks actions up.
#[derive(Debug)]
pub struct Resolver {
    store: Store,
    roots: Roots,
    /// States of files seen in this run. Kept because a thousand tests share a module; looked at again after a run.
    seen: RwLock<FxHashMap<Utf8PathBuf, FileState>>,
    /// States of the files of hosts.
    hosts: RwLock<Vec<(Arc<Host>, HostFiles)>>,
    /// Who answers questions to the host.
    facts: Option<Facts>,
    /// Whether only records are believed that observed all parameters.
    strict: bool,
}

impl Resolver {
    /// A resolver over `store` that finds observed files below `roots`.
    #[must_use]
    pub fn new(store: Store, roots: Roots) -> Self {
        Self {
            store,
            roots,
            seen: RwLock::default(),
            hosts: RwLock::default(),
            facts: None,
            strict: false,
        }
    }

    /// With somebody who answers questions to the host; without, no `host:` observation holds.
    #[must_use]
    pub fn with_facts(self, facts: Facts) -> Self {
        let facts = Some(facts);
        Self { facts, ..self }
    }

    /// With `strict`, every parameter of a test counts, whether it was read or not: for those who doubt the recording.
    #[must_use]
    pub fn strict(self, strict: bool) -> Self {
        Self { strict, ..self }
    }

    /// The store that is looked into.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The key of `spec` given its inputs.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn resolve(&self, spec: &Spec, inputs: Vec<InputDigest>) -> Result<Resolved, ResolveError> {
        let sources = spec.sources.iter().map(|source| self.state(&source.path));
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let host = self.host(&spec.host)?;
        let key = ActionKey {
            spec,
            sources: &sources,
            host: &host,
            inputs: &inputs,
        }
        .digest();
        Ok(Resolved {
            key,
            sources,
            host,
            inputs,
        })
    }

    /// The states of the files of `host`, looked at once for all actions that share it.
    fn host(&self, host: &Arc<Host>) -> Result<HostFiles, ResolveError> {
        if host.files.is_empty() {
            return Ok(Arc::default());
        }
        let known = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, states)) = known.iter().find(|(known, _)| Arc::ptr_eq(known, host)) {
            return Ok(states.clone());
        }
        drop(known);
        let states = host.files.iter().map(|file| self.state(&file.path));
        let states: HostFiles = states.collect::<Result<_, _>>()?;
        let mut known = self.hosts.write().unwrap_or_else(PoisonError::into_inner);
        known.push((host.clone(), states.clone()));
        Ok(states)
    }

    /// For each action and its key what the first of its records offers whose observations still hold.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub fn lookup(&self, wanted: &[(&Spec, Digest)]) -> Result<Vec<Option<Made>>, ResolveError> {
        let keys: Vec<Digest> = wanted.iter().map(|(_, key)| *key).collect();
        let records = self.store.lookup_many(&keys)?;
        let mut today = Today::new(self);
        let of_one = records.iter().zip(wanted);
        of_one
            .map(|(records, (spec, _))| self.first_that_holds(&mut today, spec, records))
            .collect()
    }

    fn first_that_holds(
        &self,
        today: &mut Today<'_>,
        spec: &Spec,
        records: &[Hit],
    ) -> Result<Option<Made>, ResolveError> {
        for hit in records {
            if self.enough(spec, &hit.observed) && today.broken(spec, hit.observed.iter())?.is_none() {
                return Ok(Some(self.made(hit)));
            }
        }
        Ok(None)
    }

    /// Whether a record observed as much as is asked for.
    fn enough(&self, spec: &Spec, observed: &Observations) -> bool {
        let everything = || Read::Everything.name();
        !self.strict || spec.offered.is_empty() || observed.iter().any(|seen| seen.name == everything())
    }

    /// What an action read, as it is kept with its record: sorted, without what its key holds already.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn observations(&self, spec: &Spec, reads: &[Read]) -> Result<Vec<Observed>, ResolveError> {
        let mut today = Today::new(self);
        let mut observed = Vec::new();
        for read in self.reads(spec, reads) {
            let name = read.name();
            let digest = match &read {
                // Not as remembered: it was read while the action ran.
                Read::File { path, .. } => content_of(&self.store.file_digest(path)?),
                Read::Absent(_) => None,
                Read::Listing { path, .. } => listing(path),
                Read::Host { answer, .. } => answer.as_ref().map(|answer| Digest::of(answer.as_bytes())),
                _ => today.sees(spec, &name)?,
            };
            observed.push(Observed { name, digest });
        }
        Ok(observed)
    }

    /// `reads`, sorted, without what the key holds; and all parameters where that is asked for.
    fn reads(&self, spec: &Spec, reads: &[Read]) -> BTreeSet<Read> {
        let in_key = |read: &&Read| match read {
            Read::Param(name) => spec.declares(name),
            Read::File { name, .. } => spec.sources.binary_search_by(|s| (*s.name).cmp(name)).is_ok(),
            // One of another content than the key's: it must never hold.
            Read::Absent(_) | Read::Listing { .. } | Read::Host { .. } => false,
            Read::Suffix(_) | Read::Everything => false,
        };
        let mut reads: BTreeSet<Read> = reads.iter().filter(|read| !in_key(read)).cloned().collect();
        if self.strict && !spec.offered.is_empty() {
            reads.insert(Read::Everything);
        }
        reads
    }

    /// What a recorded action offers.
    fn made(&self, hit: &Hit) -> Made {
        let artefact = |output: &vtbuild_cache::Output| Artefact {
            name: output.name.clone(),
            digest: output.digest,
            size: output.size,
            path: self.store.blob_path(&output.digest),
        };
        Made {
            artefacts: hit.outputs.iter().map(artefact).collect(),
            seconds: hit.seconds,
            trace: Some(hit.trace),
        }
    }

    /// A file that somebody owns, as an action that has already been done; `None` where it is missing.
    #[must_use]
    pub fn owned_file(spec: &Spec, resolved: &Resolved) -> Option<Made> {
        let (source, state) = spec.sources.first().zip(resolved.sources.first())?;
        let FileState::File { digest, size } = state else {
            let yes = |(name, value): &Declared| &**name == OPTIONAL && value.as_deref() == Some("yes");
            let nothing = || Made {
                artefacts: Arc::new([]),
                seconds: 0.0,
                trace: None,
            };
            return spec.declared.iter().any(yes).then(nothing);
        };
        let path = source.path.clone();
        let artefact = Artefact {
            name: FILE_OUTPUT.to_owned(),
            digest: *digest,
            size: *size,
            path,
        };
        Some(Made {
            artefacts: Arc::new([artefact]),
            seconds: 0.0,
            trace: None,
        })
    }

    /// Whether the files that a key was computed from are still what they were. Returns the first that is not.
    ///
    /// # Errors
    /// When one cannot be read.
    pub fn moved_since(&self, spec: &Spec, resolved: &Resolved) -> Result<Option<String>, ResolveError> {
        let sources = spec.sources.iter().zip(&resolved.sources);
        let host = spec.host.files.iter().zip(&*resolved.host);
        for (source, then) in sources.chain(host) {
            if self.store.file_digest(&source.path)? != *then {
                return Ok(Some(source.path.to_string()));
            }
        }
        Ok(None)
    }

    fn locate(&self, name: &str) -> Option<Utf8PathBuf> {
        let (root, rest) = name.split_once('/')?;
        Some(self.roots.get(root)?.join(rest))
    }

    pub(crate) fn state(&self, path: &Utf8Path) -> Result<FileState, ResolveError> {
        let known = self.seen.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(path) {
            return Ok(*state);
        }
        drop(known);
        let state = self.store.file_digest(path)?;
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        // Where two looked at once, all go by the first answer.
        Ok(*seen.entry(path.to_owned()).or_insert(state))
    }
}

/// What observations would see now.
pub(crate) struct Today<'r> {
    resolver: &'r Resolver,
    /// Digests of parameters' values: thousands of tests share them.
    values: Values,
    /// What folders list and what the host says, by the names of the observations.
    looks: FxHashMap<String, Option<Digest>>,
}

/// Texts and their digests by the place of their first byte. That the texts are held keeps any other from coming to lie there.
type Values = FxHashMap<usize, SmallVec<[(Arc<str>, Digest); 1]>>;

impl<'r> Today<'r> {
    pub(crate) fn new(resolver: &'r Resolver) -> Self {
        Self {
            resolver,
            values: Values::default(),
            looks: FxHashMap::default(),
        }
    }

    /// Which observation no longer holds.
    fn broken<'o>(
        &mut self,
        spec: &Spec,
        observed: impl Iterator<Item = Seen<'o>>,
    ) -> Result<Option<&'o str>, ResolveError> {
        for seen in observed {
            if self.sees(spec, seen.name)? != seen.digest {
                return Ok(Some(seen.name));
            }
        }
        Ok(None)
    }

    /// The digest of what an observation would see. What nobody here can look at is not there.
    fn sees(&mut self, spec: &Spec, name: &str) -> Result<Option<Digest>, ResolveError> {
        Ok(match Observation::parse(name) {
            Some(Observation::Param(name)) => spec.offered.get(name).map(|value| self.value(value)),
            Some(Observation::Suffix(name)) => spec.offered.repeated(name),
            Some(Observation::Everything) => Some(spec.offered.everything()),
            Some(_) => self.around(name)?.flatten(),
            None => None,
        })
    }

    /// The same for an observation that is none of parameters; `None` for any other.
    pub(crate) fn around(&mut self, name: &str) -> Result<Option<Option<Digest>>, ResolveError> {
        Ok(match Observation::parse(name) {
            Some(Observation::File(name)) => Some(match self.resolver.locate(name) {
                Some(path) => content_of(&self.resolver.state(&path)?),
                None => None,
            }),
            Some(Observation::Listing(folder)) => {
                let path = self.resolver.locate(folder);
                Some(self.once(name, || listing(&path?)))
            }
            Some(Observation::Host(question)) => {
                let facts = self.resolver.facts.clone();
                Some(self.once(name, || Some(Digest::of((facts?.0)(question)?.as_bytes()))))
            }
            Some(Observation::Param(_) | Observation::Suffix(_) | Observation::Everything) | None => None,
        })
    }

    /// What `look` gives, looked at once.
    fn once(&mut self, name: &str, look: impl FnOnce() -> Option<Digest>) -> Option<Digest> {
        if let Some(known) = self.looks.get(name) {
            return *known;
        }
        let found = look();
        self.looks.insert(name.to_owned(), found);
        found
    }

    /// The digest of a parameter's value.
    fn value(&mut self, text: &Arc<str>) -> Digest {
        let known = self.values.entry(text.as_ptr() as usize).or_default();
        // Two texts begin at one place where one of them is empty.
        match known.iter().find(|(have, _)| have.len() == text.len()) {
            Some((_, digest)) => *digest,
            None => {
                let digest = Digest::of(text.as_bytes());
                known.push((text.clone(), digest));
                digest
            }
        }
    }
}

fn action_key<'a>(spec: &'a Spec, resolved: &'a Resolved) -> ActionKey<'a> {
    ActionKey {
        spec,
        sources: &resolved.sources,
        host: &resolved.host,
        inputs: &resolved.inputs,
    }
}

/// Inputs by the part they play, as a rule sees them.
pub type Inputs = BTreeMap<Arc<str>, Vec<Artefact>>;

/// The inputs of an action as they enter its key, and by role as its rule sees them. `made` gives what each action
/// before it offers; `None` where one of those is not known yet.
#[must_use]
pub fn inputs_of<'a>(
    graph: &Graph,
    id: ActionId,
    made: impl Fn(ActionId) -> Option<&'a Made>,
) -> Option<(Vec<InputDigest>, Inputs)> {
    let digests = input_digests(graph, id, &made)?;
    let mut by_role = Inputs::new();
    for (earlier, link) in graph.waits_for(id) {
        match link {
            Link::Input { role, output } => {
                let artefacts = taken(made(earlier)?, output.as_deref()).cloned();
                by_role.entry(role.clone()).or_default().extend(artefacts);
            }
            Link::Aid { role, .. } => {
                let artefacts = made(earlier).into_iter().flat_map(|made| made.artefacts.iter());
                by_role
                    .entry(role.clone())
                    .or_default()
                    .extend(artefacts.cloned());
            }
            Link::After => {}
        }
    }
    Some((digests, by_role))
}

/// The first half of [`inputs_of`]: all that a plan needs.
#[must_use]
pub fn input_digests<'a>(
    graph: &Graph,
    id: ActionId,
    made: impl Fn(ActionId) -> Option<&'a Made>,
) -> Option<Vec<InputDigest>> {
    let mut digests = Vec::new();
    for (earlier, link) in graph.waits_for(id).filter(|(_, link)| !link.is_aid()) {
        let made = made(earlier)?;
        if let Link::Input { role, output } = link {
            let outputs = taken(made, output.as_deref())
                .map(|artefact| (artefact.name.clone(), artefact.digest))
                .collect();
            digests.push(InputDigest {
                role: role.clone(),
                outputs,
            });
        }
    }
    Some(digests)
}

/// The outputs that a link takes: the one it names, or all.
fn taken<'m>(made: &'m Made, output: Option<&str>) -> impl Iterator<Item = &'m Artefact> {
    made.artefacts
        .iter()
        .filter(move |artefact| output.is_none_or(|name| artefact.name == name))
}

/// What an observed file is known by. A folder is not the same as nothing.
fn content_of(state: &FileState) -> Option<Digest> {
    match state {
        FileState::File { digest, .. } => Some(*digest),
        FileState::NotAFile => Some(Digest::of(NOT_A_FILE)),
        FileState::Absent => None,
    }
}

/// The content of what is there and is no file.
const NOT_A_FILE: &[u8] = b"\0vtbuild: a folder";

/// The digest of the names in a folder; `None` where there is no folder.
fn listing(path: &Utf8Path) -> Option<Digest> {
    path.is_dir().then(|| FolderList::read(path).digest())
}
