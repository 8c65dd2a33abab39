//! Cuts a text into the lines that the parser sees: trailing blanks gone, tabs expanded, comments and blank lines dropped.

use std::borrow::Cow;

use memchr::memchr;

/// One significant line.
#[derive(Clone, Debug)]
pub(crate) struct Line<'t> {
    /// The text without indentation and trailing blanks, tabs expanded.
    pub(crate) text: Cow<'t, str>,
    /// Leading white-space characters after tab expansion.
    pub(crate) indent: u32,
    /// Physical line number, counted from 1.
    pub(crate) number: u32,
    /// Offset of the text's first byte in the source.
    pub(crate) offset: u32,
}

/// White space as the language counts it: Unicode's, and the four ASCII separators.
pub(crate) fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// The reader: hands out significant lines in order.
pub(crate) struct Lines<'t> {
    source: &'t str,
    /// Start of what has not been cut yet.
    at: usize,
    number: u32,
    /// The first byte from `at` on that is neither plain printable ASCII nor `\n`.
    next_odd: usize,
    /// End of the `\n`-terminated stretch being cut at rarer line breaks, if `at` stands within one.
    odd_until: usize,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(source: &'t str) -> Self {
        Lines {
            source,
            at: 0,
            number: 0,
            next_odd: odd_byte(source.as_bytes(), 0),
            odd_until: 0,
        }
    }

    /// The next significant line.
    pub(crate) fn next(&mut self) -> Option<Line<'t>> {
        loop {
            if self.at >= self.source.len() {
                return None;
            }
            self.number += 1;
            let start = self.at;
            let odd = start < self.odd_until;
            let line = if odd { self.cut_odd() } else { self.cut() };
            if let Some(line) = line {
                return Some(line);
            }
        }
    }

    /// Cuts at the next `\n`; lines of plain printable ASCII take the short way.
    fn cut(&mut self) -> Option<Line<'t>> {
        let start = self.at;
        let rest = &self.source.as_bytes()[start..];
        let length = memchr(b'\n', rest).unwrap_or(rest.len());
        let line = &rest[..length];
        if self.next_odd < start {
            self.next_odd = odd_byte(self.source.as_bytes(), start);
        }
        if self.next_odd < start + length {
            self.odd_until = (start + length + 1).min(self.source.len());
            return self.cut_odd();
        }
        self.at = start + length + 1;
        let indent = line.iter().position(|&b| b != b' ')?;
        let end = line.iter().rposition(|&b| b != b' ')? + 1;
        let text = &self.source[start + indent..start + end];
        if is_comment(text) {
            return None;
        }
        Some(Line {
            text: Cow::Borrowed(text),
            indent: indent as u32,
            number: self.number,
            offset: (start + indent) as u32,
        })
    }

    /// Cuts at the next line break of any kind, within the current `\n`-terminated stretch.
    fn cut_odd(&mut self) -> Option<Line<'t>> {
        let start = self.at;
        let rest = &self.source[start..self.odd_until];
        let (length, skip) = line_break(rest);
        self.at = start + length + skip;
        let raw = rest[..length].trim_end_matches(is_blank);
        let text = expand_tabs(raw);
        let stripped = text.trim_start_matches(is_blank);
        if stripped.is_empty() || is_comment(stripped) {
            return None;
        }
        let indent = text[..text.len() - stripped.len()].chars().count() as u32;
        let offset = start + (raw.len() - raw.trim_start_matches(is_blank).len());
        let text = match &text {
            Cow::Borrowed(text) => Cow::Borrowed(text.trim_start_matches(is_blank)),
            Cow::Owned(_) => Cow::Owned(stripped.to_owned()),
        };
        Some(Line {
            text,
            indent,
            number: self.number,
            offset: offset as u32,
        })
    }
}

/// The first byte from `from` on that is neither plain printable ASCII nor `\n`.
fn odd_byte(bytes: &[u8], from: usize) -> usize {
    let odd = |b: &u8| !(0x20..0x7f).contains(b) && *b != b'\n';
    let mut start = from;
    // Whole blocks are looked at without a branch for each byte.
    for block in bytes[from..].chunks(256) {
        if block.iter().fold(false, |found, b| found | odd(b)) {
            return start + block.iter().position(odd).unwrap_or(block.len());
        }
        start += block.len();
    }
    bytes.len()
}

fn is_comment(text: &str) -> bool {
    text.starts_with('#') || text.starts_with("//")
}

/// Length of the text before the first line break, and the length of the break itself.
fn line_break(text: &str) -> (usize, usize) {
    for (at, c) in text.char_indices() {
        match c {
            '\r' if text[at + 1..].starts_with('\n') => return (at, 2),
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                return (at, c.len_utf8());
            }
            _ => {}
        }
    }
    (text.len(), 0)
}

/// Expands tabs to stops of eight columns over the whole line.
#[must_use]
pub fn expand_tabs(line: &str) -> Cow<'_, str> {
    if memchr(b'\t', line.as_bytes()).is_none() {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len() + 16);
    let mut column = 0;
    for c in line.chars() {
        if c == '\t' {
            let width = 8 - column % 8;
            out.extend(std::iter::repeat_n(' ', width));
            column += width;
        } else {
            out.push(c);
            column += 1;
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<(u32, u32, String)> {
        let mut lines = Lines::new(text);
        std::iter::from_fn(|| lines.next())
            .map(|l| (l.number, l.indent, l.text.into_owned()))
            .collect()
    }

    #[test]
    fn every_line_break_counts() {
        let text = "a\r\nb\rc\u{b}d\u{c}e\u{1c}f\u{85}g\u{2028}h\n\n  i  ";
        let got: Vec<_> = all(text).into_iter().map(|(n, _, t)| format!("{n}{t}")).collect();
        assert_eq!(got, ["1a", "2b", "3c", "4d", "5e", "6f", "7g", "8h", "10i"]);
    }

    #[test]
    fn tabs_expand_by_column_and_indent_counts_characters() {
        assert_eq!(all("\tx = a\tb"), [(1, 8, "x = a   b".into())]);
        assert_eq!(all("\u{a0}x"), [(1, 1, "x".into())]);
    }

    #[test]
    fn odd_bytes_are_found_wherever_they_are() {
        let mut bytes = vec![b'x'; 1000];
        assert_eq!(odd_byte(&bytes, 0), 1000);
        for at in [0, 1, 255, 256, 700, 999] {
            bytes[at] = b'\t';
            assert_eq!((odd_byte(&bytes, 0), odd_byte(&bytes, at)), (at, at));
            assert_ne!(odd_byte(&bytes, at + 1), at);
            bytes[at] = b'\n';
        }
    }

    #[test]
    fn comments_and_blanks_vanish() {
        assert_eq!(all("# a\n  // b\n\n   \nx # c"), [(5, 0, "x # c".into())]);
    }
}
