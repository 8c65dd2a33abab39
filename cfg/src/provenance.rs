//! Where a value came from, and why a variant is not there. Nothing is kept for it: both are recomputed when asked.

mod explain;
mod in_force;
mod nearest;
mod why_not;

use std::sync::Arc;

pub use explain::{Explanation, Step, explain};
pub use in_force::filters_in_force;
pub use nearest::{UnknownLabel, did_you_mean, nearest, unknown_labels};
pub use why_not::{Lifted, Removal, WhyNot, alone_in_the_way, why_not};

use crate::graph::{Graph, Origin};

/// A statement of a configuration file.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Statement {
    /// The file, as it was named when it was read.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: u32,
    /// The statement's line without indentation.
    pub text: String,
}

impl std::fmt::Display for Statement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

impl Statement {
    fn of(graph: &Graph, stmt: u32) -> Self {
        Self::at(graph, graph.origin(stmt))
    }

    fn at(graph: &Graph, origin: Origin) -> Self {
        let at = graph.files[origin.file as usize].spans().location(origin.item);
        Statement {
            file: at.file,
            line: at.line,
            text: at.text.trim().to_owned(),
        }
    }
}
