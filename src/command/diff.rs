//! `vtbuild diff`.

mod side;

use std::collections::{HashMap, HashSet};
use std::fmt::Write;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};
use vtbuild_cfg::{Diagnostic, Variant, canonical_dump};

use super::cartesian::{Value, sorted, write_repr};
use super::{Output, plural};
use crate::analysis::{NARROW, wrong};
use crate::cli::DiffArgs;
use crate::exit::{Exit, Failure};
use side::Side;

/// How many variants of each side are compared unless all are asked for.
const MOST: usize = 50_000;

/// A variant among those of one side: its name, and how many of that name came before it.
type Key = (String, usize);
/// Keys of a variant with their values as text.
type Pairs = Vec<(String, String)>;

/// Compares the variants of two states of a configuration.
pub fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let old = Side::of(&args.old, args)?;
    let new = Side::of(&args.new, args)?;
    let (before, after) = (digests(&old, args)?, digests(&new, args)?);
    let old_of: HashMap<&Key, &[u8; 32]> = before.iter().map(|(key, digest)| (key, digest)).collect();
    let new_of: HashMap<&Key, &[u8; 32]> = after.iter().map(|(key, digest)| (key, digest)).collect();
    let changed: HashSet<&Key> = old_of
        .iter()
        .filter(|(key, digest)| new_of.get(*key).is_some_and(|other| other != *digest))
        .map(|(key, _)| *key)
        .collect();
    let old_pairs = pairs(&old, &changed)?;
    let new_pairs = pairs(&new, &changed)?;
    let mut out = Output::new();
    let mut counts = [0_usize; 3];
    for (key, _) in before.iter().filter(|(key, _)| !new_of.contains_key(key)) {
        counts[1] += 1;
        out.write(&lone(args, "removed", '-', &key.0))?;
    }
    for (key, _) in &after {
        if !old_of.contains_key(key) {
            counts[0] += 1;
            out.write(&lone(args, "added", '+', &key.0))?;
        } else if let (Some(old), Some(new)) = (old_pairs.get(key), new_pairs.get(key)) {
            counts[2] += 1;
            out.write(&both(args, &key.0, &differences(old, new)))?;
        }
    }
    let different = counts.iter().any(|&count| count > 0);
    if !args.json {
        let same = after.len() - counts[0] - counts[2];
        let [added, removed, changed] = counts;
        let gap = if different { "\n" } else { "" };
        let same = plural(&same, "variant");
        out.write(&format!(
            "{gap}{added} added, {removed} removed, {changed} changed; {same} the same\n"
        ))?;
    }
    out.finish()?;
    Ok(if different { Exit::Failed } else { Exit::Good })
}

/// Every variant of a side, in order, with a digest of all that it says.
fn digests(side: &Side, args: &DiffArgs) -> Result<Vec<(Key, [u8; 32])>, Failure> {
    let told = |variant: Result<Variant, Box<Diagnostic>>| {
        let variant = variant?;
        let mut text = String::new();
        canonical_dump(&variant, &mut text)?;
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        Ok((variant.name().to_owned(), digest))
    };
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut found = Vec::new();
    for told in side.variants().map_parallel(told) {
        let (name, digest) = told.map_err(|error: Box<Diagnostic>| wrong(&error))?;
        if found.len() == MOST && !args.all {
            let message = format!(
                "{} has {} variants, too many to compare by mistake (more than {MOST})\n{NARROW}\n  or insist with --all",
                side.name,
                side.count()?
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        let nth = seen.entry(name.clone()).or_default();
        found.push(((name, *nth), digest));
        *nth += 1;
    }
    Ok(found)
}

/// All that some variants of a side say.
fn pairs(side: &Side, wanted: &HashSet<&Key>) -> Result<HashMap<Key, Pairs>, Failure> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut found = HashMap::new();
    if wanted.is_empty() {
        return Ok(found);
    }
    for variant in side.variants() {
        let variant = variant.map_err(|error| wrong(&error))?;
        let nth = seen.entry(variant.name().to_owned()).or_default();
        let key = (variant.name().to_owned(), *nth);
        *nth += 1;
        if !wanted.contains(&key) {
            continue;
        }
        let told = sorted(&variant).map_err(|error| wrong(&error))?;
        let owned = told
            .into_iter()
            .map(|(name, value)| (name.to_owned(), text(&value)));
        found.insert(key, owned.collect());
    }
    Ok(found)
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Text(text) => (*text).to_owned(),
        value => {
            let mut text = String::new();
            write_repr(value, &mut text);
            text
        }
    }
}

/// A key whose value differs: its name, the value before, the value after.
type Difference<'p> = (&'p str, Option<&'p str>, Option<&'p str>);

/// The keys whose values differ, sorted.
fn differences<'p>(old: &'p Pairs, new: &'p Pairs) -> Vec<Difference<'p>> {
    let value = |pairs: &'p Pairs, key: &str| {
        let at = pairs.binary_search_by(|(known, _)| known.as_str().cmp(key));
        at.ok().map(|at| pairs[at].1.as_str())
    };
    let mut names: Vec<&str> = old.iter().chain(new).map(|(key, _)| key.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .map(|key| (key, value(old, key), value(new, key)))
        .filter(|(_, before, after)| before != after)
        .collect()
}

/// A variant that one side lacks.
fn lone(args: &DiffArgs, word: &str, sign: char, name: &str) -> String {
    if args.json {
        format!("{}\n", json!({ "change": word, "name": name }))
    } else {
        format!("{sign} {name}\n")
    }
}

fn both(args: &DiffArgs, name: &str, differences: &[Difference<'_>]) -> String {
    if args.json {
        let keys: Map<String, Json> = differences
            .iter()
            .map(|(key, before, after)| ((*key).to_owned(), json!({ "before": before, "after": after })))
            .collect();
        let object = json!({ "change": "changed", "name": name, "keys": keys });
        return format!("{object}\n");
    }
    let shown =
        |value: &Option<&str>| value.map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""));
    let mut text = format!("~ {name}\n");
    for (key, before, after) in differences {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    {key}: {} -> {}", shown(before), shown(after));
    }
    text
}
