//! `vtbuild plan`, and `--dry-run`.

use std::collections::HashMap;
use std::fmt::Write;

use serde_json::json;
use vtbuild_engine::estimate::Estimates;
use vtbuild_engine::plan::Forecast;
use vtbuild_engine::reason::Reason;
use vtbuild_engine::resolve::FILE;
use vtbuild_engine::schedule::simulate::{makespan, simulate};
use vtbuild_engine::spec::ActionId;

use super::{Output, plural};
use crate::cli::{HostArgs, PlanArgs};
use crate::exit::{Exit, Failure};
use crate::planned::{Planned, Purpose, capacity};
use crate::report::seconds;

/// Says of each action what would become of it.
pub fn plan(args: &PlanArgs) -> Result<Exit, Failure> {
    let planned = Planned::of(&args.actions, Purpose::look("plan"))?;
    let view = View::of(&planned, &args.host)?;
    let mut out = Output::new();
    for &id in planned.foreseen.graph.order() {
        let reads = if args.json {
            out.write(&view.json(id))?
        } else {
            out.tell(&view.line(id))?
        };
        if !reads {
            return Ok(Exit::Good);
        }
    }
    if args.json {
        out.write(&view.sum_json())?;
    } else {
        out.tell(&view.sum())?;
    }
    out.finish()?;
    Ok(Exit::Good)
}

/// The same without the hits.
pub fn dry_run(planned: &Planned, host: &HostArgs) -> Result<Exit, Failure> {
    let view = View::of(planned, host)?;
    let mut out = Output::new();
    let order = planned.foreseen.graph.order().iter();
    for &id in order.filter(|id| planned.foreseen.plan.of(**id).may_run()) {
        if !out.tell(&view.line(id))? {
            return Ok(Exit::Good);
        }
    }
    out.tell(&view.sum())?;
    out.finish()?;
    Ok(Exit::Good)
}

/// What is said to become of an action.
enum Fate<'a> {
    Hit,
    Run(&'a Reason),
    /// What it stands on runs first. Should that come out as before, it is a hit, unless something of its own has changed.
    Maybe(Option<&'a Reason>),
    Idle,
}

/// A plan with its times.
struct View<'a> {
    planned: &'a Planned,
    /// What speaks for running those that wait for what runs first.
    beforehand: HashMap<ActionId, Reason>,
    estimates: Estimates,
    /// How long the whole takes with what may be taken of the host, in seconds.
    wall: f64,
    jobs: u32,
}

impl<'a> View<'a> {
    fn of(planned: &'a Planned, host: &HostArgs) -> Result<Self, Failure> {
        let (graph, capacity) = (&planned.foreseen.graph, capacity(host));
        let estimates = Estimates::of(graph, &planned.foreseen.plan, planned.foreseen.resolver.store())?;
        let slots = simulate(graph, &estimates, capacity, estimates.priorities(graph));
        let waits = |id: &ActionId| matches!(planned.foreseen.plan.of(*id), Forecast::Maybe);
        let mut beforehand = HashMap::new();
        for &id in graph.order().iter().filter(|id| waits(id)) {
            if let Some(reason) = planned.foreseen.beforehand(id)? {
                beforehand.insert(id, reason);
            }
        }
        Ok(Self {
            planned,
            beforehand,
            wall: makespan(&slots),
            estimates,
            jobs: capacity.jobs,
        })
    }

    /// `run    test NAME: REASON (about 15 s)`
    fn line(&self, id: ActionId) -> String {
        let (word, reason) = self.word_and_reason(id);
        let spec = self.planned.foreseen.graph.spec(id);
        let time = match self.planned.foreseen.plan.of(id) {
            Forecast::Hit { .. } | Forecast::Idle => String::new(),
            _ if spec.rule == FILE => String::new(),
            _ => format!(" ({})", self.time(id)),
        };
        let colon = if reason.is_empty() { "" } else { ": " };
        let mut line = format!("{word:<6} {} {}{colon}{reason}{time}\n", spec.rule, spec.title);
        if self.planned.foreseen.plan.of(id).may_run() {
            for remark in &spec.remarks {
                // Writing to a string cannot fail.
                let _ = writeln!(line, "           {remark}");
            }
        }
        line
    }

