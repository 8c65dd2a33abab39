//! Hovering: the values of a key and the chain of statements that made them; what a variant sets.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use camino::Utf8Path;
use vtbuild_cfg::provenance::{Step, explain};
use vtbuild_cfg::{ExpandOptions, Program, Variant};

use super::document::{Document, Shared};
use super::navigate::{Hit, assignments, labels};
use super::scan::{Mention, Role, Shape};
use super::world::World;

/// How long values are looked for before a hover does without.
const PATIENCE: Duration = Duration::from_millis(1_500);
/// How many variants are looked at for a key's values.
const VARIANTS: usize = 64;
/// How many values, definitions and statements are shown.
const SHOWN: usize = 5;
const STATEMENTS: usize = 12;
/// How much of a value or a line is shown.
const WIDTH: usize = 200;

/// A search for values that may still be going on.
pub type Search = Option<Receiver<Vec<Value>>>;

/// A value of a key.
pub struct Value {
    value: String,
    /// How many of the variants that were looked at have it, and one of them.
    variants: usize,
    example: String,
    steps: Vec<Step>,
}

/// What there is to say about the name at a place, as Markdown.
pub fn hover(
    world: &mut World,
    document: &Document,
    offset: usize,
    search: &mut Search,
) -> Option<(Mention, String)> {
    let mention = document.mention_at(offset)?;
    let name = document.str()[mention.range.clone()].to_owned();
    let text = match mention.role {
        Role::Include => {
            let file = world.included(document, &name)?;
            format!("includes `{}`", file.path)
        }
        role if role.is_label() => variant(world, document, &name),
        _ => key(world, document, &mention, &name, search),
    };
    Some((mention, text))
}

fn variant(world: &mut World, document: &Document, name: &str) -> String {
    let hits = labels(world, document, name, |role| role == Role::Label);
    let mut text = format!("variant `{name}`");
    if hits.is_empty() {
        text.push_str("\n\nno variant of the workspace has this name");
    }
    for hit in hits.iter().take(SHOWN) {
        let _ = write!(text, "\n\n`{}`", place(hit));
        let line = hit.document.line_around(hit.mention.range.start);
        let head = line
            .map(|line| short(&hit.document.str()[line.range]))
            .unwrap_or_default();
        let _ = write!(text, "\n```\n{head}\n{}```", contents(hit));
    }
    more(&mut text, hits.len(), SHOWN);
    text
}

/// What stands right inside a variant.
fn contents(hit: &Hit) -> String {
    let body = hit.document.body(hit.mention.range.start);
    let mut text = String::new();
    let mut shown = 0;
    // Lines deeper than this belong to a block within.
    let mut limit = usize::MAX;
    for line in &body {
        if line.indent > limit {
            continue;
        }
        limit = match line.shape {
            Shape::Block | Shape::Condition | Shape::OtherCondition => line.indent,
            _ => usize::MAX,
        };
        shown += 1;
        if shown > STATEMENTS {
            text.push_str("    …\n");
            break;
        }
        let _ = writeln!(text, "    {}", short(&hit.document.str()[line.range.clone()]));
    }
    text
}

fn key(world: &mut World, document: &Document, mention: &Mention, name: &str, search: &mut Search) -> String {
    let mut text = format!("key `{name}`");
    let around = document.labels_around(mention.range.start);
    let values = values(world, document, around.clone(), name, search);
    if !values.is_empty() && !around.is_empty() {
        let _ = write!(text, " in variants of `{}`", around.join(".."));
    }
    let count = values.len();
    for value in values.into_iter().take(SHOWN) {
        let _ = write!(text, "\n\n`{}`", short(&value.value));
        let others = match value.variants {
            1 => String::new(),
            n => format!(" and {} more of the first {VARIANTS}", n - 1),
        };
        let _ = writeln!(text, " in `{}`{others}\n```", short(&value.example));
        value.steps.iter().for_each(|one| step(&mut text, one));
        text.push_str("```");
    }
    more(&mut text, count, SHOWN);
    if count == 0 {
        let hits = assignments(world, document, name);
        text.push_str(if hits.is_empty() {
            "\n\nnothing in the workspace sets it"
        } else {
            "\n\nset by\n```\n"
        });
        for hit in hits.iter().take(STATEMENTS) {
            let line = hit.document.line_around(hit.mention.range.start);
            let line = line
                .map(|line| short(&hit.document.str()[line.range]))
                .unwrap_or_default();
            let _ = writeln!(text, "{}: {line}", place(hit));
        }
        if !hits.is_empty() {
            text.push_str("```");
        }
        more(&mut text, hits.len(), STATEMENTS);
    }
    text
}

