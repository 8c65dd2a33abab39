//! Text to items, spans and diagnostics. Pure, for one file, and it never fails: every error of the file is collected.
//!
//! Blocks live on an explicit stack, so nesting costs memory and not stack. `GRAMMAR.md` states the grammar.

mod encoding;
mod header;
mod statement;

pub(crate) use header::UNMATCHED_AT_END;

use std::borrow::Cow;
use std::sync::Arc;

use crate::diagnostic::{Class, Diagnostic};
use crate::items::{Item, ItemId, Items};
use crate::lexer::{Kind, Token};
use crate::lines::{Line, Lines};
use crate::spans::{LineOrigin, Span, Spans};

/// A parsed file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Parsed {
    items: Arc<Items>,
    spans: Arc<Spans>,
    diagnostics: Arc<[Diagnostic]>,
}

impl Parsed {
    /// What the file says.
    pub fn items(&self) -> Arc<Items> {
        self.items.clone()
    }

    /// Where it says it.
    pub fn spans(&self) -> Arc<Spans> {
        self.spans.clone()
    }

    /// What is wrong with it, in textual order.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The diagnostics, shared.
    pub fn shared_diagnostics(&self) -> Arc<[Diagnostic]> {
        self.diagnostics.clone()
    }

    /// The paths of its include statements, as written.
    pub fn includes(&self) -> impl Iterator<Item = (ItemId, &str)> {
        self.items.includes()
    }

    /// The same file without places and diagnostics: equal for texts that differ only in comments and layout.
    #[must_use]
    pub fn unplaced(&self) -> Parsed {
        Parsed {
            items: self.items.clone(),
            spans: Arc::new(Spans::new(self.spans.file().clone(), Arc::default())),
            diagnostics: Arc::default(),
        }
    }

    /// The same file, with places told in terms of the files that it was generated from.
    #[must_use]
    pub fn with_origins(mut self, origins: Vec<LineOrigin>) -> Self {
        let spans = (*self.spans).clone().with_origins(origins);
        let told = |diagnostic: &Diagnostic| Diagnostic {
            location: spans.told(diagnostic.location.clone()),
            ..diagnostic.clone()
        };
        self.diagnostics = self.diagnostics.iter().map(told).collect();
        self.spans = Arc::new(spans);
        self
    }
}

/// Parses one file. `file` is the name that messages use.
pub fn parse(file: impl Into<Arc<str>>, text: &[u8]) -> Parsed {
    let file = file.into();
    match std::str::from_utf8(text) {
        Ok(source) => parse_shared(file, &Arc::new(source.to_owned())),
        Err(_) if text.len() < (u32::MAX / 3) as usize => encoding::parse_bytes(file, text),
        Err(error) => {
            let message = format!(
                "invalid UTF-8 at offset {}, in a very large file",
                error.valid_up_to()
            );
            failed(file, 1, "encoding", message)
        }
    }
}

/// Parses one file without a copy of its text.
pub fn parse_shared(file: impl Into<Arc<str>>, text: &Arc<String>) -> Parsed {
    let file = file.into();
    if text.len() < u32::MAX as usize {
        return parse_text(file, text);
    }
    let message = "a configuration file must be smaller than 4 GiB";
    failed(file, 1, "file-size", message.into())
}

fn failed(file: Arc<str>, line: u32, code: &'static str, message: String) -> Parsed {
    let spans = Spans::new(file, Arc::default());
    let at = spans.locate(Span { line, offset: 0 }, 0, 1);
    let diagnostic = Diagnostic::error(Class::Other, code, message, at);
    Parsed {
        items: Arc::default(),
        spans: Arc::new(spans),
        diagnostics: [diagnostic].into(),
    }
}

/// Parses a text that is known to be UTF-8.
fn parse_text(file: Arc<str>, source: &Arc<String>) -> Parsed {
    let spans = Spans::new(file, source.clone());
    let mut parser = Parser {
        lines: Lines::new(source),
        peeked: None,
        pushed_back: None,
        items: Items::default(),
        spans,
        diagnostics: Vec::new(),
        stack: Vec::new(),
        after_empty_block: false,
    };
    parser.items.text.reserve(source.len() / 2);
    parser.items.items.reserve(source.len() / 64);
    parser.run();
    Parsed {
        items: Arc::new(parser.items),
        spans: Arc::new(parser.spans),
        diagnostics: parser.diagnostics.into(),
    }
}

/// How long a line may be, in bytes: its tokens take some hundred times as much.
pub(crate) const MAX_LINE: usize = 16 << 20;

/// A block that is being read.
enum Frame {
    /// Statements with an indent above `above`. `header` is the item to close at the end.
    Block {
        above: i64,
        header: Option<usize>,
        conditional: bool,
    },
    /// The variants of a block.
    Variants(header::VariantList),
}

