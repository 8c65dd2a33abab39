//! The loop that carries a plan out: starts what the board lets start, and tells everybody what became of it.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use tokio::task::JoinSet;

use crate::audit::Audited;
use crate::cancel::{Cancel, Canceller};
use crate::estimate::Estimates;
use crate::event::{Event, Finished, Sink};
use crate::graph::Graph;
use crate::outcome::Status;
use crate::plan::{Forecast, Plan};
use crate::recall::Served;
use crate::resolve::{Made, Resolver};
use crate::rule::Rules;
use crate::schedule::board::Board;
use crate::schedule::claims::Capacity;
use crate::schedule::work::{Ended, Work};
use crate::spec::ActionId;

/// What people may ask of a run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// What may be taken of the host at once.
    pub capacity: Capacity,
    /// Start nothing more after the first action that does not pass.
    pub fail_fast: bool,
    /// How often an action that failed is tried again.
    pub retries: u32,
    /// How often each action that was asked for is run; more than once only with `force`.
    pub runs: u32,
    /// How long one action that was asked for may take.
    pub timeout: Option<Duration>,
    /// Run what was asked for even where the cache knows the answer.
    pub force: bool,
}

/// The folders of one run.
#[derive(Clone, Debug)]
pub struct Places {
    /// Where actions get their scratch folders. On the store's file system, so that outputs can be renamed into it.
    pub scratch: Utf8PathBuf,
    /// The job's folder, where logs stay.
    pub job: Utf8PathBuf,
}

/// Everything that a run needs.
pub struct Run {
    /// What is to be done.
    pub graph: Arc<Graph>,
    /// What is known already.
    pub plan: Plan,
    /// Where records are.
    pub resolver: Arc<Resolver>,
    /// Who carries actions out.
    pub rules: Rules,
    /// Where files go.
    pub places: Places,
    /// How.
    pub options: RunOptions,
    /// Who listens.
    pub events: Sink,
    /// Who may stop it.
    pub canceller: Canceller,
}

/// How a run ended.
#[derive(Debug)]
pub struct Summary {
    /// Every action that was asked for, in the order asked; several a name where there were several runs.
    pub wanted: Vec<Finished>,
    /// Every other action that did not pass, but for mere aids.
    pub broken: Vec<Finished>,
    /// Actions that ran.
    pub ran: usize,
    /// Actions that were served.
    pub hits: usize,
    /// Actions that an audit ran again.
    pub audited: usize,
    /// Those of them that came out otherwise than recorded, by title.
    pub disagreed: Vec<Arc<str>>,
    /// Whether the run was stopped from outside.
    pub interrupted: Option<String>,
    /// Whether one of our own rules broke down.
    pub bug: bool,
}

impl Run {
    /// Carries the plan out to its end.
    pub async fn go(self) -> Summary {
        let cancel = self.canceller.watch();
        let mut course = Course::new(self);
        course.settle_hits();
        course.drive(cancel).await;
        course.summary()
    }
}

/// A run under way.
struct Course {
    graph: Arc<Graph>,
    board: Board,
    work: Arc<Work>,
    events: Sink,
    fail_fast: bool,
    made: Vec<Option<Arc<Made>>>,
    forecasts: Vec<Option<Forecast>>,
    finished: Vec<Vec<Finished>>,
    /// What is served beside the graph.
    served: Served,
    /// What that stands on.
    prerequisites: Vec<Finished>,
    tasks: JoinSet<(ActionId, Vec<Ended>)>,
    task_of: std::collections::HashMap<tokio::task::Id, ActionId>,
    interrupted: Option<String>,
    bug: bool,
}

impl Course {
    fn new(run: Run) -> Self {
        let graph = run.graph;
        // Without a history there is no order but that of the graph.
        let priorities = match Estimates::of(&graph, &run.plan, run.resolver.store()) {
            Ok(estimates) => estimates.priorities(&graph),
            Err(_) => Estimates::given(vec![0.0; graph.len()]).priorities(&graph),
        };
        let made = run.plan.made();
        let served = run.plan.served();
        let prerequisites = run.plan.prerequisites();
        let beside = served.len() + prerequisites.len();
        run.events.send(Event::Planned {
            actions: graph.len() - run.plan.idle() + beside,
            wanted: graph.wanted().len() + served.len(),
            hits: run.plan.hits() + beside,
        });
        let board = Board::new(graph.clone(), run.options.capacity, priorities);
        let fail_fast = run.options.fail_fast;
        let work = Work::new(
            (graph.clone(), run.plan.audits()),
            run.resolver,
            run.rules,
            run.places,
            run.options,
            run.events.clone(),
            run.canceller,
        );
        let (forecasts, served) = run.plan.into_parts();
        Self {
            board,
            work: Arc::new(work),
            events: run.events,
            fail_fast,
            made,
            forecasts: forecasts.into_iter().map(Some).collect(),
            prerequisites,
            served,
            finished: vec![Vec::new(); graph.len()],
            tasks: JoinSet::new(),
            task_of: std::collections::HashMap::new(),
            interrupted: None,
            bug: false,
            graph,
        }
    }

