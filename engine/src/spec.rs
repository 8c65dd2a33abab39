//! What a rule declares about one action: everything that decides its key, its place in the graph and its claim on the host.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};

use crate::observe::Offered;

/// A dense number for one action of one graph. Names appear only at the edges of the engine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ActionId(pub(crate) u32);

impl ActionId {
    /// No action of any graph: what is served without being in it.
    pub const NONE: Self = Self(u32::MAX);

    /// The id as an index into a list with one entry an action.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// The id of the action at `index`.
    ///
    /// # Panics
    /// Past 2^32 actions.
    #[must_use]
    pub fn at(index: usize) -> Self {
        Self(u32::try_from(index).expect("a graph holds fewer than 2^32 actions"))
    }
}

/// A rule's name and version; both enter every key of the rule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RuleName {
    /// What people see: `image`, `test`.
    pub name: &'static str,
    /// Raised when the rule's meaning changes: moves all keys of the rule.
    pub version: u32,
}

impl fmt::Display for RuleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// One parameter that a rule read: its name and its value, absent being a value too.
pub type Declared = (Arc<str>, Option<Arc<str>>);

/// A file whose content enters the key, under a name that is the same on every machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SourceFile {
    /// The name that enters the key, e.g. `bundled/generic/tests/uptime.py`.
    pub name: Arc<str>,
    /// Where it is on this machine.
    pub path: Utf8PathBuf,
}

impl SourceFile {
    /// The file at `path`, known to keys as `name`.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, path: &Utf8Path) -> Self {
        Self {
            name: name.into(),
            path: path.to_owned(),
        }
    }
}

/// What of the host and its tools an action's result depends on, under names that people can read. Thousands of actions
/// share one.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Host {
    /// Facts: `machine type of vm1`, `accelerator`.
    pub facts: Box<[Declared]>,
    /// Files whose content counts: `emulator`, `firmware bios-256k.bin`.
    pub files: Box<[SourceFile]>,
}

/// Something that must be there before an action runs, and what part it plays in it.
#[derive(Clone, Debug)]
pub struct Need {
    /// The part: `image1 of vm1`. Enters the key.
    pub role: Arc<str>,
    /// When one of the action's `dep` predecessors makes an output of this name, that output is the input.
    pub made: Option<Arc<str>>,
    /// Otherwise this action's outputs are.
    pub otherwise: Option<Arc<Spec>>,
}

/// Something that an action is quicker with, and comes to the same without. What it is made of enters no key, nobody is
/// blocked when it cannot be made, and it is made only where it pays.
#[derive(Clone, Debug)]
pub struct Aid {
    /// The part it plays.
    pub role: Arc<str>,
    /// The action that makes it.
    pub spec: Arc<Spec>,
    /// How many actions that run must want it before it is made for them. One that is in the cache is always used.
    pub from: u32,
}

/// What an action takes from the host while it runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Claim {
    /// Memory in MiB.
    pub memory_mib: u32,
    /// Virtual CPUs.
    pub vcpus: u32,
}

/// One action, as declared.
#[derive(Clone)]
pub struct Spec {
    /// Who carries it out.
    pub rule: RuleName,
    /// Its name in keys and records: for a test the variant's full name.
    pub label: Arc<str>,
    /// What people are shown; not part of the key.
    pub title: Arc<str>,
    /// The full variant name that `dep` entries are matched against; empty for actions that no `dep` can name.
    pub variant: Arc<str>,
    /// Parameters read, sorted by name.
    pub declared: Box<[Declared]>,
    /// Parameters that may be read while it runs. They are in no key; those that are read are observed.
    pub offered: Arc<Offered>,
    /// Files read, sorted by name.
    pub sources: Box<[SourceFile]>,
    /// What of the host it depends on.
    pub host: Arc<Host>,
    /// Inputs that other actions make.
    pub needs: Box<[Need]>,
    /// What it is quicker with.
    pub aids: Box<[Aid]>,
    /// What people may want to know beside it; not part of the key.
    pub remarks: Box<[Arc<str>]>,
    /// `dep` entries: names of variants that come first when they are selected too.
    pub after: Box<[Arc<str>]>,
    /// Outputs that followers may ask for by name.
    pub makes: Box<[Arc<str>]>,
    /// What it takes from the host.
    pub claim: Claim,
    /// The rule's own data for carrying the action out. Nothing in it may matter that is not declared above.
    pub payload: Payload,
}

/// A rule's own data, opaque to the engine.
pub type Payload = Arc<dyn Any + Send + Sync>;

impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("rule", &self.rule)
            .field("label", &self.label)
            .field("declared", &self.declared.len())
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl Spec {
    /// An action of `rule` called `label`, with nothing declared yet.
    #[must_use]
    pub fn new(rule: RuleName, label: impl Into<Arc<str>>) -> Self {
        let label = label.into();
        Self {
            rule,
            title: label.clone(),
            label,
            variant: Arc::from(""),
            declared: Box::default(),
            offered: Arc::default(),
            sources: Box::default(),
            host: Arc::default(),
            needs: Box::default(),
            aids: Box::default(),
            remarks: Box::default(),
            after: Box::default(),
            makes: Box::default(),
            claim: Claim::default(),
            payload: Arc::new(()),
        }
    }

    /// Whether two specs ask for the same action: the same rule reading the same parameters and files.
    ///
    /// The claim, the aids and the payload follow from what is declared, so they are not compared.
    #[must_use]
    pub fn same_action(&self, other: &Self) -> bool {
        self.rule == other.rule
            && self.label == other.label
            && self.variant == other.variant
            && self.declared == other.declared
            && self.offered == other.offered
            && self.sources == other.sources
            && self.host == other.host
            && self.after == other.after
            && self.makes == other.makes
            && same_needs(&self.needs, &other.needs)
    }

    /// Whether a parameter is declared, and so enters the key.
    #[must_use]
    pub fn declares(&self, name: &str) -> bool {
        self.declared
            .binary_search_by(|(have, _)| have.as_ref().cmp(name))
            .is_ok()
    }

    /// The value of a declared parameter; `None` where it was absent.
    ///
    /// # Panics
    /// When the parameter was not declared: a rule that reads what is not in its key is a bug.
    #[must_use]
    pub fn read(&self, name: &str) -> Option<&str> {
        let at = self
            .declared
            .binary_search_by(|(have, _)| have.as_ref().cmp(name));
        let at = at.unwrap_or_else(|_| panic!("`{}` reads `{name}`, which it did not declare", self.label));
        self.declared[at].1.as_deref()
    }
}

fn same_needs(left: &[Need], right: &[Need]) -> bool {
    left.len() == right.len()
        && left.iter().zip(right).all(|(l, r)| {
            l.role == r.role
                && l.made == r.made
                && match (&l.otherwise, &r.otherwise) {
                    (Some(l), Some(r)) => Arc::ptr_eq(l, r) || l.same_action(r),
                    (None, None) => true,
                    _ => false,
                }
        })
}
