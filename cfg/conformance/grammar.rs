//! Random programs. The grammar covers every construct of the language; `wild` programs are broken on purpose as well.

use std::fmt::Write;

use fastrand::Rng;
use vtbuild_cfg::ExpandOptions;

/// A program with the options it is expanded with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Case {
    /// Names and texts; the first file is the root, the others can be included.
    pub files: Vec<(String, String)>,
    /// Texts that are parsed after the root.
    pub lines: Vec<String>,
    /// What is wanted of the expansion.
    pub options: ExpandOptions,
}

/// A program made from `seed`.
pub fn case(seed: u64) -> Case {
    let mut rng = Rng::with_seed(seed);
    let wild = rng.u8(..100) < 25;
    let included = if rng.u8(..100) < 25 { rng.usize(1..3) } else { 0 };
    let files = (0..=included).map(|index| {
        let mut writer = Writer::new(&mut rng, wild, index, included);
        writer.block(0, 0, Place::Top);
        let mut text = writer.out;
        if wild && rng.bool() {
            text = broken(&mut rng, &text);
        }
        let name = if index == 0 {
            "main.cfg".to_owned()
        } else {
            format!("inc{index}.cfg")
        };
        (name, odd_line_ends(&mut rng, text))
    });
    let files = files.collect();
    let lines = (0..rng.usize(..4)).map(|_| extra_line(&mut rng, wild)).collect();
    let defaults = rng.u8(..100) < 20;
    let expand = if defaults && rng.bool() {
        let variables = [&["v"][..], &["w"], &["v", "x"]];
        let names = variables[rng.usize(..variables.len())];
        names.iter().map(|&name| name.to_owned()).collect()
    } else {
        Vec::new()
    };
    let options = ExpandOptions {
        defaults,
        expand,
        keep_dups: rng.u8(..100) < 15,
        strict: false,
    };
    Case {
        files,
        lines,
        options,
    }
}

const LABELS: [&str; 12] = ["a", "b", "c", "a", "b", "c", "d", "l-1", "é", "1", "_x", "a"];
const NAMES: [&str; 5] = ["v", "w", "v", "name", "x"];
const KEYS: [&str; 16] = [
    "x", "y", "z", "k1", "k2", "x_min", "x_max", "x_fixed", "y_min", "y_max", "k-1", "x_a", "xa", "y_s",
    "ya", "zz",
];
const ODD_KEYS: [&str; 16] = [
    "name",
    "shortname",
    "dep",
    "_name_map_file",
    "_short_name_map_file",
    "a b",
    "(v",
    "@",
    "",
    "é",
    "k.",
    "only=1",
    "x_",
    "v",
    "a.b",
    "variants",
];
const PATTERNS: [&str; 18] = [
    "x", "y", "k.", "k\\d", "x.*", ".*", "(x|y)", "x|y", "[xy]_min", "x_?a?", "^x", "x$", "\\w+", "z{2}", "",
    "k-1", "(?i)X", "y_s",
];
const VALUES: [&str; 34] = [
    "1",
    "2",
    "3",
    "10",
    "abc",
    "4G",
    "512M",
    "1.5k",
    "2048K",
    "${x}",
    "${y}-${z}",
    "a${k1}b",
    "$x",
    "${nope}",
    "${x}${nope}${y}",
    "\"q\"",
    "'q'",
    "\"${x}\"",
    "\" s \"",
    "a b  c",
    "a:b",
    "a = b",
    "é",
    "b\\c",
    "# c",
    "v # c",
    "",
    "${name}",
    "${dep}",
    "${_name_map_file}",
    "${shortname}",
    "'",
    "\"a\" \"b\"",
    "${_short_name_map_file}",
];
const ODD_VALUES: [&str; 12] = [
    "${",
    "${}",
    "${}x}",
    "${x",
    "$${x}",
    "${${x}}",
    "${x}}",
    "=x",
    "a\tb",
    "''''",
    "\"x\" # c",
    "${a b}",
];
const ODD_TEXTS: [&str; 24] = [
    " ", "  ", "\t", ":", ".", "..", ",", "-", "@", "[", "]", "(", ")", "!", "\"", "'", "=", "?", "#", "//",
    "$", "é", "\u{a0}", "%",
];

/// What kind of block is being written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Variant,
    Condition,
}

struct Writer<'r> {
    rng: &'r mut Rng,
    wild: bool,
    /// The number of this file, and of the last one that can be included.
    index: usize,
    last: usize,
    out: String,
    /// How many variants blocks are open or written: they multiply.
    blocks: usize,
}