    fn word_and_reason(&self, id: ActionId) -> (&'static str, String) {
        let first = "what it stands on runs first";
        match self.fate(id) {
            Fate::Hit => ("hit", String::new()),
            Fate::Run(reason) => ("run", reason.to_string()),
            Fate::Maybe(Some(reason)) => ("maybe", format!("{first}; {reason}")),
            Fate::Maybe(None) => ("maybe", first.to_owned()),
            Fate::Idle => ("idle", "too few tests would use it".to_owned()),
        }
    }

    fn fate(&self, id: ActionId) -> Fate<'_> {
        match self.planned.foreseen.plan.of(id) {
            Forecast::Hit { .. } => Fate::Hit,
            Forecast::Miss(miss) => Fate::Run(&miss.reason),
            Forecast::Maybe => match self.beforehand.get(&id) {
                Some(never @ Reason::Never) => Fate::Run(never),
                reason => Fate::Maybe(reason),
            },
            Forecast::Idle => Fate::Idle,
        }
    }

    fn time(&self, id: ActionId) -> String {
        let known = if self.estimates.known(id) { "" } else { "?" };
        format!("about {}{known}", seconds(self.estimates.seconds(id)))
    }

    fn json(&self, id: ActionId) -> String {
        let (word, reason) = self.word_and_reason(id);
        let spec = self.planned.foreseen.graph.spec(id);
        let runs = self.planned.foreseen.plan.of(id).may_run();
        let key = match self.planned.foreseen.plan.of(id) {
            Forecast::Hit { key, .. } => Some(*key),
            Forecast::Miss(miss) => Some(miss.resolved.key),
            Forecast::Maybe | Forecast::Idle => None,
        };
        let line = json!({
            "rule": spec.rule.name, "title": spec.title, "label": spec.label, "plan": word, "key": key,
            "reason": (!reason.is_empty()).then_some(reason),
            "seconds": runs.then(|| self.estimates.seconds(id)),
            "known": runs.then(|| self.estimates.known(id)),
            "remarks": spec.remarks,
        });
        format!("{line}\n")
    }

    /// Hits, misses and maybes.
    fn counts(&self) -> [usize; 3] {
        let mut counts = [self.planned.foreseen.plan.beside(), 0, 0];
        for &id in self.planned.foreseen.graph.order() {
            let place = match self.fate(id) {
                Fate::Hit => 0,
                Fate::Run(_) => 1,
                Fate::Maybe(_) => 2,
                Fate::Idle => continue,
            };
            counts[place] += 1;
        }
        counts
    }

    fn sum(&self) -> String {
        let [hits, misses, maybes] = self.counts();
        let mut text = format!(
            "{} actions: {hits} would be served from the cache, {misses} would run, {maybes} may run\n",
            hits + misses + maybes
        );
        if misses + maybes == 0 {
            return text;
        }
        let path = self.estimates.critical_path(&self.planned.foreseen.graph);
        let names: Vec<&str> = path
            .iter()
            .map(|&id| &*self.planned.foreseen.graph.spec(id).title)
            .collect();
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "about {} with {}, {} one after the other; the longest chain is {}",
            seconds(self.wall),
            plural(&self.jobs, "job"),
            seconds(self.estimates.total()),
            names.join(" -> ")
        );
        text
    }

    fn sum_json(&self) -> String {
        let [hits, misses, maybes] = self.counts();
        let sum = json!({
            "actions": hits + misses + maybes, "hit": hits, "run": misses, "maybe": maybes,
            "seconds": self.wall, "sequential_seconds": self.estimates.total(), "jobs": self.jobs,
        });
        format!("{sum}\n")
    }
}
