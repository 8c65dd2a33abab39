//! Completion: keys where a key can stand, names of variants where one can be asked for.

use std::collections::BTreeSet;
use std::ops::Range;

use lsp_types::{CompletionItem, CompletionItemKind, CompletionList, CompletionTextEdit, TextEdit};

use super::document::Document;
use super::scan::{KEYWORDS, Role, assignment, is_word};
use super::text::language_line_around;
use super::world::World;

/// How many proposals are made at once. More typing brings others.
const MOST: usize = 1_000;

/// What can stand at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Wanted {
    keys: bool,
    labels: bool,
    /// Variables of `variants` blocks.
    variables: bool,
    keywords: bool,
}

const NOTHING: Wanted = Wanted {
    keys: false,
    labels: false,
    variables: false,
    keywords: false,
};
const KEYS: Wanted = Wanted {
    keys: true,
    ..NOTHING
};
const LABELS: Wanted = Wanted {
    labels: true,
    ..NOTHING
};
const NAMED: Wanted = Wanted {
    labels: true,
    variables: true,
    ..NOTHING
};
/// A statement may set a key, ask for variants, or start with a keyword.
const STATEMENT: Wanted = Wanted {
    keys: true,
    labels: true,
    keywords: true,
    ..NOTHING
};

/// What can stand at `offset`.
pub fn complete(world: &mut World, document: &Document, offset: usize) -> CompletionList {
    let (start, line) = language_line_around(document.str(), offset);
    let before = &line[..offset - start];
    let wanted = wanted(before);
    let typed = before.len() - before.trim_end_matches(is_word).len();
    let after = line[before.len()..].len() - line[before.len()..].trim_start_matches(is_word).len();
    let range = offset - typed..offset + after;
    let prefix = document.str()[offset - typed..offset].to_lowercase();
    let mut found: BTreeSet<(&str, Kind)> = BTreeSet::new();
    let documents = world.documents();
    for file in &documents {
        // The word under the cursor is no proposal for itself.
        let own = |at: &Range<usize>| file.path == document.path && *at == range;
        let names = file.names();
        if wanted.labels {
            let known = names.labels.iter();
            let known = known.filter(|(_, at)| at.iter().any(|at| at.role == Role::Label && !own(&at.range)));
            found.extend(known.map(|(name, _)| (name.as_str(), Kind::Label)));
        }
        if wanted.keys || wanted.variables {
            let fits = |role: Role| role == Role::Variable || (wanted.keys && role != Role::KeyPattern);
            let known = names.keys.iter();
            let known = known.filter(|(_, at)| at.iter().any(|at| fits(at.role) && !own(&at.range)));
            found.extend(known.map(|(name, _)| (name.as_str(), Kind::Key)));
        }
    }
    if wanted.keywords {
        found.extend(KEYWORDS.map(|word| (word, Kind::Keyword)));
    }
    let mut fitting = found
        .into_iter()
        .filter(|(name, _)| name.to_lowercase().starts_with(&prefix));
    let span = document.text.span(&range);
    let items = fitting
        .by_ref()
        .take(MOST)
        .map(|(name, kind)| item(name, kind, span));
    CompletionList {
        items: items.collect(),
        is_incomplete: fitting.next().is_some(),
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    Key,
    Label,
    Keyword,
}

fn item(name: &str, kind: Kind, range: lsp_types::Range) -> CompletionItem {
    let (detail, symbol) = match kind {
        Kind::Key => ("key", CompletionItemKind::PROPERTY),
        Kind::Label => ("variant", CompletionItemKind::CLASS),
        Kind::Keyword => ("keyword", CompletionItemKind::KEYWORD),
    };
    CompletionItem {
        label: name.to_owned(),
        kind: Some(symbol),
        detail: Some(detail.to_owned()),
        text_edit: Some(CompletionTextEdit::Edit(TextEdit::new(range, name.to_owned()))),
        ..CompletionItem::default()
    }
}

/// What can stand at the end of an unfinished line.
fn wanted(before: &str) -> Wanted {
    let text = before.trim_start();
    if text.starts_with('#') || text.starts_with("//") {
        return NOTHING;
    }
    if let Some(open) = text.rfind("${").filter(|open| !text[*open..].contains('}')) {
        let operand = assignment(text).is_some_and(|(_, value, _)| value <= open);
        return if operand { KEYS } else { NOTHING };
    }
    statement(text)
}

fn statement(text: &str) -> Wanted {
    let mut text = text;
    loop {
        if let Some(wanted) = keyword(text) {
            return wanted;
        }
        if assignment(text).is_some() {
            return NOTHING;
        }
        // Behind a condition's colon there is another statement.
        match text.split_once(':') {
            Some((_, rest)) => text = rest.trim_start(),
            None if text.chars().all(is_word) => return STATEMENT,
            None => return filter(text.trim_start_matches('!')),
        }
    }
}

/// What can stand at the end of a line that a dash or a keyword begins.
fn keyword(text: &str) -> Option<Wanted> {
    if let Some(rest) = text.strip_prefix('-') {
        // Before the colon a new name is being made up.
        return Some(rest.split_once(':').map_or(NOTHING, |(_, deps)| filter(deps)));
    }
    let (keyword, rest) = KEYWORDS.iter().find_map(|word| {
        let rest = text.strip_prefix(*word)?;
        rest.starts_with([' ', '\t']).then_some((*word, rest))
    })?;
    Some(match keyword {
        "only" | "no" | "join" => filter(rest),
        "del" => KEYS,
        "variants" => {
            let open = rest.rfind("[default=").filter(|at| !rest[*at..].contains(']'));
            open.map_or(NOTHING, |_| LABELS)
        }
        _ => NOTHING,
    })
}

/// What can stand at the end of a filter.
fn filter(text: &str) -> Wanted {
    if text.contains('#') {
        return NOTHING;
    }
    match text.rfind('(').map(|at| &text[at + 1..]) {
        Some(inner) if !inner.contains([')', '=']) => NAMED,
        _ => LABELS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_stand_where() {
        let cases = [
            ("    ", STATEMENT),
            ("im", STATEMENT),
            ("only ", LABELS),
            ("  no a..b, c", LABELS),
            ("only (", NAMED),
            ("only (nic=", LABELS),
            ("- new", NOTHING),
            ("- new: dep", LABELS),
            ("a..", LABELS),
            ("!a", LABELS),
            ("a: ", STATEMENT),
            ("a: only ", LABELS),
            ("key = va", NOTHING),
            ("key = ${va", KEYS),
            ("key = ${va} x", NOTHING),
            ("del ", KEYS),
            ("variants x [default=", LABELS),
            ("include x", NOTHING),
            ("# only ", NOTHING),
        ];
        for (line, expected) in cases {
            assert_eq!(wanted(line), expected, "{line}");
        }
    }
}
