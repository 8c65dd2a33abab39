//! `vtbuild query`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use vtbuild_engine::graph::Graph;
use vtbuild_engine::query::Query;
use vtbuild_engine::resolve::FILE;
use vtbuild_engine::spec::ActionId;
use vtbuild_rules::state::Policy;

use super::graph::text::{self, Part};
use super::{Output, print};
use crate::analysis::Analysis;
use crate::cli::{AccelArg, QueryArgs, QueryOutput, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::wiring::{KINDS, Wiring};

/// How many tests are asked about without being insisted upon.
const MOST: usize = 100_000;

/// Answers a question about the graph.
pub fn query(args: &QueryArgs) -> Result<Exit, Failure> {
    let kinds: Vec<&str> = KINDS.iter().copied().chain([FILE.name]).collect();
    let query = Query::parse(&args.expression, &kinds)
        .map_err(|error| Failure::new(Exit::Usage, error.to_string()))?;
    let (graph, selected) = universe(args, &query)?;
    let ids_of = |target: &str| {
        let names = &selected[target];
        let all = graph.order().iter().copied();
        all.filter(|&id| names.contains(&graph.spec(id).variant))
            .collect()
    };
    let found = query.answer(&graph, &ids_of);
    match args.output {
        QueryOutput::Label => labels(&graph, &found)?,
        QueryOutput::Json => print(&text::json(&Part::of(&graph, &found)))?,
        QueryOutput::Dot => print(&text::dot(&Part::of(&graph, &found)))?,
    }
    Ok(Exit::Good)
}

/// `KIND TITLE`, each action after those that it waits for.
fn labels(graph: &Graph, found: &BTreeSet<ActionId>) -> Result<(), Failure> {
    let mut out = Output::new();
    for &id in graph.order().iter().filter(|id| found.contains(id)) {
        let spec = graph.spec(id);
        if !out.write(&format!("{} {}\n", spec.rule, spec.title))? {
            return Ok(());
        }
    }
    out.finish()?;
    Ok(())
}

/// The full names of the variants that each target selects.
type Selected = BTreeMap<String, HashSet<Arc<str>>>;

/// The graph of all variants that the targets of a question select, of all there are where it has none.
fn universe(args: &QueryArgs, query: &Query) -> Result<(Graph, Selected), Failure> {
    let mut selected = Selected::new();
    for target in query.targets() {
        let analysis = Analysis::of(&select(args, vec![target.to_owned()]))?;
        let variants = analysis.at_most(most(args), "ask about")?;
        let names = variants.into_iter().map(|variant| variant.name).collect();
        selected.insert(target.to_owned(), names);
    }
    let mut targets: Vec<String> = selected.keys().cloned().collect();
    if targets.is_empty() {
        targets.push("//...".to_owned());
    }
    let analysis = Analysis::of(&select(args, targets))?;
    let variants = analysis.at_most(most(args), "ask about")?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // What accelerates the guests changes no edge.
    let wiring = Wiring::of(&analysis.workspace, &variants, AccelArg::Tcg, args.runtime);
    let wiring = runtime.block_on(wiring)?.with_guest_states(Policy::Auto);
    let graph = wiring.graph(&variants)?;
    Ok((graph, selected))
}

fn most(args: &QueryArgs) -> usize {
    if args.all { usize::MAX } else { MOST }
}

fn select(args: &QueryArgs, targets: Vec<String>) -> SelectArgs {
    SelectArgs {
        targets,
        config: args.config.clone(),
    }
}
