//! What would run, before anything does.

use std::sync::Arc;

use vtbuild_cache::Digest;

use crate::graph::Graph;
use crate::reason::Reason;
use crate::resolve::{FILE, Made, ResolveError, Resolved, Resolver, inputs_of};
use crate::spec::ActionId;

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
}

/// An action that will run.
#[derive(Debug)]
pub struct Miss {
    /// Its key and what that is made of.
    pub resolved: Resolved,
    /// Why it runs.
    pub reason: Reason,
}

/// A forecast for every action of a graph.
#[derive(Debug)]
pub struct Plan {
    forecasts: Vec<Forecast>,
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
        let mut forecasts: Vec<Option<Forecast>> =
            std::iter::repeat_with(|| None).take(graph.len()).collect();
        let mut forced = vec![false; graph.len()];
        if options.force {
            for id in graph.wanted() {
                forced[id.index()] = true;
            }
        }
        for &id in graph.order() {
            let made = |earlier: ActionId| match &forecasts[earlier.index()] {
                Some(Forecast::Hit { made, .. }) => Some(made),
                _ => None,
            };
            let forecast = match inputs_of(graph, id, made) {
                None => Forecast::Maybe,
                Some((inputs, _)) => {
                    let resolved = resolver.resolve(graph.spec(id), inputs)?;
                    forecast(graph, resolver, id, resolved, forced[id.index()])?
                }
            };
            forecasts[id.index()] = Some(forecast);
        }
        let forecasts = forecasts
            .into_iter()
            .map(|f| f.expect("the order names every action"))
            .collect();
        Ok(Self { forecasts })
    }

    /// What is foreseen for an action.
    #[must_use]
    pub fn of(&self, id: ActionId) -> &Forecast {
        &self.forecasts[id.index()]
    }

    /// All forecasts, by action.
    #[must_use]
    pub fn into_forecasts(self) -> Vec<Forecast> {
        self.forecasts
    }

    /// How many actions are hits.
    #[must_use]
    pub fn hits(&self) -> usize {
        self.forecasts
            .iter()
            .filter(|forecast| matches!(forecast, Forecast::Hit { .. }))
            .count()
    }

    /// What each hit offers, by action; `None` for all others.
    #[must_use]
    pub fn made(&self) -> Vec<Option<Arc<Made>>> {
        let offered = |forecast: &Forecast| match forecast {
            Forecast::Hit { made, .. } => Some(Arc::new(made.clone())),
            Forecast::Miss(_) | Forecast::Maybe => None,
        };
        self.forecasts.iter().map(offered).collect()
    }
}

/// The forecast of an action whose inputs are known. Also what the scheduler asks when they have become known.
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
    let spec = graph.spec(id);
    if forced && spec.rule != FILE {
        return Ok(Forecast::Miss(Box::new(Miss {
            resolved,
            reason: Reason::Forced,
        })));
    }
    let made = if spec.rule == FILE {
        Resolver::owned_file(spec, &resolved)
    } else {
        resolver.lookup(&resolved.key)?
    };
    Ok(match made {
        Some(made) => Forecast::Hit {
            key: resolved.key,
            made,
        },
        None => {
            let reason = resolver.reason(spec, &resolved)?;
            Forecast::Miss(Box::new(Miss { resolved, reason }))
        }
    })
}
