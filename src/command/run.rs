//! `vtbuild run`, and plain `vtbuild //target`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vtbuild_cache::Store;
use vtbuild_engine::cancel::{Canceller, cancellation};
use vtbuild_engine::event::events;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::{Forecast, Plan, PlanOptions};
use vtbuild_engine::resolve::{Resolver, Roots};
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::run::{Places, Run, RunOptions, Summary};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::process::Launcher;

use super::{print, warn};
use crate::analysis::Analysis;
use crate::cli::RunArgs;
use crate::exit::{Exit, Failure};
use crate::report::{self, Heading, Job, JobFolder, Reporter, Tally, seconds};
use crate::scratch::Scratch;
use crate::wiring::{self, Wiring};
use crate::workspace::Workspace;

/// How many tests are run without being insisted upon.
const MOST: usize = 10_000;

/// Runs what is selected, as far as the cache does not know the answer.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    if args.select.targets.is_empty() {
        let message = "name what to run: `vtbuild //migrate..tcp`, or `vtbuild //...` for everything (see `vtbuild --help`)";
        return Err(Failure::new(Exit::Usage, message));
    }
    let began = Instant::now();
    let analysis = Analysis::of(&args.select)?;
    let workspace = &analysis.workspace;
    workspace.warnings.iter().for_each(|text| warn(text));
    let store = open_store(workspace)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut variants = if args.all {
        analysis.variants(None)?
    } else {
        analysis.at_most(MOST, "run")?
    };
    if args.select.targets.iter().any(|target| target == "//...") {
        leave_out_manual(&mut variants);
    }
    let wiring = runtime.block_on(Wiring::of(workspace, &variants, args.accel, args.runtime))?;
    let graph = Arc::new(wiring.graph(&variants)?);
    let resolver = Arc::new(Resolver::new(store, roots(workspace)).strict(args.strict_keys));
    let force = args.force || args.runs.is_some();
    let plan = Plan::make(&graph, &resolver, PlanOptions { force })
        .map_err(|error| Failure::environment(format!("failed to {error}")))?;
    if args.dry_run {
        return dry_run(&graph, &plan);
    }
    runtime.block_on(carry_out(args, workspace, wiring, graph, resolver, plan, began))
}

/// Variants with `manual = yes` (tests that fail on purpose, say, or that need a hand) run when they are named, not with
/// everything.
fn leave_out_manual(variants: &mut Vec<Variant>) {
    let before = variants.len();
    let manual = |variant: &Variant| {
        variant
            .params
            .iter()
            .any(|(key, value)| &**key == "manual" && &**value == "yes")
    };
    variants.retain(|variant| !manual(variant));
    let left_out = before - variants.len();
    if left_out > 0 {
        warn(&format!(
            "{left_out} variants with `manual = yes` are left out of //...; they run when they are named"
        ));
    }
}

/// Opens the cache and says what was found wrong with it.
pub fn open_store(workspace: &Workspace) -> Result<Store, Failure> {
    let store = Store::open(&workspace.cache)?;
    store
        .notices()
        .iter()
        .for_each(|notice| warn(&notice.to_string()));
    Ok(store)
}

fn roots(workspace: &Workspace) -> Roots {
    workspace
        .providers
        .iter()
        .map(|provider| (provider.name.clone(), provider.root.clone()))
        .collect()
}

async fn carry_out(
    args: &RunArgs,
    workspace: &Workspace,
    wiring: Wiring,
    graph: Arc<Graph>,
    resolver: Arc<Resolver>,
    plan: Plan,
    began: Instant,
) -> Result<Exit, Failure> {
    let results = args
        .results
        .clone()
        .unwrap_or_else(|| workspace.root.join("job-results"));
    let folder = JobFolder::make(&results)?;
    let scratch = Scratch::make(&workspace.cache)?;
    // A run of hits starts no process at all.
    let janitor = if plan.hits() < graph.len() {
        let janitor = Launcher::this_program()
            .janitor(std::slice::from_ref(&scratch.path))
            .await;
        Some(janitor.map_err(|error| Failure::environment(format!("failed to {error}")))?)
    } else {
        None
    };
    let heading = heading(args, &folder, &graph);
    let (sink, stream) = events();
    let reporters: Vec<Box<dyn Reporter>> = vec![
        report::display(args.progress, heading.clone()),
        Box::new(Job::open(&folder, heading)?),
    ];
    let relay = tokio::spawn(report::relay(stream, reporters));
    let canceller = listen_for_signals()?;
    let run = Run {
        rules: wiring.rules(&scratch.path),
        places: Places {
            scratch: scratch.path.join("actions"),
            job: folder.path.clone(),
        },
        options: options(args),
        events: sink,
        graph,
        plan,
        resolver: resolver.clone(),
        canceller,
    };
    let summary = run.go().await;
    let elapsed = began.elapsed().as_secs_f64();
    // The stream has ended: every sender went with the run.
    let _ = relay.await;
    folder.write_results(&summary, elapsed)?;
    resolver
        .store()
        .notices()
        .iter()
        .for_each(|notice| warn(&notice.to_string()));
    print(&closing(&summary, elapsed))?;
    if let Some(janitor) = janitor {
        janitor.finish().await;
    }
    // Without a janitor nobody else removes it; with one it is gone already.
    let _ = std::fs::remove_dir_all(&scratch.path);
    Ok(exit(&summary))
}

