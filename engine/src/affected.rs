//! What a change would run again: two plans compared, before it and after it.
//!
//! The plans may come from one workspace at two times (`watch`) or from two states of one (`diff`). What counts is not which
//! actions would run after the change, but which would run *because* of it: an action that nobody has ever seen pass, and
//! that the change does not reach, was to run before as well.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use vtbuild_cache::Digest;

use crate::graph::Graph;
use crate::plan::{Forecast, Plan};
use crate::resolve::{FILE, ResolveError, Resolver};
use crate::spec::{ActionId, RuleName, Spec};

/// What a change means to an action that is to run after it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// There was no such action before.
    New,
    /// It would have been served before.
    Invalidated,
    /// It was to run before too, and the change reaches it.
    Altered,
}

/// How all actions stood at one time.
#[derive(Debug, Default)]
pub struct Standing {
    by_name: FxHashMap<(RuleName, Arc<str>), Stand>,
}

#[derive(Debug)]
struct Stand {
    hit: bool,
    is: Identity,
}

/// What makes an action another one: all that it is made of and may read.
#[derive(Debug)]
struct Identity {
    /// Its key, where its inputs were known.
    key: Option<Digest>,
    /// Its key without its inputs.
    own: Digest,
    /// All that it may read while it runs.
    offered: Digest,
}

impl Identity {
    fn of(spec: &Spec, forecast: &Forecast, resolver: &Resolver) -> Result<Self, ResolveError> {
        Ok(Self {
            key: match forecast {
                Forecast::Hit { key, .. } => Some(*key),
                Forecast::Miss(miss) => Some(miss.resolved.key),
                Forecast::Maybe | Forecast::Idle => None,
            },
            own: resolver.resolve(spec, Vec::new())?.key,
            offered: spec.offered.everything(),
        })
    }

    fn differs(&self, other: &Self) -> bool {
        let keys = self.key.zip(other.key);
        self.own != other.own || self.offered != other.offered || keys.is_some_and(|(a, b)| a != b)
    }
}

