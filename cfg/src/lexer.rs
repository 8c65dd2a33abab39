//! Tokens of one line: the keyword it starts with, the assignment fast path, and the character scanner for the rest.

use memchr::memchr2;
use smol_str::SmolStr;

use crate::lines::is_blank;

/// An assignment operator.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operator {
    /// `=`: set.
    Set,
    /// `+=`: append.
    Append,
    /// `<=`: prepend.
    Prepend,
    /// `~=`: set only if the key is absent.
    Default,
    /// `?=`: set every existing key that the key text matches as a regular expression.
    SetMatching,
    /// `?+=`: append to every matching key.
    AppendMatching,
    /// `?<=`: prepend to every matching key.
    PrependMatching,
}

impl Operator {
    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Set => "=",
            Operator::Append => "+=",
            Operator::Prepend => "<=",
            Operator::Default => "~=",
            Operator::SetMatching => "?=",
            Operator::AppendMatching => "?+=",
            Operator::PrependMatching => "?<=",
        }
    }

    fn from_prefix(prefix: &str) -> Option<Self> {
        Some(match prefix {
            "" => Operator::Set,
            "+" => Operator::Append,
            "<" => Operator::Prepend,
            "~" => Operator::Default,
            "?" => Operator::SetMatching,
            "?+" => Operator::AppendMatching,
            "?<" => Operator::PrependMatching,
            _ => return None,
        })
    }
}

/// The keyword a line starts with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keyword {
    Variants,
    Dash,
    Only,
    No,
    Include,
    Del,
    Suffix,
    Join,
}

/// Splits a leading keyword off `line`: the keyword and the byte offset of what follows it.
pub(crate) fn keyword(line: &str) -> Option<(Keyword, usize)> {
    let bytes = line.as_bytes();
    let found = |word: &str, keyword| {
        let spaced = bytes.len() > word.len() && bytes[word.len()] == b' ' && line.starts_with(word);
        spaced.then_some((keyword, word.len() + 1))
    };
    match bytes.first()? {
        b'-' => Some((Keyword::Dash, 1)),
        b'o' => found("only", Keyword::Only),
        b'n' => found("no", Keyword::No),
        b'i' => found("include", Keyword::Include),
        b'd' => found("del", Keyword::Del),
        b's' => found("suffix", Keyword::Suffix),
        b'j' => found("join", Keyword::Join),
        b'v' if line.starts_with("variants:") => Some((Keyword::Variants, 8)),
        b'v' => found("variants", Keyword::Variants),
        _ => None,
    }
}

/// An assignment found by the fast path, as byte ranges of the line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Assignment {
    pub(crate) operator: Operator,
    pub(crate) key_end: usize,
    pub(crate) value_start: usize,
}

/// Reads `line` as an assignment, if it is one: an operator stands before the first colon, and not right before it.
pub(crate) fn assignment(line: &str) -> Option<Assignment> {
    let bytes = line.as_bytes();
    let equals = memchr2(b'=', b':', bytes)?;
    if bytes[equals] == b':' || bytes.get(equals + 1) == Some(&b':') {
        return None;
    }
    let before = |back: usize| equals.checked_sub(back).map(|at| bytes[at]);
    let (operator, width) = match (before(2), before(1)) {
        (Some(b'?'), Some(b'+')) => (Operator::AppendMatching, 2),
        (Some(b'?'), Some(b'<')) => (Operator::PrependMatching, 2),
        (_, Some(b'+')) => (Operator::Append, 1),
        (_, Some(b'<')) => (Operator::Prepend, 1),
        (_, Some(b'~')) => (Operator::Default, 1),
        (_, Some(b'?')) => (Operator::SetMatching, 1),
        _ => (Operator::Set, 0),
    };
    let key_end = trimmed_end(line, equals - width);
    let value_start = skip_blanks(line, equals + 1);
    Some(Assignment {
        operator,
        key_end,
        value_start,
    })
}

/// Where `line[..end]` ends without trailing blanks.
fn trimmed_end(line: &str, end: usize) -> usize {
    let spaces = line.as_bytes()[..end]
        .iter()
        .rev()
        .take_while(|&&b| b == b' ')
        .count();
    match line.as_bytes()[..end - spaces].last() {
        Some(b'!'..=b'~') | None => end - spaces,
        _ => line[..end - spaces].trim_end_matches(is_blank).len(),
    }
}

