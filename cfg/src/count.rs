//! How many variants there are, without listing them.

use std::fmt;

use crate::diagnostic::Diagnostic;
use crate::expand::ExpandOptions;
use crate::program::Program;
use crate::search::{Walk, WalkOptions};

/// How many variants are listed at most where there is no other way to count them.
const MAX_LISTED: u128 = 200_000;

/// A number of variants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// The number, or the largest one that can be told.
    pub variants: u128,
    /// Whether `variants` is the number itself; otherwise there are at least that many.
    pub exact: bool,
}

impl Count {
    /// A number that is exact.
    pub fn exact(variants: u128) -> Self {
        Count {
            variants,
            exact: true,
        }
    }

    pub(crate) fn add(&mut self, other: Count) {
        self.exact &= other.exact && self.variants.checked_add(other.variants).is_some();
        self.variants = self.variants.saturating_add(other.variants);
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.exact { "" } else { "more than " };
        write!(f, "{more}{}", self.variants)
    }
}

impl Program {
    /// How many variants [`Program::variants`] would give. Parts of the tree that filters see alike are counted once;
    /// only programs with `join`, or with filters that cannot be judged, are counted by listing, up to a limit. Where that is passed, or too many parts differ,
    /// the answer is a lower bound, within seconds, instead of an endless search.
    ///
    /// # Errors
    /// A join that cannot be carried out, or a filter that cannot be judged.
    pub fn count(&self, options: &ExpandOptions) -> Result<Count, Box<Diagnostic>> {
        if self.graph.joins.is_empty() && !self.graph.has_traps {
            return Ok(Walk::new(&self.graph, &WalkOptions::new(options)).count());
        }
        let mut count = Count::exact(0);
        for variant in self.variants(options) {
            variant?;
            if count.variants == MAX_LISTED {
                count.exact = false;
                break;
            }
            count.add(Count::exact(1));
        }
        Ok(count)
    }
}
