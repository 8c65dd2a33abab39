//! Hostile input: an error or a result, never a panic, a hang or an overflow of the stack.

mod support;

use proptest::prelude::*;
use support::program;
use vtbuild_cfg::{ExpandOptions, Program, parse};

/// Runs on a small stack, so that anything recursive shows.
fn on_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new()
        .stack_size(256 * 1024)
        .spawn(work)
        .expect("a thread");
    thread.join().expect("no panic");
}

fn count(program: &Program) -> usize {
    program
        .variants(&ExpandOptions::default())
        .map(|v| v.expect("expands").params().expect("applies").len())
        .sum()
}

#[test]
fn ten_thousand_levels_of_conditions() {
    on_small_stack(|| {
        let mut text = String::from("variants:\n  - a:\n");
        for level in 0..10_000 {
            text.push_str(&format!("{}a:\n", " ".repeat(level)));
        }
        text.push_str(&format!(
            "{}x = 1\n{}only a\n",
            " ".repeat(10_000),
            " ".repeat(10_000)
        ));
        assert_eq!(count(&program(&text)), 3);
    });
}

/// Each header is scanned up to its own colon: scanning the rest of the line every time would take minutes here.
#[test]
fn thirty_thousand_conditions_on_one_line() {
    on_small_stack(|| {
        let text = format!("variants:\n  - a:\n    {}x = 1\n", "a: ".repeat(30_000));
        assert_eq!(count(&program(&text)), 3);
    });
}

/// Its tokens would take many times the memory of the line.
#[test]
fn a_line_may_not_be_longer_than_any_that_means_something() {
    let text = format!("only a/b\n{}\nx = 1\nonly c/d\n", "only a, b ".repeat(2 << 20));
    let parsed = parse("x.cfg", text.as_bytes());
    let told: Vec<_> = parsed
        .diagnostics()
        .iter()
        .map(|error| (error.code, error.location.line))
        .collect();
    let expected = [
        ("unexpected-character", 1),
        ("line-length", 2),
        ("unexpected-character", 4),
    ];
    assert_eq!(told, expected);
    assert!(parsed.diagnostics()[1].to_string().len() < 1000);
}

#[test]
fn ten_thousand_levels_of_variants() {
    on_small_stack(|| {
        let mut text = String::new();
        for level in 0..10_000 {
            let indent = " ".repeat(level * 2);
            text.push_str(&format!("{indent}variants:\n{indent} - v{}:\n", level % 7));
        }
        assert_eq!(count(&program(&text)), 2);
    });
}

#[test]
fn ten_thousand_blocks_in_a_row() {
    on_small_stack(|| {
        let text = "variants:\n  - a:\n  - b:\nonly a\n".repeat(10_000);
        // Every later `only a` is met by any block; the last one leaves a choice in every other.
        let program = program(&format!("{text}no b\n"));
        assert_eq!(count(&program), 2);
    });
}

#[test]
fn long_lines_and_odd_bytes() {
    let long = "x".repeat(5_000_000);
    assert_eq!(count(&program(&format!("{long} = {long}\n"))), 3);
    assert!(
        !parse("f", format!("only {}\n", "a.".repeat(1_000_000) + "!").as_bytes())
            .diagnostics()
            .is_empty()
    );
    assert!(parse("f", b"a = \0\nb\0 = 1\n").diagnostics().is_empty());
    assert!(!parse("f", b"only \0\n").diagnostics().is_empty());
    assert!(!parse("f", b"\xff\xfe").diagnostics().is_empty());
}

/// Lines that look like the language, to reach further than random bytes do.
fn line() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "variants",
        "variants:",
        " ",
        "  ",
        "\t",
        "- ",
        "-",
        "a",
        "b.c",
        "..",
        ".",
        ",",
        ":",
        "only ",
        "no ",
        "del ",
        "suffix ",
        "join ",
        "include ",
        "@",
        "[default=a]",
        "[",
        "]",
        "(",
        ")",
        "(v=a)",
        "=",
        "+=",
        "<=",
        "?=",
        "~=",
        "!",
        "\"",
        "'",
        "#",
        "//",
        "${a}",
        "$",
        "\u{85}",
        "\u{2028}",
        "é",
        "x = 1",
        "a:",
        "\r",
        "\u{0}",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn parsing_never_panics_on_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let parsed = parse("f", &bytes);
        for diagnostic in parsed.diagnostics() {
            prop_assert!(!diagnostic.to_string().is_empty());
        }
    }

    #[test]
    fn expansion_never_panics_on_lines(lines in prop::collection::vec(line(), 0..12), ) {
        let text = lines.join("\n");
        if let Ok(program) = Program::from_text("f", &text, &support::Nothing) {
            for variant in program.variants(&ExpandOptions::default()).take(100).flatten() {
                let mut out = String::new();
                let _ = vtbuild_cfg::canonical_dump(&variant, &mut out);
            }
        }
    }
}
