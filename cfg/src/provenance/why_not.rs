//! Which filters removed the variants that somebody looks for.

use std::sync::Arc;

use super::in_force::in_force;
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
    /// What would be there if this filter alone were not.
    pub lifted: Option<Lifted>,
}

/// What one filter alone is in the way of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Lifted {
    /// How many variants there would be more.
    pub variants: Count,
    /// The name of one of them, if there are no others without it.
    pub example: Option<String>,
}

/// Why variants are not there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WhyNot {
    /// How many variants match and are there.
    pub present: Count,
    /// The filters that removed others: first those that are in the way alone, and among them the one that removed most
    /// first. Every candidate counts once, for the first
    /// filter that the search from the outermost block inwards finds against it. If the search was cut short, these are
    /// the removals of the part that was searched, and their numbers are not exact.
    pub removals: Vec<Removal>,
    /// Labels of the filter that no variant ever had.
    pub unknown: Vec<UnknownLabel>,
}

/// For how many of the filters that removed most it is found out what they alone are in the way of.
const LIFTED: usize = 16;

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
    let mut removals: Vec<(u32, Removal)> = Vec::new();
    for removed in profile {
        let example = names::name(graph, &removed.example);
        let candidates = Count {
            exact: found.exact && removed.candidates.exact,
            ..removed.candidates
        };
        let told = removal(graph, removed.constraint, candidates, example);
        removals.push((removed.constraint, told));
    }
    let order = |removal: &Removal| std::cmp::Reverse(removal.candidates.variants);
    removals.sort_by_key(|(_, removal)| order(removal));
    for (constraint, removal) in removals.iter_mut().take(LIFTED) {
        removal.lifted = lifted(graph, &walk_options, *constraint, answer.present);
    }
    removals.sort_by_key(|(_, removal)| (removal.lifted.is_none(), order(removal)));
    answer.removals = removals.into_iter().map(|(_, removal)| removal).collect();
    Ok(answer)
}

/// The filters outside of all choice that are alone in the way of any variant at all, with what there would be.
pub fn alone_in_the_way(program: &Program, options: &ExpandOptions) -> Vec<(Statement, Lifted)> {
    let graph = &program.graph;
    let options = WalkOptions::new(options);
    let in_force = in_force(graph);
    let found = in_force.into_iter().filter_map(|constraint| {
        let lifted = lifted(graph, &options, constraint, Count::exact(0))?;
        let stmt = graph.constraints[constraint as usize].stmt;
        Some((Statement::of(graph, stmt), lifted))
    });
    found.collect()
}

/// What there would be beside `present` without a constraint.
fn lifted(graph: &Arc<Graph>, options: &WalkOptions, constraint: u32, present: Count) -> Option<Lifted> {
    let (count, first) = Walk::lifted(graph, options, constraint);
    let more = count.variants.saturating_sub(present.variants);
    let variants = Count {
        variants: more,
        exact: count.exact && present.exact,
    };
    let example = first.filter(|_| present == Count::exact(0));
    let example = example.map(|path| names::name(graph, &path));
    (more > 0).then_some(Lifted { variants, example })
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
        lifted: None,
    }
}