impl Standing {
    /// How the actions of a plan stand.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn of(graph: &Graph, plan: &Plan, resolver: &Resolver) -> Result<Self, ResolveError> {
        let stand = |&id: &ActionId| {
            let (spec, forecast) = (graph.spec(id), plan.of(id));
            let stand = Stand {
                hit: matches!(forecast, Forecast::Hit { .. }),
                is: Identity::of(spec, forecast, resolver)?,
            };
            Ok(((spec.rule, spec.label.clone()), stand))
        };
        let by_name = graph
            .order()
            .iter()
            .map(stand)
            .collect::<Result<_, ResolveError>>()?;
        Ok(Self { by_name })
    }

    /// Takes note that an action has passed meanwhile: were it to run later, that would be because of a change.
    pub fn has_passed(&mut self, spec: &Spec) {
        if let Some(stand) = self.by_name.get_mut(&(spec.rule, spec.label.clone())) {
            stand.hit = true;
        }
    }

    /// What the change since then means to each action of a later plan; nothing where it is served, or was to run anyhow.
    ///
    /// # Errors
    /// When a source cannot be read.
    pub fn affected(
        &self,
        graph: &Graph,
        plan: &Plan,
        resolver: &Resolver,
    ) -> Result<Vec<Option<Effect>>, ResolveError> {
        let mut effects = vec![None; graph.len()];
        for &id in graph.order() {
            let (spec, forecast) = (graph.spec(id), plan.of(id));
            // A file that is missing runs nothing.
            if !forecast.may_run() || spec.rule == FILE {
                continue;
            }
            effects[id.index()] = match self.by_name.get(&(spec.rule, spec.label.clone())) {
                None => Some(Effect::New),
                Some(stand) if stand.hit => Some(Effect::Invalidated),
                Some(stand) => {
                    let mut before = graph.waits_for(id).filter(|(_, link)| !link.is_aid());
                    let reached = before.any(|(earlier, _)| effects[earlier.index()].is_some())
                        || stand.is.differs(&Identity::of(spec, forecast, resolver)?);
                    reached.then_some(Effect::Altered)
                }
            };
        }
        Ok(effects)
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;
    use vtbuild_cache::{Manifest, Record, Store};

    use super::*;
    use crate::observe::Offered;
    use crate::plan::PlanOptions;
    use crate::resolve::Roots;
    use crate::spec::Need;
    use crate::variant::Params;

    const TEST: RuleName = RuleName {
        name: "test",
        version: 1,
    };

    fn spec(label: &str, declared: &str, offered: &str) -> Spec {
        let mut spec = Spec::new(TEST, label);
        spec.declared = Box::new([("mem".into(), Some(declared.into()))]);
        let params: Params = vec![("colour".into(), offered.into())];
        spec.offered = Arc::new(Offered::of(&Arc::new(params), |_| false));
        spec
    }

    /// `top` stands on `base`; `other` on nothing.
    fn graph(base: &str, other: &str) -> Graph {
        let mut top = spec("top", "1", "red");
        top.needs = Box::new([Need {
            role: "base".into(),
            made: None,
            otherwise: Some(Arc::new(spec("base", base, "red"))),
        }]);
        Graph::build(vec![Arc::new(top), Arc::new(spec("other", "1", other))]).unwrap()
    }

    fn record(key: Digest, label: &str) -> Record {
        Record {
            key,
            rule: TEST.name.into(),
            label: label.into(),
            status: "PASS".into(),
            outputs: Vec::new(),
            inputs: Vec::new(),
            observed: Vec::new(),
            manifest: Manifest::default(),
            seconds: 1.0,
            finished_unix_ms: 1,
            host: "here".into(),
            evidence: serde_json::Value::Null,
        }
    }

    struct Place {
        _folder: tempfile::TempDir,
        resolver: Resolver,
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(Utf8Path::from_path(folder.path()).unwrap()).unwrap();
            Self {
                _folder: folder,
                resolver: Resolver::new(store, Roots::new()),
            }
        }

        fn plan(&self, graph: &Graph) -> Plan {
            Plan::make(graph, &self.resolver, PlanOptions::default()).unwrap()
        }

        /// Keeps a pass of each action that would run, those first that others stand on.
        fn pass_all(&self, graph: &Graph) {
            let store = self.resolver.store();
            for _ in 0..2 {
                let plan = self.plan(graph);
                for &id in graph.order() {
                    let Forecast::Miss(miss) = plan.of(id) else {
                        continue;
                    };
                    let record = record(miss.resolved.key, &graph.spec(id).label);
                    let reservation = store.reserve(&record.key).unwrap();
                    store.publish(&record, reservation).unwrap();
                }
            }
        }

        fn affected(&self, before: &Graph, after: &Graph) -> Vec<(String, Effect)> {
            let standing = Standing::of(before, &self.plan(before), &self.resolver).unwrap();
            let plan = self.plan(after);
            let effects = standing.affected(after, &plan, &self.resolver).unwrap();
            let named = |&id: &ActionId| Some((after.spec(id).label.to_string(), effects[id.index()]?));
            after.order().iter().filter_map(named).collect()
        }
    }

    fn effects(expected: &[(&str, Effect)]) -> Vec<(String, Effect)> {
        expected
            .iter()
            .map(|(label, effect)| ((*label).to_owned(), *effect))
            .collect()
    }

    #[test]
    fn what_was_served_and_all_that_stands_on_it_is_affected() {
        let (place, before) = (Place::new(), graph("1", "red"));
        place.pass_all(&before);
        assert_eq!(place.plan(&before).hits(), 3);
        assert_eq!(place.affected(&before, &before), []);
        let expected = [("base", Effect::Invalidated), ("top", Effect::Invalidated)];
        assert_eq!(place.affected(&before, &graph("2", "red")), effects(&expected));
    }

    #[test]
    fn what_nobody_saw_pass_is_affected_only_where_the_change_reaches_it() {
        let (place, before) = (Place::new(), graph("1", "red"));
        assert_eq!(place.affected(&before, &before), [], "it was to run anyhow");
        let base = [("base", Effect::Altered), ("top", Effect::Altered)];
        assert_eq!(place.affected(&before, &graph("2", "red")), effects(&base));
        let other = [("other", Effect::Altered)];
        assert_eq!(place.affected(&before, &graph("1", "blue")), effects(&other));
    }

    #[test]
    fn what_nobody_reads_affects_nothing_that_has_passed() {
        let (place, before) = (Place::new(), graph("1", "red"));
        place.pass_all(&before);
        assert_eq!(place.affected(&before, &graph("1", "blue")), []);
    }

    #[test]
    fn what_was_not_there_is_new_unless_its_answer_is_known() {
        let place = Place::new();
        let (one, both) = (
            Graph::build(vec![Arc::new(spec("other", "1", "red"))]).unwrap(),
            graph("1", "red"),
        );
        let expected = [("base", Effect::New), ("top", Effect::New)];
        assert_eq!(place.affected(&one, &both), effects(&expected));
        place.pass_all(&both);
        assert_eq!(place.affected(&one, &both), []);
    }
}
