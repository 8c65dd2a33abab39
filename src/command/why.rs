//! `vtbuild why`.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value as Json, json};
use vtbuild_cache::{Change, Manifest, Record};
use vtbuild_cfg::Variant;
use vtbuild_cfg::provenance::Explanation;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::plan::{Forecast, Miss};
use vtbuild_engine::reason::{Reason, words};
use vtbuild_engine::spec::{ActionId, Spec};

use super::params::sources;
use super::{Output, plural};
use crate::analysis::wrong;
use crate::cli::WhyArgs;
use crate::exit::{Exit, Failure};
use crate::planned::{Planned, Purpose};
use crate::report::seconds;

/// Says why the selected tests would run, and all that they stand on and that runs first.
pub fn why(args: &WhyArgs) -> Result<Exit, Failure> {
    let planned = Planned::of(&args.actions, Purpose::look("explain"))?;
    // Their statements are asked for.
    let runs = |id: ActionId| planned.foreseen.plan.of(id).may_run();
    let variants = variants(&planned, runs)?;
    let mut out = Output::new();
    for id in told(&planned) {
        let told = tell(
            &planned,
            variants.get(&*planned.foreseen.graph.spec(id).variant),
            id,
        )?;
        let reads = if args.json {
            out.write(&format!("{}\n", told.json(args.key)))?
        } else {
            out.tell(&told.text(args.key))?
        };
        if !reads {
            break;
        }
    }
    out.finish()?;
    Ok(Exit::Good)
}

/// What was asked for, and before it whatever runs that it waits for.
fn told(planned: &Planned) -> Vec<ActionId> {
    let graph = &planned.foreseen.graph;
    let asked = |id: &ActionId| graph.wanted().contains(id);
    let runs = |id: &ActionId| matches!(planned.foreseen.plan.of(*id), Forecast::Miss(_));
    let order = graph.order().iter().copied();
    order.filter(|id| asked(id) || runs(id)).collect()
}

/// The variants behind those actions, by name.
pub(super) fn variants(
    planned: &Planned,
    of: impl Fn(ActionId) -> bool,
) -> Result<HashMap<String, Variant>, Failure> {
    let graph = &planned.foreseen.graph;
    let mut wanted: std::collections::HashSet<&str> = graph
        .order()
        .iter()
        .filter(|id| of(**id))
        .map(|&id| &*graph.spec(id).variant)
        .collect();
    wanted.remove("");
    let mut found = HashMap::new();
    for variant in planned.analysis.stream() {
        if found.len() == wanted.len() {
            break;
        }
        let variant = variant.map_err(|error| wrong(&error))?;
        let name = variant.name().to_string();
        if wanted.contains(name.as_str()) {
            found.insert(name, variant);
        }
    }
    Ok(found)
}

/// One action and why it is as it is.
pub(super) struct Told {
    spec: Arc<Spec>,
    state: State,
    /// All fields of its key, as far as they are known, and what was read beyond it.
    key: Option<Manifest>,
}

/// What differs, and the statement that gave it its value of today.
type Placed = (Change, Option<String>);

enum State {
    /// It would be served from this run.
    Served(Option<Box<Record>>),
    /// It would run.
    Runs { reason: Reason, changes: Vec<Placed> },
    /// It stands on these, which run first.
    Waits {
        first: Vec<Arc<str>>,
        /// What of its own has changed.
        changes: Vec<Placed>,
    },
    /// Too few would use it.
    Idle,
}

/// Why an action is as it is; `variant` is the one behind it, for the statements that set what has changed.
pub(super) fn tell(planned: &Planned, variant: Option<&Variant>, id: ActionId) -> Result<Told, Failure> {
    let (graph, store) = (&planned.foreseen.graph, planned.foreseen.resolver.store());
    let spec = graph.spec(id).clone();
    let (state, key) = match planned.foreseen.plan.of(id) {
        Forecast::Hit { made, .. } => {
            let record = match &made.trace {
                Some(trace) => store.record_of(trace)?.map(Box::new),
                None => None,
            };
            let key = record.as_ref().map(|record| record.manifest.clone());
            (State::Served(record), key)
        }
        Forecast::Miss(miss) => {
            let key = planned.foreseen.resolver.manifest(&spec, &miss.resolved, &[]);
            (runs(planned, variant, miss)?, Some(key))
        }
        Forecast::Maybe => (waits(planned, variant, id)?, None),
        Forecast::Idle => (State::Idle, None),
    };
    Ok(Told { spec, state, key })
}

/// Those before an action that are not served.
fn first(planned: &Planned, graph: &Graph, id: ActionId) -> Vec<Arc<str>> {
    graph
        .waits_for(id)
        .filter(|(earlier, link)| !link.is_aid() && planned.foreseen.plan.of(*earlier).may_run())
        .map(|(earlier, _)| graph.spec(earlier).title.clone())
        .collect()
}

fn waits(planned: &Planned, variant: Option<&Variant>, id: ActionId) -> Result<State, Failure> {
    let changes = match planned.foreseen.beforehand(id)? {
        Some(reason @ Reason::Never) => {
            let changes = Vec::new();
            return Ok(State::Runs { reason, changes });
        }
        Some(Reason::Changed { changes }) => placed(planned, variant, &changes)?,
        _ => Vec::new(),
    };
    let first = first(planned, &planned.foreseen.graph, id);
    Ok(State::Waits { first, changes })
}

fn runs(planned: &Planned, variant: Option<&Variant>, miss: &Miss) -> Result<State, Failure> {
    let changes = match &miss.reason {
        Reason::Changed { changes } => placed(planned, variant, changes)?,
        _ => Vec::new(),
    };
    Ok(State::Runs {
        reason: miss.reason.clone(),
        changes,
    })
}

