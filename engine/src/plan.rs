//! What would run, before anything does.

use std::collections::BTreeSet;
use std::sync::Arc;

use rayon::prelude::*;
use rustc_hash::FxHashSet;
use vtbuild_cache::Digest;

use crate::audit::Audit;
use crate::event::Finished;
use crate::graph::{Graph, Link};
use crate::reason::Reason;
use crate::recall::Served;
use crate::resolve::{FILE, Made, ResolveError, Resolved, Resolver, input_digests};
use crate::spec::{ActionId, Spec};

/// How many actions are looked up together, on one core.
const AT_ONCE: usize = 4096;

/// What is foreseen for one action.
#[derive(Debug)]
pub enum Forecast {
    /// Its verdict and outputs are in the cache.
    Hit {
        /// Its key.
        key: Digest,
        /// What it offers.
        made: Made,
    },
    /// It will run, for this reason.
    Miss(Box<Miss>),
    /// It stands on something that will run. Should that come out as before, this is a hit (early cut-off).
    Maybe,
    /// It would only be an aid, and to too few: it is not made.
    Idle,
}

impl Forecast {
    /// Whether the action will run, or may.
    #[must_use]
    pub fn may_run(&self) -> bool {
        matches!(self, Self::Miss(_) | Self::Maybe)
    }
}

/// An action that will run.
#[derive(Debug)]
pub struct Miss {
    /// Its key and what that is made of.
    pub resolved: Resolved,
    /// Why it runs.
    pub reason: Reason,
    /// What is recorded of it, where it runs to be compared with that.
    pub recorded: Option<Made>,
}

/// A forecast for every action of a graph.
#[derive(Debug)]
pub struct Plan {
    forecasts: Vec<Forecast>,
    /// Hits that run again all the same.
    audited: Vec<ActionId>,
    /// What is served beside the graph.
    served: Served,
}

/// How a plan is made.
#[derive(Clone, Copy, Default, Debug)]
pub struct PlanOptions {
    /// The actions asked for run again, whatever the cache holds. What they stand on is still served.
    pub force: bool,
}

impl Plan {
    /// Looks every action up, each after those that it stands on.
    ///
    /// # Errors
    /// When the store or a source cannot be read.
    pub fn make(graph: &Graph, resolver: &Resolver, options: PlanOptions) -> Result<Self, ResolveError> {
        let mut forced = vec![false; graph.len()];
        if options.force {
            for id in graph.wanted() {
                forced[id.index()] = true;
            }
        }
        let mut forecasts: Vec<Option<Forecast>> =
            std::iter::repeat_with(|| None).take(graph.len()).collect();
        for wave in waves(graph) {
            let foreseen = |ids: &[ActionId]| forecast_some(graph, resolver, ids, &forecasts, &forced);
            let pieces: Result<Vec<_>, ResolveError> = if wave.len() > AT_ONCE {
                wave.par_chunks(AT_ONCE).map(foreseen).collect()
            } else {
                foreseen(&wave).map(|piece| vec![piece])
            };
            for (id, forecast) in pieces?.into_iter().flatten() {
                forecasts[id.index()] = Some(forecast);
            }
        }
        let forecasts = forecasts
            .into_iter()
            .map(|f| f.expect("the waves hold every action"))
            .collect();
        let mut plan = Self {
            forecasts,
            audited: Vec::new(),
            served: Served::default(),
        };
        plan.leave_out_what_does_not_pay(graph);
        Ok(plan)
    }

    /// The same plan with what is served beside the graph.
    #[must_use]
    pub fn with_served(self, served: Served) -> Self {
        Self { served, ..self }
    }

    /// What that stands on, but for what the graph has too.
    pub(crate) fn prerequisites(&self) -> Vec<Finished> {
        let known: FxHashSet<Digest> = self.keys().collect();
        self.served.prerequisites(|key| known.contains(key))
    }

    /// How many actions are hits beside those of the graph.
    #[must_use]
    pub fn beside(&self) -> usize {
        self.served.len() + self.prerequisites().len()
    }

