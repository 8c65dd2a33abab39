//! Visits: the machines of one variant, prepared as its test would find them, and somebody who looks at them.

use std::io::Write;
use std::sync::Arc;

use vtbuild_engine::event::Event;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::{Plan, PlanOptions};
use vtbuild_engine::variant::Variant;
use vtbuild_rules::state::Policy;
use vtbuild_rules::test::{Visitor, Visits};

use super::run;
use crate::cli::{AccelArg, RunArgs, RuntimeArg};
use crate::execution::{self, Execution};
use crate::exit::{Exit, Failure};
use crate::report::Reporter;
use crate::wiring::{self, Wiring};
use crate::workspace::Workspace;

/// Starts the machines of a variant, from saved states as `states` says, and lets the visitor in. Gives an exit code where the
/// visit was stopped from outside.
pub fn visit(
    workspace: &Workspace,
    variant: Variant,
    accel: AccelArg,
    states: Policy,
    visitor: Arc<dyn Visitor>,
) -> Result<Option<Exit>, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let variants = [started(variant)];
    let wiring = runtime.block_on(Wiring::of(workspace, &variants, accel, RuntimeArg::Own))?;
    let wiring = wiring
        .with_guest_states(states)
        .with_visits(Visits::InsteadOfBody(visitor));
    let graph = Arc::new(wiring.graph(&variants)?);
    let execution = aside(workspace, wiring, graph, PlanOptions { force: true })?;
    let summary = runtime.block_on(execution.carry_out())?;
    if summary.interrupted.is_some() {
        return Ok(Some(Exit::Interrupted));
    }
    let mut ended = summary.broken.iter().chain(&summary.wanted);
    if let Some(broken) = ended.find(|it| it.status != Status::Pass) {
        let reason = broken.reason.as_deref().unwrap_or("no reason given");
        let exit = if summary.bug { Exit::Bug } else { Exit::Failed };
        return Err(Failure::new(exit, format!("{}: {reason}", broken.label)));
    }
    Ok(None)
}

/// What carries a graph out that nobody asked to be run for its own sake: it leaves no job folder, and its steps are told on
/// standard error.
pub(super) fn aside(
    workspace: &Workspace,
    wiring: Wiring,
    graph: Arc<Graph>,
    options: PlanOptions,
) -> Result<Execution<'_>, Failure> {
    let store = execution::open_store(workspace)?;
    let resolver = Arc::new(execution::resolver(store, workspace));
    let plan = Plan::make(&graph, &resolver, options)
        .map_err(|error| Failure::environment(format!("failed to {error}")))?;
    Ok(Execution {
        workspace,
        wiring,
        graph,
        resolver,
        plan,
        options: run::options(&RunArgs::default()),
        job: None,
        reporters: vec![Box::new(Steps)],
        canceller: None,
    })
}

/// The words of a variant's parameter.
pub fn words(variant: &Variant, key: &str) -> Vec<String> {
    let found = variant.params.iter().find(|(name, _)| &**name == key);
    let value = found.map_or("", |(_, value)| value);
    value.split_whitespace().map(str::to_owned).collect()
}

/// A test may start its machines itself (`start_vm = no`); who visits wants them running.
fn started(mut variant: Variant) -> Variant {
    let starts = |key: &str| key == "start_vm" || key.starts_with("start_vm_");
    let changed = variant.params.iter().map(|(key, value)| {
        let value = if starts(key) {
            Arc::from("yes")
        } else {
            value.clone()
        };
        (key.clone(), value)
    });
    variant.params = Arc::new(changed.collect());
    variant
}

/// Says on standard error what is being prepared: standard output belongs to the visit.
struct Steps;

impl Reporter for Steps {
    fn event(&mut self, event: &Event) {
        let line = match event {
            Event::Started { rule, label, .. } if *rule != wiring::VISIT => {
                format!("{rule} {label}: started")
            }
            Event::Step { text, .. } => text.clone(),
            Event::Waiting { label, what } => format!("{label}: waits for {what}"),
            _ => return,
        };
        // Nobody to tell is no reason to stop.
        let _ = writeln!(anstream::stderr(), "# {line}");
    }

    fn close(&mut self) {}
}
