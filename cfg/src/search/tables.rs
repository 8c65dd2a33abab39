//! What can still come below each node, as sets of atoms.

use std::borrow::Cow;

use rustc_hash::FxHashMap;

use crate::graph::{Graph, Node, NodeId};

/// For every node, the atoms that the nodes below it can add to a name.
#[derive(Clone, Default, Debug)]
pub(crate) struct Tables {
    /// Words of 64 atoms a set.
    pub(crate) width: usize,
    pub(crate) sets: Cow<'static, [u64]>,
    /// The number of each node's set.
    pub(crate) below: Cow<'static, [u32]>,
}

impl Tables {
    pub(crate) fn build(graph: &Graph) -> Self {
        let width = graph.atoms.len().div_ceil(64).max(1);
        let mut build = Build {
            width,
            sets: vec![0; width],
            below: Vec::with_capacity(graph.nodes.len()),
        };
        // What a node and all below it can add, by node; children stand before their parents.
        let mut closures: FxHashMap<NodeId, u32> = FxHashMap::default();
        for node in &graph.nodes {
            let below = match graph.node_children(node) {
                [] => 0,
                [only] => *closures
                    .entry(*only)
                    .or_insert_with(|| build.closure(graph, *only)),
                children => build.union(graph, children),
            };
            build.below.push(below);
        }
        Tables {
            width,
            sets: build.sets.into(),
            below: build.below.into(),
        }
    }

    /// The set of atoms that can come below `node`.
    pub(crate) fn below(&self, node: NodeId) -> &[u64] {
        let start = self.below[node.index()] as usize * self.width;
        &self.sets[start..start + self.width]
    }
}

/// The sets while they are made.
struct Build {
    width: usize,
    sets: Vec<u64>,
    below: Vec<u32>,
}

impl Build {
    fn copy(&mut self, set: u32) -> u32 {
        let start = set as usize * self.width;
        self.sets.extend_from_within(start..start + self.width);
        (self.sets.len() / self.width) as u32 - 1
    }

    fn closure(&mut self, graph: &Graph, node: NodeId) -> u32 {
        let below = self.below[node.index()];
        let entry = graph.node(node);
        if entry.labels.is_empty() {
            return below;
        }
        let set = self.copy(below);
        self.add_labels(graph, entry, set);
        set
    }

    fn union(&mut self, graph: &Graph, children: &[NodeId]) -> u32 {
        let set = self.copy(self.below[children[0].index()]);
        let mut last = self.below[children[0].index()];
        for &child in children {
            let below = self.below[child.index()];
            if below != last {
                for word in 0..self.width {
                    let more = self.sets[below as usize * self.width + word];
                    self.sets[set as usize * self.width + word] |= more;
                }
                last = below;
            }
            self.add_labels(graph, graph.node(child), set);
        }
        set
    }

    fn add_labels(&mut self, graph: &Graph, node: &Node, set: u32) {
        let start = set as usize * self.width;
        for label in graph.node_labels(node) {
            for atom in [label.plain, label.named] {
                if atom != crate::graph::Atom::NONE {
                    self.sets[start + atom.0 as usize / 64] |= 1 << (atom.0 % 64);
                }
            }
        }
    }
}
