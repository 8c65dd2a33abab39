//! How long actions are going to take, from how long they took.

use std::cmp::{Ordering, Reverse};

use vtbuild_cache::{Store, StoreError};

use crate::graph::Graph;
use crate::plan::Plan;
use crate::resolve::FILE;
use crate::spec::ActionId;

/// How many of an action's last passes count.
const PASSES: usize = 5;
/// What an action is taken for of whose rule no run is known, in seconds.
const UNKNOWN: f64 = 30.0;

/// How long each action of a graph is expected to take, in seconds.
#[derive(Clone, Debug)]
pub struct Estimates {
    seconds: Vec<f64>,
    known: Vec<bool>,
}

impl Estimates {
    /// Estimates for a plan: nothing for hits and what is not needed, the median of its last passes for everything else. An action that has not
    /// passed yet is taken for the median of those of its rule that have.
    ///
    /// # Errors
    /// When the history cannot be read.
    pub fn of(graph: &Graph, plan: &Plan, store: &Store) -> Result<Self, StoreError> {
        let mut seconds = vec![0.0; graph.len()];
        let mut known = vec![true; graph.len()];
        let mut unknown = Vec::new();
        let mut by_rule: std::collections::BTreeMap<&str, Vec<f64>> = std::collections::BTreeMap::new();
        for &id in graph.order() {
            let spec = graph.spec(id);
            // A file that waits for who makes it takes no time itself.
            if !plan.of(id).may_run() || spec.rule == FILE {
                continue;
            }
            match passes(store, &spec.label)? {
                Some(took) => {
                    seconds[id.index()] = took;
                    by_rule.entry(spec.rule.name).or_default().push(took);
                }
                None => {
                    known[id.index()] = false;
                    unknown.push(id);
                }
            }
        }
        for id in unknown {
            let of_rule = by_rule.get(graph.spec(id).rule.name).cloned().unwrap_or_default();
            seconds[id.index()] = median(of_rule).unwrap_or(UNKNOWN);
        }
        Ok(Self { seconds, known })
    }

    /// Given durations, by action.
    #[must_use]
    pub fn given(seconds: Vec<f64>) -> Self {
        let known = vec![true; seconds.len()];
        Self { seconds, known }
    }

    /// How long an action takes, in seconds; 0 where it is served.
    #[must_use]
    pub fn seconds(&self, id: ActionId) -> f64 {
        self.seconds[id.index()]
    }

    /// Whether that rests on a run of this very action.
    #[must_use]
    pub fn known(&self, id: ActionId) -> bool {
        self.known[id.index()]
    }

    /// All of it one after the other, in seconds.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.seconds.iter().sum()
    }

    /// For each action the time from its start to the end of all that hangs on it, in seconds, were nothing else to run.
    #[must_use]
    pub fn remaining(&self, graph: &Graph) -> Vec<f64> {
        let mut remaining = vec![0.0_f64; graph.len()];
        for &id in graph.order().iter().rev() {
            let after = graph
                .followers(id)
                .map(|follower| remaining[follower.index()])
                .fold(0.0, f64::max);
            remaining[id.index()] = self.seconds(id) + after;
        }
        remaining
    }

    /// The chain of actions that takes longest, first to last, without those that are served.
    #[must_use]
    pub fn critical_path(&self, graph: &Graph) -> Vec<ActionId> {
        let remaining = self.remaining(graph);
        let longest = |ids: &mut dyn Iterator<Item = ActionId>| {
            ids.max_by(|a, b| {
                let by_time = remaining[a.index()].total_cmp(&remaining[b.index()]);
                by_time.then_with(|| b.cmp(a))
            })
        };
        let mut path = Vec::new();
        let mut next = longest(&mut graph.order().iter().copied());
        while let Some(id) = next.filter(|id| remaining[id.index()] > 0.0) {
            if self.seconds(id) > 0.0 {
                path.push(id);
            }
            next = longest(&mut graph.followers(id));
        }
        path
    }

    /// Who should start first: those with the longest way to the end. Of those whose ways are nearly as long, the ones
    /// with the same aid are neighbours, so that what it unpacks to is still in memory for the next. Equals keep the order of
    /// the graph. The smallest number is the first.
    #[must_use]
    pub fn priorities(&self, graph: &Graph) -> Vec<u32> {
        let remaining = self.remaining(graph);
        let mut order: Vec<ActionId> = graph.order().to_vec();
        order.sort_by_cached_key(|id| {
            let band = band(remaining[id.index()]);
            // Every other band the other way round: the next one mostly begins with the aid that this one ends with.
            let aid = aid_of(graph, *id).map(|aid| {
                if band % 2 == 0 {
                    i64::from(aid)
                } else {
                    -i64::from(aid)
                }
            });
            (
                Reverse(band),
                aid.is_none(),
                aid,
                Reverse(Seconds(remaining[id.index()])),
            )
        });
        let mut places = vec![0; graph.len()];
        for (place, id) in (0..).zip(order) {
            places[id.index()] = place;
        }
        places
    }
}

