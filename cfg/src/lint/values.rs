//! Assignments: those nobody can see the effect of, the keys they set, and tabs.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{place, warning};
use crate::diagnostic::{Diagnostic, Location};
use crate::graph::LinkedFile;
use crate::items::{Item, Items};
use crate::lexer::Operator;
use crate::program::Program;

/// A key that a configuration sets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyUse {
    /// The key as written.
    pub key: String,
    /// Where it is first set.
    pub first: Location,
    /// Whether some value refers to it as `${key}`.
    pub referenced: bool,
}

/// Every key that is set by name, in the order of first assignments.
pub fn keys(program: &Program) -> Vec<KeyUse> {
    let mut referenced: FxHashSet<&str> = FxHashSet::default();
    let mut seen: FxHashSet<&str> = FxHashSet::default();
    let mut uses = Vec::new();
    for file in &program.graph.files {
        for (index, item) in file.items().items().iter().enumerate() {
            let Item::Assign { operator, key, value } = item else {
                continue;
            };
            referenced.extend(references(file.items().text(*value)));
            let key = file.items().symbol(*key);
            if !is_pattern(*operator) && seen.insert(key) {
                uses.push((key, place(file, index)));
            }
        }
    }
    let used = |(key, first): (&str, Location)| KeyUse {
        referenced: referenced.contains(key),
        key: key.to_owned(),
        first,
    };
    uses.into_iter().map(used).collect()
}

fn is_pattern(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::SetMatching | Operator::AppendMatching | Operator::PrependMatching
    )
}

/// The keys that a value refers to.
fn references(value: &str) -> impl Iterator<Item = &str> {
    value
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split_once('}'))
        .map(|(key, _)| key)
}

/// Assignments whose value is set again in the same block before anything could have read it.
pub(super) fn shadowed(file: &LinkedFile, found: &mut Vec<Diagnostic>) {
    let items = file.items();
    // The last plain assignment of each key in the run of statements at hand.
    let mut last: FxHashMap<&str, usize> = FxHashMap::default();
    let mut ends: FxHashSet<u32> = FxHashSet::default();
    for (index, item) in items.items().iter().enumerate() {
        if ends.contains(&(index as u32)) {
            last.clear();
        }
        match item {
            Item::Assign { operator, key, value } => {
                let key = items.symbol(*key);
                references(items.text(*value)).for_each(|read| {
                    last.remove(read);
                });
                if *operator == Operator::Set {
                    if let Some(earlier) = last.insert(key, index) {
                        found.push(shadow(file, key, earlier, index));
                    }
                } else if is_pattern(*operator) {
                    last.clear();
                } else {
                    last.remove(key);
                }
            }
            Item::Del(key) => {
                last.remove(items.symbol(*key));
            }
            Item::Only(_) | Item::No(_) => {}
            Item::Condition { end, .. } => {
                last.clear();
                ends.insert(*end);
            }
            Item::Variant(variant) => {
                last.clear();
                ends.insert(variant.end);
            }
            Item::Variants { .. } | Item::Include(_) | Item::Suffix(_) | Item::Join(_) => last.clear(),
        }
    }
}

fn shadow(file: &LinkedFile, key: &str, earlier: usize, later: usize) -> Diagnostic {
    let again = place(file, later);
    let same = value(file.items(), earlier) == value(file.items(), later);
    let how = if same {
        "to the same value"
    } else {
        "to another value"
    };
    let message = format!(
        "`{key}` is set again {how} at {}:{}, before anything reads this one",
        again.file, again.line
    );
    warning("shadowed-assignment", message, place(file, earlier))
}

fn value(items: &Items, index: usize) -> Option<&str> {
    match items.items().get(index)? {
        Item::Assign { value, .. } => Some(items.text(*value)),
        _ => None,
    }
}

/// One warning for a file with tabs, where the first one is.
pub(super) fn tabs(file: &LinkedFile) -> Option<Diagnostic> {
    let source = file.spans().source();
    let mut lines = (1..).zip(source.lines()).filter(|(_, line)| line.contains('\t'));
    let (number, first) = lines.next()?;
    let more = lines.count();
    let column = first.chars().take_while(|c| *c != '\t').count() as u32 + 1;
    let also = match more {
        0 => String::new(),
        more => format!(", and in {more} more lines"),
    };
    let at = file.spans().line_location(number, column);
    let message = format!("a tab{also}: it counts as blanks up to the next multiple of eight columns");
    Some(warning("tab", message, at).with_help("`vtbuild fmt` turns tabs into blanks"))
}
