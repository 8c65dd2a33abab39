//! Laws that hold for any program: layout does not reach the items, pushing filters into the search changes nothing,
//! counting agrees with listing.

mod support;

use proptest::prelude::*;
use support::Nothing;
use vtbuild_cfg::filter::{Filter, Label};
use vtbuild_cfg::{Count, ExpandOptions, Program, parse};

/// A statement of a random program, at some depth of a tree.
#[derive(Clone, Debug)]
enum Node {
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

fn filter() -> impl Strategy<Value = String> {
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

fn statements() -> impl Strategy<Value = Vec<Node>> {
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

fn text(nodes: &[Node], filters: bool) -> String {
    let mut out = String::new();
    write(nodes, 0, filters, &mut out);
    out
}

/// Whether the statements that a path meets keep it; `path` holds, per block met, the variant taken.
fn keeps(nodes: &[Node], labels: &[Label], path: &mut std::slice::Iter<'_, usize>) -> bool {
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

fn matches(filter: &str, labels: &[Label]) -> bool {
    filter.parse::<Filter>().expect("a filter").matches(labels)
}

/// Every combination of choices, as (labels, choices): later blocks vary slowest and come first in the labels.
fn paths(nodes: &[Node]) -> Vec<(Vec<Label>, Vec<usize>)> {
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

fn program(text: &str) -> Program {
    Program::from_text("f", text, &Nothing).unwrap_or_else(|errors| panic!("{}\n{text}", errors[0]))
}

fn dumps(program: &Program) -> Vec<String> {
    support::dump(program, &ExpandOptions::default()).expect("it applies")
}

fn spoil_layout(text: &str, choices: &[u8]) -> String {
    let mut out = String::new();
    for (line, choice) in text.lines().zip(choices.iter().cycle()) {
        match choice % 5 {
            0 => out.push_str("# a comment\n"),
            1 => out.push_str("\n   \n"),
            2 => out.push_str("          // deeper\n"),
            _ => {}
        }
        let indent = line.len() - line.trim_start().len();
        out.push_str(&" ".repeat(indent * 3));
        out.push_str(line.trim_start());
        out.push_str(if choice % 2 == 0 { "   \r\n" } else { "\n" });
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn layout_does_not_reach_the_items(nodes in statements(), choices in prop::collection::vec(any::<u8>(), 1..20)) {
        let plain = text(&nodes, true);
        let spoilt = spoil_layout(&plain, &choices);
        let (one, two) = (parse("f", plain.as_bytes()), parse("f", spoilt.as_bytes()));
        prop_assert!(one.diagnostics().is_empty());
        prop_assert_eq!(one.items(), two.items(), "{}", spoilt);
    }

    #[test]
    fn another_statement_does_reach_the_items(nodes in statements()) {
        let plain = text(&nodes, true);
        let more = format!("{plain}more = 1\n");
        prop_assert_ne!(parse("f", plain.as_bytes()).items(), parse("f", more.as_bytes()).items());
    }

    #[test]
    fn pushing_filters_into_the_search_changes_nothing(nodes in statements()) {
        let source = text(&nodes, true);
        let program = program(&source);
        let expected: Vec<String> = paths(&nodes)
            .into_iter()
            .filter(|(labels, choices)| keeps(&nodes, labels, &mut choices.iter()))
            .map(|(labels, _)| labels.iter().map(Label::to_string).collect::<Vec<_>>().join("."))
            .collect();
        let found: Vec<String> = program
            .variants(&ExpandOptions::default())
            .map(|variant| variant.expect("no joins").name().to_owned())
            .collect();
        prop_assert_eq!(&found, &expected, "{}", source);
        let count = program.count(&ExpandOptions::default()).expect("no joins");
        prop_assert_eq!(count, Count::exact(expected.len() as u128), "{}", source);
    }

    #[test]
    fn a_last_filter_selects_among_what_was_there(nodes in statements(), wanted in filter()) {
        let source = text(&nodes, true);
        let all = program(&source);
        let some = all.with_text("<string>", &format!("only {wanted}")).expect("a filter");
        let matching: Vec<String> = all
            .variants(&ExpandOptions::default())
            .map(|variant| variant.expect("no joins"))
            .filter(|variant| matches(&wanted, &variant.labels()))
            .map(|variant| {
                let mut out = String::new();
                vtbuild_cfg::canonical_dump(&variant, &mut out).expect("it applies");
                out
            })
            .collect();
        prop_assert_eq!(dumps(&some), matching, "{}", source);
    }

    #[test]
    fn what_was_removed_and_what_is_left_are_all_candidates(nodes in statements(), wanted in filter()) {
        let program = program(&text(&nodes, true));
        let answer = vtbuild_cfg::provenance::why_not(&program, &wanted, &ExpandOptions::default()).expect("a filter");
        let candidates = paths(&nodes).iter().filter(|(labels, _)| matches(&wanted, labels)).count() as u128;
        let removed: u128 = answer.removals.iter().map(|removal| removal.candidates.variants).sum();
        prop_assert_eq!(answer.present.variants + removed, candidates, "{}", text(&nodes, true));
    }
}