    /// What is served beside the graph.
    #[must_use]
    pub fn served(&self) -> &Served {
        &self.served
    }

    /// Aids that too few actions would use are not made.
    fn leave_out_what_does_not_pay(&mut self, graph: &Graph) {
        for &id in graph.order().iter().rev() {
            if self.of(id).may_run() && graph.only_aids(id) {
                let users = graph
                    .links_from(id)
                    .filter(|(later, _)| self.of(*later).may_run());
                let (users, fewest) =
                    users.fold((0_u32, u32::MAX), |(users, fewest), (_, link)| match link {
                        Link::Aid { from, .. } => (users + 1, fewest.min(*from)),
                        Link::Input { .. } | Link::After => (users, fewest),
                    });
                if users < fewest {
                    self.forecasts[id.index()] = Forecast::Idle;
                }
            }
        }
    }

    /// The same plan, in which the hits that `audit` chooses run again. What stands on them waits for them.
    #[must_use]
    pub fn audited(mut self, graph: &Graph, audit: Audit) -> Self {
        self.audited = audit.choose(graph, &self);
        for &id in &self.audited {
            self.forecasts[id.index()] = Forecast::Maybe;
        }
        for &id in graph.order() {
            let waits =
                |(earlier, _): (ActionId, _)| matches!(self.forecasts[earlier.index()], Forecast::Maybe);
            if matches!(self.forecasts[id.index()], Forecast::Hit { .. }) && graph.waits_for(id).any(waits) {
                self.forecasts[id.index()] = Forecast::Maybe;
            }
        }
        self
    }

    /// Which hits run again.
    #[must_use]
    pub fn audits(&self) -> &[ActionId] {
        &self.audited
    }

    /// What is foreseen for an action.
    #[must_use]
    pub fn of(&self, id: ActionId) -> &Forecast {
        &self.forecasts[id.index()]
    }

    /// All forecasts, by action, and what is served beside the graph.
    #[must_use]
    pub fn into_parts(self) -> (Vec<Forecast>, Served) {
        (self.forecasts, self.served)
    }

    /// How many actions are hits.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.forecasts
            .iter()
            .filter(|forecast| matches!(forecast, Forecast::Hit { .. }))
            .count()
    }

    /// The keys of all hits.
    fn keys(&self) -> impl Iterator<Item = Digest> {
        self.forecasts.iter().filter_map(|forecast| match forecast {
            Forecast::Hit { key, .. } => Some(*key),
            Forecast::Miss(_) | Forecast::Maybe | Forecast::Idle => None,
        })
    }

    /// How many actions are not needed.
    #[must_use]
    pub fn idle(&self) -> usize {
        let idle = |forecast: &&Forecast| matches!(forecast, Forecast::Idle);
        self.forecasts.iter().filter(idle).count()
    }

    /// The outputs of all hits, each once.
    #[must_use]
    pub fn blobs(&self) -> Vec<Digest> {
        let hits = self.forecasts.iter().filter_map(|forecast| match forecast {
            Forecast::Hit { made, .. } => Some(made.artefacts.iter()),
            Forecast::Miss(_) | Forecast::Maybe | Forecast::Idle => None,
        });
        let outputs = hits.flatten().map(|output| output.digest);
        let digests: BTreeSet<Digest> = outputs.chain(self.served.blobs().iter().copied()).collect();
        digests.into_iter().collect()
    }

    /// The records that hits are served from.
    #[must_use]
    pub fn traces(&self) -> Vec<Digest> {
        let mut traces: Vec<Digest> = self
            .forecasts
            .iter()
            .filter_map(|forecast| match forecast {
                Forecast::Hit { made, .. } => made.trace,
                Forecast::Miss(_) | Forecast::Maybe | Forecast::Idle => None,
            })
            .collect();
        // As they lie in the index.
        traces.sort_unstable();
        traces
    }

    /// What each hit offers, by action; `None` for all others.
    #[must_use]
    pub fn made(&self) -> Vec<Option<Arc<Made>>> {
        let offered = |forecast: &Forecast| match forecast {
            Forecast::Hit { made, .. } => Some(Arc::new(made.clone())),
            Forecast::Miss(_) | Forecast::Maybe | Forecast::Idle => None,
        };
        self.forecasts.iter().map(offered).collect()
    }
}

