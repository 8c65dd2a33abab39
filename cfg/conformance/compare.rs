//! Whether two answers agree, and what a person is told where they do not.

use std::fmt::Write;

use super::grammar::Case;
use super::oracle::{Answer, Failed, PANIC};

/// The classes of error whose position is part of the language.
const PLACED: [&str; 3] = ["ParserError", "LexerError", "MissingIncludeError"];

/// Why two answers differ; nothing if they agree. The text names the kind of difference only, so that a program that is
/// being shrunk can be seen to differ in the same way.
pub fn difference(theirs: &Answer, ours: &Answer) -> Option<String> {
    if theirs.slow {
        return None;
    }
    match (&theirs.error, &ours.error) {
        (None, None) => {}
        (Some(theirs), None) => return Some(format!("only the reference fails: {}", theirs.class)),
        (None, Some(ours)) => return Some(format!("only ours fails: {}", ours.class)),
        (Some(theirs), Some(ours)) => {
            if let Some(why) = errors(theirs, ours) {
                return Some(why);
            }
        }
    }
    if theirs.dumps.len() != ours.dumps.len() {
        return Some("number of variants".to_owned());
    }
    (theirs.dumps != ours.dumps).then(|| "contents of variants".to_owned())
}

fn errors(theirs: &Failed, ours: &Failed) -> Option<String> {
    if !PLACED.contains(&&*theirs.class) {
        // It crashed: any diagnostic of ours is better.
        let agrees = ours.class != PANIC;
        return (!agrees).then(|| format!("class of error: {} and {}", theirs.class, ours.class));
    }
    if theirs.class != ours.class {
        return Some(format!("class of error: {} and {}", theirs.class, ours.class));
    }
    // What the reference reports without a line, ours places better.
    let unplaced = theirs.line == Some(-1);
    if theirs.file != ours.file || (!unplaced && theirs.line != ours.line) {
        return Some("position of error".to_owned());
    }
    None
}

/// A program and what both sides make of it, for a person.
pub fn report(case: &Case, theirs: &Answer, ours: &Answer) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for (name, content) in &case.files {
        let _ = writeln!(
            text,
            "--- {name}\n{}",
            content
                .escape_debug()
                .to_string()
                .replace("\\n", "\n")
                .replace("\\\"", "\"")
                .replace("\\'", "'")
        );
    }
    for line in &case.lines {
        let _ = writeln!(text, "--- line: {line:?}");
    }
    if case.options.defaults || case.options.keep_dups {
        let _ = writeln!(
            text,
            "--- defaults {} expand {:?} keep_dups {}",
            case.options.defaults, case.options.expand, case.options.keep_dups
        );
    }
    let _ = writeln!(text, "=== reference: {}", summary(theirs));
    let _ = writeln!(text, "=== ours: {}", summary(ours));
    let different = theirs
        .dumps
        .iter()
        .zip(&ours.dumps)
        .find(|(theirs, ours)| theirs != ours);
    if let Some((theirs, ours)) = different {
        let _ = writeln!(text, "reference {theirs}\nours      {ours}");
    } else if theirs.dumps.len() != ours.dumps.len() {
        for (who, answer) in [("reference", theirs), ("ours", ours)] {
            for dump in answer.dumps.iter().take(6) {
                let _ = writeln!(text, "{who} {dump}");
            }
        }
    }
    text
}

fn summary(answer: &Answer) -> String {
    let mut text = format!("{} variants", answer.dumps.len());
    if let Some(error) = &answer.error {
        let _ = write!(text, ", then {}: {}", error.class, error.message);
    }
    text
}
