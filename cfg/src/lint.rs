//! What is allowed, but hardly what its author meant: warnings about a whole configuration.
//!
//! | code | what it means |
//! |---|---|
//! | `never-matches` | every alternative of a filter asks for a name that no variant carries |
//! | `unknown-label` | one alternative of a filter does |
//! | `unknown-dependency` | what a variant depends on does not exist |
//! | `always-dropped` | a filter inside of a variant removes it, whatever it is combined with |
//! | `shadowed-assignment` | a key is set twice in one block, and nothing can tell the first value |
//! | `tab` | tabs, whose width is eight columns here and anything else in an editor |

mod labels;
mod values;

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::diagnostic::{Class, Diagnostic, Location, Severity};
use crate::graph::LinkedFile;
use crate::items::{Item, ItemId};
use crate::program::Program;

pub use values::{KeyUse, keys};

/// All warnings about `program`, file by file in the order of their first use, and by line within a file.
pub fn lint(program: &Program) -> Vec<Diagnostic> {
    let graph = &program.graph;
    let known = labels::Known::of(graph);
    let mut seen = FxHashSet::default();
    let mut found = Vec::new();
    for file in &graph.files {
        let mut own = Vec::new();
        own.extend(values::tabs(file));
        values::shadowed(file, &mut own);
        known.check(file, &mut own);
        own.sort_by_key(|warning| warning.location.line);
        // A file that is included twice says the same twice.
        own.retain(|warning| {
            let at = &warning.location;
            seen.insert((at.file.clone(), at.line, warning.code, warning.message.clone()))
        });
        found.append(&mut own);
    }
    // A generated file is told in terms of those it was made from: all of one file together.
    let mut order: Vec<Arc<str>> = Vec::new();
    for warning in &found {
        if !order.contains(&warning.location.file) {
            order.push(warning.location.file.clone());
        }
    }
    found.sort_by_key(|warning| order.iter().position(|file| *file == warning.location.file));
    found
}

fn warning(code: &'static str, message: String, location: Location) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        ..Diagnostic::error(Class::Other, code, message, location)
    }
}

/// The blocks around an item, the outermost first.
#[derive(Default)]
struct Scope {
    open: Vec<(usize, u32)>,
}

impl Scope {
    /// Goes on to an item; what ended before it is left.
    fn at(&mut self, index: usize) -> impl DoubleEndedIterator<Item = usize> + '_ {
        self.open.retain(|(_, end)| index < *end as usize);
        self.open.iter().map(|(header, _)| *header)
    }

    /// Enters a block, if the item is the header of one.
    fn enter(&mut self, index: usize, item: &Item) {
        let end = match item {
            Item::Condition { end, .. } | Item::Variants { end, .. } => *end,
            Item::Variant(variant) => variant.end,
            _ => return,
        };
        self.open.push((index, end));
    }
}

fn place(file: &LinkedFile, index: usize) -> Location {
    file.spans.location(ItemId(index as u32))
}

#[cfg(test)]
mod tests;