/// The actions in groups, each action after all groups that it waits for: what can be looked up together.
fn waves(graph: &Graph) -> Vec<Vec<ActionId>> {
    let mut depth = vec![0_usize; graph.len()];
    let mut waves: Vec<Vec<ActionId>> = Vec::new();
    for &id in graph.order() {
        let deepest = graph
            .waits_for(id)
            .map(|(earlier, _)| depth[earlier.index()] + 1)
            .max()
            .unwrap_or(0);
        depth[id.index()] = deepest;
        if waves.len() <= deepest {
            waves.resize_with(deepest + 1, Vec::new);
        }
        waves[deepest].push(id);
    }
    waves
}

/// The forecast of an action whose inputs have become known while the run goes on.
///
/// # Errors
/// When the store cannot be read.
pub fn forecast(
    graph: &Graph,
    resolver: &Resolver,
    id: ActionId,
    resolved: Resolved,
    forced: bool,
) -> Result<Forecast, ResolveError> {
    let mut all = vec![false; graph.len()];
    all[id.index()] = forced;
    let one = forecast_all(graph, resolver, vec![(id, resolved)], &all)?;
    Ok(one.into_iter().next().expect("one forecast for one action").1)
}

/// The forecasts of some actions that do not wait for each other; those of all that they wait for are there.
fn forecast_some(
    graph: &Graph,
    resolver: &Resolver,
    ids: &[ActionId],
    forecasts: &[Option<Forecast>],
    forced: &[bool],
) -> Result<Vec<(ActionId, Forecast)>, ResolveError> {
    let made = |earlier: ActionId| match &forecasts[earlier.index()] {
        Some(Forecast::Hit { made, .. }) => Some(made),
        _ => None,
    };
    let mut foreseen = Vec::with_capacity(ids.len());
    let mut known = Vec::with_capacity(ids.len());
    for &id in ids {
        match input_digests(graph, id, made) {
            None => foreseen.push((id, Forecast::Maybe)),
            Some(inputs) => known.push((id, resolver.resolve(graph.spec(id), inputs)?)),
        }
    }
    foreseen.extend(forecast_all(graph, resolver, known, forced)?);
    Ok(foreseen)
}

/// The forecasts of actions whose inputs are known, from one look into the store.
fn forecast_all(
    graph: &Graph,
    resolver: &Resolver,
    known: Vec<(ActionId, Resolved)>,
    forced: &[bool],
) -> Result<Vec<(ActionId, Forecast)>, ResolveError> {
    let looked_up = |id: ActionId| graph.spec(id).rule != FILE && !forced[id.index()];
    let wanted: Vec<(&Spec, Digest)> = known
        .iter()
        .filter(|(id, _)| looked_up(*id))
        .map(|(id, resolved)| (&**graph.spec(*id), resolved.key))
        .collect();
    let mut found = resolver.lookup(&wanted)?.into_iter();
    let mut forecasts = Vec::with_capacity(known.len());
    for (id, resolved) in known {
        let spec = graph.spec(id);
        let made = if spec.rule == FILE {
            Resolver::owned_file(spec, &resolved)
        } else if looked_up(id) {
            found.next().expect("one answer for each key")
        } else {
            None
        };
        let forecast = match made {
            Some(made) => Forecast::Hit {
                key: resolved.key,
                made,
            },
            None if forced[id.index()] && spec.rule != FILE => Forecast::Miss(Box::new(Miss {
                resolved,
                reason: Reason::Forced,
                recorded: None,
            })),
            None => {
                let reason = resolver.reason(spec, &resolved)?;
                Forecast::Miss(Box::new(Miss {
                    resolved,
                    reason,
                    recorded: None,
                }))
            }
        };
        forecasts.push((id, forecast));
    }
    Ok(forecasts)
}
