//! Carrying a test out: its folders, its machines, its body, and what is looked at afterwards.

use std::sync::Arc;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};
use vtbuild_engine::event::Sink;
use vtbuild_engine::outcome::{Keep, Outcome, Status};
use vtbuild_engine::rule::Job;
use vtbuild_engine::spec::Spec;
use vtbuild_providers::desk::{Desk, DeskSetup};
use vtbuild_providers::host::protocol::{self, Dirs, Programs, StartedVm, TestModule, Verdict};
use vtbuild_providers::host::{
    self, CallError, Finished, Handler, HostSetup, Note, Packages, Request, Runtime, Start,
};
use vtbuild_providers::machine::Launch;
use vtbuild_providers::params::Params;
use vtbuild_providers::process::Limits;

use super::around::{self, Around, Host, Machines};
use super::declare::PACKAGES_ROLE;
use super::dict;
use super::folder::DataFolder;
use super::machines::{self, Begun, Stage};
use super::probes::probes_of;
use super::remains::{self, worse};
use super::visit::{self, Scene, Visits};
use super::{TestPayload, TestRule, reads};
use crate::deps;
use crate::python_env;

/// The desk, with the test's own words passed on to whoever watches the run.
struct Watched {
    desk: Arc<Desk>,
    events: Sink,
}

#[async_trait::async_trait]
impl Handler for Watched {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        self.desk.call(request).await
    }

    fn note(&self, note: &Note) {
        if let Note::Step { text } = note {
            self.events.step(text.clone());
        }
    }
}

/// Why an action did not come to its end: the status and the reason.
pub(crate) type Stopped = (Status, String);

/// The same where nobody wished for it: an error.
pub(crate) fn error(message: impl std::fmt::Display) -> Stopped {
    (Status::Error, format!("failed to {message}"))
}

/// Carries an attempt of `job` out, unless somebody stops it before its end.
pub(crate) async fn unless_cancelled<T>(
    job: &Job,
    attempt: impl Future<Output = Result<T, Stopped>>,
) -> Result<T, Stopped> {
    tokio::select! {
        done = attempt => done,
        reason = job.cancel.cancelled() => Err((Status::Interrupt, reason.to_string())),
    }
}

/// Runs the test of `job`.
pub(super) async fn execute(rule: &TestRule, job: Job) -> Outcome {
    let payload = job
        .spec
        .payload
        .downcast_ref::<TestPayload>()
        .expect("a test action carries its payload")
        .running();
    match in_turn(rule, &job, &payload).await {
        Ok(outcome) => outcome,
        Err((status, reason)) => Outcome::ended(status, reason),
    }
}

/// Tries the runtimes one after the other, until none of the names that the test asks for is missing.
async fn in_turn(rule: &TestRule, job: &Job, payload: &TestPayload) -> Result<Outcome, Stopped> {
    let since = Instant::now();
    let visit = matches!(rule.setup.visits, Visits::InsteadOfBody(_));
    if let Some(kind) = payload.modules.missing.first().filter(|_| !visit) {
        let message = format!(
            "there is no test module {kind}.py in the `tests` folders of the test providers (the parameter `type` names it)"
        );
        return Err((Status::Error, message));
    }
    if payload.modules.found.is_empty() && !visit {
        return Err((Status::Error, "the parameter `type` names no test module".into()));
    }
    let packages = if payload.choice.needs_packages() {
        let unpacked = python_env::unpacked(job, PACKAGES_ROLE, &rule.setup.trees).await;
        Some(unpacked.map_err(error)?)
    } else {
        None
    };
    let mut missed: Vec<(Runtime, Vec<String>)> = Vec::new();
    let order = payload.choice.order();
    for (turn, runtime) in order.iter().enumerate() {
        // Short, as for the run: what tests listen at is below it, and the path of a socket must fit 108 bytes.
        let scratch = job.scratch.join(&runtime.name()[..1]);
        let attempt = Attempt {
            rule,
            job,
            payload,
            runtime: *runtime,
            upstream: packages.clone(),
            scratch,
            since,
        };
        let (mut outcome, missing) = attempt.run().await?;
        note_runtime(&mut outcome, *runtime, &missed);
        if missing.is_empty() {
            return Ok(outcome);
        }
        let names = missing.join(", ");
        if payload.choice.ours {
            let survey = &rule.setup.facts.survey;
            survey.remember(payload.modules.files(), &missing);
        }
        if turn + 1 == order.len() {
            if payload.choice.ours {
                // What seemed to need our package alone has no other packages to its hand.
                let reason = outcome.reason.get_or_insert_default();
                reason.push_str(&format!(
                    "\nwithout {names}: upstream's packages run it from the next run on"
                ));
            }
            return Ok(outcome);
        }
        job.events.step(format!("running again: {runtime} lacks {names}"));
        missed.push((*runtime, missing));
    }
    unreachable!("the last runtime of an order ends it")
}

