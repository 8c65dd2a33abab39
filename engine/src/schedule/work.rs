//! Carrying one action out: look it up, reserve its key, run its rule, keep what is certainly true.

mod keep;

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use camino::Utf8PathBuf;
use vtbuild_cache::Reservation;

use crate::audit::Audited;
use crate::cancel::{Canceller, cancellation};
use crate::event::{Event, Finished, Sink};
use crate::graph::Graph;
use crate::key::InputDigest;
use crate::outcome::{Keep, Outcome, Status};
use crate::plan::{Forecast, Miss, forecast};
use crate::reason::Reason;
use crate::resolve::{FILE, Inputs, Made, ResolveError, Resolver};
use crate::rule::{Job, Rules};
use crate::schedule::run::{Places, RunOptions};
use crate::spec::{ActionId, Spec};

/// How long an action that was told to stop may take to clean up before it is dropped.
const GRACE: Duration = Duration::from_secs(15);

/// How one run of one action ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Status,
    pub(crate) made: Option<Arc<Made>>,
    cached: bool,
    seconds: f64,
    reason: Option<String>,
    attempts: u32,
    logs: Option<String>,
    audit: Option<Audited>,
}

impl Ended {
    /// Served from the cache.
    pub(crate) fn served(made: &Arc<Made>) -> Self {
        Self {
            status: Status::Pass,
            made: Some(made.clone()),
            cached: true,
            seconds: made.seconds,
            reason: None,
            attempts: 0,
            logs: None,
            audit: None,
        }
    }

    /// Never started, or broke outside its rule.
    pub(crate) fn broke(status: Status, reason: String) -> Self {
        Self {
            status,
            made: None,
            cached: false,
            seconds: 0.0,
            reason: Some(reason),
            attempts: 0,
            logs: None,
            audit: None,
        }
    }

    /// The same as an event.
    pub(crate) fn finished(self, id: ActionId, run: u32, spec: &Spec) -> Finished {
        Finished {
            id,
            label: spec.title.clone(),
            rule: spec.rule.name,
            run,
            status: self.status,
            cached: self.cached,
            seconds: self.seconds,
            reason: self.reason,
            cause: None,
            attempts: self.attempts,
            logs: self.logs,
            audit: self.audit,
        }
    }
}

/// What is the same for all actions of a run.
pub(crate) struct Work {
    graph: Arc<Graph>,
    resolver: Arc<Resolver>,
    rules: Rules,
    places: Places,
    options: RunOptions,
    events: Sink,
    canceller: Canceller,
    wanted: Vec<bool>,
    /// Hits that run again all the same.
    audited: Vec<bool>,
    host: String,
}

/// One try of one action.
struct Try {
    outcome: Outcome,
    /// What it was given.
    inputs: Inputs,
    seconds: f64,
    began: SystemTime,
    logs: String,
    scratch: Utf8PathBuf,
}

impl Work {
    pub(crate) fn new(
        (graph, audits): (Arc<Graph>, &[ActionId]),
        resolver: Arc<Resolver>,
        rules: Rules,
        places: Places,
        options: RunOptions,
        events: Sink,
        canceller: Canceller,
    ) -> Self {
        let mut wanted = vec![false; graph.len()];
        for id in graph.wanted() {
            wanted[id.index()] = true;
        }
        let mut audited = vec![false; graph.len()];
        for id in audits {
            audited[id.index()] = true;
        }
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
            .unwrap_or_default()
            .trim()
            .to_owned();
        Self {
            graph,
            resolver,
            rules,
            places,
            options,
            events,
            canceller,
            wanted,
            audited,
            host,
        }
    }

    /// Brings one action to its end, as often as was asked for.
    pub(crate) async fn carry_out(
        self: Arc<Self>,
        id: ActionId,
        forecast: Forecast,
        inputs: Vec<InputDigest>,
        by_role: Inputs,
    ) -> Vec<Ended> {
        let runs = if self.wanted[id.index()] {
            self.options.runs.max(1)
        } else {
            1
        };
        let mut ended = Vec::new();
        let mut forecast = Some(forecast);
        for _ in 0..runs {
            let given = forecast.take().unwrap_or(Forecast::Maybe);
            let end = self
                .clone()
                .once(id, given, inputs.clone(), by_role.clone())
                .await;
            let stopped = end.status == Status::Interrupt;
            ended.push(end);
            if stopped {
                break;
            }
        }
        ended
    }