/// Ways to the end of one band differ by less than a quarter: what is known of how long an action takes is no better.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a float becomes the nearest number there is"
)]
fn band(remaining: f64) -> i64 {
    match remaining > 0.0 {
        true => (remaining.ln() / 1.25_f64.ln()).floor() as i64,
        false => i64::MIN,
    }
}

/// The first of the aids that an action waits for.
fn aid_of(graph: &Graph, id: ActionId) -> Option<u32> {
    let mut links = graph.waits_for(id);
    links.find(|(_, link)| link.is_aid()).map(|(aid, _)| aid.0)
}

/// Seconds that can be compared: none here is not a number.
#[derive(PartialEq)]
struct Seconds(f64);

impl Eq for Seconds {}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

fn passes(store: &Store, label: &str) -> Result<Option<f64>, StoreError> {
    let runs = store.runs(label)?;
    let passes = runs
        .iter()
        .filter(|run| run.status == "PASS")
        .take(PASSES)
        .map(|run| run.seconds);
    Ok(median(passes.collect()))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::spec::{RuleName, Spec};

    /// Actions `n0`, `n1`, … with those that each waits for.
    fn graph(after: &[&[usize]]) -> Graph {
        let specs = after.iter().enumerate().map(|(at, deps)| {
            let rule = RuleName {
                name: "test",
                version: 1,
            };
            let mut spec = Spec::new(rule, format!("n{at}"));
            spec.variant = Arc::from(format!("n{at}"));
            spec.after = deps.iter().map(|dep| Arc::from(format!("n{dep}"))).collect();
            Arc::new(spec)
        });
        Graph::build(specs.collect()).unwrap()
    }

    #[test]
    fn the_longest_way_to_the_end_comes_first() {
        let graph = graph(&[&[], &[0], &[], &[1], &[]]);
        let estimates = Estimates::given(vec![1.0, 5.0, 4.0, 2.0, 4.0]);
        assert_eq!(estimates.remaining(&graph), [8.0, 7.0, 4.0, 2.0, 4.0]);
        assert_eq!(estimates.priorities(&graph), [0, 1, 2, 4, 3]);
        assert_eq!(estimates.critical_path(&graph), [0, 1, 3].map(ActionId::at));
        assert_eq!(estimates.total().to_bits(), 16.0_f64.to_bits());
    }

    /// Tests that take `seconds`, each with the guest state of its number; and the states in the order in which they start.
    fn states_in_turn(tests: &[(f64, u32)]) -> Vec<u32> {
        let spec = |name: &'static str, label: String| Spec::new(RuleName { name, version: 1 }, label);
        let specs = tests.iter().enumerate().map(|(at, (_, state))| {
            let mut test = spec("test", format!("t{at}"));
            test.aids = Box::new([crate::spec::Aid {
                role: Arc::from("state"),
                spec: Arc::new(spec("state", format!("s{state}"))),
                from: 1,
            }]);
            Arc::new(test)
        });
        let graph = Graph::build(specs.collect()).unwrap();
        let mut seconds = vec![0.0; graph.len()];
        for (&id, (took, _)) in graph.wanted().iter().zip(tests) {
            seconds[id.index()] = *took;
        }
        let places = Estimates::given(seconds).priorities(&graph);
        let mut order: Vec<usize> = (0..tests.len()).collect();
        order.sort_by_key(|at| places[graph.wanted()[*at].index()]);
        order.into_iter().map(|at| tests[at].1).collect()
    }

    #[test]
    fn tests_of_one_state_are_neighbours_where_they_are_nearly_as_long() {
        let nearly = [(10.2, 0), (10.1, 1), (10.4, 0), (10.3, 1), (10.0, 0)];
        let turns = states_in_turn(&nearly)
            .windows(2)
            .filter(|pair| pair[0] != pair[1])
            .count();
        assert_eq!(turns, 1);
        // The long one does not wait for its neighbours.
        assert_eq!(
            states_in_turn(&[(10.2, 0), (60.0, 1), (10.1, 1), (10.0, 0)])[0],
            1
        );
        // A band begins with the state that the one before it ended with.
        let bands = [(60.0, 0), (60.0, 1), (30.0, 0), (30.0, 1), (15.0, 0), (15.0, 1)];
        let turns = states_in_turn(&bands)
            .windows(2)
            .filter(|pair| pair[0] != pair[1])
            .count();
        assert_eq!(turns, 3);
    }

    #[test]
    fn nothing_to_do_has_no_critical_path() {
        let graph = graph(&[&[], &[0]]);
        assert!(Estimates::given(vec![0.0, 0.0]).critical_path(&graph).is_empty());
    }

    #[test]
    fn the_middle_of_several_runs_counts() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
