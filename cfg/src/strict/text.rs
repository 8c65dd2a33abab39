//! What is odd about a file as a whole.

use crate::diagnostic::{Class, Diagnostic};
use crate::graph::LinkedFile;
use crate::spans::Span;

/// The byte order mark, which is no blank and so begins the first statement.
const MARK: char = '\u{feff}';

pub(super) fn check(file: &LinkedFile, found: &mut Vec<Diagnostic>) {
    let source = file.spans().source();
    if source.starts_with(MARK) {
        let at = file.spans().locate(Span { line: 1, offset: 0 }, 0, 1);
        let message = "a byte order mark starts the file, and is read as part of its first statement";
        let error = Diagnostic::error(Class::Other, "byte-order-mark", message, at);
        found.push(error.with_help("save the file as UTF-8 without a byte order mark"));
    }
    let is_odd = |c: char| {
        matches!(
            c,
            '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    if source.is_ascii() && !source.bytes().any(|b| is_odd(char::from(b))) {
        return;
    }
    let mut line = 1;
    for (offset, c) in source.char_indices() {
        if c == '\n' || (c == '\r' && !source[offset + 1..].starts_with('\n')) {
            line += 1;
        } else if is_odd(c) {
            let span = Span {
                line,
                offset: offset as u32,
            };
            let message = format!("the character U+{:04X} ends a line here", c as u32);
            let at = file.spans().locate(span, 0, 1);
            let error = Diagnostic::error(Class::Other, "line-break", message, at);
            found.push(error.with_help("remove it, or put a line break in its place"));
            line += 1;
        }
    }
}
