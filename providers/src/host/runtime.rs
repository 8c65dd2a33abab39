//! The three ways to run a test's Python.

use std::fmt;

/// Which packages stand behind the names that a test imports (`docs/runtimes.md`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Runtime {
    /// Our own package, with the standard library alone.
    Own,
    /// Our own core over upstream's helper modules.
    Layered,
    /// Upstream's package runs the whole test.
    Upstream,
}

impl Runtime {
    /// All, in the order in which they are preferred.
    pub const ALL: [Self; 3] = [Self::Own, Self::Layered, Self::Upstream];

    /// The word by which people know it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Layered => "layered",
            Self::Upstream => "upstream",
        }
    }

    /// The one that `word` names.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|runtime| runtime.name() == word)
    }

    /// Whether upstream's packages must be there.
    #[must_use]
    pub fn needs_packages(self) -> bool {
        self != Self::Own
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
