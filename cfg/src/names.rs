//! What a path is called: name, short name, dependencies and file maps.

use crate::graph::{Graph, NodeId, NodeLabel};

/// The name and the short name of a path.
pub(crate) fn names(graph: &Graph, path: &[NodeId]) -> (String, String) {
    (name(graph, path), shortname(graph, path))
}

/// The full name: all labels, outermost first, joined by dots.
pub(crate) fn name(graph: &Graph, path: &[NodeId]) -> String {
    let mut out = String::with_capacity(path.len() * 12);
    for label in labels(graph, path) {
        dot(&mut out);
        graph.write_label(label, &mut out);
    }
    out
}

/// The label values of all nodes that are not default variants.
pub(crate) fn shortname(graph: &Graph, path: &[NodeId]) -> String {
    let mut out = String::with_capacity(path.len() * 12);
    let mut first = true;
    for node in path.iter().map(|&id| graph.node(id)).filter(|node| !node.hidden) {
        for label in graph.node_labels(node) {
            if !std::mem::take(&mut first) {
                out.push('.');
            }
            out.push_str(graph.symbols.text(label.value));
        }
    }
    out
}

/// All labels of a path, outermost first.
pub(crate) fn labels<'g>(graph: &'g Graph, path: &[NodeId]) -> impl Iterator<Item = &'g NodeLabel> {
    path.iter().flat_map(|&id| graph.node_labels(graph.node(id)))
}

fn dot(out: &mut String) {
    if !out.is_empty() {
        out.push('.');
    }
}

/// What a path depends on: each block of each dependency, under the labels outside of its variant.
pub(crate) fn dep(graph: &Graph, path: &[NodeId]) -> Vec<String> {
    let mut out = Vec::new();
    for (index, &id) in path.iter().enumerate() {
        let Some(deps) = graph.node(id).deps else { continue };
        let outer = name(graph, &path[..index]);
        for block in graph.filters.get(deps).words().flatten() {
            let mut entry = outer.clone();
            for &atom in block {
                dot(&mut entry);
                entry.push_str(&graph.atom_text(atom));
            }
            out.push(entry);
        }
    }
    out
}

/// The file maps of the variants that `mapped` names, innermost first: base name, printed labels, label values.
pub(crate) fn maps(graph: &Graph, mapped: &[NodeId]) -> Vec<(String, String, String)> {
    let mut out: Vec<(String, String, String)> = Vec::new();
    for &id in mapped {
        let node = graph.node(id);
        let (mut full, mut values) = (String::new(), String::new());
        for label in graph.node_labels(node) {
            dot(&mut full);
            graph.write_label(label, &mut full);
            dot(&mut values);
            values.push_str(graph.symbols.text(label.value));
        }
        let file = &*graph.base_names[node.file as usize];
        match out.iter_mut().find(|(known, _, _)| known == file) {
            Some((_, inner, inner_values)) => {
                prefix(inner, &full);
                prefix(inner_values, &values);
            }
            None => out.push((file.to_owned(), full, values)),
        }
    }
    out
}

/// Labels further out go first. The dot is written even where a variant has no label of its own.
/// Labels further out go first. The dot is written even where a variant has no label of its own.
fn prefix(inner: &mut String, outer: &str) {
    *inner = format!("{outer}.{inner}");
}
