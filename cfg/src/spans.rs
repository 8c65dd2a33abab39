//! Where each item of a file stands; kept beside the items so that they stay free of positions.

use std::sync::Arc;

use crate::diagnostic::Location;
use crate::items::ItemId;
use crate::lines::{expand_tabs, is_blank};
use crate::parser::MAX_LINE;

/// The place of one statement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    /// Physical line, from 1.
    pub(crate) line: u32,
    /// Offset of the statement's first byte.
    pub(crate) offset: u32,
}

/// A stretch of a generated file that came from another file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LineOrigin {
    /// The first generated line of the stretch, from 1.
    pub first: u32,
    /// The file it came from.
    pub file: Arc<str>,
    /// The line there that `first` came from.
    pub line: u32,
    /// How many blanks were put before each line of the stretch.
    pub indent: u32,
}

/// The places of all items of one file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Spans {
    file: Arc<str>,
    source: Arc<String>,
    spans: Vec<Span>,
    origins: Vec<LineOrigin>,
}

impl Spans {
    pub(crate) fn new(file: Arc<str>, source: Arc<String>) -> Self {
        Spans {
            file,
            source,
            spans: Vec::new(),
            origins: Vec::new(),
        }
    }

    pub(crate) fn push(&mut self, span: Span) {
        self.spans.push(span);
    }

    /// The file's name.
    pub fn file(&self) -> &Arc<str> {
        &self.file
    }

    /// The same places, told in terms of the files that this one was generated from.
    ///
    /// `origins` must be sorted by their first line; lines before the first stretch keep their own place.
    pub fn with_origins(mut self, origins: Vec<LineOrigin>) -> Self {
        self.origins = origins;
        self
    }

    /// File and line of an item, seen through the origins of a generated file.
    pub fn position(&self, item: ItemId) -> (Arc<str>, u32) {
        self.map(self.line(item))
    }

    /// The physical line of an item in this very file.
    pub fn line(&self, item: ItemId) -> u32 {
        self.spans.get(item.index()).map_or(0, |span| span.line)
    }

    /// The text of the file.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The place of one character, whatever the line holds.
    pub(crate) fn line_location(&self, line: u32, column: u32) -> Location {
        let text = self.source.lines().nth(line.saturating_sub(1) as usize);
        let text = text.unwrap_or(&self.source[self.source.len()..]);
        let start = text.as_ptr().addr() - self.source.as_ptr().addr();
        self.told(Location {
            file: self.file.clone(),
            line,
            column,
            length: 1,
            bytes: start..start + text.len(),
            text: expand_tabs(text).into_owned(),
        })
    }

    /// The whole place of an item.
    pub fn location(&self, item: ItemId) -> Location {
        let span = self
            .spans
            .get(item.index())
            .copied()
            .unwrap_or(Span { line: 0, offset: 0 });
        let text = line_at(&self.source, span.offset as usize);
        let length = text.trim_start_matches(is_blank).chars().count() as u32;
        self.locate(span, 0, length)
    }

    /// The place `column` characters into the statement at `span`.
    pub(crate) fn locate(&self, span: Span, column: u32, length: u32) -> Location {
        let start = span.offset as usize;
        let text = line_at(&self.source, start);
        let indent = expand_tabs(&self.source[line_start(&self.source, start)..start])
            .chars()
            .count() as u32;
        let end = start
            + self.source[start..]
                .find('\n')
                .unwrap_or(self.source.len() - start);
        self.told(Location {
            file: self.file.clone(),
            line: span.line,
            column: indent + column + 1,
            length: length.max(1),
            bytes: start..end,
            text,
        })
    }

    /// A place in this very file, told in terms of the file that its line came from.
    pub(crate) fn told(&self, mut place: Location) -> Location {
        let Some(origin) = self.origin(place.line) else {
            return place;
        };
        let blanks = place
            .text
            .chars()
            .take(origin.indent as usize)
            .take_while(|c| *c == ' ')
            .count();
        place.text.drain(..blanks);
        place.column = place.column.saturating_sub(origin.indent).max(1);
        place.line = origin.line + (place.line - origin.first);
        place.file = origin.file.clone();
        place
    }

    fn origin(&self, line: u32) -> Option<&LineOrigin> {
        let index = self.origins.partition_point(|origin| origin.first <= line);
        Some(&self.origins[index.checked_sub(1)?])
    }

    fn map(&self, line: u32) -> (Arc<str>, u32) {
        match self.origin(line) {
            Some(origin) => (origin.file.clone(), origin.line + (line - origin.first)),
            None => (self.file.clone(), line),
        }
    }
}

/// The line around `offset`, tabs expanded and trailing blanks gone.
fn line_at(source: &str, offset: usize) -> String {
    let start = line_start(source, offset);
    let end = source[offset..]
        .find(is_break)
        .map_or(source.len(), |at| offset + at);
    let most = end.min(start + MAX_LINE);
    let end = (start..=most)
        .rev()
        .find(|at| source.is_char_boundary(*at))
        .unwrap_or(start);
    expand_tabs(source[start..end].trim_end_matches(is_blank)).into_owned()
}

fn is_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

fn line_start(source: &str, offset: usize) -> usize {
    let at = source[..offset].rfind(is_break);
    at.map_or(0, |at| at + source[at..].chars().next().map_or(1, char::len_utf8))
}
