//! `vtbuild run`, and plain `vtbuild //target`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use vtbuild_engine::audit::Audit;
use vtbuild_engine::cancel::Canceller;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::Plan;
use vtbuild_engine::schedule::run::{RunOptions, Summary};
use vtbuild_rules::test::Visits;

use super::pause::Pause;
use super::{graph, plan, print};
use crate::cli::{Progress, RunArgs};
use crate::execution::Execution;
use crate::exit::{Exit, Failure};
use crate::planned::{self, Foreseen, Planned, Purpose, capacity};
use crate::report::{self, Heading, Job, JobFolder, Reporter, Tally, seconds};
use crate::ui::Ui;
use crate::wiring;
use crate::workspace::Workspace;

/// Seeds are short enough to be typed.
const SEEDS: u64 = 1_000_000;

/// Runs what is selected, as far as the cache does not know the answer.
pub fn run(args: &RunArgs) -> Result<Exit, Failure> {
    if args.actions.select.targets.is_empty() {
        let message = "name what to run: `vtbuild //migrate..tcp`, or `vtbuild //...` for everything (see `vtbuild --help`)";
        return Err(Failure::new(Exit::Usage, message));
    }
    let began = Instant::now();
    let purpose = Purpose {
        doing: "run",
        again: args.runs.is_some(),
        fetch: !args.dry_run,
    };
    let planned = if recalls(args) {
        Planned::recalling(&args.actions, purpose, args.results.as_deref())?
    } else {
        Planned::of(&args.actions, purpose)?
    };
    if args.dry_run {
        return plan::dry_run(&planned, &args.host);
    }
    let ui = if args.ui {
        let page = graph::live(&planned, &args.actions.select.targets)?;
        let ui = planned.runtime.block_on(Ui::serve(page))?;
        print(&format!("PAGE       : {}\n", ui.url()))?;
        Some(ui)
    } else {
        None
    };
    let Planned {
        analysis,
        mut foreseen,
        runtime,
    } = planned;
    if args.pause_on_fail {
        let visits = Visits::WhenNotPassed(Arc::new(Pause::at_the_terminal()?));
        foreseen.wiring = foreseen.wiring.with_visits(visits);
    }
    let told = Told {
        began,
        reporters: ui.iter().map(Ui::reporter).collect(),
        canceller: None,
    };
    let summary = carry_out(&analysis.workspace, foreseen, args, runtime.handle(), told)?;
    if let Some(ui) = ui {
        runtime.block_on(ui.finish());
    }
    Ok(exit(&summary))
}

/// Whether notes may stand for declaring what is in the cache: not where more is asked of it than its verdicts.
fn recalls(args: &RunArgs) -> bool {
    let actions = &args.actions;
    let again = actions.force || args.runs.is_some() || args.audit.is_some();
    let looked_at = args.ui || args.explain || args.pause_on_fail;
    !again && !looked_at && !actions.strict_keys
}

/// Who else has a part in a run.
pub struct Told {
    /// When it began to be thought about.
    pub began: Instant,
    /// Who is told what happens, beside the terminal and the job's folder.
    pub reporters: Vec<Box<dyn Reporter>>,
    /// Who may stop it; without anybody signals do.
    pub canceller: Option<Canceller>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            reporters: Vec::new(),
            canceller: None,
        }
    }
}

/// Carries a plan out as a job: with a folder, a display, and the results at the end.
pub fn carry_out(
    workspace: &Workspace,
    foreseen: Foreseen,
    args: &RunArgs,
    runtime: &Handle,
    told: Told,
) -> Result<Summary, Failure> {
    let Foreseen {
        wiring,
        graph,
        resolver,
        plan,
    } = foreseen;
    let results = planned::results(workspace, args.results.as_deref());
    let audit = audit(args);
    let plan = match audit {
        Some(audit) => plan.audited(&graph, audit),
        None => plan,
    };
    let folder = JobFolder::make(&results)?;
    let mut heading = heading(args, &folder, &graph, &plan);
    heading.lines.extend(audit.map(|audit| audit_line(audit, &plan)));
    let mut reporters: Vec<Box<dyn Reporter>> = vec![
        report::display(progress(args), heading.clone()),
        Box::new(Job::open(&folder, heading)?),
    ];
    reporters.extend(told.reporters);
    let execution = Execution {
        workspace,
        wiring,
        graph,
        resolver,
        plan,
        options: options(args),
        job: Some(folder.path.clone()),
        reporters,
        canceller: told.canceller,
    };
    let summary = runtime.block_on(execution.carry_out())?;
    let elapsed = told.began.elapsed().as_secs_f64();
    folder.write_results(&summary, elapsed)?;
    print(&closing(&summary, elapsed))?;
    Ok(summary)
}

/// The audit that was asked for. Without a seed one is drawn.
fn audit(args: &RunArgs) -> Option<Audit> {
    let percent = args.audit?;
    let drawn = || RandomState::new().build_hasher().finish() % SEEDS;
    let seed = args.seed.unwrap_or_else(drawn);
    Some(Audit { percent, seed })
}

fn audit_line(audit: Audit, plan: &Plan) -> String {
    let count = plan.audits().len();
    format!(
        "AUDIT      : {}% of what would be served, {} again (--seed {} chooses the same)",
        audit.percent,
        if count == 1 {
            "1 action runs".to_owned()
        } else {
            format!("{count} actions run")
        },
        audit.seed
    )
}

/// A live view would be drawn over what is said during a pause.
fn progress(args: &RunArgs) -> Progress {
    if args.pause_on_fail {
        Progress::Plain
    } else {
        args.progress
    }
}

fn heading(args: &RunArgs, folder: &JobFolder, graph: &Graph, plan: &Plan) -> Heading {
    let tests = (graph.wanted().len() + plan.served().len()) * args.runs.unwrap_or(1) as usize;
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
    RunOptions {
        capacity: capacity(&args.host),
        fail_fast: args.fail_fast,
        retries: args.retries,
        runs: args.runs.unwrap_or(1),
        timeout: args.timeout.map(Duration::from_secs),
        force: args.actions.force || args.runs.is_some(),
    }
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
    if summary.audited > 0 {
        text.push_str(&audited(summary));
    }
    text
}

/// What an audit found, and what to do about it.
fn audited(summary: &Summary) -> String {
    let count = summary.disagreed.len();
    let agreed = summary.audited - count;
    let mut text = format!("AUDITED    : {agreed} came out as recorded, {count} did not\n");
    for title in &summary.disagreed {
        text.push_str(&format!(
            "    {title} is non-deterministic and no longer served\n"
        ));
    }
    if count > 0 {
        text.push_str(
            "    `vtbuild cache marks` lists them, `vtbuild cache unmark NAME` lets one be served again\n",
        );
    }
    text
}

fn exit(summary: &Summary) -> Exit {
    let all = || summary.wanted.iter().chain(&summary.broken);
    if summary.bug {
        Exit::Bug
    } else if summary.interrupted.is_some() {
        Exit::Interrupted
    } else if !summary.disagreed.is_empty()
        || all().any(|f| matches!(f.status, Status::Fail | Status::Error | Status::Interrupt))
    {
        Exit::Failed
    } else {
        Exit::Good
    }
}
