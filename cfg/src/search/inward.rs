//! Counts from the leaves outwards, where the outer blocks are a large product that the search would walk again and again.
//!
//! Each node is taken once, after all nodes below it. What is known of the partial paths from the leaves up to it is what
//! filters further out can ask of them, and what filters passed already still want of what is further out; paths that
//! agree in both are one case with a number. There are few such cases, because most tests ask the same few things of
//! guests and hardware. Filters are judged by the same code as in the search, on a mirrored graph: labels arrive
//! innermost first, so blocks of adjacent labels are read backwards.

use std::ops::Range;
use std::rc::Rc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::outside::Outside;
use super::state::{State, Verdict};
use crate::count::Count;
use crate::graph::{Atom, Graph, Node, NodeId};

/// Give up beyond so many pairs of a case and a node that it reaches.
const MAX_STEPS: usize = 10_000_000;

/// All partial paths that filters see alike.
struct Case {
    /// The labels of one of the paths, innermost first.
    labels: Vec<(Atom, Atom)>,
    pending: Vec<u32>,
    count: Count,
}

/// The cases of nodes that are still needed.
struct Cases {
    of: Vec<Option<Rc<[Case]>>>,
    /// How many nodes are to be reached from each.
    parents: Vec<u32>,
}

/// How many paths pass all filters, or nothing if this way of counting is no good here.
pub(super) fn count(graph: &Graph) -> Option<Count> {
    let mirror = mirror(graph);
    let common = common(&mirror);
    let outside = Outside::build(&mirror, &common)?;
    let mut cases = Cases::new(&mirror);
    let mut state = State::new(&mirror);
    let mut steps = 0;
    for index in 0..=graph.root().index() {
        let id = NodeId(index as u32);
        if !outside.is_reached(id) {
            continue;
        }
        let node = mirror.node(id);
        let children = mirror.node_children(node);
        let below: Vec<Rc<[Case]>> = match children {
            [] => vec![start(&mirror, &common)],
            children => children.iter().map(|&child| cases.take(child)).collect(),
        };
        if let [only] = &*below
            && node.labels.is_empty()
            && (node.constraints.is_empty() || common.contains(&id))
        {
            cases.of[index] = Some(only.clone());
            continue;
        }
        steps += below.iter().map(|cases| cases.len()).sum::<usize>();
        if steps > MAX_STEPS {
            return None;
        }
        let own = if common.contains(&id) {
            0..0
        } else {
            node.constraints.clone()
        };
        let mut reached = Reached {
            mirror: &mirror,
            outside: &outside,
            id,
            own,
            cases: FxHashMap::default(),
        };
        for case in below.iter().flat_map(|cases| cases.iter()) {
            state.pop_to(0);
            state.push_labels(&case.labels);
            reached.advance(&mut state, node, case);
        }
        cases.of[index] = Some(reached.cases.into_values().collect());
    }
    let mut total = Count::exact(0);
    let root = cases.of[graph.root().index()].take()?;
    root.iter().for_each(|case| total.add(case.count));
    Some(total)
}

/// The nodes that every path goes through. Their filters are in force from the start, so that paths that they remove
/// do not multiply first.
fn common(graph: &Graph) -> FxHashSet<NodeId> {
    std::iter::successors(Some(graph.root()), |&node| graph.node(node).base).collect()
}

/// What is known before the first node: of one path, nothing.
fn start(graph: &Graph, common: &FxHashSet<NodeId>) -> Rc<[Case]> {
    let mut pending: Vec<u32> = common
        .iter()
        .flat_map(|&id| graph.node(id).constraints.clone())
        .collect();
    pending.sort_unstable();
    Rc::new([Case {
        labels: Vec::new(),
        pending,
        count: Count::exact(1),
    }])
}

impl Cases {
    fn new(graph: &Graph) -> Self {
        let mut parents = vec![0; graph.nodes.len()];
        for child in &graph.children {
            parents[child.index()] += 1;
        }
        Cases {
            of: vec![None; graph.nodes.len()],
            parents,
        }
    }

    /// The cases of a node, for one of its parents; they are forgotten after the last one.
    fn take(&mut self, node: NodeId) -> Rc<[Case]> {
        let at = node.index();
        self.parents[at] -= 1;
        let cases = if self.parents[at] == 0 {
            self.of[at].take()
        } else {
            self.of[at].clone()
        };
        cases.expect("children stand before their parents")
    }
}

/// The cases of a node while they are found.
struct Reached<'g> {
    mirror: &'g Graph,
    outside: &'g Outside,
    id: NodeId,
    /// Constraints that are met here first.
    own: Range<u32>,
    cases: FxHashMap<Box<[u32]>, Case>,
}

impl Reached<'_> {
    /// Extends a case of a child, whose labels `state` holds, by this node.
    fn advance(&mut self, state: &mut State, node: &Node, case: &Case) {
        let mirror = self.mirror;
        let above = self.outside.atoms(self.id);
        state.push(mirror, node);
        let mut pending = Vec::new();
        for index in case.pending.iter().copied().chain(self.own.clone()) {
            match state.constraint(mirror, &mirror.constraints[index as usize], above) {
                Verdict::Violated | Verdict::Trapped => return,
                Verdict::Satisfied => {}
                Verdict::Pending => pending.push(index),
            }
        }
        pending.sort_unstable();
        let mut key = Vec::new();
        state.facts(self.outside.asked(self.id), above, &mut key);
        for &index in &pending {
            key.push(index | 3 << 30);
            state.residual(mirror, &mirror.constraints[index as usize], above, &mut key);
        }
        match self.cases.get_mut(key.as_slice()) {
            Some(known) => known.count.add(case.count),
            None => {
                let labels = state.labels().to_vec();
                let case = Case {
                    labels,
                    pending,
                    count: case.count,
                };
                self.cases.insert(key.into(), case);
            }
        }
    }
}

/// The graph as seen from the leaves.
fn mirror(graph: &Graph) -> Graph {
    let mut mirror = graph.clone();
    mirror.filters = std::mem::take(&mut mirror.filters).mirrored();
    for node in &graph.nodes {
        mirror.labels[node.labels.start as usize..node.labels.end as usize].reverse();
    }
    mirror
}

#[cfg(test)]
mod tests;