/// Says in the evidence which way the test was run, and what the ways lacked that were tried before.
fn note_runtime(outcome: &mut Outcome, runtime: Runtime, missed: &[(Runtime, Vec<String>)]) {
    let missed: Map<String, Value> = missed
        .iter()
        .map(|(runtime, names)| (runtime.name().to_owned(), json!(names)))
        .collect();
    if let Value::Object(evidence) = &mut outcome.evidence {
        evidence.insert("runtime".into(), runtime.name().into());
        evidence.insert("lacked".into(), missed.into());
    }
}

/// One way to run a test.
struct Attempt<'a> {
    rule: &'a TestRule,
    job: &'a Job,
    payload: &'a TestPayload,
    runtime: Runtime,
    /// Upstream's packages.
    upstream: Option<Utf8PathBuf>,
    /// The attempt's own part of the action's scratch folder.
    scratch: Utf8PathBuf,
    /// When the action began.
    since: Instant,
}

impl Attempt<'_> {
    /// Whether upstream's package does all that surrounds the test, its machines included. A visit is always ours.
    fn is_upstreams(&self) -> bool {
        let visited = matches!(self.rule.setup.visits, Visits::InsteadOfBody(_));
        self.runtime == Runtime::Upstream && !visited
    }

    /// What the test's Python has loaded. The interpreter is the program that `python3` leads to, which is known: a script
    /// that looks for it (pyenv's, asdf's) may take as long as a guest to come up.
    fn packages(&self) -> Packages {
        let known = self.rule.setup.facts.tools.python.as_ref();
        let python = known.map_or_else(|| "python3".into(), |python| python.path.to_string());
        Packages {
            python,
            ours: self.rule.setup.python.clone(),
            runtime: self.runtime,
            upstream: self.upstream.clone(),
        }
    }

    /// Runs the test; gives its outcome, and the names that it asked for in vain.
    async fn run(&self) -> Result<(Outcome, Vec<String>), Stopped> {
        let Self {
            rule, job, payload, ..
        } = *self;
        attempt(self, rule, job, payload).await
    }
}

async fn attempt(
    this: &Attempt<'_>,
    rule: &TestRule,
    job: &Job,
    payload: &TestPayload,
) -> Result<(Outcome, Vec<String>), Stopped> {
    // One letter, because the paths of sockets are short.
    let letter = &this.runtime.name()[..1];
    let launch = launch(rule, job, &payload.params, letter).await?;
    let host = |params: Params| Host {
        params,
        launcher: launch.launcher.clone(),
        qemu: launch.qemu.version,
        logs: job.logs.clone(),
        scratch: job.scratch.clone(),
        events: job.events.clone(),
        cancel: job.cancel.clone(),
    };
    let steps = if this.is_upstreams() {
        around::beneath_upstream(&payload.params)
    } else {
        around::before(&payload.params)
    };
    let steps = steps.map_err(error)?;
    // Asked before the requirements are looked at: an answer that changes meanwhile is not believed later.
    let facts = around::facts(&payload.params);
    let (around, ready) = Around::set_up(steps, &host(payload.params.clone())).await;
    let (mut outcome, missing) = match ready {
        Ok(()) => with_images(this, &launch).await,
        Err(stopped) => Err(stopped),
    }
    .unwrap_or_else(|(status, reason)| (Outcome::ended(status, reason), Vec::new()));
    let after = around::afterwards(&payload.params, outcome.status);
    for (status, reason) in around.clean_up(&host(after)).await {
        worse(&mut outcome, status, reason);
    }
    outcome.observed.extend(facts);
    Ok((outcome, missing))
}

