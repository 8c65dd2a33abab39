//! `vtbuild graph`: the graph as a page to look at, and as text for other programs.

mod facts;
mod page;
pub mod text;

use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use self::text::Part;
use super::{note, print};
use crate::analysis::Analysis;
use crate::cli::{AccelArg, GraphArgs, GraphFormat};
use crate::exit::{Exit, Failure};
use crate::planned::{Planned, Purpose};
use crate::wiring::Wiring;

/// How many tests are drawn without being insisted upon.
const MOST: usize = 10_000;

/// Draws the graph of the selected variants.
pub fn graph(args: &GraphArgs) -> Result<Exit, Failure> {
    if args.html.is_some() || args.open {
        return to_look_at(args);
    }
    let actions = &args.actions;
    let analysis = Analysis::of(&actions.select)?;
    let variants = if actions.all {
        analysis.variants(None)?
    } else {
        analysis.at_most(MOST, "draw")?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // What accelerates the guests does not change the picture.
    let wiring = runtime.block_on(Wiring::of(
        &analysis.workspace,
        &variants,
        AccelArg::Tcg,
        actions.runtime,
    ))?;
    let graph = wiring
        .with_guest_states(actions.states.policy())
        .graph(&variants)?;
    let whole = Part::whole(&graph);
    let text = match args.format {
        GraphFormat::Dot => text::dot(&whole),
        GraphFormat::Json => text::json(&whole),
        GraphFormat::Svg => text::svg(&whole)?,
        GraphFormat::Mermaid => text::mermaid(&whole),
        GraphFormat::Graphml => text::graphml(&whole),
    };
    match &args.output {
        None => print(&text)?,
        Some(path) => write(path, &text)?,
    }
    Ok(Exit::Good)
}

/// Writes the page, and shows it where that was asked for.
fn to_look_at(args: &GraphArgs) -> Result<Exit, Failure> {
    let planned = Planned::of(&args.actions, Purpose::look("draw"))?;
    let page = page::page(&facts::facts(&planned, &args.actions.select.targets)?);
    let path = match &args.html {
        Some(path) => path.clone(),
        None => {
            let folder = planned.analysis.workspace.root.join("job-results");
            std::fs::create_dir_all(&folder)
                .map_err(|error| Failure::environment(format!("failed to make {folder}: {error}")))?;
            folder.join("graph.html")
        }
    };
    write(&path, &page)?;
    note(&format!("{path}: {} actions", planned.foreseen.graph.len()));
    if args.open {
        open(&path)?;
    }
    Ok(Exit::Good)
}

/// The page of a run that is about to begin.
pub fn live(planned: &Planned, targets: &[String]) -> Result<String, Failure> {
    let mut facts = facts::facts(planned, targets)?;
    facts["live"] = true.into();
    Ok(page::page(&facts))
}

fn write(path: &Utf8Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text)
        .map_err(|error| Failure::environment(format!("failed to write {path}: {error}")))
}

/// Has the desktop show a page.
fn open(path: &Utf8Path) -> Result<(), Failure> {
    let path: Utf8PathBuf = path
        .canonicalize_utf8()
        .map_err(|error| Failure::environment(format!("failed to find {path}: {error}")))?;
    let opened = Command::new("xdg-open")
        .arg(&path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let why = match opened {
        Ok(status) if status.success() => return Ok(()),
        Ok(status) => format!("xdg-open ended with {status}"),
        Err(error) => format!("xdg-open: {error}"),
    };
    Err(Failure::environment(format!(
        "failed to show {path} ({why}); open it in a browser: it needs nothing but itself"
    )))
}
