//! `vtbuild shell`: the machines of one test, prepared as the test would find them, with somebody at the keyboard.

mod input;
mod monitor;
mod prompt;

use std::io::{IsTerminal, Write};
use std::sync::Arc;

use vtbuild_engine::event::Event;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::{Plan, PlanOptions};
use vtbuild_engine::resolve::Resolver;
use vtbuild_engine::variant::Variant;
use vtbuild_rules::test::Visits;

use self::prompt::{Place, Prompt};
use super::run;
use crate::analysis::{Analysis, NARROW};
use crate::cli::{RunArgs, RuntimeArg, ShellArgs};
use crate::execution::{self, Execution};
use crate::exit::{Exit, Failure};
use crate::report::Reporter;
use crate::wiring::{self, Wiring};

/// How many of too many variants are named.
const NAMED: usize = 10;

/// Boots the machines of the test and lets somebody in.
pub fn shell(args: &ShellArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let workspace = &analysis.workspace;
    let variant = the_one(analysis.variants(Some(NAMED + 1))?)?;
    let vms = words(&variant, "vms");
    let first = match &args.vm {
        Some(vm) if !vms.contains(vm) => {
            let message = format!("the test has no machine {vm} (vms = {})", vms.join(" "));
            return Err(Failure::new(Exit::Usage, message));
        }
        _ if vms.is_empty() => {
            let message = format!("{} has no machine: its `vms` is empty", variant.test_id);
            return Err(Failure::new(Exit::Usage, message));
        }
        vm => vm.clone(),
    };
    let place = match (args.qmp, args.serial) {
        (true, _) => Place::Monitor,
        (_, true) => Place::Serial,
        _ => Place::Ssh,
    };
    let terminal = std::io::stdin().is_terminal();
    let prompt = Arc::new(Prompt::new(place, first, terminal));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let variants = [started(variant)];
    let wiring = runtime.block_on(Wiring::of(workspace, &variants, args.accel, RuntimeArg::Own))?;
    let wiring = wiring.with_visits(Visits::InsteadOfBody(prompt.clone()));
    let graph = Arc::new(wiring.graph(&variants)?);
    let store = execution::open_store(workspace)?;
    let resolver = Arc::new(Resolver::new(store, execution::roots(workspace)));
    let plan = Plan::make(&graph, &resolver, PlanOptions { force: true })
        .map_err(|error| Failure::environment(format!("failed to {error}")))?;
    let execution = Execution {
        workspace,
        wiring,
        graph,
        resolver,
        plan,
        options: run::options(&RunArgs::default()),
        job: None,
        reporters: vec![Box::new(Steps)],
    };
    let summary = runtime.block_on(execution.carry_out())?;
    if summary.interrupted.is_some() {
        return Ok(Exit::Interrupted);
    }
    let mut ended = summary.broken.iter().chain(&summary.wanted);
    if let Some(broken) = ended.find(|it| it.status != Status::Pass) {
        let reason = broken.reason.as_deref().unwrap_or("no reason given");
        let exit = if summary.bug { Exit::Bug } else { Exit::Failed };
        return Err(Failure::new(exit, format!("{}: {reason}", broken.label)));
    }
    Ok(if prompt.failed() { Exit::Failed } else { Exit::Good })
}

fn the_one(mut variants: Vec<Variant>) -> Result<Variant, Failure> {
    if variants.len() == 1 {
        return Ok(variants.remove(0));
    }
    let names = variants
        .iter()
        .take(NAMED)
        .map(|variant| format!("\n  {}", variant.test_id));
    let names: String = names.collect();
    let more = if variants.len() > NAMED { "\n  …" } else { "" };
    let message = format!("a shell is for one test, and the target selects more:{names}{more}\n{NARROW}");
    Err(Failure::new(Exit::Usage, message))
}

fn words(variant: &Variant, key: &str) -> Vec<String> {
    let found = variant.params.iter().find(|(name, _)| &**name == key);
    let value = found.map_or("", |(_, value)| value);
    value.split_whitespace().map(str::to_owned).collect()
}

/// A test may start its machines itself (`start_vm = no`); who asks for a shell wants them running.
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

/// Says on standard error what is being prepared: standard output belongs to what is typed.
pub(super) struct Steps;

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
