//! A file as the server sees it: its text, the names in it, and its tree of variants.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use camino::Utf8PathBuf;

use super::scan::{Line, Mention, Shape, assignment, scan};
use super::settings;
use super::text::{Text, language_line_around, language_lines};

/// How deep an outline may nest. Deeper variants hang on the last level: clients nest the answer on their stacks, and
/// many a JSON parser stops at 128 brackets, of which each level has two.
const DEEPEST: usize = 48;

/// A file, on disk or in an editor.
#[derive(Debug, Default)]
pub struct Document {
    /// Its path.
    pub path: Utf8PathBuf,
    /// Its text; characters that are no UTF-8 are replaced.
    pub text: Text,
    names: OnceLock<Names>,
}

/// The names of a file.
#[derive(Debug, Default)]
pub struct Names {
    /// Variants' labels, defined or asked for.
    pub labels: HashMap<String, Vec<Mention>>,
    /// Keys, set or asked for.
    pub keys: HashMap<String, Vec<Mention>>,
    /// The paths of its include statements, as written.
    pub includes: Vec<String>,
}

/// A variant, or a block of variants that has a name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// The entry around it.
    pub parent: Option<usize>,
    /// Whether it is a block.
    pub block: bool,
    /// The bytes of its name.
    pub name: Range<usize>,
    /// The bytes of all of it.
    pub range: Range<usize>,
}

impl Document {
    /// A text in an editor.
    pub fn new(path: Utf8PathBuf, text: String) -> Self {
        Self::with_text(path, Text::new(text))
    }

    /// The same, of a text whose lines are known.
    pub fn with_text(path: Utf8PathBuf, text: Text) -> Self {
        Self {
            path,
            text,
            ..Self::default()
        }
    }

    /// A file's bytes.
    pub fn from_bytes(path: Utf8PathBuf, bytes: &[u8]) -> Self {
        Self::new(path, String::from_utf8_lossy(bytes).into_owned())
    }

    /// The text.
    pub fn str(&self) -> &str {
        self.text.as_str()
    }

    /// Its lines that say something. A workspace's settings are not written in the language.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let text = if self.is_settings() { "" } else { self.str() };
        language_lines(text).filter_map(|(start, line)| self.scan(start, line))
    }

    /// Whether it is a workspace's settings.
    pub fn is_settings(&self) -> bool {
        settings::is_settings(&self.path)
    }

    fn mentions(&self) -> Vec<Mention> {
        if self.is_settings() {
            settings::mentions(self.str())
        } else {
            self.lines().flat_map(|line| line.mentions).collect()
        }
    }

    fn scan(&self, start: usize, line: &str) -> Option<Line> {
        let mut line = scan(line, start)?;
        // In the folder of guests a bare `NAME:` in the first column defines a variant.
        if line.indent == 0 && is_guest(&self.path) && is_bare_header(&self.str()[line.range.clone()]) {
            line.shape = Shape::Variant;
            line.mentions
                .iter_mut()
                .for_each(|mention| mention.role = super::scan::Role::Label);
        }
        Some(line)
    }

    /// The line of the language that holds a byte.
    pub fn line_around(&self, offset: usize) -> Option<Line> {
        let (start, line) = language_line_around(self.str(), offset);
        self.scan(start, line)
    }

    /// The name at a byte, or right before it.
    pub fn mention_at(&self, offset: usize) -> Option<Mention> {
        let mentions = if self.is_settings() {
            self.mentions()
        } else {
            self.line_around(offset)?.mentions
        };
        let touches = |mention: &Mention| mention.range.start <= offset && offset <= mention.range.end;
        mentions.into_iter().rev().find(touches)
    }

    /// Its names.
    pub fn names(&self) -> &Names {
        self.names.get_or_init(|| {
            let mut names = Names::default();
            for mention in self.mentions() {
                let map = match mention.role {
                    role if role.is_label() => &mut names.labels,
                    role if role.is_key() => &mut names.keys,
                    _ => {
                        names.includes.push(self.str()[mention.range].to_owned());
                        continue;
                    }
                };
                match map.get_mut(&self.str()[mention.range.clone()]) {
                    Some(list) => list.push(mention),
                    None => {
                        let name = self.str()[mention.range.clone()].to_owned();
                        map.insert(name, vec![mention]);
                    }
                }
            }
            names
        })
    }

    /// The labels that surely hold at a byte: those of the variants and conditions around it, outermost first.
    pub fn labels_around(&self, offset: usize) -> Vec<String> {
        let mut open: Vec<Line> = Vec::new();
        for line in self.lines().take_while(|line| line.range.start <= offset) {
            while open.last().is_some_and(|last| last.indent >= line.indent) {
                open.pop();
            }
            open.push(line);
        }
        let holds = |line: &&Line| matches!(line.shape, Shape::Variant | Shape::Condition);
        let labels = open.iter().filter(holds).flat_map(|line| {
            let header = self.header_end(line);
            let before = move |mention: &&Mention| {
                mention.role.is_label() && mention.range.end <= header && mention.range.end < offset
            };
            line.mentions.iter().filter(before)
        });
        labels
            .map(|mention| self.str()[mention.range.clone()].to_owned())
            .collect()
    }

    /// Where the first header of a variant's or condition's line ends.
    fn header_end(&self, line: &Line) -> usize {
        let text = &self.str()[line.range.clone()];
        line.range.start + text.find(':').unwrap_or(text.len())
    }

    /// The lines inside the block that the line at `offset` heads.
    pub fn body(&self, offset: usize) -> Vec<Line> {
        let mut lines = self.lines().skip_while(|line| line.range.end < offset);
        let Some(head) = lines.next() else {
            return Vec::new();
        };
        lines.take_while(|line| line.indent > head.indent).collect()
    }

    /// The tree of variants, each after what it stands in.
    pub fn outline(&self) -> Vec<Entry> {
        let mut outline = Outline::default();
        for line in self.lines() {
            outline.line(self, &line);
        }
        outline.entries
    }

    /// Whether the file starts with a variant: a piece of a generated file, which has no `variants:` of its own.
    pub fn is_headless(&self) -> bool {
        let first = self.lines().next();
        first
            .is_some_and(|line| line.shape == Shape::Variant && assignment(&self.str()[line.range]).is_none())
    }
}

