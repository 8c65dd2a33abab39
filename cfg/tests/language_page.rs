//! Every example of `docs/language.md` is run, and its output compared with what the page shows.
//!
//! A block ```` ```cartesian ```` is an example; words after that say how it is run: `contents` shows parameters too,
//! `contents=KEY,…` also those of the five keys that every variant has, `strict`, `defaults`, and `file=NAME` makes the
//! block a file that later examples may include. The block after it is `text` or `error`. With `VTBUILD_BLESS` set, the
//! page is written anew with what really comes out.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use camino::Utf8Path;
use vtbuild_cfg::{Diagnostic, ExpandOptions, Loaded, Loader, Program, Variant};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/language.md");
/// Keys that every variant has; shown only where an example is about them.
const EVERYWHERE: [&str; 5] = [
    "name",
    "shortname",
    "dep",
    "_name_map_file",
    "_short_name_map_file",
];

/// A fenced block: its info string and its lines.
struct Block<'p> {
    info: &'p str,
    text: String,
    /// Line numbers of its content, from 0.
    lines: std::ops::Range<usize>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut lines = page.lines().enumerate();
    while let Some((start, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else {
            continue;
        };
        let body: Vec<&str> = lines
            .by_ref()
            .map(|(_, line)| line)
            .take_while(|line| *line != "```")
            .collect();
        let text = body.iter().fold(String::new(), |text, line| text + line + "\n");
        found.push(Block {
            info,
            text,
            lines: start + 1..start + 1 + body.len(),
        });
    }
    found
}

/// The files that examples have made so far.
#[derive(Default)]
struct Files(BTreeMap<String, String>);

impl Loader for Files {
    fn load(&self, path: &Utf8Path) -> Loaded {
        let found = self.0.get(path.as_str());
        found.map_or(Loaded::Absent, |text| Loaded::Text(text.as_bytes().into()))
    }
}

/// What comes out of an example: the kind of the block that shows it, and its text.
fn outcome(info: &str, text: &str, files: &Files) -> (&'static str, String) {
    let shown = |errors: &[Diagnostic]| errors.iter().map(|error| format!("{error}\n")).collect();
    let program = match Program::from_text("example.cfg", text, files) {
        Ok(program) => program,
        Err(errors) => return ("error", shown(&errors)),
    };
    let words: Vec<&str> = info.split_whitespace().collect();
    let options = ExpandOptions {
        strict: words.contains(&"strict"),
        defaults: words.contains(&"defaults"),
        ..ExpandOptions::default()
    };
    if options.strict {
        let refused = vtbuild_cfg::strict::check(&program);
        if !refused.is_empty() {
            return ("error", shown(&refused));
        }
    }
    let contents = words.iter().find_map(|word| word.strip_prefix("contents"));
    match listing(&program, &options, contents) {
        Ok(text) => ("text", text),
        Err(error) => ("error", shown(&[*error])),
    }
}

fn listing(
    program: &Program,
    options: &ExpandOptions,
    contents: Option<&str>,
) -> Result<String, Box<Diagnostic>> {
    let mut out = String::new();
    for (index, variant) in program.variants(options).enumerate() {
        let variant = variant?;
        writeln!(out, "dict {:>4}:  {}", index + 1, variant.name()).expect("memory can be written");
        if let Some(wanted) = contents {
            let wanted: Vec<&str> = wanted.trim_start_matches('=').split(',').collect();
            for (key, value) in pairs(&variant)? {
                if !EVERYWHERE.contains(&&*key) || wanted.contains(&&*key) {
                    writeln!(out, "    {key} = {value}").expect("memory can be written");
                }
            }
        }
    }
    Ok(out)
}

fn pairs(variant: &Variant) -> Result<BTreeMap<String, String>, Box<Diagnostic>> {
    let params = variant.params().map_err(|error| Box::new(error.clone()))?;
    let mut pairs: BTreeMap<String, String> = params
        .iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let quoted: Vec<String> = variant.dep().iter().map(|dep| format!("'{dep}'")).collect();
    pairs.insert("dep".into(), format!("[{}]", quoted.join(", ")));
    Ok(pairs)
}

/// For each example the block that shows what comes out, and what really does.
fn run(blocks: &[Block<'_>]) -> Vec<(usize, &'static str, String)> {
    let mut files = Files::default();
    let mut results = Vec::new();
    for (index, block) in blocks.iter().enumerate() {
        let Some(info) = block.info.strip_prefix("cartesian") else {
            continue;
        };
        if let Some(name) = info.trim().strip_prefix("file=") {
            files.0.insert(name.to_owned(), block.text.clone());
            continue;
        }
        let (kind, text) = outcome(info, &block.text, &files);
        results.push((index + 1, kind, text));
    }
    results
}

fn bless(page: &str, blocks: &[Block<'_>], results: &[(usize, &'static str, String)]) {
    let mut lines: Vec<&str> = page.lines().collect();
    for (index, _, text) in results.iter().rev() {
        lines.splice(blocks[*index].lines.clone(), text.lines());
    }
    std::fs::write(PAGE, lines.join("\n") + "\n").expect("the page can be written");
}

#[test]
fn every_example_gives_what_the_page_shows() {
    let page = std::fs::read_to_string(PAGE).expect("the page is there");
    let blocks = blocks(&page);
    let results = run(&blocks);
    assert!(results.len() >= 35, "only {} examples were found", results.len());
    if std::env::var_os("VTBUILD_BLESS").is_some() {
        bless(&page, &blocks, &results);
        return;
    }
    for (index, kind, text) in &results {
        let Some(shown) = blocks.get(*index) else {
            panic!("the last example shows no output");
        };
        let line = blocks[index - 1].lines.start;
        assert_eq!(
            (shown.info, &shown.text),
            (*kind, text),
            "the example at docs/language.md:{line}"
        );
    }
}
