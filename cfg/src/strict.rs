//! Strict reading: refuses what works only by a mistake of established implementations.
//!
//! Where configurations that people have depend on such a mistake it is part of the language and stays; `docs/language.md`
//! lists both kinds by name. Most of what is refused shows in the text and is found here, all of it at once. The rest
//! depends on the variant at hand and is refused by an expansion with [`strict`](crate::ExpandOptions::strict):
//!
//! | code | what it means |
//! |---|---|
//! | `unknown-ends-substitution` | a `${key}` stays as it is because one before it is unknown |
//! | `default-goes-on` | a block goes on after its default because that of the block around is to be expanded |
//! | `join-loses-variants` | three or more factors, or a join below a join |
//! | `repeated-join-name` | the common start of joined names holds a named label and is repeated |

mod assignments;
mod blocks;
mod filters;
mod text;

use std::sync::Arc;

use camino::Utf8Path;

use crate::diagnostic::{Class, Diagnostic, Location};
use crate::graph::{Graph, LinkedFile};
use crate::items::{Item, ItemId};
use crate::lexer::skip_blanks;
use crate::program::{Program, resolve};

/// All that a strict reading refuses in the texts of `program`, file by file and line by line.
///
/// | code | what it means |
/// |---|---|
/// | `byte-order-mark` | the mark at the start of the file is part of its first key |
/// | `line-break` | a control character or Unicode separator ends a line |
/// | `condition-assigns` | `(block=label): …` is an assignment |
/// | `empty-key`, `comment-key` | an assignment to no key, or to one that starts with `#` |
/// | `reserved-key` | an assignment to a computed key, which does nothing |
/// | `lone-quote` | a value of one quote, which is empty |
/// | `last-alternative-anchored` | all but the last alternative of a key pattern match beginnings of keys |
/// | `literal-pattern` | a key pattern acts on one key alone because it is set right before |
/// | `bound-of-bound` | `x_max_max` bounds `x` |
/// | `block-name`, `block-name-after-meta` | a block is not named as it is written |
/// | `unknown-meta` | `[key]` that means nothing |
/// | `default-by-prefix` | `[default=a]` makes `- a.b:` the default, or the other way round |
/// | `empty-label` | a dot in a variant's name with nothing on one side |
/// | `empty-filter` | a filter that matches nothing |
/// | `empty-block` | a `.` with no label in front, which ends an expansion that gets there |
/// | `join-in-condition` | the same |
/// | `dropped-operator` | `+`, `<`, `?` or `~` in a filter or name, where it is passed over |
/// | `second-suffix` | only the last `suffix` of a block counts |
pub fn check(program: &Program) -> Vec<Diagnostic> {
    let files = program.graph.files.iter();
    files.flat_map(|file| of_file(&program.graph, file)).collect()
}

/// The same for one file of `program`.
pub fn check_file(program: &Program, file: &str) -> Vec<Diagnostic> {
    let mut files = program.graph.files.iter();
    let file = files.find(|known| **known.spans().file() == *file);
    file.map_or_else(Vec::new, |file| of_file(&program.graph, file))
}

fn of_file(graph: &Graph, file: &LinkedFile) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    text::check(file, &mut found);
    let statements = statements(file);
    for statement in &statements {
        match statement.item {
            Item::Assign { .. } | Item::Del(_) => assignments::check(file, statement, &mut found),
            Item::Variants { .. } => blocks::header(file, &statements, statement, &mut found),
            Item::Variant(variant) => blocks::variant(variant, statement, &mut found),
            _ => {}
        }
        filters::check(file, statement, &mut found);
    }
    blocks::nested(file, &statements, &mut found);
    found.sort_by_key(|refused| (refused.location.line, refused.location.column));
    let chain = included_from(graph, file);
    for refused in &mut found {
        refused.included_from.clone_from(&chain);
    }
    found
}

/// The include statements that led to a file when it was first met, innermost first.
fn included_from(graph: &Graph, file: &LinkedFile) -> Vec<(Arc<str>, u32)> {
    let mut chain = Vec::new();
    let mut wanted = file.spans().file().clone();
    // A file is linked after the one that first includes it; so this goes towards the root.
    let at = graph.files.iter().position(|known| known.name() == &wanted);
    for earlier in graph.files[..at.unwrap_or(0)].iter().rev() {
        let folder = Utf8Path::new(&**earlier.spans().file());
        let mut includes = earlier.items().includes();
        if let Some((id, _)) = includes.find(|(_, path)| resolve(folder, path).as_str() == &*wanted) {
            chain.push(earlier.spans().position(id));
            wanted = earlier.spans().file().clone();
        }
    }
    chain
}

/// A statement with its text.
struct Statement<'f> {
    id: ItemId,
    item: &'f Item,
    /// Its line; the column is that of the statement.
    line: Location,
    /// The text from there on.
    text: String,
}

impl Statement<'_> {
    /// A refusal of bytes `from..to` of the statement.
    fn refuse(
        &self,
        (from, to): (usize, usize),
        code: &'static str,
        message: String,
        help: &str,
    ) -> Diagnostic {
        let mut at = self.line.clone();
        at.column += self.text[..from].chars().count() as u32;
        at.length = (self.text[from..to].chars().count() as u32).max(1);
        Diagnostic::error(Class::Other, code, message, at).with_help(help)
    }
}

/// All statements of a file. What follows a condition's colon is a statement of its own.
fn statements(file: &LinkedFile) -> Vec<Statement<'_>> {
    let mut statements: Vec<Statement<'_>> = Vec::new();
    for (index, item) in file.items().items().iter().enumerate() {
        let id = ItemId(index as u32);
        let before = statements.last().filter(|before| {
            matches!(before.item, Item::Condition { .. })
                && file.spans().line(before.id) == file.spans().line(id)
        });
        let (line, text) = match before {
            Some(header) => {
                let colon = header.text.find(':').map_or(header.text.len(), |at| at + 1);
                let rest = skip_blanks(&header.text, colon);
                let mut line = header.line.clone();
                line.column += header.text[..rest].chars().count() as u32;
                (line, header.text[rest..].to_owned())
            }
            None => {
                let line = file.spans().location(id);
                let text = line.text.chars().skip(line.column as usize - 1).collect();
                (line, text)
            }
        };
        statements.push(Statement { id, item, line, text });
    }
    statements
}

#[cfg(test)]
mod tests;
