//! What earlier commands found out about whole variants: enough to serve one without declaring it again.
//!
//! To expand a variant, declare its test, compute a key and look that up costs some hundred times as much as to find out that
//! all of it would come to the same. So a command that has found variants in the cache leaves a note of each:
//!
//! | noted | and today | why that is enough |
//! |---|---|---|
//! | the fingerprint of the statements that are applied to it | is computed from the configuration | name, `dep` and all parameters follow from them |
//! | the digest of what else declarations look at: settings, tools, which files there are where tests and recipes are | is computed once | a declaration is a function of the variant, of that, and of files that are its sources |
//! | files and facts: sources, files of the host, what was observed while it ran | each is looked at once, however many variants have it | a key is made of their content, an observation holds while it is the same |
//! | the records of what it stands on | are looked up | they are what the key's inputs came from |
//! | its own key and record | are there while the store [attests](vtbuild_cache::Store::attests) these notes, else they are looked up | nobody has taken them away or marked them, nor put the index back to what it was before |
//!
//! Whatever does not hold takes the usual way, and so does every variant that a `dep` entry of a selected one means, or that
//! has such an entry. A note never says more than that a variant is in the cache: nothing runs, or does not run, for another
//! reason.

mod check;
mod format;
mod note;
mod pick;
mod served;

use std::collections::BTreeSet;

use camino::Utf8PathBuf;
use rustc_hash::{FxHashMap, FxHashSet};
use vtbuild_cache::{Digest, FileState};
use vtbuild_cfg::variant::Fingerprint;

pub use check::Held;
pub use note::{Noted, Notes, Source, What};
pub use pick::{Names, Picked, Slot, names};
pub use served::Served;

/// Something outside the configuration that a verdict depends on, and what it was.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
enum Fact {
    /// A file that enters a key.
    Source { path: Utf8PathBuf, state: Content },
    /// A file, a listing or an answer of the host that was observed, by the name of the observation.
    Seen { name: String, digest: Option<Digest> },
}

/// What was at a path.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Content {
    Absent,
    NotAFile,
    File(Digest),
}

impl From<FileState> for Content {
    fn from(state: FileState) -> Self {
        match state {
            FileState::Absent => Self::Absent,
            FileState::NotAFile => Self::NotAFile,
            FileState::File { digest, .. } => Self::File(digest),
        }
    }
}

/// An action that tests stand on.
#[derive(Clone, PartialEq, Debug)]
struct Node {
    rule: String,
    title: String,
    seconds: f64,
    key: Digest,
    /// Its record; none for a file that somebody owns.
    trace: Option<Digest>,
    facts: Box<[u32]>,
}

/// What many variants have in common.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
struct Group {
    facts: Box<[u32]>,
    nodes: Box<[u32]>,
}

/// What is known of a variant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// How it is called: it was not in the cache, or is tied to another one.
    Named,
    /// It was served.
    Served,
    /// It runs when it is named, not with everything.
    LeftOut,
}

/// One variant.
#[derive(Clone, Copy, Debug)]
struct Entry {
    fingerprint: Fingerprint,
    /// A digest of its names.
    names: u64,
    key: Digest,
    trace: Digest,
    seconds: f64,
    group: u32,
    /// Where its title is among the texts.
    title: (u32, u32),
    kind: Kind,
    /// It has `dep` entries.
    dep: bool,
}

/// Notes of one selection of variants. See the module.
#[derive(Debug)]
pub struct Memo {
    /// Of the file that it was read from.
    sum: u64,
    settings: Digest,
    /// What the writer wants to know when it reads the notes again.
    remark: String,
    facts: Vec<Fact>,
    nodes: Vec<Node>,
    groups: Vec<Group>,
    entries: Vec<Entry>,
    titles: String,
    places: FxHashMap<Fingerprint, u32>,
}

impl Memo {
    /// What its writer remarked.
    #[must_use]
    pub fn remark(&self) -> &str {
        &self.remark
    }

    /// The digest of everything else that declarations looked at.
    #[must_use]
    pub fn settings(&self) -> Digest {
        self.settings
    }

    /// How many variants it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The title under which a variant was shown.
    #[must_use]
    pub fn title(&self, entry: u32) -> &str {
        let (start, end) = self.entries[entry as usize].title;
        &self.titles[start as usize..end as usize]
    }

    /// Seconds that a variant's test took.
    #[must_use]
    pub fn seconds(&self, entry: u32) -> f64 {
        self.entries[entry as usize].seconds
    }

    /// The records of all variants that were served, as they lie in the index.
    #[must_use]
    pub fn traces(&self) -> Vec<Digest> {
        let served = self.entries.iter().filter(|entry| entry.kind == Kind::Served);
        let mut traces: Vec<Digest> = served.map(|entry| entry.trace).collect();
        traces.sort_unstable();
        traces
    }

    /// What these variants stand on, each once and after those that it stands on itself.
    fn below(&self, served: impl Iterator<Item = u32>) -> Vec<u32> {
        let groups: FxHashSet<u32> = served.map(|at| self.entries[at as usize].group).collect();
        let nodes = groups.iter().flat_map(|at| &self.groups[*at as usize].nodes);
        let nodes: BTreeSet<u32> = nodes.copied().collect();
        nodes.into_iter().collect()
    }

    fn indexed(mut self) -> Self {
        let known = (0..).zip(&self.entries);
        self.places = known
            .filter(|(_, entry)| entry.kind != Kind::Named)
            .map(|(at, entry)| (entry.fingerprint, at))
            .collect();
        self
    }
}
