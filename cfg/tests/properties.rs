//! Laws that hold for any program: layout does not reach the items, pushing filters into the search changes nothing,
//! counting agrees with listing.

mod support;

use proptest::prelude::*;
use support::Nothing;
use support::random::{filter, keeps, matches, paths, statements, text};
use vtbuild_cfg::filter::Label;
use vtbuild_cfg::format::format;
use vtbuild_cfg::{Count, ExpandOptions, Program, parse};

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
            // Commented out, as an editor does it: the mark stands in front of the blanks.
            3 => out.push_str(&format!("#{line}\n")),
            _ => {}
        }
        let indent = line.len() - line.trim_start().len();
        out.push_str(&" ".repeat(indent * 3));
        out.push_str(line.trim_start());
        out.push_str(if choice % 2 == 0 { "   \r\n" } else { "\n" });
    }
    out
}

/// The comments of a text, in order.
fn comments(text: &str) -> Vec<&str> {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| line.starts_with('#') || line.starts_with("//"))
        .collect()
}

/// The layout of a text, with every comment, which a second time stays as it is.
fn canonical(text: &str) -> String {
    let laid_out = format("f", text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(comments(&laid_out), comments(text), "{text}");
    assert_eq!(
        format("f", laid_out.as_bytes()).expect("a layout"),
        laid_out,
        "{text}"
    );
    laid_out
}

/// Files as people have them: whole ones, and pieces of variants blocks as test providers have them.
#[test]
fn the_layout_of_real_files_is_final_and_keeps_every_comment() {
    let here = camino::Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![here.join("sets"), here.join("../providers/bundled")];
    folders.extend(support::corpus().map(|corpus| corpus.join("qemu")));
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir_utf8().expect("a folder").flatten() {
            let path = entry.path();
            if entry.file_type().expect("a type").is_dir() {
                folders.push(path.to_owned());
            } else if path.extension() == Some("cfg") {
                canonical(&std::fs::read_to_string(path).expect("a text"));
                files += 1;
            }
        }
    }
    assert!(files > 40, "{files}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn a_layout_keeps_what_is_said_and_every_comment(nodes in statements(), choices in prop::collection::vec(any::<u8>(), 1..20)) {
        let plain = text(&nodes, true);
        let laid_out = canonical(&spoil_layout(&plain, &choices));
        let (one, two) = (parse("f", plain.as_bytes()), parse("f", laid_out.as_bytes()));
        prop_assert_eq!(one.items(), two.items(), "{}", laid_out);
        // The same as a test provider's file: a variant, whose block is put into another file.
        let block: String = plain.lines().map(|line| format!("    {line}\n")).collect();
        let piece = canonical(&spoil_layout(&format!("- test:\n{block}"), &choices));
        let whole = |piece: &str| parse("f", format!("variants:\n{piece}").as_bytes());
        let (one, two) = (whole(&format!("- test:\n{block}")), whole(&piece));
        prop_assert_eq!(one.items(), two.items(), "{}", piece);
    }

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
    fn a_stored_program_is_the_program(nodes in statements(), more in statements()) {
        let source = text(&nodes, true);
        let fresh = program(&source);
        let stored = support::stored(&fresh);
        prop_assert_eq!(dumps(&stored), dumps(&fresh), "{}", source);
        let more = text(&more, true);
        let extended = |program: &Program| program.with_text("<string>", &more).expect("correct");
        prop_assert_eq!(dumps(&extended(&stored)), dumps(&extended(&fresh)), "{}\n{}", source, more);
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
