//! What the tree of variants rules out: alternatives of filters that no path can meet where they stand, and variants that
//! no path through them survives.
//!
//! Each question is one search for one path. A search that takes too long decides nothing, and is told as that.

use rustc_hash::{FxHashMap, FxHashSet};

use super::warning;
use crate::diagnostic::{Diagnostic, Location};
use crate::filter::FilterId;
use crate::graph::{Graph, NodeId, Origin, Stmt};
use crate::search::{Answer, InForce, Part, Through, Want};

/// What was found out about the filters of a program.
#[derive(Default)]
pub(super) struct Structure {
    /// The alternatives of a filter statement that can never match, by the numbers that they have there.
    pub(super) impossible: FxHashMap<Origin, Vec<usize>>,
    /// The entries of a variant's dependencies that no name has side by side, by their numbers.
    pub(super) missing: FxHashMap<Origin, Vec<usize>>,
    /// The filters that alone are the reason of such a warning.
    pub(super) culprits: FxHashSet<Origin>,
    /// Warnings about variants.
    pub(super) dropped: Vec<Diagnostic>,
}

/// One filter at one place of the tree. A file that is included twice has each of its filters at two places.
struct Occurrence {
    node: NodeId,
    origin: Origin,
    filter: FilterId,
    /// The alternative that the filter's first one is in its statement: each of a `join` is a filter of its own.
    first: usize,
    guard: Option<u32>,
}

/// What is not decided.
#[derive(Default)]
struct Open {
    filters: usize,
    variants: usize,
    first: Option<Location>,
}

impl Structure {
    /// Nothing if `go_on` says no meanwhile.
    pub(super) fn of(graph: &Graph, go_on: &mut dyn FnMut() -> bool) -> Option<Self> {
        let mut found = Structure::default();
        let Some(mut through) = Through::new(graph) else {
            return Some(found);
        };
        let mut open = Open::default();
        found.filters(graph, &mut through, &mut open, go_on)?;
        found.dependencies(graph, &mut through);
        found.variants(graph, &mut through, &mut open, go_on)?;
        found.dropped.extend(open.warning());
        Some(found)
    }

