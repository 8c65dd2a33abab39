//! What would run because of a difference: both sides planned against the one store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use vtbuild_cache::{Change, Manifest};
use vtbuild_engine::affected::{Effect, Standing};
use vtbuild_engine::estimate::Estimates;
use vtbuild_engine::plan::Forecast;
use vtbuild_engine::reason::Reason;
use vtbuild_engine::resolve::Resolved;
use vtbuild_engine::schedule::simulate::{makespan, simulate};
use vtbuild_engine::spec::{ActionId, RuleName, Spec};

use super::side::Side;
use crate::analysis::Analysis;
use crate::cli::{ActionArgs, DiffArgs};
use crate::command::{note, plural};
use crate::execution;
use crate::exit::Failure;
use crate::planned::{self, Foreseen, Purpose, capacity, unreadable};
use crate::wiring;

/// How many differences of one action are named.
const NAMED: usize = 3;
/// How much of a value is shown.
const SHOWN: usize = 60;

/// What would run on the new side, and would not have to on the old one.
pub struct Rerun {
    /// The actions, each after those that it waits for.
    pub actions: Vec<Action>,
    /// Tests that would be served.
    pub served: usize,
    /// Tests that nobody has seen pass on either side.
    pub unknown: usize,
    /// How long it takes with what there is of the host, in seconds.
    pub wall: f64,
    /// One after the other, in seconds.
    pub total: f64,
    /// How many tests may run at once.
    pub jobs: u32,
}

/// An action that would run.
pub struct Action {
    /// Whether somebody asked for it by name: a test. Else something that tests stand on.
    pub wanted: bool,
    rule: RuleName,
    /// Its name, as people see it.
    pub title: Arc<str>,
    label: Arc<str>,
    effect: Effect,
    /// Why it runs, one line.
    pub why: String,
    /// How long it takes, in seconds.
    pub seconds: f64,
    /// Whether that rests on a run of this very action.
    pub known: bool,
}

impl Rerun {
    /// What would run because of the difference of two sides; none where one of them is no workspace.
    pub fn of(old: &Side, new: &Side, args: &DiffArgs) -> Result<Option<Self>, Failure> {
        let (Some(before), Some(after)) = (old.analysis(), new.analysis()) else {
            return Ok(None);
        };
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let foreseen = |side: &Side, analysis: &Analysis| {
            foreseen(analysis, args, &runtime).map_err(|failure| side.rename(&failure))
        };
        let (Some(before), Some(after)) = (foreseen(old, before)?, foreseen(new, after)?) else {
            return Ok(None);
        };
        Comparison { before, after }.rerun(args).map(Some)
    }

    /// The same in groups of one reason each, the longest first.
    pub fn groups(&self) -> Vec<Group<'_>> {
        let mut groups: BTreeMap<(bool, &str), Vec<&Action>> = BTreeMap::new();
        for action in &self.actions {
            groups
                .entry((action.wanted, &action.why))
                .or_default()
                .push(action);
        }
        let group = |((_, why), actions): ((bool, &'_ str), Vec<_>)| Group {
            why: why.to_owned(),
            actions,
        };
        let mut groups: Vec<Group<'_>> = groups.into_iter().map(group).collect();
        groups.sort_by(|a, b| b.seconds().total_cmp(&a.seconds()));
        groups
    }

    /// How many tests would run.
    pub fn tests(&self) -> usize {
        self.actions.iter().filter(|action| action.wanted).count()
    }

    /// The sum as an object.
    pub fn json(&self) -> Json {
        json!({
            "run": self.tests(), "actions": self.actions.len(), "served": self.served, "unknown": self.unknown,
            "seconds": self.wall, "sequential_seconds": self.total, "jobs": self.jobs,
        })
    }
}

/// Actions that run for one reason.
pub struct Group<'a> {
    /// The reason.
    pub why: String,
    /// The actions: tests, or what tests stand on, never both.
    pub actions: Vec<&'a Action>,
}

impl Group<'_> {
    /// One after the other, in seconds.
    pub fn seconds(&self) -> f64 {
        self.actions.iter().map(|action| action.seconds).sum()
    }

    /// Whether all of that rests on runs of these very actions.
    pub fn known(&self) -> bool {
        self.actions.iter().all(|action| action.known)
    }

    /// `3 tests`, `1 image`.
    pub fn count(&self) -> String {
        let rule = self.actions.first().map_or("", |action| action.rule.name);
        plural(&self.actions.len(), rule)
    }
}