    async fn once(
        self: Arc<Self>,
        id: ActionId,
        given: Forecast,
        inputs: Vec<InputDigest>,
        by_role: Inputs,
    ) -> Ended {
        let claimed = match self.clone().claim(id, given, inputs).await {
            Ok(claimed) => claimed,
            Err(error) => return Ended::broke(Status::Error, format!("failed to {error}")),
        };
        match claimed {
            Claimed::Served(made) => Ended::served(&Arc::new(made)),
            Claimed::Missing(path) => Ended::broke(Status::Error, missing_file(&path)),
            Claimed::Ours(miss, reservation) => self.run(id, *miss, reservation, by_role).await,
        }
    }

    /// Finds out whether the action must run, and if so takes the right to make its record.
    async fn claim(
        self: Arc<Self>,
        id: ActionId,
        given: Forecast,
        inputs: Vec<InputDigest>,
    ) -> Result<Claimed, ResolveError> {
        let forced = self.options.force && self.wanted[id.index()];
        blocking(move || {
            let spec = self.graph.spec(id);
            let known = match given {
                Forecast::Maybe => {
                    let resolved = self.resolver.resolve(spec, inputs.clone())?;
                    forecast(&self.graph, &self.resolver, id, resolved, forced)?
                }
                known => known,
            };
            let miss = match known {
                Forecast::Hit { made, .. } if self.audited[id.index()] => Box::new(Miss {
                    resolved: self.resolver.resolve(spec, inputs)?,
                    reason: Reason::Audit,
                    recorded: Some(made),
                }),
                Forecast::Hit { made, .. } => return Ok(Claimed::Served(made)),
                Forecast::Miss(miss) => miss,
                Forecast::Maybe | Forecast::Idle => {
                    unreachable!("an action that starts is needed, and its inputs are known")
                }
            };
            if spec.rule == FILE {
                return Ok(Claimed::Missing(spec.sources[0].path.to_string()));
            }
            let key = miss.resolved.key;
            if let Some(reservation) = self.resolver.store().try_reserve(&key)? {
                return Ok(Claimed::Ours(miss, reservation));
            }
            let what = "another vtbuild on this cache, which is running the same action".to_owned();
            self.events.send(Event::Waiting {
                label: spec.title.clone(),
                what,
            });
            let reservation = self.resolver.store().reserve(&key)?;
            Ok(match self.resolver.lookup(&[(spec, key)])?.pop().flatten() {
                Some(made) if !forced && miss.recorded.is_none() => Claimed::Served(made),
                _ => Claimed::Ours(miss, reservation),
            })
        })
        .await
    }

    /// Runs the rule, again where it fails and retries are left, and keeps the last verdict.
    async fn run(
        self: Arc<Self>,
        id: ActionId,
        miss: Miss,
        reservation: Reservation,
        by_role: Inputs,
    ) -> Ended {
        let spec = self.graph.spec(id).clone();
        let expected = self
            .resolver
            .store()
            .last(&spec.label)
            .ok()
            .flatten()
            .map(|last| last.run.seconds);
        let mut attempt = 1;
        loop {
            self.events.send(Event::Started {
                id,
                label: spec.title.clone(),
                rule: spec.rule.name,
                attempt,
                reason: miss.reason.clone(),
                expected,
                after: self
                    .graph
                    .waits_for(id)
                    .map(|(earlier, _)| self.graph.spec(earlier).title.clone())
                    .collect(),
                remarks: spec.remarks.to_vec(),
            });
            let mut tried = self.attempt(id, attempt, by_role.clone()).await;
            let retry = matches!(tried.outcome.status, Status::Fail | Status::Error);
            if retry && attempt <= self.options.retries && self.canceller.watch().reason().is_none() {
                let (status, reason) = (tried.outcome.status, tried.outcome.reason);
                self.events.send(Event::Retried {
                    label: spec.title.clone(),
                    attempt,
                    status,
                    reason,
                });
                remove_scratch(tried.scratch).await;
                attempt += 1;
                continue;
            }
            if attempt > 1 && tried.outcome.keep == Keep::Store {
                tried.outcome.keep = Keep::Never(format!("it passed only on try {attempt}"));
            }
            return self.clone().conclude(id, miss, reservation, attempt, tried).await;
        }
    }