    fn filters(
        &mut self,
        graph: &Graph,
        through: &mut Through<'_>,
        open: &mut Open,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<()> {
        let mut possible: FxHashMap<Origin, FxHashMap<usize, bool>> = FxHashMap::default();
        let mut closed: FxHashSet<u32> = FxHashSet::default();
        let mut here = None;
        for it in occurrences(graph) {
            go_on().then_some(())?;
            if here.replace(it.node) != Some(it.node) {
                through.turn_to(it.node);
            }
            let mut wants = guards(graph, it.guard);
            // What stands under a condition that never matches is not told again.
            if let Some(guard) = it.guard
                && (closed.contains(&guard) || through.find(&wants, InForce::None) == Answer::Nothing)
            {
                closed.insert(guard);
                continue;
            }
            let entry = possible.entry(it.origin).or_default();
            for word in 0..graph.filters.get(it.filter).words().count() {
                let known = entry.entry(it.first + word).or_default();
                if *known {
                    continue;
                }
                wants.push(Want {
                    filter: it.filter,
                    part: Part::Word(word),
                    matches: true,
                });
                match through.find(&wants, InForce::None) {
                    Answer::Path(_) => *known = true,
                    Answer::Nothing => {}
                    Answer::Unknown => {
                        *known = true;
                        open.filters += 1;
                        open.first.get_or_insert_with(|| place(graph, it.origin));
                    }
                }
                wants.pop();
            }
        }
        for (origin, words) in possible {
            let mut never: Vec<usize> = words
                .into_iter()
                .filter(|(_, possible)| !possible)
                .map(|(word, _)| word)
                .collect();
            never.sort_unstable();
            if !never.is_empty() {
                self.impossible.insert(origin, never);
            }
        }
        Some(())
    }

    /// Finds what dependencies ask for and no name holds. What a single label asks for is a matter of known names.
    fn dependencies(&mut self, graph: &Graph, through: &mut Through<'_>) {
        through.turn_to(graph.root());
        for node in &graph.nodes {
            let (Some(origin), Some(filter)) = (node.origin, node.deps) else {
                continue;
            };
            let blocks = graph.filters.get(filter).words().flatten().enumerate();
            for (number, _) in blocks.filter(|(_, block)| block.len() > 1) {
                let want = Want {
                    filter,
                    part: Part::Block(number),
                    matches: true,
                };
                if through.find(&[want], InForce::None) == Answer::Nothing {
                    let missing = self.missing.entry(origin).or_default();
                    if !missing.contains(&number) {
                        missing.push(number);
                    }
                }
            }
        }
    }

    /// Finds the variants that nothing keeps, the outermost ones of them. Filters outside of all variants choose what is
    /// wanted, and are no reason to complain.
    fn variants(
        &mut self,
        graph: &Graph,
        through: &mut Through<'_>,
        open: &mut Open,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Option<()> {
        let mut alive = vec![false; graph.nodes.len()];
        let mut dead: FxHashSet<NodeId> = FxHashSet::default();
        // A variant that stands in a file included twice is dropped only if it is at both places.
        let mut told: FxHashMap<Origin, Option<Diagnostic>> = FxHashMap::default();
        let mut order: Vec<Origin> = Vec::new();
        for index in (0..graph.nodes.len()).rev() {
            go_on().then_some(())?;
            let id = NodeId(index as u32);
            let Some(origin) = graph.node(id).origin else {
                continue;
            };
            let verdict = if alive[index] || through.above(id).any(|above| dead.contains(&above)) {
                None
            } else {
                through.turn_to(id);
                match through.find(&[], InForce::All) {
                    Answer::Path(path) => {
                        path.iter().for_each(|node| alive[node.index()] = true);
                        None
                    }
                    Answer::Nothing => {
                        dead.insert(id);
                        let culprit = culprit(through);
                        let culprits = &graph.constraints;
                        self.culprits
                            .extend(culprit.map(|it| graph.origin(culprits[it as usize].stmt)));
                        Some(dropped(graph, through.blamed(), culprit, id))
                    }
                    Answer::Unknown => {
                        open.variants += 1;
                        open.first.get_or_insert_with(|| place(graph, origin));
                        None
                    }
                }
            };
            match told.get_mut(&origin) {
                Some(known) if verdict.is_none() => *known = None,
                Some(_) => {}
                None => {
                    told.insert(origin, verdict);
                    order.push(origin);
                }
            }
        }
        self.dropped
            .extend(order.iter().filter_map(|origin| told.remove(origin).flatten()));
        Some(())
    }
}

impl Open {
    fn warning(self) -> Option<Diagnostic> {
        let parts = [
            (self.variants, "variants are always dropped"),
            (self.filters, "alternatives of filters can match"),
        ];
        let parts = parts.iter().filter(|(count, _)| *count > 0);
        let parts: Vec<String> = parts.map(|(count, what)| format!("{count} {what}")).collect();
        let message = format!(
            "for want of time it is not decided whether {}",
            parts.join(", and whether ")
        );
        Some(warning(super::UNDECIDED, message, self.first?))
    }
}

fn place(graph: &Graph, origin: Origin) -> Location {
    graph.files[origin.file as usize].spans().location(origin.item)
}

/// Every filter of every `only`, `no`, condition and `join`, by the node that it stands in.
fn occurrences(graph: &Graph) -> Vec<Occurrence> {
    let mut found = Vec::new();
    let mut add = |stmt: u32, filter, first, guard| {
        found.push(Occurrence {
            node: graph.node_of(stmt),
            origin: graph.origin(stmt),
            filter,
            first,
            guard,
        });
    };
    for constraint in &graph.constraints {
        add(constraint.stmt, constraint.filter, 0, constraint.guard);
    }
    for guard in &graph.guards {
        add(guard.stmt, guard.filter, 0, guard.parent);
    }
    let mut of_stmt: FxHashMap<u32, usize> = FxHashMap::default();
    for factor in &graph.factors {
        let first = of_stmt.entry(factor.stmt).or_default();
        add(factor.stmt, factor.filter, *first, None);
        *first += 1;
    }
    // Outer conditions before what stands under them.
    found.sort_by_key(|it| (it.node, it.guard.is_some(), it.guard));
    found
}

/// The conditions around a statement, as what is wanted of a path.
fn guards(graph: &Graph, guard: Option<u32>) -> Vec<Want> {
    let outwards = std::iter::successors(guard, |&guard| graph.guards[guard as usize].parent);
    outwards
        .map(|guard| {
            let guard = &graph.guards[guard as usize];
            Want {
                filter: guard.filter,
                part: Part::All,
                matches: !guard.negated,
            }
        })
        .collect()
}

/// The one filter that alone removes all that the last search with all of them looked for.
fn culprit(through: &mut Through<'_>) -> Option<u32> {
    let blamed = through.blamed().to_vec();
    blamed
        .into_iter()
        .find(|&constraint| through.find(&[], InForce::One(constraint)) == Answer::Nothing)
}

/// The warning about a variant that is dropped whatever it is combined with.
fn dropped(graph: &Graph, blamed: &[u32], alone: Option<u32>, id: NodeId) -> Diagnostic {
    let shown = |constraint: u32| {
        let stmt = graph.constraints[constraint as usize].stmt;
        debug_assert!(matches!(graph.stmt(stmt), Stmt::Only | Stmt::No));
        let at = graph.location(stmt);
        format!("`{}` at {}:{}", at.text.trim(), at.file, at.line)
    };
    let mut name = String::new();
    for label in graph.node_labels(graph.node(id)) {
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(graph.symbols.text(label.value));
    }
    let by = match (alone, blamed) {
        (Some(one), _) => format!(", by {}", shown(one)),
        (None, [first, second, ..]) => format!(
            ", by several filters together, {} and {} among them",
            shown(*first),
            shown(*second)
        ),
        (None, [one]) => format!(", by {}", shown(*one)),
        (None, []) => ": all variants in it are".to_owned(),
    };
    let message = format!("the variant `{name}` is always dropped{by}");
    let at = graph.node(id).origin.map(|origin| place(graph, origin));
    let at = at.expect("only variants are looked at");
    warning("always-dropped", message, at)
}
