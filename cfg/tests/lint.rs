//! What `lint` says of random programs, held against plain enumeration of all their paths.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use support::random::{Node, keeps, matches, paths, statements, text};
use support::{Disk, Nothing, corpus, say};
use vtbuild_cfg::filter::Label;
use vtbuild_cfg::lint::{UNDECIDED, lint};
use vtbuild_cfg::{Diagnostic, Program};

/// What enumeration knows of a line.
#[derive(Default, Debug)]
struct Line {
    /// For a filter or a condition: how many paths come by, and how many of them match.
    met: usize,
    matched: usize,
    /// For a variant: how many paths go through it that pass all filters but those outside of all variants.
    kept: usize,
    is_variant: bool,
}

struct Walker<'a> {
    lines: &'a mut BTreeMap<usize, Line>,
    labels: &'a [Label],
    keeps: bool,
}

impl Walker<'_> {
    /// Goes through the statements from line `at` on; the line after them. `live` where the path comes by.
    fn walk(
        &mut self,
        nodes: &[Node],
        mut at: usize,
        live: bool,
        path: &mut std::slice::Iter<'_, usize>,
    ) -> usize {
        for node in nodes {
            let line = at;
            at += 1;
            match node {
                Node::Assign(_) => {}
                Node::Filter { filter, .. } => {
                    self.met(line, live, matches(filter, self.labels));
                }
                Node::Condition {
                    negated,
                    filter,
                    body,
                } => {
                    let matched = matches(filter, self.labels);
                    self.met(line, live, matched);
                    at = self.walk(body, at, live && matched != *negated, path);
                }
                Node::Variants { variants, .. } => {
                    let taken = live.then(|| *path.next().expect("a choice for every block"));
                    for (index, (_, body)) in variants.iter().enumerate() {
                        let live = taken == Some(index);
                        let entry = self.lines.entry(at).or_default();
                        entry.is_variant = true;
                        entry.kept += usize::from(live && self.keeps);
                        at = self.walk(body, at + 1, live, path);
                    }
                }
            }
        }
        at
    }

    fn met(&mut self, line: usize, live: bool, matched: bool) {
        let entry = self.lines.entry(line).or_default();
        entry.met += usize::from(live);
        entry.matched += usize::from(live && matched);
    }
}

/// Whether the filters inside of variants keep a path.
fn kept_inside(nodes: &[Node], labels: &[Label], choices: &[usize]) -> bool {
    let mut path = choices.iter();
    nodes.iter().all(|node| match node {
        Node::Variants { .. } => keeps(std::slice::from_ref(node), labels, &mut path),
        _ => true,
    })
}

fn enumerated(nodes: &[Node]) -> BTreeMap<usize, Line> {
    let mut lines = BTreeMap::new();
    for (labels, choices) in paths(nodes) {
        let mut walker = Walker {
            lines: &mut lines,
            labels: &labels,
            keeps: kept_inside(nodes, &labels, &choices),
        };
        walker.walk(nodes, 1, true, &mut choices.iter());
    }
    lines
}

fn told(found: &[Diagnostic], codes: &[&str]) -> BTreeSet<usize> {
    let of_code = found.iter().filter(|warning| codes.contains(&warning.code));
    of_code.map(|warning| warning.location.line as usize).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn filters_never_match_where_enumeration_says_so(nodes in statements()) {
        let text = text(&nodes, true);
        let program = Program::from_text("f", &text, &Nothing).expect("a correct program");
        let found = lint(&program);
        let lines = enumerated(&nodes);
        let never = told(&found, &["never-matches"]);
        let dropped: BTreeSet<usize> = told(&found, &["always-dropped"]);
        for (line, known) in lines.iter().filter(|(_, known)| !known.is_variant) {
            if never.contains(line) {
                prop_assert_eq!(known.matched, 0, "line {} matches\n{}", line, text);
            } else if known.met > 0 && dropped.is_empty() {
                prop_assert!(known.matched > 0, "line {} never matches\n{}", line, text);
            }
        }
        prop_assert!(told(&found, &[UNDECIDED]).is_empty());
    }

    #[test]
    fn variants_are_dropped_where_enumeration_says_so(nodes in statements()) {
        let text = text(&nodes, true);
        let program = Program::from_text("f", &text, &Nothing).expect("a correct program");
        let dropped = told(&lint(&program), &["always-dropped"]);
        let lines = enumerated(&nodes);
        // A choice that leaves none, around everything, is one of the whole.
        let outermost = nodes.iter().rev().find_map(|node| match node {
            Node::Variants { variants, .. } => Some(variants.len()),
            _ => None,
        });
        prop_assume!(outermost != Some(1));
        for (line, known) in lines.iter().filter(|(_, known)| known.is_variant) {
            if dropped.contains(line) {
                prop_assert_eq!(known.kept, 0, "line {} is kept\n{}", line, text);
            }
        }
        let dead = lines.values().any(|known| known.is_variant && known.kept == 0);
        prop_assert_eq!(dead, !dropped.is_empty(), "{}", text);
    }
}

/// A complete configuration set: in seconds, and nearly everything is decided.
#[test]
fn a_complete_set_is_decided() {
    let Some(corpus) = corpus() else { return };
    let program = Program::load(&corpus.join("qemu/cfg/tests.cfg"), &Disk).expect("the set is correct");
    let started = std::time::Instant::now();
    let found = lint(&program);
    let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
    for warning in &found {
        *codes.entry(warning.code).or_default() += 1;
    }
    say(&format!("{:?}: {codes:?}", started.elapsed()));
    assert!(
        codes["never-matches"] > 500 && codes["always-dropped"] > 50,
        "{codes:?}"
    );
    let open = found.iter().find(|warning| warning.code == UNDECIDED);
    let variants = open.and_then(|open| {
        let mut words = open.message.split(' ');
        words.find_map(|word| word.parse::<usize>().ok())
    });
    assert!(variants.is_none_or(|variants| variants < 20), "{open:?}");
}