fn heading(args: &RunArgs, folder: &JobFolder, graph: &Graph) -> Heading {
    let tests = graph.wanted().len() * args.runs.unwrap_or(1) as usize;
    let lines = vec![
        format!("JOB ID     : {}", folder.id),
        format!("JOB LOG    : {}", folder.log()),
        format!("TESTS      : {tests}"),
    ];
    Heading {
        lines,
        wanted_rule: wiring::WANTED,
        tests,
        explain: args.explain,
    }
}

fn options(args: &RunArgs) -> RunOptions {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    RunOptions {
        capacity: Capacity {
            jobs: args.jobs.unwrap_or(cpus).max(1),
            memory_mib: args.memory.unwrap_or_else(host_memory_mib),
            // A guest that waits costs little, so there may be more virtual CPUs than real ones, but not many.
            vcpus: args.vcpus.unwrap_or(cpus.saturating_mul(2)),
        },
        fail_fast: args.fail_fast,
        retries: args.retries,
        runs: args.runs.unwrap_or(1),
        timeout: args.timeout.map(Duration::from_secs),
        force: args.force || args.runs.is_some(),
    }
}

/// Three quarters of the host's memory.
fn host_memory_mib() -> u32 {
    let info = rustix::system::sysinfo();
    // The field's width differs between architectures.
    #[expect(clippy::useless_conversion, reason = "`totalram` is not u64 everywhere")]
    let bytes = u64::from(info.totalram) * u64::from(info.mem_unit);
    u32::try_from((bytes / 4 * 3) >> 20).unwrap_or(u32::MAX)
}

/// SIGINT, SIGTERM and SIGHUP stop the run in good order; a second one ends the process at once, and the guards of its
/// children then do the rest.
fn listen_for_signals() -> Result<Canceller, Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (canceller, _) = cancellation();
    let (mut interrupt, mut terminate, mut hangup) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    let stop = canceller.clone();
    tokio::spawn(async move {
        for again in [false, true] {
            let name = tokio::select! {
                _ = interrupt.recv() => "SIGINT",
                _ = terminate.recv() => "SIGTERM",
                _ = hangup.recv() => "SIGHUP",
            };
            if again {
                end_at_once();
            }
            stop.cancel(name);
        }
    });
    Ok(canceller)
}

#[expect(
    clippy::disallowed_methods,
    reason = "asked for twice: the guards end the children and remove the scratch folder"
)]
fn end_at_once() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}

fn dry_run(graph: &Graph, plan: &Plan) -> Result<Exit, Failure> {
    let mut text = String::new();
    let (mut misses, mut maybes) = (0, 0);
    for &id in graph.order() {
        let spec = graph.spec(id);
        let line = match plan.of(id) {
            Forecast::Hit { .. } => continue,
            Forecast::Miss(miss) => {
                misses += 1;
                format!("run    {} {}: {}\n", spec.rule, spec.title, miss.reason)
            }
            Forecast::Maybe => {
                maybes += 1;
                format!(
                    "maybe  {} {}: what it stands on runs first\n",
                    spec.rule, spec.title
                )
            }
        };
        text.push_str(&line);
    }
    text.push_str(&format!(
        "{} actions: {} would be served from the cache, {misses} would run, {maybes} may run\n",
        graph.len(),
        plan.hits()
    ));
    print(&text)?;
    Ok(Exit::Good)
}

fn closing(summary: &Summary, elapsed: f64) -> String {
    let mut tally = Tally::default();
    summary.wanted.iter().for_each(|finished| tally.add(finished));
    let mut text = format!(
        "RESULTS    : {}\nTIME       : {}\n",
        tally.line(),
        seconds(elapsed)
    );
    if tally.cached > 0 {
        text.push_str(&format!("CACHED     : {} of {}\n", tally.cached, tally.total()));
    }
    text
}

fn exit(summary: &Summary) -> Exit {
    let all = || summary.wanted.iter().chain(&summary.broken);
    if summary.bug {
        Exit::Bug
    } else if summary.interrupted.is_some() {
        Exit::Interrupted
    } else if all().any(|f| matches!(f.status, Status::Fail | Status::Error | Status::Interrupt)) {
        Exit::Failed
    } else {
        Exit::Good
    }
}