/// The first byte from `start` on that is no blank.
pub(crate) fn skip_blanks(line: &str, start: usize) -> usize {
    let spaces = line.as_bytes()[start..]
        .iter()
        .take_while(|&&b| b == b' ')
        .count();
    match line.as_bytes().get(start + spaces) {
        Some(b'!'..=b'~') | None => start + spaces,
        _ => line.len() - line[start + spaces..].trim_start_matches(is_blank).len(),
    }
}

/// Takes one pair of equal quotes off a value.
pub(crate) fn unquote(value: &str) -> &str {
    match value.as_bytes() {
        [quote @ (b'"' | b'\''), .., last] if quote == last => &value[1..value.len() - 1],
        [b'"' | b'\''] => "",
        _ => value,
    }
}

/// What a scanned token is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Word(SmolStr),
    Blank,
    Text(SmolStr),
    Operator(Operator),
    Dot,
    Colon,
    At,
    Comma,
    OpenSquare,
    CloseSquare,
    Open,
    Close,
    Bang,
    End,
    /// A character that starts no token; nothing follows it.
    Unexpected(char),
    /// A `"` without its partner; nothing follows it.
    Unterminated,
}

impl Kind {
    /// The token as a message names it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Kind::Word(word) => format!("`{word}`"),
            Kind::Blank => "a blank".into(),
            Kind::Text(_) => "a quoted string".into(),
            Kind::Operator(operator) => format!("`{}`", operator.as_str()),
            Kind::End => "the end of the line".into(),
            Kind::Unexpected(c) => format!("`{}`", c.escape_debug()),
            Kind::Unterminated => "an unterminated quote".into(),
            other => format!("`{}`", other.mark()),
        }
    }

    /// The text that a token stands for; nothing for blanks and ends.
    pub(crate) fn mark(&self) -> &str {
        match self {
            Kind::Word(text) | Kind::Text(text) => text,
            Kind::Dot => ".",
            Kind::Colon => ":",
            Kind::At => "@",
            Kind::Comma => ",",
            Kind::OpenSquare => "[",
            Kind::CloseSquare => "]",
            Kind::Open => "(",
            Kind::Close => ")",
            Kind::Bang => "!",
            Kind::Operator(operator) => operator.as_str(),
            _ => "",
        }
    }
}

/// A token and where it stands, in bytes of the line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// Scans `line` from byte `from` to its end. The last token is `End`, `Unexpected` or `Unterminated`.
pub(crate) fn scan(line: &str, from: usize) -> Vec<Token> {
    scan_up_to(line, from, false)
}

/// Scans `line` up to its first colon, which is the last token then. What follows is not looked at: it is a statement of its
/// own, and in a chain of conditions may be nearly all of a very long line.
pub(crate) fn scan_header(line: &str) -> Vec<Token> {
    scan_up_to(line, 0, true)
}

fn scan_up_to(line: &str, from: usize, colon: bool) -> Vec<Token> {
    let mut scanner = Scanner {
        line,
        tokens: Vec::with_capacity(8),
        quoted: String::new(),
        word_start: from,
        prefix: String::new(),
        colon,
    };
    scanner.run(from);
    scanner.tokens
}

struct Scanner<'t> {
    line: &'t str,
    tokens: Vec<Token>,
    /// The text of quotes that the open word begins with, and where that text starts.
    quoted: String,
    word_start: usize,
    prefix: String,
    /// Whether the first colon ends the scan.
    colon: bool,
}

