//! Which tests a change affects, and running them: in a thread of its own, one run at a time.
//!
//! An edit while tests run: one that affects an action of the run that is not done stops the run, and what was left of it
//! starts again together with what the edit affects. Any other waits until the run is over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::runtime::Handle;
use vtbuild_cache::Store;
use vtbuild_engine::affected::Standing;
use vtbuild_engine::cancel::{Canceller, cancellation};
use vtbuild_engine::estimate::Estimates;
use vtbuild_engine::event::Event;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::Forecast;
use vtbuild_engine::spec::ActionId;

use super::Variants;
use crate::cli::{RunArgs, WatchArgs};
use crate::command::run::{self, Told};
use crate::command::{plural, print, warn};
use crate::execution;
use crate::exit::{Exit, Failure};
use crate::planned::{Foreseen, MOST, Purpose, everything, leave_out_manual, unreadable};
use crate::report::{Reporter, about};
use crate::workspace::Workspace;

/// How many affected tests are named.
const NAMED: usize = 10;

/// What the thread is asked to do.
pub enum Order {
    /// To find out what is affected by now, and to run it.
    Plan(Arc<Workspace>, Variants),
    /// To take note that the run is over, and whether somebody interrupted it.
    Ended(Result<bool, Failure>),
    /// To stop everything, because of this signal.
    Stop(&'static str),
}

/// The thread.
pub struct Queue {
    orders: Sender<Order>,
    thread: JoinHandle<Exit>,
}

impl Queue {
    /// Starts it.
    pub fn start(args: &WatchArgs, handle: Handle) -> Result<Self, Failure> {
        let (orders, receive) = channel();
        let mut keeper = Keeper {
            args: args.run(),
            show_only: args.no_run,
            now: args.now,
            handle,
            orders: orders.clone(),
            store: None,
            standing: None,
            latest: None,
            due: BTreeSet::new(),
            current: None,
        };
        let thread = std::thread::Builder::new()
            .name("queue".into())
            .spawn(move || keeper.serve(&receive))?;
        Ok(Self { orders, thread })
    }

    /// Who can give it orders.
    pub fn orders(&self) -> Sender<Order> {
        self.orders.clone()
    }

    /// Gives it an order.
    pub fn order(&self, order: Order) {
        // It ends only when it was told to stop.
        let _ = self.orders.send(order);
    }

