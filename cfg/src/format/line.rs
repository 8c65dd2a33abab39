//! One statement in canonical form.

use std::ops::Range;

use crate::items::{Item, Items};
use crate::lexer::Operator;
use crate::lines::is_blank;

/// Words that would begin another statement if a blank followed them.
const KEYWORDS: [&str; 7] = ["variants", "only", "no", "include", "del", "suffix", "join"];

/// The text of a line whose statements are `items`: conditions, and what follows the last one's colon.
pub(super) fn canonical(items: &Items, range: Range<usize>, text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    for index in range {
        if !out.is_empty() {
            out.push(' ');
        }
        let Some(item) = items.items().get(index) else {
            break;
        };
        match item {
            Item::Condition { .. } => {
                let (filter, after) = rest.split_once(':').unwrap_or((rest, ""));
                let dense: String = filter.chars().filter(|c| !is_blank(*c)).collect();
                out.push_str(&dense.replace(',', ", "));
                out.push(':');
                rest = after.trim_matches(is_blank);
                continue;
            }
            Item::Assign { operator, key, .. } => {
                out.push_str(&assignment(items.symbol(*key), *operator, rest));
            }
            Item::Include(_) => {
                let path = rest.strip_prefix("include").unwrap_or(rest);
                out.push_str(&format!("include {}", path.trim_matches(is_blank)));
            }
            Item::Variant(_) => out.push_str(&variant(rest)),
            Item::Only(_) | Item::No(_) | Item::Join(_) => out.push_str(&commas(rest)),
            Item::Variants { .. } => out.push_str(&single(rest).replacen(" :", ":", 1)),
            Item::Del(_) | Item::Suffix(_) => out.push_str(&single(rest)),
        }
        rest = "";
    }
    if !rest.is_empty() {
        // Nothing that is known to be said here is left; the comparison of meanings judges it.
        out.push(' ');
        out.push_str(rest);
    }
    out
}

fn assignment(key: &str, operator: Operator, text: &str) -> String {
    let after = text
        .strip_prefix(key)
        .unwrap_or(text)
        .trim_start_matches(is_blank);
    let operator = operator.as_str();
    let value = after
        .strip_prefix(operator)
        .unwrap_or(after)
        .trim_matches(is_blank);
    let first = key.split(' ').next().unwrap_or_default();
    let before = if key.is_empty() || KEYWORDS.contains(&first) {
        ""
    } else {
        " "
    };
    let gap = if value.is_empty() { "" } else { " " };
    format!("{key}{before}{operator}{gap}{value}")
}

/// `- name: dependencies`
fn variant(text: &str) -> String {
    let (said, comment) = comment(text);
    let body = said.strip_prefix('-').unwrap_or(said);
    let (name, deps) = body.split_once(':').unwrap_or((body, ""));
    let deps = list(deps);
    let gap = if deps.is_empty() { "" } else { " " };
    format!("- {}:{gap}{deps}{comment}", name.trim_matches(is_blank))
}

fn commas(text: &str) -> String {
    let (said, comment) = comment(text);
    format!("{}{comment}", list(said))
}

fn single(text: &str) -> String {
    let (said, comment) = comment(text);
    format!("{}{comment}", words(said))
}

/// What is said, and the comment behind it with two blanks in front.
fn comment(text: &str) -> (&str, String) {
    match text.find('#') {
        Some(at) => (
            &text[..at],
            format!("  {}", text[at..].trim_end_matches(is_blank)),
        ),
        None => (text, String::new()),
    }
}

/// A filter with one blank after each comma.
fn list(text: &str) -> String {
    let parts: Vec<String> = text.split(',').map(words).collect();
    parts.join(", ").trim_end().to_owned()
}

/// The words of a text with one blank between them.
fn words(text: &str) -> String {
    text.split(is_blank)
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}