impl Action {
    /// As an object.
    pub fn json(&self) -> Json {
        let effect = match self.effect {
            Effect::New => "new",
            Effect::Invalidated => "invalidated",
            Effect::Altered => "altered",
        };
        json!({
            "run": effect, "rule": self.rule.name, "title": self.title, "label": self.label, "why": self.why,
            "seconds": self.seconds, "known": self.known,
        })
    }
}

/// One side with its plan; none, after saying so, where that would take too long.
fn foreseen(
    analysis: &Analysis,
    args: &DiffArgs,
    runtime: &tokio::runtime::Runtime,
) -> Result<Option<Foreseen>, Failure> {
    let workspace = &analysis.workspace;
    if !args.all && analysis.stream().nth(planned::MOST).is_some() {
        let most = planned::MOST;
        note(&format!(
            "what would run is not told for more than {most} variants: narrow it with a target, or insist with --all"
        ));
        return Ok(None);
    }
    let all = analysis.session.variants(&analysis.program, None);
    let mut variants = all.map_err(|found| crate::analysis::broken(&found))?;
    if args.select.targets.is_empty() || planned::everything(&args.select) {
        planned::leave_out_manual(&mut variants);
    }
    let actions = ActionArgs {
        select: args.select.clone(),
        accel: args.accel,
        runtime: args.runtime,
        ..ActionArgs::default()
    };
    let store = execution::open_store(workspace)?;
    let purpose = Purpose::look("plan");
    Foreseen::of(workspace, &variants, store, runtime.handle(), &actions, purpose).map(Some)
}

struct Comparison {
    before: Foreseen,
    after: Foreseen,
}

impl Comparison {
    fn rerun(&self, args: &DiffArgs) -> Result<Rerun, Failure> {
        let Foreseen {
            graph,
            plan,
            resolver,
            ..
        } = &self.after;
        let standing = Standing::of(&self.before.graph, &self.before.plan, &self.before.resolver);
        let effects = standing
            .and_then(|standing| standing.affected(graph, plan, resolver))
            .map_err(|error| unreadable(&error))?;
        let estimates = Estimates::of(graph, plan, resolver.store())?;
        let olds = by_name(&self.before);
        let mut actions = Vec::new();
        let (mut served, mut unknown) = (0, 0);
        let mut times = vec![0.0; graph.len()];
        for &id in graph.order() {
            let spec = graph.spec(id);
            let wanted = spec.rule.name == wiring::WANTED;
            let Some(effect) = effects[id.index()] else {
                let hit = matches!(plan.of(id), Forecast::Hit { .. });
                served += usize::from(wanted && hit);
                unknown += usize::from(wanted && !hit);
                continue;
            };
            times[id.index()] = estimates.seconds(id);
            let old = olds.get(&(spec.rule, &*spec.label)).copied();
            actions.push(Action {
                wanted,
                rule: spec.rule,
                title: spec.title.clone(),
                label: spec.label.clone(),
                effect,
                why: self.why(id, effect, old)?,
                seconds: estimates.seconds(id),
                known: estimates.known(id),
            });
        }
        let estimates = Estimates::given(times);
        let capacity = capacity(&args.host);
        let slots = simulate(graph, &estimates, capacity, estimates.priorities(graph));
        Ok(Rerun {
            actions,
            served,
            unknown,
            wall: makespan(&slots),
            total: estimates.total(),
            jobs: capacity.jobs,
        })
    }

    fn why(&self, id: ActionId, effect: Effect, old: Option<ActionId>) -> Result<String, Failure> {
        let reason = match self.after.plan.of(id) {
            _ if effect == Effect::New => return Ok("new".to_owned()),
            Forecast::Maybe | Forecast::Idle | Forecast::Hit { .. } => None,
            Forecast::Miss(miss) => Some(&miss.reason),
        };
        Ok(match reason {
            Some(Reason::Changed { changes }) if effect != Effect::Altered => brief(changes),
            // What is told of the last run says nothing where there was none, and tells too much where the old side was to run
            // as well.
            None | Some(Reason::Never | Reason::Failed { .. } | Reason::Changed { .. }) => {
                let changes = old.map(|old| self.between(old, id)).transpose()?;
                match changes.filter(|changes| !changes.is_empty()) {
                    Some(changes) => brief(&changes),
                    None => self.stands_on(id),
                }
            }
            Some(other) => other.to_string(),
        })
    }

