//! The filters that every variant has to pass: those that people forget they have written.

use super::Statement;
use crate::graph::{Atom, Constraint, Graph, Node, NodeId, NodeLabel};
use crate::program::Program;

/// The unconditional `only` and `no` statements that all variants of `program` stand under, the outermost first: those
/// outside of all variants, and those inside of a variant that the ones before it leave as the only choice.
pub fn filters_in_force(program: &Program) -> Vec<Statement> {
    let graph = &*program.graph;
    in_force(graph)
        .into_iter()
        .map(|constraint| Statement::of(graph, graph.constraints[constraint as usize].stmt))
        .collect()
}

/// The same by their numbers.
pub(super) fn in_force(graph: &Graph) -> Vec<u32> {
    let mut numbers: Vec<u32> = Vec::new();
    let mut found: Vec<&Constraint> = Vec::new();
    let mut at = Some(graph.root());
    while let Some(id) = at {
        let node = graph.node(id);
        let own = node.constraints.clone();
        let own = own.filter(|&number| graph.constraints[number as usize].guard.is_none());
        for number in own {
            numbers.push(number);
            found.push(&graph.constraints[number as usize]);
        }
        at = only_choice(graph, node, &found);
    }
    numbers
}

/// The child of a node where the filters found so far leave just one.
fn only_choice(graph: &Graph, node: &Node, found: &[&Constraint]) -> Option<NodeId> {
    let children = graph.node_children(node);
    let mut left = children.iter().copied().filter(|&child| {
        found
            .iter()
            .all(|constraint| leaves(graph, children, child, constraint))
    });
    let first = left.next()?;
    left.next().is_none().then_some(first)
}

/// Whether a filter may leave `child`: it does unless each of its words asks for a label that only siblings of it have.
fn leaves(graph: &Graph, siblings: &[NodeId], child: NodeId, constraint: &Constraint) -> bool {
    let contradicts = |atom: Atom| {
        let here: usize = siblings.iter().map(|&id| carried(graph, id, atom)).sum();
        let anywhere = graph.labels.iter().filter(|label| is(label, atom)).count();
        carried(graph, child, atom) == 0 && here > 0 && here == anywhere
    };
    let mut words = graph.filters.get(constraint.filter).words();
    constraint.is_no || words.any(|mut word| word.all(|block| !block.iter().any(|&atom| contradicts(atom))))
}

/// How many labels of a node are what `atom` asks for.
fn carried(graph: &Graph, id: NodeId, atom: Atom) -> usize {
    let labels = graph.node_labels(graph.node(id));
    labels.iter().filter(|label| is(label, atom)).count()
}

fn is(label: &NodeLabel, atom: Atom) -> bool {
    label.plain == atom || label.named == atom
}
