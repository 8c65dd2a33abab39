//! Diagnostics of a file: its own, and a word at each include of a file that has some.

use std::ops::Range;

use lsp_types::{
    Diagnostic as Told, DiagnosticRelatedInformation, DiagnosticSeverity, Location as Place, NumberOrString,
    Position, Range as Span,
};
use vtbuild_cfg::{Diagnostic, Location, Program, Severity};
use vtbuild_engine::generate::Origin;

use super::document::Document;
use super::text::{Text, column_offset, language_line_around};
use super::uri;
use super::world::{Reading, World};
use crate::report::diagnostics::with_similar;

/// How many diagnostics are told of one file.
pub const MOST: usize = 500;

/// All that is wrong with a file, in textual order; of one with nothing wrong, the program that it is by itself.
pub fn check(world: &mut World, document: &Document) -> (Vec<Told>, Option<Sound>) {
    if document.is_settings() {
        return (Vec::new(), None);
    }
    let reading = world.reading(document);
    let found = match world.link(&reading) {
        Ok(program) => return (Vec::new(), Some(Sound { reading, program })),
        Err(found) => found,
    };
    let mut told: Vec<Told> = Vec::new();
    for diagnostic in &*found {
        let one = if *diagnostic.location.file == *document.path {
            Some(own(document, &reading, diagnostic))
        } else {
            included(world, document, &reading, diagnostic)
        };
        // The first mistake in an included file stands for the others.
        let known = |one: &Told| {
            let same = |other: &Told| other.range == one.range && other.code == one.code;
            told.iter().rev().take(8).any(same)
        };
        if let Some(one) = one.filter(|one| !known(one)) {
            told.push(one);
        }
        if told.len() == MOST {
            break;
        }
    }
    told.sort_by_key(|one| (one.range.start, one.range.end));
    (told, None)
}

/// A file without mistakes.
pub struct Sound {
    pub(super) reading: Reading,
    pub(super) program: Program,
}

/// What a file says itself about a place of its own.
pub fn own(document: &Document, reading: &Reading, diagnostic: &Diagnostic) -> Told {
    let diagnostic = &*with_similar(diagnostic);
    let range = bytes(document, reading, &diagnostic.location);
    let mut message = diagnostic.message.clone();
    if let Some(help) = &diagnostic.help {
        message.push_str(&format!("\nhelp: {help}"));
    }
    for note in &diagnostic.notes {
        message.push_str(&format!("\nnote: {note}"));
    }
    Told {
        range: document.text.span(&range),
        severity: Some(match diagnostic.severity {
            Severity::Error => DiagnosticSeverity::ERROR,
            Severity::Warning => DiagnosticSeverity::WARNING,
        }),
        code: Some(NumberOrString::String(diagnostic.code.to_owned())),
        source: Some("vtbuild".to_owned()),
        message,
        ..Told::default()
    }
}

/// A mistake elsewhere, told at the include statement that leads to it.
fn included(
    world: &mut World,
    document: &Document,
    reading: &Reading,
    diagnostic: &Diagnostic,
) -> Option<Told> {
    let chain = diagnostic.included_from.iter();
    let mut leading = chain.filter(|(file, _)| **file == *document.path);
    let (file, line) = leading.next_back()?;
    let statement = Location {
        file: file.clone(),
        line: *line,
        column: 1,
        length: 1,
        bytes: 0..0,
        text: String::new(),
    };
    let range = bytes(document, reading, &statement);
    let range = document.line_around(range.start).map_or(range, |line| line.range);
    let at = &diagnostic.location;
    let there = world.document(at.file.as_ref().into());
    let place = there.as_deref().map_or_else(
        || Span::new(Position::default(), Position::default()),
        |there| there.text.span(&plain_bytes(there, at)),
    );
    let related = uri::of(at.file.as_ref().into()).map(|uri| {
        vec![DiagnosticRelatedInformation {
            location: Place::new(uri, place),
            message: diagnostic.message.clone(),
        }]
    });
    Some(Told {
        range: document.text.span(&range),
        severity: Some(DiagnosticSeverity::ERROR),
        code: Some(NumberOrString::String("included-file".to_owned())),
        source: Some("vtbuild".to_owned()),
        message: format!("the included file has a mistake: {at}: {}", diagnostic.message),
        related_information: related,
        ..Told::default()
    })
}

/// The bytes that a place of the language means in a document.
fn bytes(document: &Document, reading: &Reading, at: &Location) -> Range<usize> {
    match &reading.generated {
        Some((generated, origins)) => generated_bytes(document, generated, origins, at),
        None => plain_bytes(document, at),
    }
}

fn plain_bytes(document: &Document, at: &Location) -> Range<usize> {
    let (start, line) = line_of(&document.text, at);
    start + column_offset(line, column(at))..start + column_offset(line, column(at) + at.length as usize)
}

/// The same for a place in a generated text: what was put in stands before the line's own words, so that bytes are
/// counted from the line's end.
fn generated_bytes(
    document: &Document,
    generated: &Text,
    origins: &[Option<Origin>],
    at: &Location,
) -> Range<usize> {
    let (start, line) = line_of(generated, at);
    let Some(Some((_, origin, _))) = origins.get(generated.line_at(start)) else {
        return 0..0;
    };
    let own = document
        .str()
        .lines()
        .nth(*origin as usize - 1)
        .unwrap_or_default();
    let own_start = own.as_ptr().addr() - document.str().as_ptr().addr();
    let place = |column| {
        // What is left of the line in the generated text, to its `\n`.
        let left = generated.line(generated.line_at(start)).end - (start + column_offset(line, column));
        own_start + own.len().saturating_sub(left)
    };
    place(column(at))..place(column(at) + at.length as usize)
}

/// The line of the language that a place is on, and where it starts.
fn line_of<'t>(text: &'t Text, at: &Location) -> (usize, &'t str) {
    if at.text.is_empty() {
        text.language_line(at.line)
    } else {
        language_line_around(text.as_str(), at.bytes.start)
    }
}

/// The place's column, from 0.
fn column(at: &Location) -> usize {
    at.column.saturating_sub(1) as usize
}
