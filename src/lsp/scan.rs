//! The names on a line, with the bytes that each takes.
//!
//! The parser knows where statements stand; an editor asks for the words in them, also in lines that are still being
//! written. This scanner cuts lines the way the language does and never fails: what it cannot make out has no names.

use std::ops::Range;

use super::text::width;

/// What a name on a line is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// A variant's label where it is defined: `- label:`.
    Label,
    /// A variant's label where it is asked for: filters, conditions, dependencies, `[default=label]`.
    LabelUse,
    /// A key that is assigned.
    Key,
    /// A pattern of keys that are assigned: `?=` and its kin.
    KeyPattern,
    /// The variable of a `variants` block, which each of its variants sets.
    Variable,
    /// A key whose value is asked for: `${key}`, and `key` in `(key=value)`.
    KeyUse,
    /// A key that is removed.
    KeyRemoval,
    /// The path of an included file.
    Include,
}

impl Role {
    /// Whether the name is that of a variant.
    pub fn is_label(self) -> bool {
        matches!(self, Role::Label | Role::LabelUse)
    }

    /// Whether the name is that of a key.
    pub fn is_key(self) -> bool {
        !self.is_label() && self != Role::Include
    }

    /// Whether the statement gives a key its value.
    pub fn sets_key(self) -> bool {
        matches!(self, Role::Key | Role::KeyPattern | Role::Variable)
    }
}

/// A name in a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mention {
    /// What it is.
    pub role: Role,
    /// Its bytes.
    pub range: Range<usize>,
}

/// What a line is, as far as blocks go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// `variants…`
    Block,
    /// `- …`
    Variant,
    /// `filter:` that is true where all of its labels are.
    Condition,
    /// Another condition.
    OtherCondition,
    /// Anything else.
    Statement,
}

/// A line that says something.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// The bytes of the line without indentation and trailing blanks.
    pub range: Range<usize>,
    /// Its indentation, tabs expanded.
    pub indent: usize,
    /// What it is.
    pub shape: Shape,
    /// Its names in order.
    pub mentions: Vec<Mention>,
}

/// Reads one line, which starts at byte `offset` of its text. Comments and empty lines are nothing.
pub fn scan(line: &str, offset: usize) -> Option<Line> {
    let line = line.trim_end_matches(is_blank);
    let text = line.trim_start_matches(is_blank);
    if text.is_empty() || text.starts_with('#') || text.starts_with("//") {
        return None;
    }
    let lead = line.len() - text.len();
    let mut scanner = Scanner {
        text,
        offset: offset + lead,
        mentions: Vec::new(),
    };
    let shape = scanner.line();
    Some(Line {
        range: offset + lead..offset + line.len(),
        indent: width(&line[..lead]),
        shape,
        mentions: scanner.mentions,
    })
}

/// White space as the language counts it.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

/// Whether a label may hold the character.
pub fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// The keywords that take the rest of their line.
pub const KEYWORDS: [&str; 7] = ["variants", "only", "no", "join", "include", "del", "suffix"];

/// Where an assignment's key ends and its value starts, and whether the key is a pattern.
pub fn assignment(text: &str) -> Option<(usize, usize, bool)> {
    let equals = text.find(['=', ':'])?;
    if text[equals..].starts_with(':') || text[equals + 1..].starts_with(':') {
        return None;
    }
    let before = &text[..equals];
    let operators = ["?+", "?<", "+", "<", "~", "?"];
    let operator = operators.iter().find(|operator| before.ends_with(**operator));
    let key =
        before[..before.len() - operator.map_or(0, |operator| operator.len())].trim_end_matches(is_blank);
    let pattern = operator.is_some_and(|operator| operator.starts_with('?'));
    Some((key.len(), equals + 1, pattern))
}

struct Scanner<'t> {
    text: &'t str,
    offset: usize,
    mentions: Vec<Mention>,
}

