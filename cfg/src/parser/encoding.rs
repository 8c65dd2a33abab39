//! Bytes that are no UTF-8: each bad line is told, and the rest of the file is read all the same.

use std::sync::Arc;

use super::{Parsed, parse_text};
use crate::diagnostic::{Class, Diagnostic};
use crate::spans::Span;

/// How many bad lines are told. A file with more of them is no text, and nothing else is told of it.
const MOST: usize = 20;

/// Parses a text that is no UTF-8, with U+FFFD for what is none, and puts its errors in front.
pub(super) fn parse_bytes(file: Arc<str>, bytes: &[u8]) -> Parsed {
    let text = Arc::new(String::from_utf8_lossy(bytes).into_owned());
    let mut parsed = parse_text(file, &text);
    let mut errors: Vec<Diagnostic> = Vec::new();
    let (mut line, mut offset, mut byte) = (1, 0, 0);
    for chunk in bytes.utf8_chunks() {
        line += chunk.valid().bytes().filter(|&b| b == b'\n').count() as u32;
        offset += chunk.valid().len();
        byte += chunk.valid().len();
        let Some(first) = chunk.invalid().first() else {
            break;
        };
        if errors.last().is_none_or(|last| last.location.line != line) {
            let span = Span {
                line,
                offset: offset as u32,
            };
            let message = format!("invalid UTF-8: byte {first:#04x} at offset {byte}");
            let at = parsed.spans.locate(span, 0, 1);
            let error = Diagnostic::error(Class::Other, "encoding", message, at);
            errors.push(error.with_help("save the file as UTF-8"));
        }
        if errors.len() > MOST {
            errors.truncate(MOST);
            errors[0].notes.push(format!(
                "there are more than {MOST} such lines: this may be no text at all"
            ));
            parsed.diagnostics = errors.into();
            return parsed;
        }
        offset += char::REPLACEMENT_CHARACTER.len_utf8();
        byte += chunk.invalid().len();
    }
    errors.extend(parsed.diagnostics.iter().cloned());
    errors.sort_by_key(|error| error.location.line);
    parsed.diagnostics = errors.into();
    parsed
}