impl<'r> Writer<'r> {
    fn new(rng: &'r mut Rng, wild: bool, index: usize, last: usize) -> Self {
        Writer {
            rng,
            wild,
            index,
            last,
            out: String::new(),
            blocks: 0,
        }
    }

    /// True in `percent` of all cases.
    fn chance(&mut self, percent: u8) -> bool {
        self.rng.u8(..100) < percent
    }

    /// True now and then, in wild programs only.
    fn slip(&mut self) -> bool {
        self.wild && self.chance(4)
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        pick(self.rng, from)
    }

    fn line(&mut self, indent: usize, text: &str) {
        let mut indent = indent;
        if self.chance(4) {
            indent += self.rng.usize(1..4);
        }
        if self.slip() {
            indent = self.rng.usize(..9);
        }
        let tabs = if self.chance(8) { indent / 8 } else { 0 };
        self.out.extend(std::iter::repeat_n('\t', tabs));
        self.out.extend(std::iter::repeat_n(' ', indent - 8 * tabs));
        self.out.push_str(text);
        if self.chance(3) {
            self.out.push_str(if self.rng.bool() { "  " } else { "\t" });
        }
        self.out.push('\n');
    }

    fn block(&mut self, indent: usize, depth: usize, place: Place) {
        let most = if place == Place::Top { 8 } else { 4 };
        for _ in 0..self.rng.usize(0..most) {
            self.statement(indent, depth, place);
        }
    }

    fn statement(&mut self, indent: usize, depth: usize, place: Place) {
        match self.rng.u8(..100) {
            0..38 => {
                let text = assignment(self.rng);
                self.line(indent, &text);
            }
            38..47 => {
                let text = filter_statement(self.rng, self.wild);
                self.line(indent, &text);
            }
            47..60 if depth < 4 => self.condition(indent, depth),
            60..85 if depth < 4 && self.blocks < 5 && (place != Place::Condition || self.slip()) => {
                self.variants(indent, depth);
            }
            85..88 => {
                let name = self.pick(if self.wild { &PATTERNS } else { &KEYS });
                let odd = if self.slip() { "? " } else { "" };
                self.line(indent, &format!("del {odd}{name}"));
            }
            88..91 => {
                let name = ["s", "a", "_s", "b-1"][self.rng.usize(..4)];
                self.line(indent, &format!("suffix {name}"));
            }
            91..93 if place != Place::Condition || self.chance(25) => {
                let filter = filter(self.rng, self.wild);
                self.line(indent, &format!("join {filter}"));
            }
            93..96 if self.last > 0 => self.include(indent),
            96..98 => {
                let comment = self.pick(&["# c", "// c", "#", "", "   # variants:", "//only a"]);
                self.line(indent, comment);
            }
            _ if self.wild => {
                let text = self.pick(&[
                    "only",
                    "no",
                    "del",
                    "suffix",
                    "variants",
                    "join",
                    "include",
                    "-",
                    "=",
                    "!",
                    "@x = 8",
                    "(a): x = 1",
                    "a",
                    "-x = 9",
                    "x=:y",
                    "a := 5",
                    "!: x = 1",
                    "x = 1",
                    "x_max_max = 2",
                ]);
                self.line(indent, text);
            }
            _ => {}
        }
    }

    fn include(&mut self, indent: usize) {
        let target = if self.index < self.last && !self.slip() {
            format!("inc{}.cfg", self.rng.usize(self.index + 1..=self.last))
        } else if self.slip() {
            "none.cfg".to_owned()
        } else {
            return;
        };
        self.line(indent, &format!("include {target}"));
    }

    fn condition(&mut self, indent: usize, depth: usize) {
        let mut header = String::new();
        if self.chance(35) {
            header.push('!');
            if self.chance(20) {
                header.push(' ');
            }
        }
        let text = condition_filter(self.rng, self.wild);
        header.push_str(&text);
        if !self.slip() {
            header.push(':');
        }
        match self.rng.u8(..10) {
            0..4 => {
                let text = if self.rng.bool() {
                    assignment(self.rng)
                } else {
                    filter_statement(self.rng, self.wild)
                };
                let _ = write!(header, " {text}");
            }
            4 => {
                let inner = condition_filter(self.rng, false);
                let text = assignment(self.rng);
                let _ = write!(header, " {inner}: {text}");
            }
            _ => {}
        }
        self.line(indent, &header);
        let deeper = indent + self.rng.usize(1..6);
        if self.chance(75) {
            self.block(deeper, depth + 1, Place::Condition);
        }
    }

