//! One canonical layout: four blanks a level, one blank around operators and after commas, no tabs, no trailing blanks,
//! no more than one empty line at a time. Comments stay, and so does what a file means: the items of the outcome are
//! compared with those of the original.

mod line;

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Location};
use crate::items::{Item, ItemId};
use crate::lines::{expand_tabs, is_blank};
use crate::parser::{Parsed, parse};

/// Blanks a level.
const STEP: usize = 4;

/// Why a file is not laid out anew.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It makes no sense.
    #[error("understand the file")]
    Broken(Vec<Diagnostic>),
    /// It has line ends that editors do not show.
    #[error("tell its lines apart: line {0} holds a line break other than LF and CRLF")]
    OddBreak(u32),
    /// A tab inside of a line counts for as many blanks as its column asks for, and the file is going to be indented.
    #[error("keep its values: line {0} holds a tab inside of its text; write blanks instead")]
    Tab(u32),
    /// The canonical layout would mean something else.
    #[error("keep its meaning: {0} would be read differently in the canonical layout")]
    Meaning(Location),
}

/// The text of a file in canonical layout.
///
/// A file that begins with `-` is a piece of a variants block, as test providers have them.
///
/// # Errors
/// The file makes no sense, or its layout cannot be changed without changing what it means.
pub fn format(file: &str, text: &[u8]) -> Result<String, FormatError> {
    let source = String::from_utf8_lossy(text);
    if is_piece(&source) {
        let whole = wrapped(&source)?;
        let parsed = parse(file, whole.as_bytes());
        let laid_out = laid_out(&parsed, &whole).map_err(unwrapped)?;
        let piece: String = laid_out.split_inclusive('\n').skip(1).map(outdented).collect();
        // What is compared is what will be read, not what was laid out around it.
        let again = parse(file, wrapped(&piece)?.as_bytes());
        return match different(&parsed, &again) {
            None => Ok(piece),
            Some(item) => Err(unwrapped(FormatError::Meaning(parsed.spans().location(item)))),
        };
    }
    laid_out(&parse(file, text), &source)
}

fn laid_out(parsed: &Parsed, source: &str) -> Result<String, FormatError> {
    if !parsed.diagnostics().is_empty() {
        return Err(FormatError::Broken(parsed.diagnostics().to_vec()));
    }
    let odd = |line: &str| {
        line.trim_end_matches('\r').contains([
            '\r', '\u{b}', '\u{c}', '\u{1c}', '\u{1d}', '\u{1e}', '\u{85}', '\u{2028}', '\u{2029}',
        ])
    };
    if let Some(at) = source.split('\n').position(odd) {
        return Err(FormatError::OddBreak(at as u32 + 1));
    }
    let text = Layout::of(parsed).text(source);
    let again = parse(parsed.spans().file().clone(), text.as_bytes());
    match different(parsed, &again) {
        None => Ok(text),
        Some(item) => Err(FormatError::Meaning(parsed.spans().location(item))),
    }
}

/// The first item that is not the same in both.
fn different(before: &Parsed, after: &Parsed) -> Option<ItemId> {
    let (old, new) = (before.items(), after.items());
    if old == new && after.diagnostics().is_empty() {
        return None;
    }
    let pairs = old.items().iter().zip(new.items());
    let same = pairs.take_while(|(old, new)| old == new).count();
    Some(ItemId(same.min(old.items().len().saturating_sub(1)) as u32))
}

/// Whether the first thing that a file says is a variant.
fn is_piece(source: &str) -> bool {
    let mut lines = source.lines().map(|line| line.trim_end_matches(is_blank));
    let first = lines.find(|line| !line.is_empty() && !is_comment(line));
    first.is_some_and(|line| line.starts_with('-'))
}

fn wrapped(piece: &str) -> Result<String, FormatError> {
    let mut whole = String::from("variants:\n");
    for (number, line) in (1..).zip(piece.lines()) {
        if line.trim().contains('\t') && !is_comment(line.trim()) {
            return Err(FormatError::Tab(number));
        }
        if !line.trim().is_empty() {
            whole.extend(std::iter::repeat_n(' ', STEP));
            whole.push_str(&expand_tabs(line));
        }
        whole.push('\n');
    }
    Ok(whole)
}

/// A line without the blanks of one level. A comment may stand further out: all of it stays.
fn outdented(line: &str) -> &str {
    let blanks = line.bytes().take(STEP).take_while(|byte| *byte == b' ').count();
    &line[blanks..]
}