/// Whether a file is one of the guest definitions that `guest-os.cfg` is put together from.
pub fn is_guest(path: &camino::Utf8Path) -> bool {
    path.components()
        .rev()
        .skip(1)
        .any(|part| part.as_str() == "guest-os")
}

/// Whether a line is `NAME:`.
fn is_bare_header(line: &str) -> bool {
    let name = line.strip_suffix(':').unwrap_or_default();
    let label = |c: char| c.is_alphanumeric() || "_-.@".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(label)
}

/// What is open while an outline is made.
struct Open {
    indent: usize,
    block: bool,
    entry: Option<usize>,
}

#[derive(Default)]
struct Outline {
    entries: Vec<Entry>,
    open: Vec<Open>,
}

impl Outline {
    fn line(&mut self, document: &Document, line: &Line) {
        let variant = line.shape == Shape::Variant;
        // A `-` may stand as deep as the header of its block.
        let ended = |open: &Open| {
            open.indent > line.indent || (open.indent == line.indent && !(variant && open.block))
        };
        while self.open.last().is_some_and(ended) {
            self.open.pop();
        }
        for entry in self.open.iter().filter_map(|open| open.entry) {
            self.entries[entry].range.end = line.range.end;
        }
        let block = line.shape == Shape::Block;
        if block || variant {
            let entry = self.add(document, line, block);
            self.open.push(Open {
                indent: line.indent,
                block,
                entry,
            });
        }
    }

    fn add(&mut self, document: &Document, line: &Line, block: bool) -> Option<usize> {
        use super::scan::Role;
        let role = if block { Role::Variable } else { Role::Label };
        let mut names = line.mentions.iter().filter(|mention| mention.role == role);
        let first = names.next()?.range.clone();
        let end = names.next_back().map_or(first.end, |last| last.range.end);
        let around: Vec<usize> = self
            .open
            .iter()
            .filter_map(|open| open.entry)
            .take(DEEPEST)
            .collect();
        debug_assert!(document.str().is_char_boundary(first.start));
        self.entries.push(Entry {
            parent: around.last().copied(),
            block,
            name: first.start..end,
            range: line.range.clone(),
        });
        Some(self.entries.len() - 1)
    }
}

/// A document that several places hold.
pub type Shared = Arc<Document>;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
variants subtest:
    - boot:
        kill_vm = yes
        variants:
            - a: x
                k = 1
                only b..c
                JeOS.27: m = ${k}
            - b.c:
    - last:
";

    fn document() -> Document {
        Document::new("/x.cfg".into(), TEXT.to_owned())
    }

    fn at(text: &str) -> usize {
        TEXT.find(text).unwrap()
    }

    #[test]
    fn the_outline_is_the_tree_of_variants() {
        let document = document();
        let shown: Vec<String> = document
            .outline()
            .iter()
            .map(|entry| {
                let parent = entry.parent.map(|parent| document.outline()[parent].name.clone());
                let parent = parent.map_or("", |name| &TEXT[name]);
                format!("{parent}/{}", &TEXT[entry.name.clone()])
            })
            .collect();
        assert_eq!(
            shown,
            ["/subtest", "subtest/boot", "boot/a", "boot/b.c", "subtest/last"]
        );
        assert_eq!(document.outline()[1].range.end, at("b.c:") + 4);
    }

    #[test]
    fn labels_around_a_place() {
        let document = document();
        assert_eq!(document.labels_around(at("k = 1")), ["boot", "a"]);
        assert_eq!(document.labels_around(at("m = ${")), ["boot", "a", "JeOS", "27"]);
        assert_eq!(document.labels_around(at("last")), [""; 0]);
        assert_eq!(document.body(at("- b.c")).len(), 0);
        assert_eq!(document.body(at("- a: x")).len(), 3);
    }

    #[test]
    fn ten_thousand_levels_and_odd_bytes_are_no_trouble() {
        let text: String = (0..10_000)
            .map(|depth| format!("{:depth$}variants n:\n{:depth$}- v{depth}:\n", "", ""))
            .take(2_000)
            .collect();
        let document = Document::from_bytes("/x.cfg".into(), &[text.as_bytes(), b"\xff\0"].concat());
        let mut depths: Vec<usize> = Vec::new();
        for entry in document.outline() {
            depths.push(entry.parent.map_or(0, |parent| depths[parent] + 1));
        }
        assert_eq!(depths.len(), 4_000);
        assert_eq!(depths.iter().max(), Some(&DEEPEST));
    }
}
