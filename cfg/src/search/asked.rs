//! For every node: the labels that can come below it, and what the filters at it and below it ask.

use rustc_hash::FxHashMap;

use super::outside::{Blocks, MAX_WORDS, each_filter, insert, unite};
use super::state::Asked;
use crate::graph::{Atom, Graph, NodeId};

/// Three sets for every node: atoms that nodes below can add, atoms that filters ask for, and blocks of adjacent atoms
/// that they ask for.
pub(super) struct AskedSets {
    blocks: Vec<Box<[Atom]>>,
    numbers: FxHashMap<Box<[Atom]>, u32>,
    atom_words: usize,
    block_words: usize,
    /// What filters ask, by node.
    questions: Vec<u64>,
}

impl AskedSets {
    /// Finds all sets, or nothing if they would be too large.
    pub(super) fn build(graph: &Graph) -> Option<Self> {
        let mut blocks = Blocks::default();
        for index in 0..graph.nodes.len() {
            each_filter(graph, &graph.nodes[index], |filter| {
                graph
                    .filters
                    .get(filter)
                    .words()
                    .flatten()
                    .for_each(|block| blocks.add(block));
            });
        }
        let atom_words = graph.atoms.len().div_ceil(64);
        let block_words = blocks.list.len().div_ceil(64);
        let width = atom_words + block_words;
        if graph.nodes.len() * width > MAX_WORDS {
            return None;
        }
        let mut sets = AskedSets {
            blocks: blocks.list,
            numbers: blocks.numbers,
            atom_words,
            block_words,
            questions: vec![0; graph.nodes.len() * width],
        };
        for index in 0..graph.nodes.len() {
            let id = NodeId(index as u32);
            let mut own = vec![0; sets.width()];
            sets.add_questions(graph, id, &mut own);
            for child in graph.node_children(graph.node(id)) {
                let below = child.index() * width..(child.index() + 1) * width;
                unite(&mut own[atom_words..], &sets.questions[below]);
            }
            sets.questions[index * width..(index + 1) * width].copy_from_slice(&own[atom_words..]);
        }
        Some(sets)
    }

    /// How many words the three sets of a node have.
    pub(super) fn width(&self) -> usize {
        2 * self.atom_words + self.block_words
    }

    /// The sets of a node, whatever paths come through it.
    pub(super) fn below(&self, graph: &Graph, node: NodeId) -> Vec<u64> {
        let width = self.width() - self.atom_words;
        let mut sets = graph.tables().below(node)[..self.atom_words].to_vec();
        sets.extend_from_slice(&self.questions[node.index() * width..(node.index() + 1) * width]);
        sets
    }

    /// Adds the labels of a node to its parent's sets.
    pub(super) fn add_labels(&self, graph: &Graph, node: NodeId, sets: &mut [u64]) {
        for label in graph.node_labels(graph.node(node)) {
            for atom in [label.plain, label.named] {
                if atom != Atom::NONE {
                    insert(&mut sets[..self.atom_words], atom.0 as usize);
                }
            }
        }
    }

    /// Adds what the filters of a node ask to its sets.
    pub(super) fn add_questions(&self, graph: &Graph, node: NodeId, sets: &mut [u64]) {
        let (atoms, blocks) = sets[self.atom_words..].split_at_mut(self.atom_words);
        each_filter(graph, graph.node(node), |filter| {
            for block in graph.filters.get(filter).words().flatten() {
                match block {
                    [atom] => insert(atoms, atom.0 as usize),
                    _ => insert(blocks, self.numbers[block] as usize),
                }
            }
        });
    }

    /// The atoms that can come below, and what is asked.
    pub(super) fn split<'a>(&'a self, sets: &'a [u64]) -> (&'a [u64], Asked<'a>) {
        let (below, questions) = sets.split_at(self.atom_words);
        let (atoms, chosen) = questions.split_at(self.atom_words);
        let asked = Asked {
            atoms,
            blocks: &self.blocks,
            chosen: Some(chosen),
        };
        (below, asked)
    }
}