/// From images to images: they are made, the machines and the test use them, and what is left of them is looked at.
async fn with_images(this: &Attempt<'_>, launch: &Launch) -> Result<(Outcome, Vec<String>), Stopped> {
    let Attempt {
        rule, job, payload, ..
    } = *this;
    let img = rule.img(launch);
    if !matches!(rule.setup.visits, Visits::InsteadOfBody(_)) {
        // It loads meanwhile. What is wrong with it is told when the test is forked from it.
        let _ = rule.interpreters().of(&this.packages()).await;
    }
    job.events.step("preparing images");
    let folder = DataFolder::make(
        job,
        &this.scratch,
        &rule.setup.facts,
        img.clone(),
        &payload.images,
        machines::resumed(this.is_upstreams(), job, &payload.params),
    )
    .await;
    let folder = folder.map_err(error)?;
    let desk = Arc::new(Desk::new(DeskSetup {
        params: payload.params.clone(),
        launch: launch.clone(),
        data_dir: folder.path().to_owned(),
        log_dir: job.logs.clone(),
        images: folder.clone(),
    }));
    let watched = Arc::new(Watched {
        desk,
        events: job.events.clone(),
    });
    let mut begun = Begun::default();
    let outcome = with_machines(this, launch, &folder, &watched, &mut begun).await;
    let (mut outcome, missing) =
        outcome.unwrap_or_else(|(status, reason)| (Outcome::ended(status, reason), Vec::new()));
    begun.note(&mut outcome, &job.logs, watched.desk.first_answer(), this.since);
    if let Visits::WhenNotPassed(visitor) = &rule.setup.visits
        && missing.is_empty()
        && matches!(outcome.status, Status::Fail | Status::Error | Status::Warn)
    {
        let reason = outcome.reason.as_deref().unwrap_or_default();
        let scene = scene(job, payload, &watched, Some((outcome.status, reason)));
        visit::receive(&**visitor, job, scene).await;
    }
    // Only a disk that is kept is worth the time of an orderly end.
    let keeps = payload.images.iter().any(|image| image.published || image.check);
    watched.desk.shutdown_all(keeps).await;
    let tested = !matches!(rule.setup.visits, Visits::InsteadOfBody(_));
    if tested && outcome.status.lets_followers_run() {
        remains::look(&mut outcome, job, payload, &folder, &img).await;
    }
    // Nobody is left who uses it; the janitor has what cannot be removed now.
    let _ = std::fs::remove_dir_all(&launch.run_dir);
    Ok((outcome, missing))
}

/// What happens while there are machines: they start, and the test runs among the steps that need them.
async fn with_machines(
    this: &Attempt<'_>,
    launch: &Launch,
    folder: &DataFolder,
    watched: &Arc<Watched>,
    begun: &mut Begun,
) -> Result<(Outcome, Vec<String>), Stopped> {
    let Attempt { job, payload, .. } = *this;
    if !this.is_upstreams() {
        let stage = Stage {
            rule: this.rule,
            job,
            payload,
            launch,
            folder,
            desk: &watched.desk,
        };
        machines::start_all(&stage, begun).await?;
    }
    let machines = |params: Params| Machines {
        params,
        desk: watched.desk.clone(),
        logs: job.logs.clone(),
    };
    let steps = if this.is_upstreams() {
        Vec::new()
    } else {
        around::with_machines(&payload.params).map_err(error)?
    };
    let (around, ready) = Around::set_up(steps, &machines(payload.params.clone())).await;
    let (mut outcome, missing) = match ready {
        Ok(()) => inside(this, launch, folder, watched).await,
        Err(stopped) => Err(stopped),
    }
    .unwrap_or_else(|(status, reason)| (Outcome::ended(status, reason), Vec::new()));
    let after = around::afterwards(&payload.params, outcome.status);
    for (status, reason) in around.clean_up(&machines(after)).await {
        worse(&mut outcome, status, reason);
    }
    Ok((outcome, missing))
}

