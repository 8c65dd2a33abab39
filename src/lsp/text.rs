//! A text with the protocol's positions: lines end at `\n`, `\r\n` or `\r`, and columns count UTF-16 code units.
//!
//! The language has more line breaks and counts columns after tab expansion; [`language_line_around`] and
//! [`column_offset`] map those back.

use std::ops::Range;

use lsp_types::{Position, Range as Span};

/// Columns between tab stops.
const TAB: usize = 8;

/// A text and where its lines start.
#[derive(Clone, Debug, Default)]
pub struct Text {
    text: String,
    starts: Vec<usize>,
}

impl Text {
    /// A text under the protocol's eyes.
    pub fn new(text: String) -> Self {
        let starts = line_starts(&text);
        Self { text, starts }
    }

    /// All of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The line that holds `offset`, counted from 0.
    pub fn line_at(&self, offset: usize) -> usize {
        self.starts.partition_point(|&start| start <= offset) - 1
    }

    /// The bytes of a line, its break left out; the empty end of the text for a line that is not there.
    pub fn line(&self, line: usize) -> Range<usize> {
        let end = self.text.len();
        let Some(&start) = self.starts.get(line) else {
            return end..end;
        };
        let until = self.starts.get(line + 1).copied().unwrap_or(end);
        start..start + self.text[start..until].trim_end_matches(['\n', '\r']).len()
    }

    /// The byte at a position. A column past its line's end means the end; one inside a character means its start.
    pub fn offset(&self, position: Position) -> usize {
        let line = self.line(position.line as usize);
        let mut units = 0;
        for (at, c) in self.text[line.clone()].char_indices() {
            units += c.len_utf16() as u32;
            if units > position.character {
                return line.start + at;
            }
        }
        line.end
    }

    /// The position of a byte.
    pub fn position(&self, offset: usize) -> Position {
        let offset = boundary(&self.text, offset);
        let line = self.line_at(offset);
        let before = &self.text[self.starts[line]..offset];
        let character = before.chars().map(|c| c.len_utf16() as u32).sum();
        Position::new(line as u32, character)
    }

    /// The positions of a stretch of bytes.
    pub fn span(&self, range: &Range<usize>) -> Span {
        Span::new(self.position(range.start), self.position(range.end))
    }

    /// Replaces the text, or a part of it.
    pub fn change(&mut self, part: Option<Span>, new: &str) {
        let whole = 0..self.text.len();
        let range = part.map_or(whole, |span| {
            let start = self.offset(span.start);
            start..self.offset(span.end).max(start)
        });
        self.text.replace_range(range, new);
        self.starts = line_starts(&self.text);
    }

    /// A line of the language (from 1) without its break, and where it starts.
    pub fn language_line(&self, line: u32) -> (usize, &str) {
        let index = (line as usize).saturating_sub(1);
        let found = language_lines(&self.text).nth(index);
        found.unwrap_or((self.text.len(), ""))
    }
}

/// The start of the character that holds a byte.
fn boundary(text: &str, offset: usize) -> usize {
    let mut up_to = (0..=offset.min(text.len())).rev();
    up_to.find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

fn line_starts(text: &str) -> Vec<usize> {
    let bytes = text.as_bytes();
    let ends = bytes.iter().enumerate().filter(|&(at, &byte)| match byte {
        b'\n' => true,
        b'\r' => bytes.get(at + 1) != Some(&b'\n'),
        _ => false,
    });
    std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect()
}

/// Whether the language ends a line here.
fn is_break(c: char) -> bool {
    matches!(
        c,
        '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
    )
}

/// The lines of the language without their breaks, each with its offset.
pub fn language_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut next = Some(0);
    std::iter::from_fn(move || {
        let start = next?;
        let rest = &text[start..];
        let Some(length) = rest.find(is_break) else {
            next = None;
            return Some((start, rest));
        };
        let after = &rest[length..];
        let width = match after.strip_prefix("\r\n") {
            Some(_) => 2,
            None => after.chars().next().map_or(0, char::len_utf8),
        };
        next = Some(start + length + width);
        Some((start, &rest[..length]))
    })
}

/// The line of the language that holds a byte, without its break, and where it starts.
pub fn language_line_around(text: &str, offset: usize) -> (usize, &str) {
    let offset = boundary(text, offset);
    let before = &text[..offset];
    let start = before
        .rfind(is_break)
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    let end = text[offset..].find(is_break).map_or(text.len(), |at| offset + at);
    (start, &text[start..end])
}

/// The byte of `line` at `column`, counted from 0 with tabs expanded.
pub fn column_offset(line: &str, column: usize) -> usize {
    let mut reached = 0;
    for (at, c) in line.char_indices() {
        reached += if c == '\t' { TAB - reached % TAB } else { 1 };
        if reached > column {
            return at;
        }
    }
    line.len()
}

/// The column after `blanks`, from 0 with tabs expanded.
pub fn width(blanks: &str) -> usize {
    blanks.chars().fold(0, |reached, c| {
        reached + if c == '\t' { TAB - reached % TAB } else { 1 }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_utf16_units_and_offsets_are_bytes() {
        let text = Text::new("a\r\nÄ𝄞x\rlast".into());
        assert_eq!(
            text.position(text.as_str().find('x').unwrap()),
            Position::new(1, 3)
        );
        assert_eq!(text.offset(Position::new(1, 3)), text.as_str().find('x').unwrap());
        assert_eq!(
            text.offset(Position::new(1, 2)),
            5,
            "inside a pair: the start of the character"
        );
        assert_eq!(
            text.offset(Position::new(1, 99)),
            10,
            "past the end of the line: its end"
        );
        assert_eq!(text.offset(Position::new(9, 0)), text.as_str().len());
        assert_eq!(text.position(11), Position::new(2, 0));
    }

    #[test]
    fn changes_are_cut_out_by_position() {
        let mut text = Text::new("one\n𝄞two\nthree\n".into());
        text.change(Some(Span::new(Position::new(1, 2), Position::new(2, 1))), "-");
        assert_eq!(text.as_str(), "one\n𝄞-hree\n");
        text.change(Some(Span::new(Position::new(1, 2), Position::new(0, 0))), "+");
        assert_eq!(
            text.as_str(),
            "one\n𝄞+-hree\n",
            "a range that ends before it starts is empty"
        );
        text.change(None, "new");
        assert_eq!(text.as_str(), "new");
        assert_eq!(text.line(0), 0..3);
    }

    #[test]
    fn the_language_s_columns_are_mapped_back_through_tabs() {
        let text = Text::new("x\u{c}\tö\tkey = v\nend".into());
        // The second line of the language, after the form feed, though it is the protocol's first.
        let (start, line) = text.language_line(2);
        assert_eq!(language_line_around(text.as_str(), start + 4), (start, line));
        let at = start + column_offset(line, 16);
        assert_eq!(&text.as_str()[at..at + 3], "key");
        assert_eq!(text.position(at), Position::new(0, 5));
        assert_eq!(column_offset(line, 99), line.len());
        assert_eq!(text.language_line(3).1, "end");
        assert_eq!(width("  \t x"), 10);
    }
}
