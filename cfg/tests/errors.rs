//! Diagnostics: where they point, what they say, and that all of them are reported.

mod support;

use camino::Utf8Path;
use support::Disk;
use vtbuild_cfg::{Class, Diagnostic, Loaded, Loader, Program, parse};

fn errors(text: &str) -> Vec<Diagnostic> {
    Program::from_text("test.cfg", text, &Disk).expect_err("the text is wrong")
}

fn shown(text: &str) -> String {
    errors(text)
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn every_error_of_a_file_is_reported() {
    let text = "a = 1\nonly a , b\nvariants:\n    - x :\n        b = 1\n    - y:\n        only 'q'\n        del a.b\nc\n";
    let lines: Vec<u32> = errors(text).iter().map(|error| error.location.line).collect();
    assert_eq!(lines, [2, 4, 7, 8, 9]);
}

#[test]
fn a_caret_stands_under_the_mistake() {
    assert_eq!(
        shown("variants:\n    - a:\n\tonly a...b\n"),
        "test.cfg:3:18: error: too many dots between variant names\n            \
         only a...b\n                     ^\n  \
         help: `.` means next to, `..` means and, `,` means or; a condition allows no blanks as or"
    );
    assert_eq!(
        shown("a: b: c/d\n"),
        "test.cfg:1:8: error: unexpected character `/`\n    a: b: c/d\n           ^\n  \
         help: special characters are allowed only in the key or value of an assignment"
    );
}

#[test]
fn classes() {
    let class = |text: &str| errors(text)[0].class;
    assert_eq!(class("only a:b\n"), Class::Parser);
    assert_eq!(class("only a/b\n"), Class::Lexer);
    assert_eq!(class("include nowhere.cfg\n"), Class::MissingInclude);
    assert_eq!(class("only \"a\n"), Class::Other);
}

/// A few files in memory.
struct Files(&'static [(&'static str, &'static str)]);

impl Loader for Files {
    fn load(&self, path: &Utf8Path) -> Loaded {
        let found = self.0.iter().find(|(name, _)| *name == path.as_str());
        found.map_or(Loaded::Absent, |(_, text)| Loaded::Text(text.as_bytes().into()))
    }
}

#[test]
fn includes_show_how_they_were_reached() {
    let files = Files(&[
        ("d/main.cfg", "x = 1\ninclude sub/a.cfg\n"),
        ("d/sub/a.cfg", "include b.cfg\ninclude gone.cfg\n"),
        ("d/sub/b.cfg", "only !x\n"),
    ]);
    let errors = Program::load("d/main.cfg".into(), &files).expect_err("two mistakes");
    let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert!(told[0].starts_with("d/sub/b.cfg:1:6: error: "), "{}", told[0]);
    assert!(
        told[0].ends_with("included from d/sub/a.cfg:1\n  included from d/main.cfg:2"),
        "{}",
        told[0]
    );
    assert!(
        told[1].starts_with("d/sub/a.cfg:2:1: error: include `gone.cfg`: file does not exist"),
        "{}",
        told[1]
    );
    assert!(told[1].contains("looked for `d/sub/gone.cfg`"), "{}", told[1]);
}

#[test]
fn an_include_cycle_ends() {
    let files = Files(&[("a.cfg", "include b.cfg\n"), ("b.cfg", "x = 1\ninclude a.cfg\n")]);
    let errors = Program::load("a.cfg".into(), &files).expect_err("a cycle");
    assert_eq!(
        (errors.len(), errors[0].code, errors[0].location.line),
        (1, "include-cycle", 2)
    );
}

/// Every path with this last name is the same file, as it is where a link leads to its own folder.
struct Again(&'static str);

impl Loader for Again {
    fn load(&self, _: &Utf8Path) -> Loaded {
        Loaded::Text(self.0.into())
    }
}

/// Without an end to it the second include of each level would double what there is to do.
#[test]
fn an_include_cycle_by_ever_new_paths_ends() {
    let files = Again("x = 1\ninclude again/a.cfg\ninclude again/a.cfg\n");
    let errors = Program::load("a.cfg".into(), &files).expect_err("a cycle");
    assert_eq!((errors.len(), errors[0].code), (1, "include-cycle"));
    let shown = errors[0].to_string();
    assert!(
        shown.contains("`a.cfg` includes itself, by ever new paths"),
        "{shown}"
    );
    assert!(shown.ends_with("more\n  included from a.cfg:2"), "{shown}");
    assert!(shown.lines().count() < 20, "{shown}");
}

/// Files by number, each of which includes the next one twice.
struct Twice;

impl Loader for Twice {
    fn load(&self, path: &Utf8Path) -> Loaded {
        let number: u32 = path.as_str().parse().expect("a number");
        Loaded::Text(format!("include {0}\ninclude {0}\n", number + 1).into())
    }
}

#[test]
fn includes_that_multiply_end() {
    let errors = Program::load("0".into(), &Twice).expect_err("too many");
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["include-cycle"]);

    struct Thirty;
    impl Loader for Thirty {
        fn load(&self, path: &Utf8Path) -> Loaded {
            match path.as_str() {
                "30" => Loaded::Text("x = 1\n".into()),
                _ => Twice.load(path),
            }
        }
    }
    let errors = Program::load("0".into(), &Thirty).expect_err("too many");
    let codes: Vec<&str> = errors.iter().map(|error| error.code).collect();
    assert_eq!(codes, ["too-many-includes"]);
}

#[test]
fn a_default_that_is_not_there_names_the_nearest() {
    let text = "variants [default=alfb]:\n    - beta:\n        variants:\n            - alfc:\n    - alfa.x:\n    - alfa:\n";
    for rest in ["", "y = 1\n"] {
        let errors = errors(&format!("{text}{rest}"));
        let help: Vec<_> = errors.iter().map(|error| error.help.as_deref()).collect();
        assert_eq!(help, [Some("did you mean `alfa`?")], "{rest:?}");
    }
}

#[test]
fn directories_are_no_files() {
    let errors = errors("include /tmp\n");
    assert_eq!(
        (errors[0].class, errors[0].code),
        (Class::MissingInclude, "missing-include")
    );
    assert!(
        errors[0].message.contains("not a regular file"),
        "{}",
        errors[0].message
    );
}

#[test]
fn invalid_utf8_is_told_with_all_else() {
    let parsed = parse(
        "x.cfg",
        b"a = 1\nb = \xc3\xa9 \x85\nonly a b\nonly a/b\nc = \xff\n",
    );
    let told: Vec<_> = parsed
        .diagnostics()
        .iter()
        .map(|error| (error.code, error.location.line, error.location.column))
        .collect();
    let expected = [
        ("encoding", 2, 7),
        ("unexpected-character", 4, 7),
        ("encoding", 5, 5),
    ];
    assert_eq!(told, expected);
    let shown = parsed.diagnostics()[0].to_string();
    assert!(
        shown.contains("byte 0x85 at offset 13\n    b = é \u{fffd}\n          ^\n"),
        "{shown}"
    );
    let no_text = parse("x.cfg", &b"\xff/\n".repeat(1000));
    assert_eq!(no_text.diagnostics().len(), 20);
    assert!(no_text.diagnostics()[0].to_string().contains("no text"));
}

#[test]
fn a_mark_stands_under_what_it_means() {
    let shown = |text: &str| parse("x.cfg", text.as_bytes()).diagnostics()[0].to_string();
    // What a terminal would obey, or show in no column at all, is shown as a picture.
    assert!(shown("only a\0b").contains("\n    only a\u{2400}b\n          ^"));
    assert!(shown("only \u{1b}[31m").contains("\n    only \u{241b}[31m\n         ^\n"));
    let long = shown(&format!("only {}/{}", "a".repeat(1000), "b".repeat(1000)));
    let lines: Vec<&str> = long.lines().collect();
    assert!(lines[0].starts_with("x.cfg:1:1006: "), "{long}");
    assert_eq!(
        lines[1].chars().position(|c| c == '/'),
        lines[2].find('^'),
        "{long}"
    );
    assert!(lines[1].chars().count() < 220, "{long}");
}

#[test]
fn a_keyword_that_is_nearly_right_is_recognised() {
    for (text, keyword) in [
        ("onyl a b", "only"),
        ("inlcude x", "include"),
        ("Variants x", "variants"),
    ] {
        let error = parse("x.cfg", text.as_bytes()).diagnostics()[0].to_string();
        assert!(
            error.contains(&format!("help: did you mean `{keyword}`?")),
            "{error}"
        );
    }
    let error = parse("x.cfg", b"something else").diagnostics()[0].to_string();
    assert!(error.contains("help: write `key = value`"), "{error}");
}

#[test]
fn errors_while_applying_name_the_statement() {
    let program = support::program("smp = x\nsmp_max = 2\n");
    let variant = program
        .variants(&Default::default())
        .next()
        .expect("one")
        .expect("it expands");
    let error = variant.params().expect_err("not a number");
    assert_eq!((error.code, error.location.line), ("bound", 2));
    let program = support::program("x = 1\n( ?= 3\n");
    let variant = program
        .variants(&Default::default())
        .next()
        .expect("one")
        .expect("it expands");
    assert_eq!(variant.params().expect_err("no pattern").location.line, 2);
}
