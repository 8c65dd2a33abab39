//! Counting from the leaves agrees with listing on random programs, and with itself on the whole corpus.

use camino::Utf8Path;

use crate::{ExpandOptions, Loaded, Loader, Program};

struct Nothing;

impl Loader for Nothing {
    fn load(&self, _: &Utf8Path) -> Loaded {
        Loaded::Absent
    }
}

/// A small generator, so that failures repeat.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn label(&mut self) -> char {
        char::from(b'a' + self.roll(5) as u8)
    }

    fn filter(&mut self) -> String {
        let (a, b, c) = (self.label(), self.label(), self.label());
        match self.roll(6) {
            0 => format!("{a}"),
            1 => format!("{a}.{b}"),
            2 => format!("{a}..{b}"),
            3 => format!("{a}.{b}.{c}"),
            4 => format!("(v={a}).{b}"),
            _ => format!("{a}..{b}, {c}"),
        }
    }

    fn filter_line(&mut self, indent: &str) -> String {
        match self.roll(5) {
            0 => format!("{indent}only {}\n", self.filter()),
            1 => format!("{indent}no {}\n", self.filter()),
            2 => format!("{indent}{}:\n{indent}  no {}\n", self.label(), self.filter()),
            3 => format!("{indent}!{}:\n{indent}  only {}\n", self.label(), self.filter()),
            _ => format!("{indent}x = 1\n"),
        }
    }

    fn program(&mut self) -> String {
        let mut text = String::new();
        for _ in 0..self.roll(4) + 1 {
            text.push_str(if self.roll(2) == 0 {
                "variants:\n"
            } else {
                "variants v:\n"
            });
            for _ in 0..self.roll(3) + 1 {
                text.push_str(&format!("  - {}:\n", self.label()));
                if self.roll(2) == 0 {
                    text.push_str(&self.filter_line("    "));
                }
                if self.roll(3) == 0 {
                    text.push_str("    variants:\n");
                    for _ in 0..2 {
                        text.push_str(&format!("      - {}.{}:\n", self.label(), self.label()));
                        text.push_str(&self.filter_line("        "));
                    }
                }
            }
            if self.roll(3) == 0 {
                text.push_str(&self.filter_line(""));
            }
        }
        text
    }
}

#[test]
fn agrees_with_listing() {
    let mut dice = Dice(7);
    let mut some = 0;
    for _ in 0..3000 {
        let text = dice.program();
        let program = Program::from_text("f", &text, &Nothing).expect("a correct program");
        let listed = program.variants(&ExpandOptions::default()).count() as u128;
        some += usize::from(listed > 0);
        let counted = super::count(&program.graph).expect("a small program");
        assert_eq!((counted.variants, counted.exact), (listed, true), "{text}");
    }
    assert!(some > 500, "only {some} programs had variants");
}

/// Reads the file system.
struct Disk;

impl Loader for Disk {
    fn load(&self, path: &Utf8Path) -> Loaded {
        std::fs::read(path).map_or(Loaded::Absent, Loaded::Text)
    }
}

/// The corpus of a complete configuration set, if the environment names one.
fn corpus() -> Option<camino::Utf8PathBuf> {
    let found = std::env::var("VTBUILD_CORPUS").ok();
    if found.is_none() {
        say("SKIPPED: set VTBUILD_CORPUS to the conformance corpus to run this test");
    }
    found.map(|folder| camino::Utf8PathBuf::from(folder).join("qemu"))
}

#[expect(
    clippy::print_stderr,
    reason = "a skipped test must say so where the person sees it"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn counted(program: &Program) -> u128 {
    let count = super::count(&program.graph).expect("small enough to count");
    assert!(count.exact);
    count.variants
}

#[test]
#[cfg_attr(debug_assertions, ignore = "takes minutes unless optimised: add --release")]
fn parts_share_the_whole_set() {
    let Some(folder) = corpus() else { return };
    for (file, least, parts) in [
        (
            "tests.cfg",
            1_000_000_000,
            ["only migrate..q35", "no migrate..q35"],
        ),
        (
            "tests-shared.cfg",
            10_000_000_000_000,
            ["only Guest.Windows", "only Guest.Linux"],
        ),
    ] {
        let whole = Program::load(&folder.join("cfg").join(file), &Disk).expect("a correct file");
        let part = |line: &str| counted(&whole.with_text("<string>", line).expect("a filter"));
        let all = counted(&whole);
        assert!(all > least, "{file}: {all}");
        assert_eq!(parts.map(part).iter().sum::<u128>(), all, "{file}");
    }
}

#[test]
fn agrees_with_the_queries_of_the_corpus() {
    let Some(folder) = corpus() else { return };
    let table = std::fs::read_to_string(folder.join("queries.tsv")).expect("the table of queries");
    let mut queries = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, cfg, "{}", lines, variants, ..] = fields[..] else {
            continue;
        };
        let lines: Vec<String> = serde_json::from_str(lines).expect("lines are JSON");
        let program = Program::load(&folder.join("cfg").join(cfg), &Disk).expect("a correct file");
        let program = lines
            .iter()
            .try_fold(program, |program, line| program.with_text("<string>", line))
            .expect("correct lines");
        if program.graph.joins.is_empty() {
            queries += 1;
            assert_eq!(counted(&program).to_string(), variants, "{id}");
        }
    }
    assert!(queries > 30, "only {queries} queries");
}
