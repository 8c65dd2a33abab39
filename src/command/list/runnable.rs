//! `vtbuild list --runnable`: which way each test would be run, and what it lacks here.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::json;
use vtbuild_rules::test::Runnable;

use crate::analysis::Analysis;
use crate::cli::{AccelArg, ListArgs};
use crate::command::{Output, plural};
use crate::exit::{Exit, Failure};
use crate::wiring::Wiring;

/// How many variants are looked at unless all are asked for.
const MOST: usize = 10_000;

/// Lists the selected variants with their runtimes and what they lack.
pub fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let variants = if args.all {
        analysis.variants(None)?
    } else {
        analysis.at_most(MOST, "look through")?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // What accelerates the guests decides nothing here.
    let wiring = Wiring::of(&analysis.workspace, &variants, AccelArg::Tcg, args.runtime);
    let wiring = runtime.block_on(wiring)?;
    let mut out = Output::new();
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lacking = 0_usize;
    for variant in &variants {
        let found = wiring.runnable(variant);
        *counts.entry(found.runtime.unwrap_or("none")).or_default() += 1;
        lacking += usize::from(!found.lacks.is_empty());
        let line = if args.json {
            let object = json!({"id": variant.test_id, "runtime": found.runtime, "lacks": found.lacks});
            format!("{object}\n")
        } else {
            text(&variant.test_id, &found)
        };
        if !out.write(&line)? {
            return Ok(Exit::Good);
        }
    }
    if !args.json {
        let counts: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let total = plural(&variants.len(), "variant");
        out.write(&format!(
            "\n{total}: {}; {lacking} lack something\n",
            counts.join(", ")
        ))?;
    }
    out.finish()?;
    Ok(Exit::Good)
}

fn text(id: &str, found: &Runnable) -> String {
    let mut text = format!("{:<9} {id}\n", found.runtime.unwrap_or("none"));
    for lack in &found.lacks {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "          lacks {lack}");
    }
    text
}
