//! `vtbuild why-not`.

use std::fmt::Write;

use serde_json::json;
use vtbuild_cfg::ExpandOptions;
use vtbuild_cfg::filter::Filter;
use vtbuild_cfg::provenance::{Removal, Statement, WhyNot, why_not as find};

use super::{plural, print};
use crate::analysis::{Analysis, no_such_name, unknown_names};
use crate::cli::WhyNotArgs;
use crate::exit::{Exit, Failure};
use crate::report::diagnostics;

/// Names the statements that removed variants.
pub fn why_not(args: &WhyNotArgs) -> Result<Exit, Failure> {
    let mut select = args.select.clone();
    let asked = asked(&std::mem::take(&mut select.targets))?;
    let analysis = Analysis::of(&select)?;
    let (filter, answer) = answer(&analysis, &asked)?;
    let text = if args.json {
        as_json(&analysis, &filter, &answer)
    } else {
        as_text(&analysis, &asked, &filter, &answer, args.most)
    };
    print(&text)?;
    let nothing = answer.removals.is_empty() && answer.present.variants == 0;
    Ok(if nothing {
        Exit::NothingSelected
    } else {
        Exit::Good
    })
}

/// The filter that the words of the command line mean: names and targets alike.
fn asked(words: &[String]) -> Result<String, Failure> {
    if words.is_empty() {
        let message = "name what you miss: `vtbuild why-not //migrate..unix`, or the name of a variant";
        return Err(Failure::new(Exit::Usage, message));
    }
    let filters: Vec<&str> = words.iter().map(|word| word.trim_start_matches("//")).collect();
    match filters
        .iter()
        .find(|filter| filter.is_empty() || filter.starts_with('!'))
    {
        Some(_) => Err(Failure::new(
            Exit::Usage,
            "why-not takes what you miss: a name, or //FILTER",
        )),
        None => Ok(filters.join(", ")),
    }
}

/// What there is to say about a filter. A name in which default variants are left out is looked for once more with any
/// labels between its own.
fn answer(analysis: &Analysis, asked: &str) -> Result<(String, WhyNot), Failure> {
    let ask = |filter: &str| {
        find(&analysis.program, filter, &ExpandOptions::default())
            .map_err(|found| Failure::new(Exit::Usage, diagnostics::render(&found)))
    };
    let first = ask(asked)?;
    let empty = |answer: &WhyNot| answer.removals.is_empty() && answer.present.variants == 0;
    let loose = loosened(asked).filter(|_| empty(&first) && first.unknown.is_empty());
    if let Some(loose) = loose {
        let second = ask(&loose)?;
        if !empty(&second) {
            return Ok((loose, second));
        }
    }
    Ok((asked.to_owned(), first))
}

/// The filter with all labels of a word wanted anywhere instead of side by side.
fn loosened(asked: &str) -> Option<String> {
    let filter: Filter = asked.parse().ok()?;
    let words = filter.words().iter().map(|word| {
        let labels: Vec<String> = word.iter().flatten().map(ToString::to_string).collect();
        labels.join("..")
    });
    Some(words.collect::<Vec<_>>().join(", "))
}

fn as_text(analysis: &Analysis, asked: &str, filter: &str, answer: &WhyNot, most: usize) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if filter != asked {
        let _ = writeln!(
            text,
            "`{asked}` is nowhere side by side; this is about `{filter}`"
        );
    }
    for unknown in &answer.unknown {
        let _ = writeln!(text, "{}", no_such_name(unknown).trim());
    }
    if answer.removals.is_empty() && answer.present.variants == 0 {
        if answer.unknown.is_empty() {
            let _ = writeln!(text, "no variant ever had these names together: `{filter}`");
        }
        return text;
    }
    if answer.present.variants > 0 {
        let _ = writeln!(text, "there: {}", plural(&answer.present, "variant"));
    }
    for removal in answer.removals.iter().take(most) {
        one(&mut text, analysis, removal);
    }
    if let Some(rest) = answer.removals.len().checked_sub(most).filter(|rest| *rest > 0) {
        let _ = writeln!(
            text,
            "and {}; --most {} names them all",
            plural(&rest, "more statement"),
            answer.removals.len()
        );
    }
    text
}

fn one(text: &mut String, analysis: &Analysis, removal: &Removal) {
    let line = |statement: &Statement| format!("{}: {}", analysis.place(statement), statement.text);
    let _ = writeln!(text, "{}", line(&removal.statement));
    for condition in &removal.under {
        let _ = writeln!(text, "    under {}", line(condition));
    }
    let _ = writeln!(
        text,
        "    removed {}, the first in {}",
        plural(&removal.candidates, "variant"),
        removal.example
    );
    if let Some(lifted) = &removal.lifted {
        let example = lifted.example.as_ref().map(|name| format!(": {name}"));
        let _ = writeln!(
            text,
            "    alone in the way of {}{}",
            plural(&lifted.variants, "variant"),
            example.unwrap_or_default()
        );
    }
    let unknown = unknown_names(&analysis.program, &removal.statement.text);
    for line in unknown.lines().filter(|line| !line.is_empty()) {
        let _ = writeln!(text, "  {line}");
    }
}

fn as_json(analysis: &Analysis, filter: &str, answer: &WhyNot) -> String {
    let place = |statement: &Statement| {
        json!({
            "place": analysis.place(statement),
            "file": &*statement.file,
            "line": statement.line,
            "statement": statement.text,
        })
    };
    let removals = answer.removals.iter().map(|removal| {
        json!({
            "by": place(&removal.statement),
            "under": removal.under.iter().map(place).collect::<Vec<_>>(),
            "variants": removal.candidates.to_string(),
            "example": removal.example,
            "alone": removal.lifted.as_ref().map(|lifted| json!({
                "variants": lifted.variants.to_string(),
                "example": lifted.example,
            })),
        })
    });
    let unknown = answer
        .unknown
        .iter()
        .map(|unknown| json!({ "label": unknown.label, "nearest": unknown.nearest }));
    let object = json!({
        "filter": filter,
        "there": answer.present.to_string(),
        "removals": removals.collect::<Vec<_>>(),
        "unknown": unknown.collect::<Vec<_>>(),
    });
    format!("{object}\n")
}