    fn variants(&mut self, indent: usize, depth: usize) {
        self.blocks += 1;
        let header = self.header();
        self.line(indent, &header);
        let dash = indent + self.rng.usize(0..5);
        let body = dash + self.rng.usize(1..7);
        // A dash at the header's own column ends the block.
        let dash = if dash == indent && !self.slip() {
            indent + 1
        } else {
            dash
        };
        let body = body.max(dash + 1);
        for _ in 0..self.rng.usize(if self.wild { 0 } else { 1 }..4) {
            let line = self.dash();
            self.line_at(dash, &line);
            self.block(body, depth + 1, Place::Variant);
        }
    }

    /// A line whose column matters.
    fn line_at(&mut self, indent: usize, text: &str) {
        if self.slip() {
            self.line(indent, text);
            return;
        }
        self.out.extend(std::iter::repeat_n(' ', indent));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn header(&mut self) -> String {
        let mut header = "variants".to_owned();
        if self.chance(4) {
            let meta = self.pick(&["[m]", "[foo=bar]", "[default=a]", "[m] [n]"]);
            let _ = write!(header, " {meta}");
        }
        if self.chance(55) {
            let at = if self.chance(5) { "@" } else { "" };
            let odd = if self.slip() {
                self.pick(&["(", "] ", ". ", "\"q\" ", "+", ", ", "= "])
            } else {
                at
            };
            let _ = write!(header, " {odd}{}", self.pick(&NAMES));
        }
        if self.chance(15) {
            let meta = match self.rng.u8(..12) {
                0 => "[foo]".to_owned(),
                1 => "[foo=bar]".to_owned(),
                2 if self.wild => "[default]".to_owned(),
                3 if self.wild => "[default=a".to_owned(),
                4 => "[ default = a ]".to_owned(),
                _ => format!("[default={}]", dotted(self.rng)),
            };
            let _ = write!(header, " {meta}");
            if self.chance(20) {
                header.push_str(" [default=b]");
            }
        }
        if self.slip() {
            header.push_str(self.rng.choice([" ", "x", " y", ""]).unwrap_or_default());
        } else if self.chance(4) {
            header.push(' ');
        }
        header.push_str(
            self.rng
                .choice([":", ":", ":", ":", ":", ": # c", " :"])
                .unwrap_or(":"),
        );
        header
    }

    fn dash(&mut self) -> String {
        let mut line = self
            .rng
            .choice(["- ", "- ", "- ", "-", "-  "])
            .unwrap_or("- ")
            .to_owned();
        if self.chance(15) {
            line.push('@');
        }
        if !(line.ends_with('@') && self.chance(4)) {
            line.push_str(&dotted(self.rng));
        }
        if self.slip() {
            line.push_str(pick(self.rng, &ODD_TEXTS));
        }
        line.push(':');
        if self.chance(20) {
            let deps = filter(self.rng, self.wild);
            let _ = write!(line, " {deps}");
        }
        if self.chance(3) {
            line.push_str(" # c");
        }
        line
    }
}

fn pick(rng: &mut Rng, from: &[&'static str]) -> &'static str {
    from[rng.usize(..from.len())]
}

/// One or more labels joined by dots.
fn dotted(rng: &mut Rng) -> String {
    let mut text = pick(rng, &LABELS).to_owned();
    while rng.u8(..100) < 15 {
        text.push_str(if rng.u8(..20) == 0 { ".." } else { "." });
        text.push_str(pick(rng, &LABELS));
    }
    text
}

fn assignment(rng: &mut Rng) -> String {
    let operator = rng.choice([
        "=", "=", "=", "=", "+=", "+=", "<=", "<=", "~=", "~=", "?=", "?+=", "?<=",
    ]);
    let operator = operator.unwrap_or("=");
    let key = match (operator.starts_with('?'), rng.u8(..100)) {
        (true, 0..80) => pick(rng, &PATTERNS),
        (_, 80..90) => pick(rng, &ODD_KEYS),
        _ => pick(rng, &KEYS),
    };
    let value = if rng.u8(..100) < 10 {
        pick(rng, &ODD_VALUES)
    } else {
        pick(rng, &VALUES)
    };
    let (before, after) = rng
        .choice([(" ", " "), (" ", " "), ("", ""), ("  ", "   "), (" ", "")])
        .unwrap_or_default();
    format!("{key}{before}{operator}{after}{value}")
}

fn filter_statement(rng: &mut Rng, wild: bool) -> String {
    let only = rng.u8(..100) < 40;
    let word = if only { "only" } else { "no" };
    let blanks = if rng.u8(..20) == 0 { "   " } else { " " };
    let comment = if rng.u8(..25) == 0 { " # c" } else { "" };
    let mut text = format!("{word}{blanks}{}", filter(rng, wild));
    // A narrow `only` leaves nothing to compare: most of them take several alternatives.
    while only && rng.u8(..100) < 75 {
        let _ = write!(text, ", {}", pick(rng, &LABELS));
    }
    text + comment
}

/// A filter as `only`, `no`, `join` and dependencies have it: blanks are "or".
fn filter(rng: &mut Rng, wild: bool) -> String {
    let or: &[&'static str] = if wild {
        &[", ", " ", ",", " , ", "  ", ",,"]
    } else {
        &[", ", " ", ",", ",  "]
    };
    filter_with(rng, or, wild)
}

/// A filter as the header of a condition has it: blanks mean nothing.
fn condition_filter(rng: &mut Rng, wild: bool) -> String {
    let mut text = filter_with(
        rng,
        if wild {
            &[",", ", ", " "]
        } else {
            &[",", ", ", " , "]
        },
        wild,
    );
    if text.starts_with('(') && !wild {
        text.insert_str(0, "a..");
    }
    // A named label would make the line an assignment; that is worth trying, but not often.
    if text.contains('=') && rng.u8(..10) > 0 {
        text = pick(rng, &LABELS).to_owned();
    }
    text
}

fn filter_with(rng: &mut Rng, or: &[&'static str], wild: bool) -> String {
    let mut text = String::new();
    loop {
        text.push_str(&label(rng, wild));
        match rng.u8(..100) {
            0..60 => break,
            60..73 => text.push_str(pick(rng, or)),
            73 => {
                text.push_str(pick(rng, or));
                text.push('.');
            }
            74..86 => text.push_str(".."),
            _ => text.push('.'),
        }
    }
    if wild && rng.u8(..100) < 6 {
        let odd = pick(rng, &ODD_TEXTS);
        let at = rng.usize(..=text.len());
        if text.is_char_boundary(at) {
            text.insert_str(at, odd);
        }
    }
    if rng.u8(..40) == 0 {
        text.push_str(rng.choice([",", ".", "..", ", "]).unwrap_or(","));
    }
    text
}

fn label(rng: &mut Rng, wild: bool) -> String {
    let label = pick(rng, &LABELS);
    match rng.u8(..100) {
        0..12 => format!("({}={label})", pick(rng, &NAMES)),
        12..14 => format!("( {} = {label} )", pick(rng, &NAMES)),
        14..17 => format!("({label})"),
        17..18 if wild => format!("\"{label}\""),
        18..19 if wild => format!("({label}"),
        _ => label.to_owned(),
    }
}

fn extra_line(rng: &mut Rng, wild: bool) -> String {
    match rng.u8(..10) {
        0..2 => filter_statement(rng, wild),
        2..7 => assignment(rng),
        7 => format!("{}: {}", condition_filter(rng, wild), assignment(rng)),
        8 => "variants v:\n  - a:\n      x = 7\n  - b:\n".to_owned(),
        _ => format!("join {}", filter(rng, wild)),
    }
}

/// The text with something deleted, doubled, moved or put in.
fn broken(rng: &mut Rng, text: &str) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if lines.is_empty() {
        return pick(rng, &ODD_TEXTS).to_owned();
    }
    for _ in 0..rng.usize(1..4) {
        let at = rng.usize(..lines.len());
        match rng.u8(..4) {
            0 => {
                let line = lines[at].clone();
                lines.insert(rng.usize(..=lines.len()), line);
            }
            1 => {
                let other = rng.usize(..lines.len());
                lines.swap(at, other);
            }
            2 => {
                let mut chars: Vec<char> = lines[at].chars().collect();
                if !chars.is_empty() {
                    chars.remove(rng.usize(..chars.len()));
                }
                lines[at] = chars.into_iter().collect();
            }
            _ => {
                let chars: Vec<char> = lines[at].chars().collect();
                let (before, after) = chars.split_at(rng.usize(..=chars.len()));
                let odd = pick(rng, &ODD_TEXTS);
                lines[at] = before.iter().collect::<String>() + odd + &after.iter().collect::<String>();
            }
        }
    }
    lines.join("\n") + "\n"
}

/// Now and then other line ends than `\n`, or none at the end.
fn odd_line_ends(rng: &mut Rng, mut text: String) -> String {
    if rng.u8(..20) == 0 {
        let ends = [
            "\r\n", "\r", "\u{b}", "\u{c}", "\u{1c}", "\u{85}", "\u{2028}", "\u{1f}\n",
        ];
        text = text.replacen('\n', pick(rng, &ends), rng.usize(1..4));
    }
    if rng.u8(..20) == 0 {
        text.truncate(text.trim_end_matches('\n').len());
    }
    text
}
