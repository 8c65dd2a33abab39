//! What is found, and what is none of it.

use camino::Utf8Path;

use super::{keys, lint};
use crate::program::{Loaded, Loader, Program};

struct NoFiles;

impl Loader for NoFiles {
    fn load(&self, _: &Utf8Path) -> Loaded {
        Loaded::Absent
    }
}

fn program(text: &str) -> Program {
    Program::from_text("x", text, &NoFiles).unwrap()
}

/// Line and code of each warning.
fn found(text: &str) -> Vec<String> {
    let warnings = lint(&program(text));
    warnings
        .iter()
        .map(|warning| format!("{} {}", warning.location.line, warning.code))
        .collect()
}

#[test]
fn an_assignment_is_shadowed_only_where_nothing_can_tell() {
    assert_eq!(found("a = 1\nb = 2\na = 3\n"), ["1 shadowed-assignment"]);
    for innocent in [
        "a = 1\nb = ${a}\na = 2\n",
        "a = 1\na += 2\n",
        "a = 1\na ~= 2\n",
        "a = 1\ndel a\na = 2\n",
        "a = 1\na.* ?+= 2\na = 3\n",
        "a = 1\nvariants:\n    - v:\n        a = 2\na = 3\n",
        "a = 1\nvariants:\n    - v:\n        a = 2\nv:\n    a = 3\n",
        "variants:\n    - v:\n        a = 1\n    - w:\n        a = 2\n",
    ] {
        assert!(found(innocent).is_empty(), "{innocent}{:?}", found(innocent));
    }
}

#[test]
fn a_condition_inside_of_a_condition_ends_with_both() {
    let text = "variants:\n    - v:\nv:\n    v:\n        a = 1\n    a = 2\na = 3\n";
    assert!(found(text).is_empty(), "{:?}", found(text));
}

#[test]
fn a_variant_is_always_dropped_only_where_no_combination_saves_it() {
    let block = |filter: &str| {
        format!("variants:\n    - p:\n    - q:\nvariants:\n    - v:\n        {filter}\n    - w:\n    - q:\n")
    };
    for filter in ["only w", "no v", "only w..p", "no w, v"] {
        assert_eq!(found(&block(filter)), ["5 always-dropped"], "{filter}");
    }
    // `q` stands in another block too.
    for filter in ["only q", "no v..p", "only v", "only p, v.q"] {
        assert!(
            found(&block(filter)).is_empty(),
            "{filter}: {:?}",
            found(&block(filter))
        );
    }
}

#[test]
fn names_that_exist_but_never_so_together() {
    let text = "\
variants:
    - p:
    - q:
variants:
    - v:
        variants:
            - x:
                only w, p
            - y:
    - w:
        no v
no y.x
x.y: a = 1
x..w:
    only nothing
v:
    !p:
        only q
        p: a = 2
";
    let expected = [
        "8 never-together",
        "11 never-matches",
        "12 never-matches",
        "13 never-matches",
        "14 never-matches",
        // What stands under a condition that never matches is not looked at, but for unknown names.
        "15 never-matches",
        "19 never-matches",
    ];
    assert_eq!(found(text), expected);
}

#[test]
fn a_choice_of_the_whole_is_nothing_to_complain_about() {
    let tests =
        "variants:\n    - a:\n    - b:\nvariants:\n    - quick:\n        only a\n    - all:\nonly quick\n";
    assert!(found(tests).is_empty(), "{:?}", found(tests));
}

#[test]
fn filters_that_exclude_each_other_drop_a_variant_together() {
    let text = "variants:\n    - p:\n    - q:\nvariants:\n    - v:\n        only p\n        no p\n    - w:\n";
    let warnings = lint(&program(text));
    let told: Vec<&str> = warnings.iter().map(|warning| &*warning.message).collect();
    assert_eq!(
        told,
        [
            "the variant `v` is always dropped, by several filters together, `only p` at x:6 and `no p` at x:7 among them"
        ]
    );
}

#[test]
fn dependencies_that_match_nothing() {
    let text = "\
variants:
    - plain:
    - fancy:
variants:
    - make: nobody
    - use: make.plain make
    - drop: plain.make
";
    assert_eq!(found(text), ["5 unknown-dependency", "7 unknown-dependency"]);
}

#[test]
fn an_only_that_names_nobody_drops_its_variant() {
    let text = "variants n:\n    - a:\n        only (n=b), c\n    - b:\n        no (m=b)\n";
    let expected = ["2 always-dropped", "3 never-matches", "5 never-matches"];
    assert_eq!(found(text), expected);
}

#[test]
fn every_key_is_told_once_and_whether_a_value_refers_to_it() {
    let told = keys(&program("a = 1\nb = ${a}\na = 2\nc.* ?= 3\n"));
    let told: Vec<_> = told
        .iter()
        .map(|used| (used.key.as_str(), used.first.line, used.referenced))
        .collect();
    assert_eq!(told, [("a", 1, true), ("b", 2, false)]);
}