/// The body of the test, or a visitor instead of it.
async fn inside(
    this: &Attempt<'_>,
    launch: &Launch,
    folder: &DataFolder,
    watched: &Arc<Watched>,
) -> Result<(Outcome, Vec<String>), Stopped> {
    let Attempt {
        rule, job, payload, ..
    } = *this;
    if let Visits::InsteadOfBody(visitor) = &rule.setup.visits {
        visit::receive(&**visitor, job, scene(job, payload, watched, None)).await;
        return Ok((visit::visited(), Vec::new()));
    }
    let finished = body(this, launch, folder, watched).await?;
    match finished.verdict() {
        Some(verdict) => {
            let outcome = judge(verdict, &finished, rule, (&job.spec, payload), folder);
            Ok((outcome, verdict.missing.clone()))
        }
        None => Err(without_verdict(&finished)),
    }
}

fn scene<'a>(
    job: &'a Job,
    payload: &'a TestPayload,
    watched: &'a Watched,
    ended: Option<(Status, &'a str)>,
) -> Scene<'a> {
    Scene {
        test: &job.spec.title,
        desk: &watched.desk,
        main_vm: payload.params.text("main_vm").unwrap_or("vm1"),
        ended,
    }
}

/// What machines with these parameters are started with; their sockets are in a folder whose name ends in `letter`.
pub(crate) async fn launch(
    rule: &TestRule,
    job: &Job,
    params: &Params,
    letter: &str,
) -> Result<Launch, Stopped> {
    let qemu = rule.qemu(params).await.map_err(error)?;
    let wanted = vtbuild_providers::accel::Accel::from_params(params).map_err(error)?;
    let name = job.scratch.file_name().unwrap_or("t");
    let run_dir = rule.sockets.join(format!("{name}{letter}"));
    std::fs::create_dir_all(&run_dir).map_err(|source| error(format!("make {run_dir}: {source}")))?;
    Ok(Launch {
        launcher: rule.setup.launcher.clone(),
        qemu,
        accel: wanted
            .or(rule.setup.facts.accel)
            .unwrap_or(vtbuild_providers::accel::Accel::Tcg),
        limits: Limits::from_params(params).map_err(error)?,
        run_dir,
        log_dir: job.logs.clone(),
    })
}

/// Runs the test's Python.
async fn body(
    this: &Attempt<'_>,
    launch: &Launch,
    folder: &DataFolder,
    watched: &Arc<Watched>,
) -> Result<Finished, Stopped> {
    let Attempt {
        rule, job, payload, ..
    } = *this;
    let vms: Vec<String> = payload
        .params
        .objects("vms")
        .into_iter()
        .map(str::to_owned)
        .collect();
    let start = start(this, launch, folder, vms).map_err(error)?;
    job.events.step("running");
    let setup = HostSetup {
        interpreters: rule.interpreters(),
        packages: this.packages(),
        work_dir: start.dirs.workdir.clone(),
        env: vec![("TMPDIR".into(), start.dirs.tmpdir.to_string())],
        stdout: job.logs.join("stdout.log"),
        stderr: job.logs.join("stderr.log"),
    };
    let cancel = job.cancel.clone();
    let cancelled = async move {
        cancel.cancelled().await;
    };
    let patience: Option<u64> = payload.params.number("test_timeout").map_err(error)?;
    let patience = patience.map(std::time::Duration::from_secs);
    host::run(&setup, &start, watched.clone(), patience, cancelled)
        .await
        .map_err(error)
}

