//! `vtbuild list`.

pub(super) mod guests;
mod runnable;
mod tree;

use std::collections::HashSet;
use std::fmt::Write;

use serde_json::json;
use vtbuild_cfg::provenance::filters_in_force;
use vtbuild_cfg::{Diagnostic, Variant};

use super::{Output, plural, print, warn};
use crate::analysis::{Analysis, NARROW, wrong};
use crate::cli::ListArgs;
use crate::execution::open_store;
use crate::exit::{Exit, Failure};
use crate::wiring::WANTED;

/// How many variants are listed unless all are asked for.
const MOST: usize = 20_000;
/// What is said of a test that an audit has marked, though it may have been mended since.
const MARKED: &str = "  (marked as non-deterministic)";
/// The file whose filters people forget.
const ROOT: &str = "tests.cfg";

/// Lists variants, or guests.
pub fn list(args: &ListArgs) -> Result<Exit, Failure> {
    if args.guests {
        return guests::list(args);
    }
    if args.runnable {
        return runnable::list(args);
    }
    let analysis = Analysis::of(&args.select)?;
    if args.count {
        return count(&analysis);
    }
    let mut out = Output::new();
    let most = if args.all { usize::MAX } else { MOST };
    let mut tree = tree::Tree::default();
    let mut listed = 0_usize;
    let marked = marked(&analysis)?;
    let lines = analysis
        .stream()
        .map_parallel(|variant| line(variant, args, &marked));
    for line in lines.take(most.saturating_add(1)) {
        let line = line.map_err(|error| wrong(&error))?;
        if listed == most {
            return cut(&analysis, args, &tree, out);
        }
        if listed == 0 && !args.json {
            out.write(&heading(&analysis))?;
        }
        listed += 1;
        if args.tree {
            tree.add(&line);
        } else if !out.write(&line)? {
            return Ok(Exit::Good);
        }
    }
    if listed == 0 {
        return Err(analysis.nothing());
    }
    if args.tree {
        out.write(&tree.text())?;
    }
    if !args.json {
        out.write(&format!("\n{}\n", plural(&listed, "variant")))?;
    }
    out.finish()?;
    Ok(Exit::Good)
}

/// Ends a listing that would be too long.
fn cut(analysis: &Analysis, args: &ListArgs, tree: &tree::Tree, mut out: Output) -> Result<Exit, Failure> {
    if args.tree {
        out.write(&tree.text())?;
    }
    out.finish()?;
    drop(out);
    warn(&format!(
        "these are the first {MOST} of {} variants\n{NARROW}\n  help: --count only counts, --tree shows the names, --all lists them all",
        analysis.count()?
    ));
    Ok(Exit::Good)
}

fn count(analysis: &Analysis) -> Result<Exit, Failure> {
    let count = analysis.count()?;
    if count.variants == 0 {
        return Err(analysis.nothing());
    }
    print(&format!("{count}\n"))?;
    Ok(Exit::Good)
}

/// The filters in force: those of the first configuration file that stand outside of all choice, and the lines that were
/// added, be it by the command line or by `vtbuild.toml`.
fn heading(analysis: &Analysis) -> String {
    let mut text = String::new();
    for statement in filters_in_force(&analysis.program) {
        let file = statement.file.rsplit('/').next();
        if file == Some(ROOT) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "# {}  ({})", statement.text, analysis.place(&statement));
        }
    }
    for line in &analysis.lines {
        for said in line.text.lines().filter(|said| !said.trim().is_empty()) {
            let _ = writeln!(text, "# {said}  ({})", line.origin);
        }
    }
    text
}

/// The names of variants whose tests are marked as non-deterministic. A cache that was never used has none.
fn marked(analysis: &Analysis) -> Result<HashSet<String>, Failure> {
    let workspace = &analysis.workspace;
    if !workspace.cache.join("index").is_dir() {
        return Ok(HashSet::new());
    }
    let marks = open_store(workspace)?.marks()?;
    let tests = marks.into_iter().filter(|mark| mark.rule == WANTED);
    Ok(tests.map(|mark| mark.label).collect())
}

/// What is listed of a variant.
fn line(
    variant: Result<Variant, Box<Diagnostic>>,
    args: &ListArgs,
    marked: &HashSet<String>,
) -> Result<String, Box<Diagnostic>> {
    let variant = variant?;
    let id = variant.test_name();
    let marked = !marked.is_empty() && marked.contains(&variant.name().to_string());
    if args.tree {
        return Ok(id + "\n");
    }
    if !(args.json || args.verbose) {
        return Ok(format!("{id}{}\n", if marked { MARKED } else { "" }));
    }
    let params = variant.params().map_err(|error| Box::new(error.clone()))?;
    if args.json {
        let mut object = json!({
            "id": id,
            "shortname": variant.shortname(),
            "name": variant.name(),
            "dep": variant.dep(),
            "params": params.iter().count(),
        });
        if marked {
            object["nondeterministic"] = true.into();
        }
        return Ok(format!("{object}\n"));
    }
    let mark = if marked { MARKED } else { "" };
    let mut text = format!("{id}{mark}\n    {}\n", variant.name());
    for dep in variant.dep() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "    after {dep}");
    }
    let _ = writeln!(text, "    {}", plural(&params.iter().count(), "parameter"));
    Ok(text)
}
