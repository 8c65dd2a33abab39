//! What stands further out than each node: the labels that can still come from there, and what filters there ask.

use rustc_hash::{FxHashMap, FxHashSet};

use super::state::Asked;
use crate::filter::FilterId;
use crate::graph::{Atom, Graph, Node, NodeId};

/// How many words of sets are kept at most, so that memory stays within bounds.
pub(super) const MAX_WORDS: usize = 1 << 27;

/// For every node, three sets: atoms that nodes above it can add, atoms that filters there ask for, and blocks of
/// adjacent atoms that they ask for.
#[derive(Debug)]
pub(super) struct Outside {
    blocks: Vec<Box<[Atom]>>,
    /// How many words a set of atoms has, and how many one of blocks.
    atom_words: usize,
    block_words: usize,
    sets: Vec<u64>,
    reached: Vec<bool>,
}

/// Adds all of one set to another.
pub(super) fn unite(into: &mut [u64], from: &[u64]) {
    into.iter_mut().zip(from).for_each(|(into, from)| *into |= from);
}

pub(super) fn insert(set: &mut [u64], at: usize) {
    set[at / 64] |= 1 << (at % 64);
}

impl Outside {
    /// Finds all sets, or nothing if they would be too large. What the filters of `common` nodes ask is left out.
    pub(super) fn build(graph: &Graph, common: &FxHashSet<NodeId>) -> Option<Self> {
        let mut blocks = Blocks::default();
        graph.filters.iter().for_each(|filter| {
            filter.words().flatten().for_each(|block| blocks.add(block));
        });
        let atom_words = graph.atoms.len().div_ceil(64);
        let block_words = blocks.list.len().div_ceil(64);
        let words = graph.nodes.len() * (2 * atom_words + block_words);
        if words > MAX_WORDS {
            return None;
        }
        let mut outside = Outside {
            blocks: blocks.list,
            atom_words,
            block_words,
            sets: vec![0; words],
            reached: vec![false; graph.nodes.len()],
        };
        outside.reached[graph.root().index()] = true;
        for index in (0..=graph.root().index()).rev() {
            if outside.reached[index] {
                let node = &graph.nodes[index];
                let mut seen = outside.sets[outside.range(index)].to_vec();
                outside.add_labels(graph, node, &mut seen);
                if !common.contains(&NodeId(index as u32)) {
                    outside.add_questions(graph, node, &blocks.numbers, &mut seen);
                }
                for child in graph.node_children(node) {
                    outside.reached[child.index()] = true;
                    let range = outside.range(child.index());
                    unite(&mut outside.sets[range], &seen);
                }
            }
        }
        Some(outside)
    }

    fn range(&self, node: usize) -> std::ops::Range<usize> {
        let words = 2 * self.atom_words + self.block_words;
        node * words..(node + 1) * words
    }

    /// Adds the labels of a node to sets.
    fn add_labels(&self, graph: &Graph, node: &Node, sets: &mut [u64]) {
        let atoms = &mut sets[..self.atom_words];
        for label in graph.node_labels(node) {
            for atom in [label.plain, label.named] {
                if atom != Atom::NONE {
                    insert(atoms, atom.0 as usize);
                }
            }
        }
    }

    /// Adds what the filters of a node ask to sets.
    fn add_questions(
        &self,
        graph: &Graph,
        node: &Node,
        numbers: &FxHashMap<Box<[Atom]>, u32>,
        sets: &mut [u64],
    ) {
        let (asked, blocks) = sets[self.atom_words..].split_at_mut(self.atom_words);
        each_filter(graph, node, |filter| {
            for block in graph.filters.get(filter).words().flatten() {
                match block {
                    [atom] => insert(asked, atom.0 as usize),
                    _ => insert(blocks, numbers[block] as usize),
                }
            }
        });
    }

    /// Whether any path goes through a node.
    pub(super) fn is_reached(&self, node: NodeId) -> bool {
        self.reached[node.index()]
    }

    /// The atoms that nodes above can add.
    pub(super) fn atoms(&self, node: NodeId) -> &[u64] {
        &self.sets[self.range(node.index())][..self.atom_words]
    }

    /// What filters of nodes above ask.
    pub(super) fn asked(&self, node: NodeId) -> Asked<'_> {
        let (atoms, blocks) =
            self.sets[self.range(node.index())][self.atom_words..].split_at(self.atom_words);
        Asked {
            atoms,
            chosen: Some(blocks),
            blocks: &self.blocks,
        }
    }
}

/// Calls `found` with all filters of a node: those of its `only` and `no` lines, and of the conditions around them.
pub(super) fn each_filter(graph: &Graph, node: &Node, mut found: impl FnMut(FilterId)) {
    for constraint in &graph.constraints[node.constraints.start as usize..node.constraints.end as usize] {
        found(constraint.filter);
        let mut guard = constraint.guard;
        while let Some(index) = guard {
            let entry = &graph.guards[index as usize];
            found(entry.filter);
            guard = entry.parent;
        }
    }
}

/// All blocks of more than one label.
#[derive(Default)]
pub(super) struct Blocks {
    pub(super) list: Vec<Box<[Atom]>>,
    pub(super) numbers: FxHashMap<Box<[Atom]>, u32>,
}

impl Blocks {
    pub(super) fn add(&mut self, block: &[Atom]) {
        if block.len() != 1 && !self.numbers.contains_key(block) {
            self.numbers.insert(block.into(), self.list.len() as u32);
            self.list.push(block.into());
        }
    }
}
