//! Filters, and other lines that are read character by character.

use super::Statement;
use crate::diagnostic::Diagnostic;
use crate::graph::LinkedFile;
use crate::items::Item;

/// Characters that begin an operator, and are passed over where no `=` follows.
const PREFIXES: [char; 4] = ['+', '<', '?', '~'];

pub(super) fn check(file: &LinkedFile, statement: &Statement<'_>, found: &mut Vec<Diagnostic>) {
    let (word, is_filter) = match statement.item {
        Item::Only(_) => ("only", true),
        Item::No(_) => ("no", true),
        Item::Join(_) => ("join", true),
        Item::Condition { .. } => ("", true),
        Item::Variants { .. } | Item::Variant(_) => ("", false),
        Item::Del(_) => ("del", false),
        Item::Suffix(_) => ("suffix", false),
        Item::Assign { .. } | Item::Include(_) => return,
    };
    let scanned = scanned(statement);
    let body = &scanned[word.len()..];
    if let Some(at) = body.find(PREFIXES) {
        let at = word.len() + at;
        let message = format!("`{}` is passed over here", &scanned[at..=at]);
        let help = "labels are no patterns: remove it";
        found.push(statement.refuse((at, at + 1), "dropped-operator", message, help));
    }
    if has_gap(file, statement.item) {
        let dots = scanned.match_indices('.').map(|(dot, _)| dot);
        let dot = dots
            .into_iter()
            .find(|dot| scanned[..*dot].ends_with([' ', ',']))
            .unwrap_or_default();
        let message = "no variant name before `.`".to_owned();
        let help = "remove the blank before the dot, or the dot";
        found.push(statement.refuse((dot, dot + 1), "empty-block", message, help));
    }
    let body = body.trim_start_matches(['!', ' ']);
    if is_filter && body.trim().is_empty() {
        let effect = match word {
            "only" => "drops every variant",
            "no" => "drops nothing",
            "join" => "joins nothing",
            _ => "always holds",
        };
        let message = format!("an empty filter, which {effect}");
        found.push(statement.refuse(
            (0, scanned.trim_end().len()),
            "empty-filter",
            message,
            "name what it is to match",
        ));
    }
}

/// Whether a filter of the statement has a block without labels.
fn has_gap(file: &LinkedFile, item: &Item) -> bool {
    let filter = match item {
        Item::Only(filter) | Item::No(filter) | Item::Join(filter) | Item::Condition { filter, .. } => {
            *filter
        }
        Item::Variant(variant) => match variant.deps {
            Some(deps) => deps,
            None => return false,
        },
        _ => return false,
    };
    file.items().filters().gap(filter).is_some()
}

/// The part of a statement that is read character by character: without a comment, and up to a condition's colon.
fn scanned<'s>(statement: &'s Statement<'_>) -> &'s str {
    let text = &*statement.text;
    let end = match statement.item {
        Item::Condition { .. } => text.find(':'),
        _ => text.find('#'),
    };
    &text[..end.unwrap_or(text.len())]
}
