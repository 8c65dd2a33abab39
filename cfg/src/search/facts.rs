//! What the filters at and below a node can ask about the labels above it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::state::Asked;
use crate::filter::FilterId;
use crate::graph::{Atom, Graph, Node, NodeId};

/// The questions: single atoms, and blocks of adjacent ones.
#[derive(Clone, Default, Debug)]
pub(crate) struct Facts {
    pub(crate) atoms: Vec<u64>,
    pub(crate) blocks: Vec<Box<[Atom]>>,
}

/// Blocks that are among the questions already.
pub(super) type Known = FxHashSet<Box<[Atom]>>;

impl Facts {
    pub(super) fn new(graph: &Graph) -> Self {
        Facts {
            atoms: vec![0; graph.atoms.len().div_ceil(64)],
            blocks: Vec::new(),
        }
    }

    /// All of it, as a question.
    pub(super) fn asked(&self) -> Asked<'_> {
        Asked {
            atoms: &self.atoms,
            blocks: &self.blocks,
            chosen: None,
        }
    }

    /// Adds what the filters of one node ask.
    pub(super) fn add_node(&mut self, graph: &Graph, node: &Node, known: &mut Known) {
        for constraint in &graph.constraints[node.constraints.start as usize..node.constraints.end as usize] {
            self.add_filter(graph, constraint.filter, known);
            let mut guard = constraint.guard;
            while let Some(index) = guard {
                let entry = &graph.guards[index as usize];
                self.add_filter(graph, entry.filter, known);
                guard = entry.parent;
            }
        }
    }

    fn add_filter(&mut self, graph: &Graph, filter: FilterId, known: &mut Known) {
        for block in graph.filters.get(filter).words().flatten() {
            if let [atom] = block {
                self.atoms[atom.0 as usize / 64] |= 1 << (atom.0 % 64);
            } else if known.insert(block.into()) {
                self.blocks.push(block.into());
            }
        }
    }

    fn add_all(&mut self, other: &Facts, known: &mut Known) {
        for (mine, theirs) in self.atoms.iter_mut().zip(&other.atoms) {
            *mine |= theirs;
        }
        for block in &other.blocks {
            if known.insert(block.clone()) {
                self.blocks.push(block.clone());
            }
        }
    }
}

/// Facts of nodes, found when first asked for.
#[derive(Default, Debug)]
pub(crate) struct FactTable {
    facts: FxHashMap<NodeId, Facts>,
}

impl FactTable {
    pub(crate) fn get(&mut self, graph: &Graph, node: NodeId) -> &Facts {
        if !self.facts.contains_key(&node) {
            let facts = self.collect(graph, node);
            self.facts.insert(node, facts);
        }
        &self.facts[&node]
    }

    fn collect(&self, graph: &Graph, top: NodeId) -> Facts {
        let mut facts = Facts::new(graph);
        let mut known = Known::default();
        let mut visited = FxHashSet::default();
        let mut stack = vec![top];
        while let Some(id) = stack.pop() {
            let node = graph.node(id);
            if node.shared {
                if !visited.insert(id) {
                    continue;
                }
                if let Some(done) = self.facts.get(&id) {
                    facts.add_all(done, &mut known);
                    continue;
                }
            }
            facts.add_node(graph, node, &mut known);
            stack.extend(graph.node_children(node));
        }
        facts
    }
}