    /// One try, under its time limit.
    async fn attempt(&self, id: ActionId, attempt: u32, by_role: Inputs) -> Try {
        let spec = self.graph.spec(id).clone();
        let scratch = self.places.scratch.join(format!("{}-{attempt}", id.index()));
        let logs = log_folder(&spec, id, attempt);
        let (began, clock) = (SystemTime::now(), Instant::now());
        let made = make_folders(&[&scratch, &self.places.job.join(&logs)]).await;
        if let Err(reason) = made {
            return Try {
                outcome: Outcome::ended(Status::Error, reason),
                inputs: by_role,
                seconds: 0.0,
                began,
                logs,
                scratch,
            };
        }
        let (stopper, cancel) = cancellation();
        let job = Job {
            spec: spec.clone(),
            inputs: by_role.clone(),
            scratch: scratch.clone(),
            logs: self.places.job.join(&logs),
            attempt,
            events: self.events.of(id, spec.title.clone()),
            cancel,
        };
        let limit = if self.wanted[id.index()] {
            self.options.timeout
        } else {
            None
        };
        let outcome = self
            .supervise(self.rules.of(spec.rule).execute(job), &stopper, limit)
            .await;
        Try {
            outcome,
            inputs: by_role,
            seconds: clock.elapsed().as_secs_f64(),
            began,
            logs,
            scratch,
        }
    }

    /// Waits for a rule, passing on the wish to stop, and drops it when it does not heed that.
    async fn supervise(
        &self,
        rule: impl Future<Output = Outcome>,
        stopper: &Canceller,
        limit: Option<Duration>,
    ) -> Outcome {
        tokio::pin!(rule);
        let stop = self.canceller.watch();
        let timer = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let reason = tokio::select! {
            outcome = &mut rule => return outcome,
            reason = stop.cancelled() => reason.to_string(),
            () = timer => format!("it took longer than its limit of {} s (--timeout)", limit.unwrap_or_default().as_secs()),
        };
        stopper.cancel(&reason);
        let heeded = tokio::time::timeout(GRACE, rule).await;
        let mut outcome = Outcome::ended(Status::Interrupt, reason);
        if let Ok(last) = heeded {
            outcome.evidence = last.evidence;
        }
        outcome
    }
}

/// What was found out about an action that is about to start.
enum Claimed {
    /// It need not run.
    Served(Made),
    /// It is a file, and it is not there.
    Missing(String),
    /// It must run, and this process may record it.
    Ours(Box<Miss>, Reservation),
}

fn missing_file(path: &str) -> String {
    format!(
        "missing image {path}: put the file there, or choose a guest whose image vtbuild can build (`vtbuild list --guests`)"
    )
}

/// The folder of one try's logs, below the job's. Numbered by the action, so that two labels that differ only in
/// characters that no file name should have stay apart.
fn log_folder(spec: &Spec, id: ActionId, attempt: u32) -> String {
    let keep = |c: char| {
        if c.is_ascii_alphanumeric() || "._-".contains(c) {
            c
        } else {
            '_'
        }
    };
    let label: String = spec.title.chars().map(keep).take(160).collect();
    let again = if attempt > 1 {
        format!(".try{attempt}")
    } else {
        String::new()
    };
    format!("test-results/{:03}-{label}{again}", id.index() + 1)
}

async fn make_folders(folders: &[&Utf8PathBuf]) -> Result<(), String> {
    for folder in folders {
        let made = tokio::fs::create_dir_all(folder).await;
        made.map_err(|error| format!("failed to make the folder {folder}: {error}"))?;
    }
    Ok(())
}

async fn remove_scratch(scratch: Utf8PathBuf) {
    // What cannot be removed now goes with the run's folder.
    let _ = tokio::fs::remove_dir_all(scratch).await;
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
