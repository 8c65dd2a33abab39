//! `vtbuild run`, and plain `vtbuild //target`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::{Forecast, Plan, PlanOptions};
use vtbuild_engine::resolve::Resolver;
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::run::{RunOptions, Summary};
use vtbuild_engine::variant::Variant;
use vtbuild_rules::test::Visits;

use super::pause::Pause;
use super::{print, warn};
use crate::analysis::Analysis;
use crate::cli::{Progress, RunArgs};
use crate::execution::{self, Execution};
use crate::exit::{Exit, Failure};
use crate::report::{self, Heading, Job, JobFolder, Reporter, Tally, seconds};
use crate::wiring::{self, Wiring};

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
    workspace
        .problems
        .iter()
        .for_each(|problem| warn(&problem.to_string()));
    let store = execution::open_store(workspace)?;
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
    let wiring = if args.pause_on_fail {
        wiring.with_visits(Visits::WhenNotPassed(Arc::new(Pause::at_the_terminal()?)))
    } else {
        wiring
    };
    let graph = Arc::new(wiring.graph(&variants)?);
    let resolver = Resolver::new(store, execution::roots(workspace)).strict(args.strict_keys);
    let resolver = Arc::new(resolver);
    let force = args.force || args.runs.is_some();
    let plan = Plan::make(&graph, &resolver, PlanOptions { force })
        .map_err(|error| Failure::environment(format!("failed to {error}")))?;
    if args.dry_run {
        return dry_run(&graph, &plan);
    }
    let results = args
        .results
        .clone()
        .unwrap_or_else(|| workspace.root.join("job-results"));
    let folder = JobFolder::make(&results)?;
    let heading = heading(args, &folder, &graph);
    let reporters: Vec<Box<dyn Reporter>> = vec![
        report::display(progress(args), heading.clone()),
        Box::new(Job::open(&folder, heading)?),
    ];
    let execution = Execution {
        workspace,
        wiring,
        graph,
        resolver,
        plan,
        options: options(args),
        job: Some(folder.path.clone()),
        reporters,
    };
    let summary = runtime.block_on(execution.carry_out())?;
    let elapsed = began.elapsed().as_secs_f64();
    folder.write_results(&summary, elapsed)?;
    print(&closing(&summary, elapsed))?;
    Ok(exit(&summary))
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

/// A live view would be drawn over what is said during a pause.
fn progress(args: &RunArgs) -> Progress {
    if args.pause_on_fail {
        Progress::Plain
    } else {
        args.progress
    }
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

/// What the command line asks of a run.
pub fn options(args: &RunArgs) -> RunOptions {
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
