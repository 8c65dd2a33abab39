//! What is allowed, but hardly what its author meant: warnings about a whole configuration.
//!
//! | code | what it means |
//! |---|---|
//! | `never-matches` | no variant that a filter is about can ever match it: it asks for unknown names, or for known ones that never stand together there |
//! | `unknown-label` | one alternative of a filter asks for a name that no variant carries |
//! | `never-together` | one alternative of a filter asks for names that never stand together there |
//! | `unknown-dependency` | what a variant depends on does not exist |
//! | `always-dropped` | filters remove a variant, whatever it is combined with; those outside of all variants do not count |
//! | `undecided` | how much of this could not be decided in a reasonable time |
//! | `shadowed-assignment` | a key is set twice in one block, and nothing can tell the first value |
//! | `tab` | tabs, whose width is eight columns here and anything else in an editor |

mod labels;
mod structure;
mod values;

use std::sync::Arc;

use rustc_hash::FxHashSet;

use crate::diagnostic::{Class, Diagnostic, Location, Severity};
use crate::graph::LinkedFile;
use crate::items::ItemId;
use crate::program::Program;

pub use values::{KeyUse, keys};

/// The code of what was not decided.
pub const UNDECIDED: &str = "undecided";

/// All warnings about `program`, file by file in the order of their first use, and by line within a file.
pub fn lint(program: &Program) -> Vec<Diagnostic> {
    lint_while(program, &mut || true).unwrap_or_default()
}

/// Those of [`lint`]'s warnings about one file of `program` that its text alone shows, by line: `shadowed-assignment`
/// and `tab`.
pub fn lint_text(program: &Program, file: &str) -> Vec<Diagnostic> {
    let mut files = program.graph.files.iter();
    let Some(file) = files.find(|known| **known.spans().file() == *file) else {
        return Vec::new();
    };
    let mut found = Vec::from_iter(values::tabs(file));
    values::shadowed(file, &mut found);
    found.sort_by_key(|warning| warning.location.line);
    found
}

/// The same as [`lint`], given up with nothing as soon as `go_on` says no. It is asked before every search, of which none
/// takes long.
pub fn lint_while(program: &Program, go_on: &mut dyn FnMut() -> bool) -> Option<Vec<Diagnostic>> {
    let graph = &program.graph;
    let structure = structure::Structure::of(graph, go_on)?;
    let known = labels::Known::of(graph, &structure);
    let mut seen = FxHashSet::default();
    let mut found = Vec::new();
    let mut dropped = structure.dropped.clone();
    for (number, file) in graph.files.iter().enumerate() {
        let mut own = Vec::new();
        own.extend(values::tabs(file));
        values::shadowed(file, &mut own);
        known.check(number as u32, file, &mut own);
        own.sort_by_key(|warning| warning.location.line);
        // A file that is included twice says the same twice.
        own.retain(|warning| {
            let at = &warning.location;
            seen.insert((at.file.clone(), at.line, warning.code, warning.message.clone()))
        });
        found.append(&mut own);
    }
    found.append(&mut dropped);
    // A generated file is told in terms of those it was made from: all of one file together.
    let mut order: Vec<Arc<str>> = Vec::new();
    for warning in &found {
        if !order.contains(&warning.location.file) {
            order.push(warning.location.file.clone());
        }
    }
    found.sort_by_key(|warning| {
        let file = order.iter().position(|file| *file == warning.location.file);
        (file, warning.location.line)
    });
    Some(found)
}

fn warning(code: &'static str, message: String, location: Location) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        ..Diagnostic::error(Class::Other, code, message, location)
    }
}

fn place(file: &LinkedFile, index: usize) -> Location {
    file.spans().location(ItemId(index as u32))
}

#[cfg(test)]
mod tests;