/// The same error in terms of the piece without what was put around it.
fn unwrapped(error: FormatError) -> FormatError {
    let back = |mut at: Location| {
        at.line = at.line.saturating_sub(1);
        at.column = at.column.saturating_sub(STEP as u32).max(1);
        at.text = at.text.get(STEP..).unwrap_or_default().to_owned();
        at
    };
    match error {
        FormatError::Broken(found) => FormatError::Broken(
            found
                .into_iter()
                .map(|diagnostic| Diagnostic {
                    location: back(diagnostic.location.clone()),
                    ..diagnostic
                })
                .collect(),
        ),
        FormatError::Meaning(at) => FormatError::Meaning(back(at)),
        FormatError::OddBreak(line) => FormatError::OddBreak(line - 1),
        FormatError::Tab(line) => FormatError::Tab(line),
    }
}

fn is_comment(text: &str) -> bool {
    let text = text.trim_start_matches(is_blank);
    text.starts_with('#') || text.starts_with("//")
}

/// What stands on each line, and how deep.
struct Layout {
    items: Arc<crate::items::Items>,
    /// By line, from 1: the depth of the first item on it, and the items.
    lines: Vec<Option<(usize, std::ops::Range<usize>)>>,
}

impl Layout {
    fn of(parsed: &Parsed) -> Self {
        let (items, spans) = (parsed.items(), parsed.spans());
        let mut lines: Vec<Option<(usize, std::ops::Range<usize>)>> = Vec::new();
        let mut ends: Vec<u32> = Vec::new();
        for (index, item) in items.items().iter().enumerate() {
            ends.retain(|end| index < *end as usize);
            let line = spans.line(ItemId(index as u32)) as usize;
            if lines.len() <= line {
                lines.resize(line + 1, None);
            }
            match &mut lines[line] {
                Some((_, range)) => range.end = index + 1,
                slot => *slot = Some((ends.len(), index..index + 1)),
            }
            match item {
                Item::Condition { end, .. } | Item::Variants { end, .. } => ends.push(*end),
                Item::Variant(variant) => ends.push(variant.end),
                _ => {}
            }
        }
        Layout { items, lines }
    }

    /// Whether the last statement of a line is the header of a block.
    fn opens(&self, items: &std::ops::Range<usize>) -> bool {
        let last = self.items.items().get(items.end - 1);
        matches!(
            last,
            Some(Item::Condition { .. } | Item::Variant(_) | Item::Variants { .. })
        )
    }

    fn text(&self, source: &str) -> String {
        let mut out = String::with_capacity(source.len());
        // Comments and empty lines that wait for the line after them.
        let mut waiting: Vec<(usize, String)> = Vec::new();
        let mut last = Line::default();
        for (number, raw) in (1..).zip(source.lines()) {
            let line = expand_tabs(raw.trim_end_matches(is_blank));
            let text = line.trim_start_matches(is_blank);
            let indent = line.chars().count() - text.chars().count();
            match self.lines.get(number).and_then(Option::as_ref) {
                Some((depth, items)) => {
                    let next = Line {
                        indent,
                        depth: *depth,
                        opens: self.opens(items),
                    };
                    release(&mut waiting, last, next, &mut out);
                    let said = line::canonical(&self.items, items.clone(), text);
                    push(&mut out, *depth, &said);
                    last = next;
                }
                None => waiting.push((indent, text.to_owned())),
            }
        }
        release(&mut waiting, last, Line::default(), &mut out);
        while out.ends_with("\n\n") {
            out.pop();
        }
        out
    }
}

/// How deep a line with a statement stood, how deep it stands now, and whether it is the header of a block.
#[derive(Clone, Copy, Default)]
struct Line {
    indent: usize,
    depth: usize,
    opens: bool,
}

/// Writes comments. Those that stood as deep as the line before them stay with it where the next one is further out, and
/// those that stood deeper than a header with nothing else in its block stay in that block. All others go with what
/// follows them.
fn release(waiting: &mut Vec<(usize, String)>, last: Line, next: Line, out: &mut String) {
    for (indent, text) in waiting.drain(..) {
        let inside = last.opens && indent > last.indent && next.indent <= last.indent;
        let beside = indent >= last.indent && next.indent < last.indent && next.depth < last.depth;
        let depth = match (inside, beside) {
            (true, _) => last.depth + 1,
            (false, true) => last.depth,
            (false, false) => next.depth,
        };
        if !text.is_empty() {
            push(out, depth, &text);
        } else if !out.is_empty() && !out.ends_with("\n\n") {
            out.push('\n');
        }
    }
}

fn push(out: &mut String, depth: usize, text: &str) {
    out.extend(std::iter::repeat_n(' ', depth * STEP));
    out.push_str(text);
    out.push('\n');
}

#[cfg(test)]
mod tests;