impl Scanner<'_> {
    fn push(&mut self, kind: Kind, start: usize, end: usize) {
        self.tokens.push(Token { kind, start, end });
    }

    /// Ends the open word, if there is one.
    fn flush(&mut self, at: usize) -> bool {
        if self.quoted.is_empty() {
            return false;
        }
        let word = SmolStr::from(std::mem::take(&mut self.quoted));
        self.push(Kind::Word(word), self.word_start, at);
        true
    }

    /// Reads the characters of a word from `start` to `end`.
    fn word(&mut self, start: usize, end: usize) {
        let text = &self.line[start..end];
        if self.quoted.is_empty() {
            self.push(Kind::Word(text.into()), start, end);
        } else {
            self.quoted.push_str(text);
            self.flush(end);
        }
    }

    fn run(&mut self, from: usize) {
        let mut at = from;
        let mut after_word = false;
        loop {
            let end = word_end(self.line, at);
            if end > at {
                self.word(at, end);
                (at, after_word) = (end, true);
            }
            let Some(c) = self.line[at..].chars().next() else {
                break;
            };
            let next = at + c.len_utf8();
            let had_word = self.flush(at) || std::mem::take(&mut after_word);
            at = match c {
                '+' | '<' | '?' | '~' => {
                    if had_word {
                        self.prefix.clear();
                    }
                    self.prefix.push(c);
                    next
                }
                '"' => match self.quoted(at) {
                    Some(end) => end,
                    None => return,
                },
                c if is_blank(c) => self.blank(at),
                '#' => break,
                _ => match self.mark(c, at) {
                    Some(kind) => {
                        let last = self.colon && kind == Kind::Colon;
                        self.push(kind, at, next);
                        if last {
                            return;
                        }
                        next
                    }
                    None => {
                        self.push(Kind::Unexpected(c), at, next);
                        return;
                    }
                },
            };
        }
        self.flush(self.line.len());
        self.push(Kind::End, self.line.len(), self.line.len());
    }

    fn blank(&mut self, at: usize) -> usize {
        let end = skip_blanks(self.line, at);
        if end < self.line.len() {
            self.push(Kind::Blank, at, end);
        }
        end
    }

    /// A quoted string. Its text is seen once more as a word right after it, as other implementations do.
    fn quoted(&mut self, at: usize) -> Option<usize> {
        let text = &self.line[at + 1..];
        let Some(length) = text.find('"') else {
            self.push(Kind::Unterminated, at, self.line.len());
            return None;
        };
        let end = at + length + 2;
        self.push(Kind::Text(text[..length].into()), at, end);
        self.quoted.push_str(&text[..length]);
        self.word_start = at + 1;
        Some(end)
    }

    fn mark(&mut self, c: char, _at: usize) -> Option<Kind> {
        Some(match c {
            '=' => Kind::Operator(Operator::from_prefix(&std::mem::take(&mut self.prefix))?),
            '.' => Kind::Dot,
            ':' => Kind::Colon,
            '@' => Kind::At,
            ',' => Kind::Comma,
            '[' => Kind::OpenSquare,
            ']' => Kind::CloseSquare,
            '(' => Kind::Open,
            ')' => Kind::Close,
            '!' => Kind::Bang,
            _ => return None,
        })
    }
}

/// Where the word that starts at `start` ends; `start` itself if there is none.
fn word_end(line: &str, start: usize) -> usize {
    let bytes = line.as_bytes();
    let mut at = start;
    while let Some(&byte) = bytes.get(at) {
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-' {
            at += 1;
            continue;
        }
        let odd = (!byte.is_ascii()).then(|| line[at..].chars().next()).flatten();
        match odd {
            Some(c) if c.is_alphanumeric() => at += c.len_utf8(),
            _ => break,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(line: &str) -> String {
        scan(line, 0)
            .iter()
            .map(|t| t.kind.describe())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn keywords_want_one_space() {
        assert_eq!(keyword("only a"), Some((Keyword::Only, 5)));
        assert_eq!(keyword("only"), None);
        assert_eq!(keyword("only=1"), None);
        assert_eq!(keyword("variants:"), Some((Keyword::Variants, 8)));
        assert_eq!(keyword("variants name:"), Some((Keyword::Variants, 9)));
        assert_eq!(keyword("variantsx:"), None);
        assert_eq!(keyword("-x"), Some((Keyword::Dash, 1)));
    }

    #[test]
    fn leftmost_operator_wins() {
        let read = |line: &'static str| {
            assignment(line).map(|a| (&line[..a.key_end], a.operator.as_str(), &line[a.value_start..]))
        };
        assert_eq!(read("a += 1"), Some(("a", "+=", "1")));
        assert_eq!(read("a ?+= 1"), Some(("a", "?+=", "1")));
        assert_eq!(read("a == b"), Some(("a", "=", "= b")));
        assert_eq!(read("(v=a): x = 1"), Some(("(v", "=", "a): x = 1")));
        assert_eq!(read("x = :y"), Some(("x", "=", ":y")));
        assert_eq!(read("x=:y"), None);
        assert_eq!(read("a := 5"), None);
        assert_eq!(read("=4"), Some(("", "=", "4")));
    }

    #[test]
    fn quotes_come_off_once() {
        assert_eq!(unquote("\"a\" \"b\""), "a\" \"b");
        assert_eq!(unquote("''''"), "''");
        assert_eq!(unquote("'"), "");
        assert_eq!(unquote("\"x"), "\"x");
    }

    #[test]
    fn scanner_quirks() {
        assert_eq!(kinds("a?"), "`a` the end of the line");
        assert_eq!(kinds("a b # c"), "`a` a blank `b` a blank the end of the line");
        assert_eq!(kinds("\"nm\":"), "a quoted string `nm` `:` the end of the line");
        assert_eq!(kinds("a \"x"), "`a` a blank an unterminated quote");
        assert_eq!(kinds("a/b"), "`a` `/`");
    }
}