/// Changes with the statements behind them.
fn placed(planned: &Planned, variant: Option<&Variant>, changes: &[Change]) -> Result<Vec<Placed>, Failure> {
    let explanation = variant.map(Explanation::of).transpose();
    let explanation = explanation.map_err(|error| wrong(&error))?;
    let place = |change: &Change| place(planned, explanation.as_ref()?, &change.field);
    Ok(changes
        .iter()
        .map(|change| (change.clone(), place(change)))
        .collect())
}

/// The statement that gave a parameter its value of today.
fn place(planned: &Planned, explanation: &Explanation<'_>, field: &str) -> Option<String> {
    let name = field
        .strip_prefix("params.")
        .or_else(|| field.strip_prefix("reads."))?;
    let steps = sources::of(&planned.analysis, explanation, name);
    steps.last().map(sources::Source::line)
}

impl Told {
    fn text(&self, key: bool) -> String {
        let mut text = String::new();
        let name = format!("{} {}", self.spec.rule, self.spec.title);
        // Writing to a string cannot fail.
        let _ = match &self.state {
            State::Served(None) => writeln!(text, "{name}: is there"),
            State::Served(Some(record)) => writeln!(text, "{name}: {}", served(record)),
            State::Idle => writeln!(text, "{name}: is not made: too few tests would use it"),
            State::Waits { first, changes } => {
                let then = match changes.len() {
                    0 => "if that comes out as before, it is served".to_owned(),
                    count => format!("{} since its last run", differ(count)),
                };
                writeln!(text, "{name}: {} first; {then}", and_run(first))
            }
            State::Runs { changes, reason } if changes.is_empty() => {
                writeln!(text, "{name}: would run: {reason}")
            }
            State::Runs { changes, .. } => writeln!(
                text,
                "{name}: would run: {} since its last run",
                differ(changes.len())
            ),
        };
        if let State::Runs { changes, .. } | State::Waits { changes, .. } = &self.state {
            for (change, place) in changes {
                let _ = writeln!(text, "    {}: {}", change.field, values(change));
                if let Some(place) = place {
                    let _ = writeln!(text, "        {place}");
                }
            }
        }
        if !matches!(self.state, State::Served(_)) {
            for remark in &self.spec.remarks {
                let _ = writeln!(text, "    {remark}");
            }
        }
        if let (true, Some(manifest)) = (key, &self.key) {
            for (field, value) in &manifest.fields {
                let _ = writeln!(text, "    {field} = {value}");
            }
        }
        text
    }

    /// As JSON; `key` asks for all fields of its key, where they are known.
    pub(super) fn json(&self, key: bool) -> Json {
        let mut told = match &self.state {
            State::Served(record) => json!({
                "plan": "hit",
                "finished_unix_ms": record.as_ref().map(|record| record.finished_unix_ms),
                "host": record.as_ref().map(|record| &record.host),
                "seconds": record.as_ref().map(|record| record.seconds),
            }),
            State::Waits { first, changes } => json!({
                "plan": "maybe", "first": first, "changes": listed(changes),
            }),
            State::Idle => json!({ "plan": "idle" }),
            State::Runs { reason, changes } => json!({
                "plan": "run", "reason": reason.to_string(), "changes": listed(changes),
            }),
        };
        told["rule"] = self.spec.rule.name.into();
        told["title"] = self.spec.title.to_string().into();
        told["label"] = self.spec.label.to_string().into();
        if !self.spec.remarks.is_empty() {
            told["remarks"] = json!(self.spec.remarks);
        }
        if let (true, Some(manifest)) = (key, &self.key) {
            let fields = manifest
                .fields
                .iter()
                .map(|(field, value)| (field.clone(), json!(value)));
            told["key"] = fields.collect::<serde_json::Map<_, _>>().into();
        }
        told
    }
}

fn listed(changes: &[Placed]) -> Json {
    let changes = changes
        .iter()
        .map(|(change, place)| json!({ "field": change.field, "old": change.old, "new": change.new, "place": place }));
    changes.collect()
}

/// Old and new value of a field.
fn values(change: &Change) -> String {
    let value = |value: &Option<String>| value.clone().unwrap_or_else(|| "(none)".to_owned());
    words(change).unwrap_or_else(|| format!("{} -> {}", value(&change.old), value(&change.new)))
}

fn differ(count: usize) -> String {
    format!(
        "{} differ{}",
        plural(&count, "field"),
        if count == 1 { "s" } else { "" }
    )
}

fn and_run(first: &[Arc<str>]) -> String {
    let names: Vec<&str> = first.iter().map(|name| &**name).collect();
    format!(
        "{} run{}",
        names.join(", "),
        if names.len() == 1 { "s" } else { "" }
    )
}

/// Which run an answer is served from, and what it had read.
fn served(record: &Record) -> String {
    let of = |kind: &str| {
        let name = |observed: &&vtbuild_cache::Observed| observed.name.starts_with(kind);
        record.observed.iter().filter(name).count()
    };
    let when = i64::try_from(record.finished_unix_ms)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .map(|time| {
            time.to_zoned(jiff::tz::TimeZone::system())
                .strftime("%Y-%m-%d %H:%M:%S")
                .to_string()
        })
        .unwrap_or_default();
    let everything = record.observed.iter().any(|observed| observed.name == "params");
    let params = if everything {
        "all parameters".to_owned()
    } else {
        plural(&of("param:"), "parameter")
    };
    format!(
        "is served from the run of {when} on {}, which took {}; beyond its key that had read {params} and {}",
        record.host,
        seconds(record.seconds),
        plural(&of("file:"), "file")
    )
}