    /// What runs first, and may change it.
    fn stands_on(&self, id: ActionId) -> String {
        let (graph, plan) = (&self.after.graph, &self.after.plan);
        let first: Vec<&str> = graph
            .waits_for(id)
            .filter(|(earlier, link)| !link.is_aid() && plan.of(*earlier).may_run())
            .map(|(earlier, _)| &*graph.spec(earlier).title)
            .collect();
        format!("stands on {}, which may change", first.join(", "))
    }

    /// What differs between the two sides of an action, in its key and in what it may read.
    fn between(&self, old: ActionId, new: ActionId) -> Result<Vec<Change>, Failure> {
        let (before, after) = (&self.before, &self.after);
        let mut changes = match (before.plan.of(old), after.plan.of(new)) {
            (Forecast::Miss(was), Forecast::Miss(is)) => before
                .manifest(old, &was.resolved)
                .diff(&after.manifest(new, &is.resolved)),
            // What its inputs are is not known: all else is compared.
            _ => before.own(old)?.diff(&after.own(new)?),
        };
        changes.extend(offered(before.graph.spec(old), after.graph.spec(new)));
        Ok(changes)
    }
}

impl Foreseen {
    fn manifest(&self, id: ActionId, resolved: &Resolved) -> Manifest {
        self.resolver.manifest(self.graph.spec(id), resolved, &[])
    }

    /// The fields of a key without inputs.
    fn own(&self, id: ActionId) -> Result<Manifest, Failure> {
        let resolved = self.resolver.resolve(self.graph.spec(id), Vec::new());
        Ok(self.manifest(id, &resolved.map_err(|error| unreadable(&error))?))
    }
}

/// The parameters that may be read and differ.
fn offered(old: &Spec, new: &Spec) -> Vec<Change> {
    let names = old.offered.iter().chain(new.offered.iter()).map(|(name, _)| name);
    let names: std::collections::BTreeSet<&Arc<str>> = names.collect();
    let told = |spec: &Spec, name: &str| spec.offered.get(name).map(|value| format!("{value:?}"));
    let change = |name: &Arc<str>| Change {
        field: format!("params.{name}"),
        old: told(old, name),
        new: told(new, name),
    };
    names
        .into_iter()
        .map(change)
        .filter(|change| change.old != change.new)
        .collect()
}

fn by_name(side: &Foreseen) -> HashMap<(RuleName, &str), ActionId> {
    let graph = &side.graph;
    let named = |&id: &ActionId| ((graph.spec(id).rule, &*graph.spec(id).label), id);
    graph.order().iter().map(named).collect()
}

/// `mem: "512" -> "1024", boot.py changed and 2 more`
fn brief(changes: &[Change]) -> String {
    let told: Vec<String> = changes.iter().take(NAMED).map(one).collect();
    let more = changes.len().saturating_sub(NAMED);
    let more = if more == 0 {
        String::new()
    } else {
        format!(" and {more} more")
    };
    format!("{}{more}", told.join(", "))
}

/// Digests say nothing to people: of files and inputs only the name is told.
fn one(change: &Change) -> String {
    let field = change.field.as_str();
    if let Some(name) = field
        .strip_prefix("sources.")
        .or_else(|| field.strip_prefix("inputs."))
    {
        return format!("{} changed", name.trim_matches('"'));
    }
    let name = ["params.", "reads."]
        .iter()
        .find_map(|prefix| field.strip_prefix(prefix));
    let value = |value: &Option<String>| match value {
        None => "nothing".to_owned(),
        Some(text) if text.chars().count() > SHOWN => {
            format!("{}…", text.chars().take(SHOWN).collect::<String>())
        }
        Some(text) => text.clone(),
    };
    format!(
        "{}: {} -> {}",
        name.unwrap_or(field),
        value(&change.old),
        value(&change.new)
    )
}