fn start(
    this: &Attempt<'_>,
    launch: &Launch,
    folder: &DataFolder,
    vms: Vec<String>,
) -> Result<Start, String> {
    let Attempt {
        rule, job, payload, ..
    } = *this;
    let params = dict::of(payload);
    let listing = dict::listing(&payload.params);
    std::fs::write(job.logs.join("params"), listing).map_err(|e| format!("write the parameters: {e}"))?;
    let module = payload
        .modules
        .found
        .first()
        .map(|(_, path)| path.clone())
        .unwrap_or_default();
    let bindir = module.parent().unwrap_or(Utf8Path::new("/")).to_owned();
    let made = |name: &str| {
        let path = this.scratch.join(name);
        std::fs::create_dir_all(&path).map_err(|error| format!("make {path}: {error}"))?;
        Ok::<Utf8PathBuf, String>(path)
    };
    Ok(Start {
        protocol: protocol::PROTOCOL,
        name: payload.name.to_string(),
        shortname: payload.shortname.to_string(),
        params,
        modules: payload
            .modules
            .found
            .iter()
            .map(|(name, path)| TestModule {
                name: name.clone(),
                path: path.clone(),
            })
            .collect(),
        module_paths: payload.modules.import_dirs.clone(),
        deps_dirs: payload.modules.deps_dirs.clone(),
        deps_builds: deps::unpacked(job, &this.scratch, &payload.deps_builds)?,
        dirs: Dirs {
            debugdir: job.logs.clone(),
            logdir: job.logs.clone(),
            outputdir: job.logs.clone(),
            tmpdir: temporary(&launch.run_dir)?,
            srcdir: made("src")?,
            workdir: made("work")?,
            bindir,
            data_dir: folder.path().to_owned(),
        },
        log: job.logs.join("debug.log"),
        accelerator: launch.accel.name(),
        limits: launch.limits.clone(),
        probes: Some(probes_of(&rule.setup.trees, &launch.qemu)?),
        vms: vms
            .into_iter()
            .map(|name| StartedVm { name, params: None })
            .collect(),
        qemu: Programs {
            binary: launch.qemu.binary.clone(),
            img: launch.qemu.img.clone(),
            io: launch.qemu.io.clone(),
        },
        watched: roots(rule).watched(folder.path()),
    })
}

/// The test's folder for temporary files: on a short path, because tests and helper programs make sockets in it.
fn temporary(run_dir: &Utf8Path) -> Result<Utf8PathBuf, String> {
    let path = run_dir.join("t");
    std::fs::create_dir_all(&path).map_err(|error| format!("make {path}: {error}"))?;
    Ok(path)
}

fn without_verdict(finished: &Finished) -> Stopped {
    let status = match finished.ending {
        host::Ending::Cancelled | host::Ending::TimedOut { .. } => Status::Interrupt,
        _ => Status::Error,
    };
    let mut reason = finished.without_verdict().unwrap_or_default();
    if status == Status::Error && !finished.stderr.trim().is_empty() {
        let last = finished.stderr.trim().lines().last().unwrap_or_default();
        reason.push_str(&format!("; it said: {last}"));
    }
    (status, reason)
}

/// Where the files are that tests may look at.
fn roots(rule: &TestRule) -> reads::Roots<'_> {
    reads::Roots {
        providers: &rule.setup.providers,
        data_dir: &rule.setup.facts.data_dir,
    }
}

fn judge(
    verdict: &Verdict,
    finished: &Finished,
    rule: &TestRule,
    (spec, payload): (&Spec, &TestPayload),
    folder: &DataFolder,
) -> Outcome {
    let status = match verdict.status {
        protocol::Status::Pass => Status::Pass,
        protocol::Status::Fail => Status::Fail,
        protocol::Status::Error => Status::Error,
        protocol::Status::Warn => Status::Warn,
        protocol::Status::Skip => Status::Skip,
        protocol::Status::Cancel => Status::Cancel,
    };
    let declared = (spec, payload.modules.import_dirs.as_slice());
    let observed = reads::observed(verdict, &payload.params, declared, roots(rule));
    let evidence = json!({
        "requests": finished.requests,
        "whiteboard": finished.whiteboard,
        "reads": verdict.reads,
        "accelerator": rule.setup.facts.accel.map(vtbuild_providers::accel::Accel::name),
    });
    if status != Status::Pass {
        let reason = verdict.reason.clone().unwrap_or_else(|| status.word().to_owned());
        let ended = Outcome::ended(status, reason);
        return Outcome {
            observed,
            evidence,
            ..ended
        };
    }
    let undeclared = folder.found();
    let keep = match undeclared.first() {
        None => Keep::Store,
        Some(image) => Keep::Never(format!(
            "it used the image {image}, which its parameters do not name"
        )),
    };
    Outcome {
        observed,
        keep,
        evidence,
        ..Outcome::pass()
    }
}