impl Scanner<'_> {
    fn mention(&mut self, role: Role, range: Range<usize>) {
        if !range.is_empty() {
            let range = self.offset + range.start..self.offset + range.end;
            self.mentions.push(Mention { role, range });
        }
    }

    /// The line's own shape. What follows a condition's colon is read as well.
    fn line(&mut self) -> Shape {
        let (shape, mut rest) = self.statement(0);
        while let Some(at) = rest {
            rest = self.statement(at).1;
        }
        shape
    }

    /// Reads the statement at `at`: its shape, and where another one follows it.
    fn statement(&mut self, at: usize) -> (Shape, Option<usize>) {
        let text = &self.text[at..];
        if let Some(rest) = text.strip_prefix('-') {
            self.variant(self.text.len() - rest.len());
            return (Shape::Variant, None);
        }
        if text.starts_with("variants:") {
            return (Shape::Block, None);
        }
        let keyword = KEYWORDS.iter().find(|word| {
            text.strip_prefix(**word)
                .is_some_and(|rest| rest.starts_with([' ', '\t']))
        });
        if let Some(keyword) = keyword {
            return (self.keyword(keyword, self.skip_blanks(at + keyword.len())), None);
        }
        match assignment(text) {
            Some((key, value, pattern)) => {
                let role = if pattern { Role::KeyPattern } else { Role::Key };
                self.mention(role, at..at + key);
                self.references(at + value);
                (Shape::Statement, None)
            }
            None => self.condition(at),
        }
    }

    fn keyword(&mut self, keyword: &str, at: usize) -> Shape {
        match keyword {
            "variants" => {
                self.header(at);
                return Shape::Block;
            }
            "include" => self.mention(Role::Include, at..self.text.len()),
            "del" => {
                let end = self.word_end(at);
                self.mention(Role::KeyRemoval, at..end);
            }
            "suffix" => {}
            _ => {
                self.filter(at, self.text.len());
            }
        }
        Shape::Statement
    }

    /// `- [@]label(.label)*: [deps]`, from behind the dash.
    fn variant(&mut self, at: usize) {
        let mut at = self.skip_blanks(at);
        if self.text[at..].starts_with('@') {
            at += 1;
        }
        loop {
            let end = self.word_end(at);
            self.mention(Role::Label, at..end);
            match self.text[end..].chars().next() {
                Some('.') => at = end + 1,
                Some(':') => {
                    self.filter(end + 1, self.text.len());
                    return;
                }
                _ => return,
            }
        }
    }

    /// `[name] [[default=label]]:`, from behind the keyword.
    fn header(&mut self, at: usize) {
        let (mut at, mut named) = (at, false);
        // Inside of brackets, and behind their `=`.
        let (mut meta, mut value) = (false, false);
        while let Some(c) = self.text[at..].chars().next() {
            match c {
                '#' | ':' => return,
                '[' | ']' => (meta, value) = (c == '[', false),
                '=' if meta => value = true,
                _ if is_word(c) => {
                    let end = self.word_end(at);
                    if value {
                        self.mention(Role::LabelUse, at..end);
                    } else if !meta && !named {
                        self.mention(Role::Variable, at..end);
                        named = true;
                    }
                    at = end;
                    continue;
                }
                // A mark before the name takes its place: the variable is called like the mark.
                _ if !is_blank(c) && !meta => named = true,
                _ => {}
            }
            at += c.len_utf8();
        }
    }

    fn condition(&mut self, at: usize) -> (Shape, Option<usize>) {
        let text = &self.text[at..];
        let negated = text.starts_with('!');
        let Some(colon) = text.find(':').map(|colon| at + colon) else {
            return (Shape::Statement, None);
        };
        if !negated && !text.starts_with(is_word) {
            return (Shape::Statement, None);
        }
        let single = self.filter(at + usize::from(negated), colon);
        let shape = if single && !negated {
            Shape::Condition
        } else {
            Shape::OtherCondition
        };
        let rest = self.skip_blanks(colon + 1);
        (shape, (rest < self.text.len()).then_some(rest))
    }

    /// The labels of a filter; whether it is one word, without alternatives.
    fn filter(&mut self, from: usize, until: usize) -> bool {
        let mut at = from;
        let mut single = true;
        while at < until {
            let Some(c) = self.text[at..until].chars().next() else {
                break;
            };
            match c {
                '#' => break,
                '(' => {
                    at = self.named(at + 1, until);
                    continue;
                }
                ',' => single = false,
                _ if is_word(c) => {
                    let end = self.word_end(at).min(until);
                    self.mention(Role::LabelUse, at..end);
                    at = end;
                    continue;
                }
                _ => {}
            }
            at += c.len_utf8();
        }
        single
    }

    /// `variable = value)` or `value)`, from behind the parenthesis; where it ends.
    fn named(&mut self, at: usize, until: usize) -> usize {
        let first = self.skip_blanks(at)..0;
        let first = first.start..self.word_end(first.start).min(until);
        let equals = self.skip_blanks(first.end);
        if equals >= until || !self.text[equals..].starts_with('=') {
            self.mention(Role::LabelUse, first.clone());
            return first.end;
        }
        self.mention(Role::KeyUse, first);
        let start = self.skip_blanks(equals + 1).min(until);
        let end = self.word_end(start).min(until);
        self.mention(Role::LabelUse, start..end);
        end.max(start)
    }

    /// Every `${key}` from `from` on.
    fn references(&mut self, from: usize) {
        let mut at = from;
        while let Some(start) = self.text[at..].find("${").map(|found| at + found + 2) {
            let Some(length) = self.text[start..].find('}') else {
                return;
            };
            self.mention(Role::KeyUse, start..start + length);
            at = start + length;
        }
    }

    fn skip_blanks(&self, at: usize) -> usize {
        self.text.len() - self.text[at..].trim_start_matches(is_blank).len()
    }

    fn word_end(&self, at: usize) -> usize {
        self.text.len() - self.text[at..].trim_start_matches(is_word).len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(line: &str) -> String {
        let Some(scanned) = scan(line, 0) else {
            return String::new();
        };
        let shown = scanned
            .mentions
            .iter()
            .map(|mention| format!("{:?} {}", mention.role, &line[mention.range.clone()]));
        shown.collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn names_of_each_statement() {
        let cases = [
            (
                "    - @a.b-c: d e..f # g",
                "Label a, Label b-c, LabelUse d, LabelUse e, LabelUse f",
            ),
            (
                "variants nic [default=x.y]:",
                "Variable nic, LabelUse x, LabelUse y",
            ),
            ("variants:", ""),
            ("variants @image:", ""),
            (
                "only (v = x)..y, (z)",
                "KeyUse v, LabelUse x, LabelUse y, LabelUse z",
            ),
            ("only=1", "Key only"),
            ("no\ta", "LabelUse a"),
            (
                "a..b, c: !d: key += ${x}${y",
                "LabelUse a, LabelUse b, LabelUse c, LabelUse d, Key key, KeyUse x",
            ),
            ("a: only b", "LabelUse a, LabelUse b"),
            ("vm_.* ?<= 1", "KeyPattern vm_.*"),
            ("(v=a): x = 1", "Key (v"),
            ("del key # why", "KeyRemoval key"),
            ("include a b.cfg", "Include a b.cfg"),
            ("suffix _x", ""),
            ("# only a", ""),
            ("- ", ""),
            ("only (", ""),
            ("only (v=", "KeyUse v"),
            ("Größe = ${ключ}", "Key Größe, KeyUse ключ"),
        ];
        for (line, expected) in cases {
            assert_eq!(names(line), expected, "{line}");
        }
    }

    /// The labels, keys and includes that the parser finds are those that the scanner finds, in the same order.
    #[test]
    fn the_scanner_agrees_with_the_parser() {
        let sets = concat!(env!("CARGO_MANIFEST_DIR"), "/cfg/sets");
        let mut text =
            String::from("variants x [default=a]:\n\t- @a.b: c (d=e)\n\t\tf..g, h: !i: k ?= ${l}\n");
        for file in walk(sets.as_ref()) {
            text.push_str(&std::fs::read_to_string(file).unwrap());
        }
        let parsed = vtbuild_cfg::parse("test", text.as_bytes());
        let items = parsed.items();
        let mut from_parser: Vec<String> = Vec::new();
        for item in items.items() {
            use vtbuild_cfg::Item;
            let filter = match item {
                Item::Assign { key, .. } | Item::Del(key) => {
                    from_parser.push(items.symbol(*key).to_owned());
                    None
                }
                Item::Variant(header) => {
                    from_parser.extend(items.labels(header).map(str::to_owned));
                    header.deps
                }
                Item::Only(filter) | Item::No(filter) | Item::Join(filter) => Some(*filter),
                Item::Condition { filter, .. } => Some(*filter),
                _ => None,
            };
            let words = filter
                .into_iter()
                .flat_map(|filter| items.filters().get(filter).words());
            from_parser.extend(
                words
                    .flatten()
                    .flatten()
                    .map(|label| items.symbol(label.value).to_owned()),
            );
        }
        let wanted =
            |mention: &Mention| !matches!(mention.role, Role::KeyUse | Role::Variable | Role::Include);
        let from_scanner: Vec<String> = super::super::text::language_lines(&text)
            .filter_map(|(start, line)| scan(line, start))
            .filter(|line| line.shape != Shape::Block)
            .flat_map(|line| line.mentions)
            .filter(wanted)
            .map(|mention| text[mention.range].to_owned())
            .collect();
        assert!(from_parser.len() > 100, "{}", from_parser.len());
        let errors = parsed.diagnostics();
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(from_scanner, from_parser);
    }

    fn walk(folder: &camino::Utf8Path) -> Vec<camino::Utf8PathBuf> {
        let mut found = Vec::new();
        for entry in folder.read_dir_utf8().unwrap().flatten() {
            let path = entry.into_path();
            if path.is_dir() {
                found.extend(
                    walk(&path)
                        .into_iter()
                        .filter(|path| !path.as_str().contains("guest-os")),
                );
            } else if path.extension() == Some("cfg") {
                found.push(path);
            }
        }
        found
    }
}