    /// Everything that the plan knows to be a hit, or not to be needed, is done before anything starts: first what tests stand
    /// on, then what was asked for, in the order asked.
    fn settle_hits(&mut self) {
        let graph = self.graph.clone();
        let mut wanted = vec![false; graph.len()];
        graph.wanted().iter().for_each(|id| wanted[id.index()] = true);
        for finished in std::mem::take(&mut self.prerequisites) {
            self.events.send(Event::Finished(finished));
        }
        for &id in graph.order() {
            if let Some(made) = &self.made[id.index()] {
                let finished = Ended::served(made).finished(id, 1, graph.spec(id));
                self.board.settle(id, Status::Pass);
                if !wanted[id.index()] {
                    self.events.send(Event::Finished(finished.clone()));
                }
                self.finished[id.index()].push(finished);
            } else if matches!(self.forecasts[id.index()], Some(Forecast::Idle)) {
                self.board.settle(id, Status::Skip);
            }
        }
        for asked_for in self.served.all(graph.wanted()) {
            let finished = match asked_for {
                Ok(finished) => Some(finished),
                Err(id) => self.finished[id.index()].first().cloned(),
            };
            if let Some(finished) = finished {
                self.events.send(Event::Finished(finished));
            }
        }
    }

    async fn drive(&mut self, cancel: Cancel) {
        loop {
            // An action that heeds the flag may end before this loop hears of it: nothing may start then.
            if self.interrupted.is_none()
                && let Some(reason) = cancel.reason()
            {
                self.interrupt(&reason);
            }
            while let Some(id) = self.board.start_next() {
                self.start(id);
            }
            if self.board.running() == 0 {
                return;
            }
            tokio::select! {
                Some(joined) = self.tasks.join_next_with_id() => self.joined(joined),
                reason = cancel.cancelled(), if self.interrupted.is_none() => self.interrupt(&reason),
            }
        }
    }

    fn start(&mut self, id: ActionId) {
        let forecast = self.forecasts[id.index()].take().unwrap_or(Forecast::Maybe);
        let (inputs, by_role) =
            crate::resolve::inputs_of(&self.graph, id, |earlier| self.made[earlier.index()].as_deref())
                .expect("an action starts when all it waits for has passed");
        let work = self.work.clone();
        let task = self
            .tasks
            .spawn(async move { (id, work.carry_out(id, forecast, inputs, by_role).await) });
        self.task_of.insert(task.id(), id);
    }

    fn joined(&mut self, joined: Result<(tokio::task::Id, (ActionId, Vec<Ended>)), tokio::task::JoinError>) {
        match joined {
            Ok((task, (id, ended))) => {
                self.task_of.remove(&task);
                self.end(id, ended);
            }
            Err(error) => {
                let id = self
                    .task_of
                    .remove(&error.id())
                    .expect("every task belongs to an action");
                self.bug = true;
                let panic = panic_text(error);
                let reason = format!("internal error in rule `{}`: {panic}", self.graph.spec(id).rule);
                self.end(id, vec![Ended::broke(Status::Error, reason)]);
            }
        }
    }

    /// Takes note of how an action ended and of all that can never start because of it.
    fn end(&mut self, id: ActionId, mut ended: Vec<Ended>) {
        // The worst of several runs counts for what depends on the action.
        let worst = ended.iter().map(|end| end.status).max().unwrap_or(Status::Error);
        self.made[id.index()] = ended.iter_mut().rev().find_map(|end| end.made.take());
        for (run, end) in (1..).zip(ended) {
            let finished = end.finished(id, run, self.graph.spec(id));
            self.report(finished);
        }
        let blocked = self.board.settle(id, worst);
        let (cause, interrupted) = (self.graph.spec(id).title.clone(), worst == Status::Interrupt);
        for follower in blocked {
            let reason = format!(
                "`{cause}` {}",
                if interrupted {
                    "was interrupted"
                } else {
                    "did not pass"
                }
            );
            let mut finished =
                Ended::broke(Status::Skip, reason).finished(follower, 1, self.graph.spec(follower));
            finished.cause = Some(cause.clone());
            self.report(finished);
        }
        let failed = !worst.lets_followers_run() && worst != Status::Interrupt;
        if self.fail_fast && failed && !self.graph.only_aids(id) {
            self.drop_rest(&format!("`{cause}` did not pass, and --fail-fast was asked for"));
        }
    }

    fn interrupt(&mut self, reason: &str) {
        self.interrupted = Some(reason.to_owned());
        self.events.send(Event::Stopping {
            reason: reason.to_owned(),
        });
        self.drop_rest(&format!("the run was stopped before it started: {reason}"));
    }

    fn drop_rest(&mut self, reason: &str) {
        for id in self.board.stop() {
            let finished = Ended::broke(Status::Skip, reason.to_owned()).finished(id, 1, self.graph.spec(id));
            self.report(finished);
        }
    }

    fn report(&mut self, finished: Finished) {
        self.events.send(Event::Finished(finished.clone()));
        self.finished[finished.id.index()].push(finished);
    }

    fn summary(mut self) -> Summary {
        let graph = self.graph.clone();
        let all = || self.finished.iter().flatten();
        let hits = all().filter(|finished| finished.cached).count() + self.served.len();
        let ran = all()
            .filter(|finished| !finished.cached && finished.attempts > 0)
            .count();
        let audited = all().filter(|finished| finished.audit.is_some()).count();
        let disagreed = all()
            .filter(|finished| finished.audit == Some(Audited::Disagreed))
            .map(|finished| finished.label.clone())
            .collect();
        let mut wanted = Vec::with_capacity(graph.wanted().len() + self.served.len());
        for asked_for in self.served.all(graph.wanted()) {
            match asked_for {
                Ok(finished) => wanted.push(finished),
                Err(id) => wanted.append(&mut self.finished[id.index()]),
            }
        }
        let rest = self.finished.into_iter().flatten();
        let broken = rest
            .filter(|finished| !finished.status.lets_followers_run() && !graph.only_aids(finished.id))
            .collect();
        Summary {
            wanted,
            broken,
            ran,
            hits,
            audited,
            disagreed,
            interrupted: self.interrupted,
            bug: self.bug,
        }
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "a panic without a message".to_owned()),
        Err(error) => error.to_string(),
    }
}