/// What asking for the next line of a block gives.
enum Next<'t> {
    Line(Line<'t>),
    EndOfBlock,
}

struct Parser<'t> {
    lines: Lines<'t>,
    peeked: Option<Line<'t>>,
    /// The rest of a condition's header line.
    pushed_back: Option<Line<'t>>,
    items: Items,
    spans: Spans,
    diagnostics: Vec<Diagnostic>,
    stack: Vec<Frame>,
    /// A `variants` block without variants came last, and no other block was opened since.
    after_empty_block: bool,
}

impl<'t> Parser<'t> {
    fn run(&mut self) {
        self.stack.push(Frame::Block {
            above: -1,
            header: None,
            conditional: false,
        });
        while let Some(frame) = self.stack.last() {
            match frame {
                &Frame::Block {
                    above,
                    header,
                    conditional,
                } => match self.next_line(above) {
                    Next::Line(line) => self.statement(&line, conditional),
                    Next::EndOfBlock => {
                        if let Some(header) = header {
                            self.close(header);
                        }
                        self.stack.pop();
                    }
                },
                Frame::Variants(_) => self.variant(),
            }
        }
    }

    fn peek(&mut self) -> Option<&Line<'t>> {
        while self.peeked.is_none() {
            let line = self.lines.next()?;
            if line.text.len() > MAX_LINE {
                let message = format!("a line of {} MiB", line.text.len() >> 20);
                let help = format!("a line may have at most {} MiB", MAX_LINE >> 20);
                self.report(&line, (0, 0), Class::Other, "line-length", message)
                    .help = Some(help);
            } else {
                self.peeked = Some(line);
            }
        }
        self.peeked.as_ref()
    }

    /// Begins to read a block.
    fn open(&mut self, block: Frame) {
        self.after_empty_block = false;
        self.stack.push(block);
    }

    /// The next line if it stands deeper than `above`, or one that was pushed back.
    fn next_line(&mut self, above: i64) -> Next<'t> {
        if let Some(line) = self.pushed_back.take() {
            return Next::Line(line);
        }
        match self.peek() {
            Some(line) if i64::from(line.indent) > above => match self.peeked.take() {
                Some(line) => Next::Line(line),
                None => Next::EndOfBlock,
            },
            _ => Next::EndOfBlock,
        }
    }

    /// Passes over the lines of a block whose header was wrong.
    fn skip_block(&mut self, above: i64) {
        self.pushed_back = None;
        while let Next::Line(_) = self.next_line(above) {}
    }

    /// Adds an item that stands at `line`; its index.
    fn push(&mut self, item: Item, line: &Line<'_>) -> usize {
        self.items.items.push(item);
        self.spans.push(Span {
            line: line.number,
            offset: line.offset,
        });
        self.items.items.len() - 1
    }

    /// Ends the block of `header` here.
    fn close(&mut self, header: usize) {
        let here = self.items.items.len() as u32;
        match &mut self.items.items[header] {
            Item::Condition { end, .. } | Item::Variants { end, .. } => *end = here,
            Item::Variant(variant) => variant.end = here,
            _ => {}
        }
    }

    /// A diagnostic at bytes `start..end` of `line`.
    fn report(
        &mut self,
        line: &Line<'_>,
        (start, end): (usize, usize),
        class: Class,
        code: &'static str,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let column = line.text[..start].chars().count() as u32;
        let length = line.text[start..end.max(start)].chars().count() as u32;
        let span = Span {
            line: line.number,
            offset: line.offset,
        };
        let at = self.spans.locate(span, column, length);
        self.diagnostics.push(Diagnostic::error(class, code, message, at));
        self.diagnostics.last_mut().expect("one was just pushed")
    }

    /// Reports the scanner's own error, if the tokens end with one.
    fn lexical_error(&mut self, line: &Line<'_>, tokens: &[Token]) -> bool {
        let Some(last) = tokens.last() else { return false };
        match last.kind {
            Kind::Unexpected(c) => {
                let message = format!("unexpected character `{}`", c.escape_debug());
                self.report(
                    line,
                    (last.start, last.end),
                    Class::Lexer,
                    "unexpected-character",
                    message,
                )
                .help =
                    Some("special characters are allowed only in the key or value of an assignment".into());
                true
            }
            Kind::Unterminated => {
                self.report(
                    line,
                    (last.start, last.end),
                    Class::Other,
                    "unterminated-quote",
                    "unterminated `\"`",
                );
                true
            }
            _ => false,
        }
    }

    fn rest_of<'l>(line: &'l Line<'t>, from: usize) -> Cow<'t, str>
    where
        't: 'l,
    {
        match &line.text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[from..]),
            Cow::Owned(text) => Cow::Owned(text[from..].to_owned()),
        }
    }
}
