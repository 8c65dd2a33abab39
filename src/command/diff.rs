//! `vtbuild diff`.

mod rerun;
mod side;
mod told;

use std::collections::HashMap;

use vtbuild_cfg::Variant;
use vtbuild_cfg::variant::Fingerprint;

use super::changes::{Change, Counts, Kind, differences, pairs};
use super::{Output, note};
use crate::analysis::{NARROW, wrong};
use crate::cli::{DiffArgs, DiffFormat};
use crate::exit::{Exit, Failure};
use side::Side;

/// How many variants of each side are compared unless all are asked for.
const MOST: usize = 50_000;

/// Compares two states of a configuration: their variants, and what would run because of what differs.
pub fn diff(args: &DiffArgs) -> Result<Exit, Failure> {
    let old = Side::of(&args.old, args)?;
    let new = Side::of(&args.new, args)?;
    let (changes, counts) = changes(&old, &new, args)?;
    let rerun = if args.variants_only {
        None
    } else {
        rerun::Rerun::of(&old, &new, args).unwrap_or_else(|failure| {
            note(&format!("what would run is not told: {}", failure.message));
            None
        })
    };
    let mut out = Output::new();
    match args.format() {
        DiffFormat::Text => told::text(&mut out, &changes, counts, rerun.as_ref())?,
        DiffFormat::Json => told::json(&mut out, &changes, counts, rerun.as_ref())?,
        DiffFormat::Markdown => {
            out.write(&told::markdown(
                (&old.name, &new.name),
                &changes,
                counts,
                rerun.as_ref(),
            ))?;
        }
    }
    out.finish()?;
    let runs = rerun.is_some_and(|rerun| !rerun.actions.is_empty());
    Ok(if counts.nothing() && !runs {
        Exit::Good
    } else {
        Exit::Failed
    })
}

/// A variant among those of one side: its name, and how many of that name came before it.
type Key = (String, usize);

/// What differs: what is gone, in the order of the old side, then the rest in the order of the new one.
fn changes(old: &Side, new: &Side, args: &DiffArgs) -> Result<(Vec<Change>, Counts), Failure> {
    let (before, after) = (read(old, args)?, read(new, args)?);
    let of: HashMap<&Key, &(Key, Fingerprint, Variant)> = before.iter().map(|told| (&told.0, told)).collect();
    let mut rest = Vec::new();
    let mut there = std::collections::HashSet::new();
    for (key, mark, variant) in &after {
        let Some((_, then, was)) = of.get(key) else {
            rest.push(Change {
                name: key.0.clone(),
                kind: Kind::Added,
            });
            continue;
        };
        there.insert(key);
        // The same statements make the same parameters; others may all the same.
        if then == mark {
            continue;
        }
        let differences = differences(&pairs(was)?, &pairs(variant)?);
        if !differences.is_empty() {
            rest.push(Change {
                name: key.0.clone(),
                kind: Kind::Changed(differences),
            });
        }
    }
    let gone = before.iter().filter(|(key, _, _)| !there.contains(key));
    let mut changes: Vec<Change> = gone
        .map(|((name, _), _, _)| Change {
            name: name.clone(),
            kind: Kind::Removed,
        })
        .collect();
    changes.append(&mut rest);
    let counts = Counts::of(&changes, after.len());
    Ok((changes, counts))
}

/// Every variant of a side, in order, with what it is made of. Parameters are not computed for that.
fn read(side: &Side, args: &DiffArgs) -> Result<Vec<(Key, Fingerprint, Variant)>, Failure> {
    let mut fingerprints = side.program().fingerprints();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut found = Vec::new();
    for variant in side.variants() {
        let variant = variant.map_err(|error| wrong(&error))?;
        if found.len() == MOST && !args.all {
            let message = format!(
                "{} has {} variants, too many to compare by mistake (more than {MOST})\n{NARROW}\n  or insist with --all",
                side.name,
                side.count()?
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        let name = variant.name().to_owned();
        let nth = seen.entry(name.clone()).or_default();
        found.push(((name, *nth), fingerprints.of(&variant), variant));
        *nth += 1;
    }
    Ok(found)
}
