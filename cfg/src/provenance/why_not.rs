//! Which filters removed the variants that somebody looks for.

use super::{Statement, UnknownLabel, unknown_labels};
use crate::count::Count;
use crate::diagnostic::Diagnostic;
use crate::expand::ExpandOptions;
use crate::filter::Filter;
use crate::graph::Graph;
use crate::names;
use crate::program::Program;
use crate::search::{Walk, WalkOptions};

/// A filter that removed candidates.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removal {
    /// The `only` or `no` statement.
    pub statement: Statement,
    /// The conditions that it stands under, outermost first.
    pub under: Vec<Statement>,
    /// How many candidates it removed.
    pub candidates: Count,
    /// The labels that were decided when it removed the first of them.
    pub example: String,
}

/// Why variants are not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhyNot {
    /// How many variants match and are there.
    pub present: Count,
    /// The filters that removed others, the one that removed most first. Every candidate counts once, for the first
    /// filter that the search from the outermost block inwards finds against it. If the search was cut short, these are
    /// the removals of the part that was searched, and their numbers are not exact.
    pub removals: Vec<Removal>,
    /// Labels of the filter that no variant ever had.
    pub unknown: Vec<UnknownLabel>,
}

/// Finds what removed the variants that match `filter`.
///
/// # Errors
/// The filter is malformed.
pub fn why_not(program: &Program, filter: &str, options: &ExpandOptions) -> Result<WhyNot, Vec<Diagnostic>> {
    let asked = program.with_text("<filter>", &format!("only {filter}"))?;
    let parsed: Option<Filter> = filter.parse().ok();
    let unknown = parsed
        .map(|filter| unknown_labels(program, &filter))
        .unwrap_or_default();
    let mut answer = WhyNot {
        present: Count::exact(0),
        removals: Vec::new(),
        unknown,
    };
    let graph = &asked.graph;
    let Some(target) = (graph.constraints.len() as u32).checked_sub(1) else {
        return Ok(answer);
    };
    let walk_options = WalkOptions::new(options);
    let (found, profile) = Walk::profile(graph, &walk_options, target);
    answer.present = if found.exact || !graph.joins.is_empty() {
        found
    } else {
        Walk::new(graph, &walk_options).count()
    };
    for removed in profile {
        let example = names::name(graph, &removed.example);
        let candidates = Count {
            exact: found.exact && removed.candidates.exact,
            ..removed.candidates
        };
        answer
            .removals
            .push(removal(graph, removed.constraint, candidates, example));
    }
    answer
        .removals
        .sort_by_key(|removal| std::cmp::Reverse(removal.candidates.variants));
    Ok(answer)
}

fn removal(graph: &Graph, constraint: u32, candidates: Count, example: String) -> Removal {
    let constraint = &graph.constraints[constraint as usize];
    let mut under = Vec::new();
    let mut guard = constraint.guard;
    while let Some(index) = guard {
        let entry = &graph.guards[index as usize];
        under.push(Statement::of(graph, entry.stmt));
        guard = entry.parent;
    }
    under.reverse();
    Removal {
        statement: Statement::of(graph, constraint.stmt),
        under,
        candidates,
        example,
    }
}
