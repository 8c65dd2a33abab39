//! Random programs as trees, and what they mean by plain enumeration.

use proptest::prelude::*;
use vtbuild_cfg::filter::{Filter, Label};

/// A statement of a random program, at some depth of a tree.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Assign(String),
    Filter {
        is_no: bool,
        filter: String,
    },
    Condition {
        negated: bool,
        filter: String,
        body: Vec<Node>,
    },
    Variants {
        name: Option<&'static str>,
        variants: Vec<(String, Vec<Node>)>,
    },
}

fn label() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", "e"])
}

/// A filter.
pub(crate) fn filter() -> impl Strategy<Value = String> {
    let atom =
        prop_oneof![4 => label().prop_map(str::to_owned), 1 => label().prop_map(|l| format!("(v={l})"))];
    let block = prop::collection::vec(atom, 1..3).prop_map(|labels| labels.join("."));
    let word = prop::collection::vec(block, 1..3).prop_map(|blocks| blocks.join(".."));
    prop::collection::vec(word, 1..3).prop_map(|words| words.join(", "))
}

fn assign() -> impl Strategy<Value = Node> {
    let operator = prop::sample::select(vec!["=", "+=", "<=", "~=", "?="]);
    let value = prop::sample::select(vec!["1", "2", "${x}", "\"q\"", "-${y}${z}"]);
    let key = prop::sample::select(vec!["x", "y", "z"]);
    (key, operator, value)
        .prop_map(|(key, operator, value)| Node::Assign(format!("{key} {operator} {value}")))
}

fn plain_filter() -> impl Strategy<Value = Node> {
    (any::<bool>(), filter()).prop_map(|(is_no, filter)| Node::Filter { is_no, filter })
}

fn condition() -> impl Strategy<Value = Node> {
    let simple = prop_oneof![assign(), plain_filter()];
    let plain = filter().prop_filter("a condition starts with a plain name", |f| !f.contains('='));
    let leaf = (any::<bool>(), plain, prop::collection::vec(simple, 0..3));
    leaf.prop_map(|(negated, filter, body)| Node::Condition {
        negated,
        filter,
        body,
    })
}

/// A program.
pub(crate) fn statements() -> impl Strategy<Value = Vec<Node>> {
    let leaf = prop_oneof![3 => assign(), 1 => plain_filter(), 1 => condition()];
    let tree = leaf.prop_recursive(3, 40, 5, |inner| {
        let name = prop::option::weighted(0.4, prop::sample::select(vec!["v", "w"]));
        let variant = (
            label().prop_map(str::to_owned),
            prop::collection::vec(inner, 0..3),
        );
        (name, prop::collection::vec(variant, 1..4))
            .prop_map(|(name, variants)| Node::Variants { name, variants })
    });
    prop::collection::vec(tree, 0..6)
}

fn write(nodes: &[Node], indent: usize, filters: bool, out: &mut String) {
    let pad = " ".repeat(indent);
    for node in nodes {
        match node {
            Node::Assign(text) => out.push_str(&format!("{pad}{text}\n")),
            Node::Filter { .. } if !filters => {}
            Node::Filter { is_no, filter } => {
                out.push_str(&format!("{pad}{} {filter}\n", if *is_no { "no" } else { "only" }));
            }
            Node::Condition {
                negated,
                filter,
                body,
            } => {
                let bang = if *negated { "!" } else { "" };
                out.push_str(&format!("{pad}{bang}{filter}:\n"));
                write(body, indent + 4, filters, out);
            }
            Node::Variants { name, variants } => {
                out.push_str(&format!(
                    "{pad}variants{}:\n",
                    name.map(|n| format!(" {n}")).unwrap_or_default()
                ));
                for (label, body) in variants {
                    out.push_str(&format!("{pad}  - {label}:\n"));
                    write(body, indent + 4, filters, out);
                }
            }
        }
    }
}

/// The text of a program, with or without its `only` and `no` lines.
pub(crate) fn text(nodes: &[Node], filters: bool) -> String {
    let mut out = String::new();
    write(nodes, 0, filters, &mut out);
    out
}

/// Whether the statements that a path meets keep it; `path` holds, per block met, the variant taken.
pub(crate) fn keeps(nodes: &[Node], labels: &[Label], path: &mut std::slice::Iter<'_, usize>) -> bool {
    nodes.iter().all(|node| match node {
        Node::Assign(_) => true,
        Node::Filter { is_no, filter } => matches(filter, labels) != *is_no,
        Node::Condition {
            negated,
            filter,
            body,
        } => matches(filter, labels) == *negated || keeps(body, labels, path),
        Node::Variants { variants, .. } => {
            let taken = *path.next().expect("a choice for every block");
            keeps(&variants[taken].1, labels, path)
        }
    })
}

/// Whether a filter matches a name.
pub(crate) fn matches(filter: &str, labels: &[Label]) -> bool {
    filter.parse::<Filter>().expect("a filter").matches(labels)
}

/// Every combination of choices, as (labels, choices): later blocks vary slowest and come first in the labels.
pub(crate) fn paths(nodes: &[Node]) -> Vec<(Vec<Label>, Vec<usize>)> {
    let mut all = vec![(Vec::new(), Vec::new())];
    for node in nodes {
        let Node::Variants { name, variants } = node else {
            continue;
        };
        let mut next = Vec::new();
        for (index, (label, body)) in variants.iter().enumerate() {
            for (inner_labels, inner_choices) in paths(body) {
                for (labels, choices) in &all {
                    let own = Label {
                        variable: name.map(str::to_owned),
                        value: label.clone(),
                    };
                    let labels = std::iter::once(own)
                        .chain(inner_labels.iter().cloned())
                        .chain(labels.iter().cloned());
                    let choices = choices
                        .iter()
                        .copied()
                        .chain([index])
                        .chain(inner_choices.iter().copied());
                    next.push((labels.collect(), choices.collect()));
                }
            }
        }
        all = next;
    }
    all
}
