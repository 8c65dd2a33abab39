//! A run without running: when each action would start and end. What a plan says about time, and what tells whether one order is
//! better than another.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use crate::estimate::Estimates;
use crate::graph::Graph;
use crate::outcome::Status;
use crate::schedule::board::Board;
use crate::schedule::claims::Capacity;
use crate::spec::ActionId;

/// When one action would run, in seconds from the start.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Slot {
    /// Which.
    pub id: ActionId,
    /// When it starts.
    pub start: f64,
    /// When it ends.
    pub end: f64,
}

/// Plays a run through: every action passes after as long as it is expected to take. Those that take no time are done before
/// anything starts, as hits are.
#[must_use]
pub fn simulate(
    graph: &Arc<Graph>,
    estimates: &Estimates,
    capacity: Capacity,
    priorities: Vec<u32>,
) -> Vec<Slot> {
    let mut board = Board::new(graph.clone(), capacity, priorities);
    for &id in graph.order() {
        if estimates.seconds(id) <= 0.0 {
            board.settle(id, Status::Pass);
        }
    }
    let (mut now, mut slots) = (0.0, Vec::new());
    let mut running: BinaryHeap<Reverse<(Moment, ActionId)>> = BinaryHeap::new();
    loop {
        while let Some(id) = board.start_next() {
            let end = now + estimates.seconds(id);
            slots.push(Slot { id, start: now, end });
            running.push(Reverse((Moment(end), id)));
        }
        let Some(Reverse((Moment(end), id))) = running.pop() else {
            return slots;
        };
        now = end;
        board.settle(id, Status::Pass);
    }
}

/// When the last slot ends, in seconds.
#[must_use]
pub fn makespan(slots: &[Slot]) -> f64 {
    slots.iter().map(|slot| slot.end).fold(0.0, f64::max)
}

/// No order ends earlier than this, in seconds: neither can a chain be cut short, nor can more jobs run than there are.
#[must_use]
pub fn lower_bound(graph: &Graph, estimates: &Estimates, capacity: Capacity) -> f64 {
    let chain = estimates.remaining(graph).into_iter().fold(0.0, f64::max);
    chain.max(estimates.total() / f64::from(capacity.jobs.max(1)))
}

/// A time that can be compared: none here is not a number.
#[derive(PartialEq)]
struct Moment(f64);

impl Eq for Moment {}

impl PartialOrd for Moment {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Moment {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{RuleName, Spec};

    #[test]
    fn the_long_one_first_is_sooner_done() {
        let rule = RuleName {
            name: "test",
            version: 1,
        };
        let specs = (0..4).map(|at| Arc::new(Spec::new(rule, format!("n{at}"))));
        let graph = Arc::new(Graph::build(specs.collect()).unwrap());
        let estimates = Estimates::given(vec![2.0, 2.0, 0.0, 4.0]);
        let capacity = Capacity {
            jobs: 2,
            memory_mib: 1024,
            vcpus: 8,
        };
        let listed = simulate(&graph, &estimates, capacity, vec![0, 1, 2, 3]);
        let ranked = simulate(&graph, &estimates, capacity, estimates.priorities(&graph));
        assert_eq!((makespan(&listed), makespan(&ranked)), (6.0, 4.0));
        assert_eq!(
            lower_bound(&graph, &estimates, capacity).to_bits(),
            4.0_f64.to_bits()
        );
        assert_eq!(ranked.len(), 3, "what takes no time is not run");
    }
}
