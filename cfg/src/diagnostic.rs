//! What is told to a person about a mistake in a configuration.

use std::fmt;
use std::sync::Arc;

use camino::Utf8PathBuf;

/// How bad it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can be used, but probably does not mean what its author thinks.
    Warning,
}

/// The kind of an error, as other implementations of the language tell them apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// A statement that the grammar does not allow.
    Parser,
    /// A character that no token can start with.
    Lexer,
    /// An include that is absent or not a regular file.
    MissingInclude,
    /// Anything else; other implementations fail here in ways of their own.
    Other,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Parser => "ParserError",
            Class::Lexer => "LexerError",
            Class::MissingInclude => "MissingIncludeError",
            Class::Other => "Error",
        })
    }
}

/// A place in a source file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Location {
    /// The file, as it was named when it was read.
    pub file: Arc<str>,
    /// The line, counted from 1; 0 when the place has no line.
    pub line: u32,
    /// The column in characters, counted from 1, after tabs were expanded to stops of 8.
    pub column: u32,
    /// How many characters are meant; at least 1.
    pub length: u32,
    /// Bytes of the file that hold the statement.
    pub bytes: std::ops::Range<usize>,
    /// The text of the line, tabs expanded.
    pub text: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// One error or warning.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The kind of error.
    pub class: Class,
    /// A short stable name for this very message, e.g. `filter-syntax`.
    pub code: &'static str,
    /// What is wrong, as a lower-case fragment.
    pub message: String,
    /// Where.
    pub location: Location,
    /// What to do about it.
    pub help: Option<String>,
    /// More facts, one each.
    pub notes: Vec<String>,
    /// The include statements that led to the file, innermost first.
    pub included_from: Vec<(Arc<str>, u32)>,
    /// The file that an include looked for where there is none. Who sees the folder can say what is there instead.
    pub missing: Option<Utf8PathBuf>,
}

impl Diagnostic {
    pub(crate) fn error(class: Class, code: &'static str, message: impl Into<String>, at: Location) -> Self {
        Diagnostic {
            severity: Severity::Error,
            class,
            code,
            message: message.into(),
            location: at,
            help: None,
            notes: Vec::new(),
            included_from: Vec::new(),
            missing: None,
        }
    }

    pub(crate) fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// A line for each include that led to the file, innermost first; of many the middle is left out. `shown` is how a
    /// file is called.
    pub fn how_included(&self, shown: impl Fn(&str) -> String) -> Vec<String> {
        let chain = &self.included_from;
        let line = |(file, line): &(Arc<str>, u32)| format!("included from {}:{line}", shown(file));
        if chain.len() <= INCLUDES {
            return chain.iter().map(line).collect();
        }
        let mut lines: Vec<String> = chain[..INCLUDES - 1].iter().map(line).collect();
        lines.push(format!("… {} more", chain.len() - INCLUDES));
        lines.extend(chain.last().map(line));
        lines
    }
}

impl fmt::Display for Diagnostic {
    /// The whole report on several lines: position, message, the source line with a caret, help, notes, include chain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.location;
        let word = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        if at.line == 0 {
            write!(f, "{}: {word}: {}", at.file, self.message)?;
        } else {
            write!(
                f,
                "{}:{}:{}: {word}: {}",
                at.file, at.line, at.column, self.message
            )?;
        }
        if !at.text.is_empty() {
            let (shown, before) = excerpt(&at.text, at.column.max(1) as usize - 1);
            let room = shown.chars().count().saturating_sub(before).max(1);
            let carets = "^".repeat((at.length.max(1) as usize).min(room));
            write!(f, "\n    {shown}\n    {:before$}{carets}", "")?;
        }
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        for note in &self.notes {
            write!(f, "\n  note: {note}")?;
        }
        for line in self.how_included(str::to_owned) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// How much of a line is shown, in characters, and how much of it at least in front of the mark.
const WIDTH: usize = 200;
const LEAD: usize = 60;
/// How many of the includes that led to a file are shown.
const INCLUDES: usize = 12;

/// What is shown of a line with a mark under column `column`, counted from 0, and where the mark stands there. What a
/// terminal would obey is shown as a picture of it.
fn excerpt(line: &str, column: usize) -> (String, usize) {
    let length = line.chars().count();
    let start = if length <= WIDTH {
        0
    } else {
        column.saturating_sub(LEAD)
    };
    let mut shown: String = line.chars().skip(start).take(WIDTH).map(picture).collect();
    let mut before = column - start;
    if start > 0 {
        shown.insert_str(0, "… ");
        before += 2;
    }
    if start + WIDTH < length {
        shown.push_str(" …");
    }
    (shown, before)
}

fn picture(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + c as u32).unwrap_or(char::REPLACEMENT_CHARACTER),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            char::REPLACEMENT_CHARACTER
        }
        c => c,
    }
}

impl std::error::Error for Diagnostic {}
