//! The filters that every variant has to pass: those that people forget they have written.

use super::Statement;
use crate::graph::{Constraint, Graph, Node, NodeId};
use crate::program::Program;

/// The unconditional `only` and `no` statements that all variants of `program` stand under, the outermost first: those
/// outside of all variants, and those inside of a variant that the ones before it leave as the only choice.
pub fn filters_in_force(program: &Program) -> Vec<Statement> {
    let graph = &*program.graph;
    let mut found: Vec<&Constraint> = Vec::new();
    let mut at = Some(graph.root());
    while let Some(id) = at {
        let node = graph.node(id);
        let own = &graph.constraints[node.constraints.start as usize..node.constraints.end as usize];
        found.extend(own.iter().filter(|constraint| constraint.guard.is_none()));
        at = only_choice(graph, node, &found);
    }
    found
        .iter()
        .map(|constraint| Statement::of(graph, constraint.stmt))
        .collect()
}

/// The child of a node where the filters found so far leave just one.
fn only_choice(graph: &Graph, node: &Node, found: &[&Constraint]) -> Option<NodeId> {
    let children = graph.node_children(node);
    let mut left = children
        .iter()
        .copied()
        .filter(|&child| found.iter().all(|constraint| leaves(graph, children, child, constraint)));
    let first = left.next()?;
    left.next().is_none().then_some(first)
}

/// Whether a filter leaves `child`, as far as can be told from the labels of the block's variants alone.
fn leaves(graph: &Graph, children: &[NodeId], child: NodeId, constraint: &Constraint) -> bool {
    if constraint.is_no {
        return true;
    }
    let names = |id: NodeId| {
        let labels = graph.node_labels(graph.node(id));
        let asked = graph.filters.get(constraint.filter);
        asked.words().any(|word| {
            word.flat_map(|block| block.iter().copied())
                .any(|atom| labels.iter().any(|label| label.plain == atom || label.named == atom))
        })
    };
    names(child) || !children.iter().any(|&other| names(other))
}