    /// Waits for its end.
    pub fn join(self) -> Exit {
        self.thread
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

struct Keeper {
    args: RunArgs,
    show_only: bool,
    now: bool,
    handle: Handle,
    orders: Sender<Order>,
    store: Option<Store>,
    standing: Option<Standing>,
    latest: Option<Latest>,
    /// Labels of the tests that are to run.
    due: BTreeSet<Arc<str>>,
    current: Option<Current>,
}

/// What was planned last.
struct Latest {
    workspace: Arc<Workspace>,
    variants: Variants,
    graph: Arc<Graph>,
    /// Which actions are served.
    hits: Vec<bool>,
}

/// A run under way.
struct Current {
    graph: Arc<Graph>,
    done: Arc<Mutex<Done>>,
    canceller: Canceller,
    /// Whether an edit stopped it.
    overtaken: bool,
}

/// How actions ended, and after how many tries.
type Done = BTreeMap<ActionId, (Status, u32)>;

impl Keeper {
    fn serve(&mut self, orders: &Receiver<Order>) -> Exit {
        let (mut stopped, mut exit) = (false, Exit::Good);
        let mut waiting = None;
        loop {
            let Some(order) = waiting.take().or_else(|| orders.recv().ok()) else {
                return Exit::Good;
            };
            match order {
                Order::Plan(workspace, variants) => {
                    // Only what holds now counts.
                    waiting = orders.try_recv().ok();
                    if matches!(waiting, Some(Order::Plan(..))) || stopped {
                        continue;
                    }
                    if let Err(failure) = self.plan(workspace, &variants) {
                        warn(&format!("what is affected is not known: {}", failure.message));
                    }
                }
                Order::Ended(ended) => {
                    if stopped && matches!(ended, Ok(true)) {
                        exit = Exit::Interrupted;
                    }
                    self.ended(ended);
                }
                Order::Stop(name) => {
                    stopped = true;
                    if let Some(current) = &self.current {
                        current.canceller.cancel(name);
                    }
                }
            }
            if !stopped {
                self.run_what_is_due();
            } else if self.current.is_none() {
                return exit;
            }
        }
    }

    fn store(&mut self, workspace: &Workspace) -> Result<Store, Failure> {
        if self.store.is_none() {
            self.store = Some(execution::open_store(workspace)?);
        }
        Ok(self.store.clone().expect("it was opened just now"))
    }

    fn foresee(
        &mut self,
        workspace: &Workspace,
        variants: &Variants,
        fetch: bool,
    ) -> Result<Foreseen, Failure> {
        let store = self.store(workspace)?;
        let purpose = Purpose {
            fetch,
            ..Purpose::look("watch")
        };
        let args = &self.args.actions;
        Foreseen::of(workspace, variants, store, &self.handle, args, purpose)
    }

    /// Finds out what has to run because of what changed since the last time.
    fn plan(&mut self, workspace: Arc<Workspace>, variants: &Variants) -> Result<(), Failure> {
        let mut kept = variants.to_vec();
        if everything(&self.args.actions.select) {
            leave_out_manual(&mut kept);
        }
        if kept.len() > MOST && !self.args.actions.all {
            let message = format!(
                "{} variants are more than {MOST}; narrow the target, or insist with --all",
                kept.len()
            );
            return Err(Failure::new(Exit::Usage, message));
        }
        let variants: Variants = kept.into();
        // What an earlier plan needed may be collected from now on. A run under way still needs it.
        if let (Some(store), None) = (&self.store, &self.current) {
            store.release()?;
        }
        let foreseen = self.foresee(&workspace, &variants, false)?;
        let Foreseen {
            graph,
            plan,
            resolver,
            ..
        } = &foreseen;
        let is_hit = |id: ActionId| matches!(plan.of(id), Forecast::Hit { .. });
        let affected: Vec<ActionId> = match &self.standing {
            Some(before) => {
                let effects = before
                    .affected(graph, plan, resolver)
                    .map_err(|error| unreadable(&error))?;
                let reached = |id: &ActionId| effects[id.index()].is_some();
                graph.order().iter().copied().filter(reached).collect()
            }
            None => {
                let hits = graph.wanted().iter().filter(|id| is_hit(**id)).count();
                let rest = graph.wanted().len() - hits;
                print(&first(hits, rest, self.now, self.show_only))?;
                let wanted = |id: &&ActionId| self.now && !is_hit(**id);
                graph.wanted().iter().filter(wanted).copied().collect()
            }
        };
        let wanted: BTreeSet<ActionId> = graph.wanted().iter().copied().collect();
        let tests: Vec<ActionId> = affected
            .iter()
            .copied()
            .filter(|id| wanted.contains(id))
            .collect();
        if self.standing.is_some() {
            let estimates = Estimates::of(graph, plan, resolver.store())?;
            let seconds = affected.iter().map(|id| estimates.seconds(*id)).sum();
            print(&told(graph, &tests, seconds))?;
        }
        if let Some(current) = &mut self.current
            && affected.iter().any(|id| current.has_left(graph, *id))
        {
            current.overtaken = true;
            current.canceller.cancel("an edit affects it");
        }
        self.due
            .extend(tests.iter().map(|id| graph.spec(*id).label.clone()));
        self.standing = Some(Standing::of(graph, plan, resolver).map_err(|error| unreadable(&error))?);
        self.latest = Some(Latest {
            workspace,
            variants,
            graph: graph.clone(),
            hits: (0..graph.len()).map(|at| is_hit(ActionId::at(at))).collect(),
        });
        Ok(())
    }

    fn run_what_is_due(&mut self) {
        if self.show_only {
            self.due.clear();
        }
        if self.current.is_some() || self.due.is_empty() {
            return;
        }
        if let Err(failure) = self.start() {
            warn(&failure.message);
        }
    }

    fn start(&mut self) -> Result<(), Failure> {
        let Some(latest) = &self.latest else { return Ok(()) };
        let workspace = latest.workspace.clone();
        let variants = latest.with_all_before(&std::mem::take(&mut self.due));
        if variants.is_empty() {
            return Ok(());
        }
        let foreseen = self.foresee(&workspace, &variants, true)?;
        if foreseen.plan.hits() == foreseen.graph.len() {
            return print("all of them are known to pass as they are now\n");
        }
        let (canceller, _) = cancellation();
        let done = Arc::new(Mutex::new(Done::new()));
        self.current = Some(Current {
            graph: foreseen.graph.clone(),
            done: done.clone(),
            canceller: canceller.clone(),
            overtaken: false,
        });
        let told = Told {
            reporters: vec![Box::new(Notes(done))],
            canceller: Some(canceller),
            ..Told::default()
        };
        let (args, handle, orders) = (self.args.clone(), self.handle.clone(), self.orders.clone());
        let carry_out = move || {
            let ended = run::carry_out(&workspace, foreseen, &args, &handle, told);
            // Whoever is gone does not wait for it.
            let _ = orders.send(Order::Ended(ended.map(|summary| summary.interrupted.is_some())));
        };
        let started = std::thread::Builder::new().name("run".into()).spawn(carry_out);
        started.map(drop).map_err(|error| {
            self.current = None;
            error.into()
        })
    }

    /// Takes note of what passed, and of what is to start again.
    fn ended(&mut self, ended: Result<bool, Failure>) {
        if let Err(failure) = ended {
            warn(&failure.message);
        }
        let Some(current) = self.current.take() else {
            return;
        };
        let done = std::mem::take(&mut *current.done.lock().unwrap_or_else(PoisonError::into_inner));
        for (id, (status, attempts)) in done {
            let spec = current.graph.spec(id);
            match status {
                Status::Pass => {
                    if let Some(standing) = &mut self.standing {
                        standing.has_passed(spec);
                    }
                }
                Status::Interrupt | Status::Skip
                    if current.overtaken
                        && (attempts == 0 || status == Status::Interrupt)
                        && current.graph.wanted().contains(&id) =>
                {
                    self.due.insert(spec.label.clone());
                }
                _ => {}
            }
        }
    }
}

impl Current {
    /// Whether the run has an action of this name that is not done.
    fn has_left(&self, graph: &Graph, id: ActionId) -> bool {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let spec = graph.spec(id);
        let same = |other: &&ActionId| {
            let other = self.graph.spec(**other);
            (other.rule, &other.label) == (spec.rule, &spec.label)
        };
        let found = self.graph.order().iter().find(same);
        found.is_some_and(|id| !done.contains_key(id))
    }
}

impl Latest {
    /// The variants of these tests and of all tests that come before them and are not served.
    fn with_all_before(&self, due: &BTreeSet<Arc<str>>) -> Variants {
        let graph = &self.graph;
        let mut open: Vec<ActionId> = graph
            .wanted()
            .iter()
            .copied()
            .filter(|id| due.contains(&graph.spec(*id).label))
            .collect();
        let mut names: BTreeSet<&str> = BTreeSet::new();
        let mut seen: BTreeSet<ActionId> = open.iter().copied().collect();
        while let Some(id) = open.pop() {
            names.insert(&graph.spec(id).variant);
            for (earlier, _) in graph.waits_for(id) {
                if !self.hits[earlier.index()] && seen.insert(earlier) {
                    open.push(earlier);
                }
            }
        }
        let named = self
            .variants
            .iter()
            .filter(|variant| names.contains(&*variant.name));
        named.cloned().collect()
    }
}

/// Takes note of how actions end.
struct Notes(Arc<Mutex<Done>>);

impl Reporter for Notes {
    fn event(&mut self, event: &Event) {
        if let Event::Finished(finished) = event {
            let mut done = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            done.insert(finished.id, (finished.status, finished.attempts));
        }
    }

    fn close(&mut self) {}
}

fn first(hits: usize, rest: usize, now: bool, show_only: bool) -> String {
    let known = match (rest, now && !show_only) {
        (0, _) => "all of them known to pass".to_owned(),
        (rest, true) => format!("{rest} of them not known to pass: they run now"),
        (rest, false) => format!("{rest} of them not known to pass: they run when an edit affects them"),
    };
    format!(
        "watching {}, {known}; Ctrl-C ends it\n",
        plural(&(hits + rest), "test")
    )
}

fn told(graph: &Graph, tests: &[ActionId], seconds: f64) -> String {
    if tests.is_empty() {
        return "no test is affected\n".to_owned();
    }
    let mut text = format!(
        "{} affected, about {}\n",
        plural(&tests.len(), "test"),
        about(seconds)
    );
    for id in tests.iter().take(NAMED) {
        text.push_str(&format!("    {}\n", graph.spec(*id).title));
    }
    if tests.len() > NAMED {
        text.push_str(&format!("    and {} more\n", tests.len() - NAMED));
    }
    text
}