fn step(text: &mut String, step: &Step) {
    let statement = &step.statement;
    let file = Utf8Path::new(&*statement.file);
    let _ = write!(text, "{file}:{}: {}", statement.line, short(&statement.text));
    for condition in &step.under {
        let _ = write!(
            text,
            "  (under `{}` at {}:{})",
            short(&condition.text),
            condition.file,
            condition.line
        );
    }
    text.push('\n');
}

fn more(text: &mut String, count: usize, shown: usize) {
    if count > shown {
        let _ = write!(text, "\n\nand {} more", count - shown);
    }
}

fn place(hit: &Hit) -> String {
    let document: &Shared = &hit.document;
    format!(
        "{}:{}",
        document.path,
        document.text.line_at(hit.mention.range.start) + 1
    )
}

/// A text on one line, cut where it is too long, without what would end a stretch of code.
fn short(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .map(|c| if c == '`' { '\'' } else { c })
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(WIDTH)
        .collect();
    if text.chars().nth(WIDTH).is_some() {
        shown.push('…');
    }
    shown
}

/// The values of a key in the variants that have the labels around it, as far as they are found in time.
fn values(
    world: &mut World,
    document: &Document,
    around: Vec<String>,
    key: &str,
    search: &mut Search,
) -> Vec<Value> {
    // One search at a time: one that takes long must not be joined by others.
    if let Some(running) = search.as_ref()
        && matches!(running.try_recv(), Err(mpsc::TryRecvError::Empty))
    {
        return Vec::new();
    }
    *search = None;
    let Some(program) = world.program(document) else {
        return Vec::new();
    };
    let (sender, receiver) = mpsc::channel();
    let (lines, key) = (world.lines().to_vec(), key.to_owned());
    std::thread::spawn(move || {
        // Nobody waits any more for an answer that comes late.
        let _ = sender.send(find(&program, &lines, &around, &key));
    });
    match receiver.recv_timeout(PATIENCE) {
        Ok(values) => values,
        Err(_) => {
            *search = Some(receiver);
            Vec::new()
        }
    }
}

/// The values of a key in the first variants with these labels: of those that a plain run takes, else of all.
fn find(program: &Program, lines: &[String], around: &[String], key: &str) -> Vec<Value> {
    let narrowed = |mut program: Program, lines: &[String]| {
        for line in lines {
            program = program.with_text("vtbuild.toml", line).ok()?;
        }
        if around.is_empty() {
            return Some(program);
        }
        program
            .with_text("<place>", &format!("only {}", around.join("..")))
            .ok()
    };
    for lines in [lines, &[][..]] {
        let Some(program) = narrowed(program.clone(), lines) else {
            continue;
        };
        let values = first_values(&program, key);
        if !values.is_empty() {
            return values;
        }
    }
    Vec::new()
}

fn first_values(program: &Program, key: &str) -> Vec<Value> {
    let until = Instant::now() + PATIENCE;
    let mut found: BTreeMap<String, (usize, Variant)> = BTreeMap::new();
    let variants = program
        .variants(&ExpandOptions::default())
        .flatten()
        .take(VARIANTS);
    for variant in variants.take_while(|_| Instant::now() < until) {
        let Ok(params) = variant.params() else { continue };
        let Some(value) = params.get(key) else { continue };
        found
            .entry(value.to_owned())
            .or_insert_with(|| (0, variant.clone()))
            .0 += 1;
    }
    let mut values: Vec<Value> = found
        .into_iter()
        .map(|(value, (variants, variant))| Value {
            value,
            variants,
            example: variant.shortname(),
            steps: explain(&variant, key).unwrap_or_default(),
        })
        .collect();
    values.sort_by_key(|value| std::cmp::Reverse(value.variants));
    values
}
