//! Blocks of variants, and suffixes.

use rustc_hash::FxHashMap;

use super::Statement;
use crate::diagnostic::Diagnostic;
use crate::graph::LinkedFile;
use crate::items::{Item, VariantHeader};
use crate::lexer::{Kind, Token, scan};

/// The length of `variants`.
const KEYWORD: usize = 8;

pub(super) fn header(
    file: &LinkedFile,
    statements: &[Statement<'_>],
    statement: &Statement<'_>,
    found: &mut Vec<Diagnostic>,
) {
    let mut tokens = scan(&statement.text, KEYWORD);
    tokens.retain(|token| token.kind != Kind::Blank);
    found.extend(name(statement, &tokens));
    let mut defaults = Vec::new();
    let metas = tokens.split(|token| token.kind == Kind::OpenSquare).skip(1);
    for meta in metas {
        let end = meta.iter().position(|token| token.kind == Kind::CloseSquare);
        let meta = &meta[..end.unwrap_or(meta.len())];
        match meta {
            [
                Token {
                    kind: Kind::Word(key),
                    ..
                },
                _,
                value @ ..,
            ] if key == "default" => {
                defaults.push(value.iter().map(|token| token.kind.clone()).collect());
            }
            [key, ..] => {
                let message = format!("`[{}]` means nothing", key.kind.mark());
                let help = "only `[default=NAME]` has a meaning";
                found.push(statement.refuse((key.start, key.end), "unknown-meta", message, help));
            }
            [] => {}
        }
    }
    let Item::Variants { end, .. } = statement.item else {
        return;
    };
    let mut variants = Vec::new();
    let mut next = statement.id.index() + 1;
    while next < *end as usize {
        let Item::Variant(variant) = statements[next].item else {
            return;
        };
        variants.push((&statements[next], variant));
        next = variant.end as usize;
    }
    default_names(file, defaults, &variants, found);
}

/// A block that is called by a mark, by a quoted text, or by what stands for any name.
fn name(statement: &Statement<'_>, tokens: &[Token]) -> Option<Diagnostic> {
    let (mut inside, mut after) = (false, false);
    for token in tokens {
        let at = (token.start, token.end);
        match &token.kind {
            Kind::CloseSquare if inside => inside = false,
            _ if inside => {}
            Kind::OpenSquare => (inside, after) = (true, true),
            Kind::Word(name) if after => {
                let message = format!("the block is not called `{name}`: no name may follow a `[`");
                let help = format!("write the name first: `variants {name} […]:`");
                return Some(statement.refuse(at, "block-name-after-meta", message, &help));
            }
            Kind::Colon | Kind::Word(_) => return None,
            // `@NAME` is what configurations have.
            Kind::At => {}
            odd => {
                let message = format!("{} is no part of a block's name", odd.describe());
                return Some(statement.refuse(at, "block-name", message, "write `variants NAME:`"));
            }
        }
    }
    None
}

/// Names that a `[default=…]` matches only as far as the shorter of both goes.
fn default_names(
    file: &LinkedFile,
    mut defaults: Vec<Vec<Kind>>,
    variants: &[(&Statement<'_>, &VariantHeader)],
    found: &mut Vec<Diagnostic>,
) {
    let words = |kinds: &[Kind]| -> Vec<String> {
        let words = kinds.iter().filter(|kind| matches!(kind, Kind::Word(_)));
        words.map(|kind| kind.mark().to_owned()).collect()
    };
    for (statement, variant) in variants {
        let labels: Vec<&str> = file.items().labels(variant).collect();
        let matches = |wanted: &Vec<Kind>| {
            words(wanted)
                .iter()
                .zip(&labels)
                .all(|(wanted, label)| wanted == label)
        };
        let Some(index) = defaults.iter().position(matches) else {
            continue;
        };
        let wanted = words(&defaults.remove(index));
        if wanted.len() != labels.len() {
            let (wanted, name) = (wanted.join("."), labels.join("."));
            let message =
                format!("`{name}` becomes the default by `[default={wanted}]`, which it only starts like");
            let help = format!("write `[default={name}]`, or give the variant another name");
            found.push(statement.refuse((0, 1), "default-by-prefix", message, &help));
        }
    }
}

pub(super) fn variant(variant: &VariantHeader, statement: &Statement<'_>, found: &mut Vec<Diagnostic>) {
    let colon = statement.text.find(':').unwrap_or(statement.text.len());
    let name = statement.text[..colon].trim_start_matches(['-', ' ', '@']);
    let at = (colon - name.len(), colon);
    // No name at all, as in `- @:`, is what configurations have.
    if !variant.labels.is_empty() && name.split('.').any(str::is_empty) {
        let message = format!("`{name}` has a dot with no name beside it");
        found.push(statement.refuse(at, "empty-label", message, "put one dot between two names"));
    }
}

/// What cannot stand where it stands: suffixes that another one of their block replaces, joins in conditions.
pub(super) fn nested(file: &LinkedFile, statements: &[Statement<'_>], found: &mut Vec<Diagnostic>) {
    // The innermost block of each statement: the index of its header, with where it ends.
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut last: FxHashMap<usize, &Statement<'_>> = FxHashMap::default();
    for (index, statement) in statements.iter().enumerate() {
        open.retain(|(_, end)| index < *end);
        match statement.item {
            Item::Suffix(name) => {
                let block = open.last().map_or(usize::MAX, |(header, _)| *header);
                if let Some(before) = last.insert(block, statement) {
                    let message = format!(
                        "only the last suffix of a block counts: this one replaces that of line {}",
                        before.line.line
                    );
                    let help = format!(
                        "put `suffix {}` into a block of its own",
                        file.items().symbol(*name)
                    );
                    found.push(statement.refuse((0, statement.text.len()), "second-suffix", message, &help));
                }
            }
            Item::Join(_) => {
                let holds =
                    |(header, _): &(usize, usize)| matches!(statements[*header].item, Item::Condition { .. });
                if open.iter().any(holds) {
                    let message = "`join` inside a conditional block".to_owned();
                    found.push(statement.refuse(
                        (0, 4),
                        "join-in-condition",
                        message,
                        "move it out of the condition",
                    ));
                }
            }
            Item::Condition { end, .. } | Item::Variants { end, .. } => open.push((index, *end as usize)),
            Item::Variant(variant) => open.push((index, variant.end as usize)),
            _ => {}
        }
    }
}
