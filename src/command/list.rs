//! `vtbuild list`.

use std::fmt::Write;

use serde_json::json;
use vtbuild_engine::variant::Variant;

use super::print;
use crate::analysis::Analysis;
use crate::cli::ListArgs;
use crate::exit::{Exit, Failure};

/// How many variants are listed unless all are asked for.
const MOST: usize = 20_000;

/// Lists variants.
pub fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let most = (!args.all).then_some(MOST + 1);
    let mut variants = analysis.variants(most)?;
    let cut = !args.all && variants.len() > MOST;
    variants.truncate(if args.all { usize::MAX } else { MOST });
    if args.count {
        return count(&variants, cut);
    }
    let mut text = String::new();
    if !args.json {
        text.push_str(&heading(&analysis));
    }
    for variant in &variants {
        line(&mut text, variant, args);
    }
    if !args.json {
        let _ = writeln!(text, "\n{} variants", variants.len());
    }
    if cut {
        let _ = writeln!(
            text,
            "more than {MOST}: narrow the target, or list them all with --all"
        );
    }
    print(&text)?;
    Ok(Exit::Good)
}

fn count(variants: &[Variant], cut: bool) -> Result<Exit, Failure> {
    let more = if cut { "more than " } else { "" };
    print(&format!("{more}{}\n", variants.len()))?;
    Ok(Exit::Good)
}

/// The filters in force, those that nobody typed included.
fn heading(analysis: &Analysis) -> String {
    let mut text = String::new();
    for line in &analysis.lines {
        let _ = writeln!(text, "# {}  ({})", line.text, line.origin);
    }
    text
}

fn line(text: &mut String, variant: &Variant, args: &ListArgs) {
    // Writing to a string cannot fail.
    let _ = if args.json {
        let object = json!({
            "id": variant.test_id,
            "shortname": variant.shortname,
            "name": variant.name,
            "dep": variant.dep,
            "params": variant.params.len(),
        });
        writeln!(text, "{object}")
    } else if args.verbose {
        writeln!(
            text,
            "{}\n    {}\n    {} parameters",
            variant.test_id,
            variant.name,
            variant.params.len()
        )
    } else {
        writeln!(text, "{}", variant.test_id)
    };
}
