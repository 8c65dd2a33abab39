//! One refusal each, and programs that look alike and are fine.

use crate::{ExpandOptions, Loaded, Loader, Program};
use camino::Utf8Path;

struct Nothing;

impl Loader for Nothing {
    fn load(&self, _: &Utf8Path) -> Loaded {
        Loaded::Absent
    }
}

/// `code line:column length` of all that is refused.
fn refused(text: &str) -> Vec<String> {
    let program = Program::from_text("t.cfg", text, &Nothing).expect("a lenient reading accepts it");
    let shown = |refusal: crate::Diagnostic| {
        let at = refusal.location;
        assert!(refusal.help.is_some(), "{} has advice", refusal.code);
        format!("{} {}:{} {}", refusal.code, at.line, at.column, at.length)
    };
    super::check(&program).into_iter().map(shown).collect()
}

#[test]
fn each_mistake_has_its_place() {
    let table: [(&str, &str); 30] = [
        ("\u{feff}x = 1", "byte-order-mark 1:1 1"),
        ("x = 1\ny = a\u{2028}z = 2", "line-break 2:6 1"),
        ("x = 1\n(v=a): x = 1", "condition-assigns 2:1 2"),
        ("a := 5", "empty-key 1:4 1"),
        ("= 5", "empty-key 1:1 1"),
        ("a: # x = 1", "comment-key 1:4 3"),
        ("name = x", "reserved-key 1:1 4"),
        ("  del dep", "reserved-key 1:7 3"),
        ("x = \"", "lone-quote 1:5 1"),
        ("a|b ?= 1", "last-alternative-anchored 1:1 3"),
        ("a.b = 5\na.b ?= 9", "literal-pattern 2:1 3"),
        ("x_max_max = 5", "bound-of-bound 1:1 9"),
        ("variants (x:\n  - a:", "block-name 1:10 1"),
        ("variants \"nm\":\n  - a:", "block-name 1:10 4"),
        ("variants [default=a] nm:\n  - a:", "block-name-after-meta 1:22 2"),
        ("variants v [m]:\n  - a:", "unknown-meta 1:13 1"),
        ("variants [default=a]:\n  - a.b:", "default-by-prefix 2:3 1"),
        ("variants [default=a.b]:\n  - a:", "default-by-prefix 2:3 1"),
        ("variants:\n  - a..b:", "empty-label 2:5 4"),
        ("variants:\n  - a.:", "empty-label 2:5 2"),
        ("only # x", "empty-filter 1:1 4"),
        ("!: x = 1", "empty-filter 1:1 1"),
        ("only a .b # .c", "empty-block 1:8 1"),
        ("a,.b: x = 1", "empty-block 1:3 1"),
        ("variants:\n  - a: b .c", "empty-block 2:10 1"),
        ("a:\n    join b c", "join-in-condition 2:5 4"),
        ("only a?", "dropped-operator 1:7 1"),
        ("a: b+: x = 1", "dropped-operator 1:5 1"),
        ("del x~", "dropped-operator 1:6 1"),
        ("suffix a\nx = 1\nsuffix b", "second-suffix 3:1 8"),
    ];
    let page = include_str!("../../../docs/language.md");
    for (text, expected) in table {
        assert_eq!(refused(text), [expected], "{text:?}");
        let code = expected.split(' ').next().unwrap_or_default();
        assert!(page.contains(&format!("| `{code}` |")), "{code} is documented");
    }
}

#[test]
fn what_configurations_depend_on_is_fine() {
    let table = [
        "variants @name:\n  - a:",
        "variants:\n    - a:\n  - b:",
        "variants:\n  - @:\n  - @a:",
        "variants v [default=a]:\n  - a:\n  - b: a # x",
        "x -= 1\ny = a \"b\"\nz = \"a\" \"b\"",
        "only a..\nno b c, d",
        "! a , b: x = 1",
        "(a|b) ?= 1\na.b = 5\na_b ?= 9",
        "x_max = 5\ny = <a?\nz = a+b~c",
        "a: b:\n    x = 1\n    suffix c\nsuffix d",
        "x = '' # c\r\ny = 1\r\n",
    ];
    for text in table {
        assert_eq!(refused(text), [""; 0], "{text:?}");
    }
}

#[test]
fn a_place_counts_what_is_seen() {
    let refusals = refused("\ta:\tb: c: only é? # x");
    assert_eq!(refusals, ["dropped-operator 1:29 1"]);
}

/// What a strict expansion of `text` is refused for; a lenient one goes through.
fn refused_in_expansion(text: &str, expand: Option<&str>) -> String {
    let program = Program::from_text("t.cfg", text, &Nothing).expect("a lenient reading accepts it");
    assert_eq!(refused(text), [""; 0], "{text:?} says it in so many words");
    let run = |strict| {
        let options = ExpandOptions {
            defaults: expand.is_some(),
            expand: expand.map(str::to_owned).into_iter().collect(),
            keep_dups: false,
            strict,
        };
        let mut variants = program.variants(&options);
        variants.try_for_each(|variant| {
            variant?
                .params()
                .map(drop)
                .map_err(|error| Box::new(error.clone()))
        })
    };
    run(false).expect("a lenient expansion accepts it");
    match run(true) {
        Ok(()) => String::new(),
        Err(refusal) => {
            assert!(refusal.help.is_some(), "{} has advice", refusal.code);
            format!(
                "{} {}:{}",
                refusal.code, refusal.location.line, refusal.location.column
            )
        }
    }
}

#[test]
fn some_show_only_in_a_variant() {
    let default = "variants v:\n  - a:\n    variants:\n      - @x:\n      - y:";
    let named = "variants:\n  - a:\n  - b:\nvariants v:\n  - q:\njoin a b";
    let three = "variants:\n  - x:\n  - y:\n  - z:\njoin x y z";
    let table: [(&str, Option<&str>, &str); 8] = [
        ("y = 1\nx = ${n}${y}", None, "unknown-ends-substitution 2:1"),
        ("y = 1\nx = ${y}${n}$y", None, ""),
        ("x_min = 4\nx_max = 8", None, ""),
        (default, Some("v"), "default-goes-on 4:7"),
        (default, Some("w"), ""),
        (named, None, "repeated-join-name 6:1"),
        (three, None, "join-loses-variants 5:1"),
        ("variants:\n  - x:\n  - y:\njoin x y", None, ""),
    ];
    for (text, expand, expected) in table {
        assert_eq!(refused_in_expansion(text, expand), expected, "{text:?}");
    }
}

#[test]
fn a_file_that_is_included_says_from_where() {
    struct Two;
    impl Loader for Two {
        fn load(&self, path: &Utf8Path) -> Loaded {
            match path.as_str() {
                "d/a.cfg" => Loaded::Text((&b"\ninclude b.cfg"[..]).into()),
                "d/b.cfg" => Loaded::Text((&b"name = x"[..]).into()),
                _ => Loaded::Absent,
            }
        }
    }
    let program = Program::load("d/a.cfg".into(), &Two).expect("a lenient reading accepts it");
    let refusals = super::check(&program);
    assert_eq!(refusals[0].included_from, [("d/a.cfg".into(), 2)]);
    assert_eq!(refusals.len(), 1);
}
