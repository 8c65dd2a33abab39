//! Counts paths. What filters see alike is counted once: the memory of the search holds a number for each case.

use super::walk::{Frame, Walk, WalkOptions};
use crate::count::Count;
use crate::graph::{Graph, NodeId};
use std::sync::Arc;

/// How many nodes are entered before another way of counting is tried, and before the answer is "more than".
const FIRST_BUDGET: usize = 500_000;
pub(super) const LAST_BUDGET: usize = 5_000_000;

impl Walk {
    /// A search that ignores all filters but one.
    pub(crate) fn only(graph: &Arc<Graph>, options: &WalkOptions, constraint: u32) -> Self {
        let mut walk = Walk::new(graph, options);
        walk.only = Some(constraint);
        walk
    }

    /// The number of paths, and the first, if one constraint were not there. A large number is a lower bound.
    pub(crate) fn lifted(
        graph: &Arc<Graph>,
        options: &WalkOptions,
        constraint: u32,
    ) -> (Count, Option<Box<[NodeId]>>) {
        let begin = || {
            let mut walk = Walk::new(graph, options);
            walk.without = Some(constraint);
            walk.budget = FIRST_BUDGET;
            walk
        };
        let Some(Ok(first)) = begin().next() else {
            return (Count::exact(0), None);
        };
        if !graph.joins.is_empty() {
            let some = Count {
                variants: 1,
                exact: false,
            };
            return (some, Some(first.path));
        }
        let mut walk = begin();
        let count = walk.count_all();
        let count = Count {
            variants: count.variants.max(1),
            exact: count.exact && walk.budget > 0,
        };
        (count, Some(first.path))
    }

    /// How many paths there are in all.
    pub(crate) fn count(mut self) -> Count {
        self.budget = FIRST_BUDGET;
        let count = self.count_all();
        if self.budget > 0 {
            return count;
        }
        let inward = if self.options.defaults {
            None
        } else {
            super::inward::count(&self.graph)
        };
        inward.unwrap_or_else(|| {
            let mut walk = Walk::new(&self.graph, &self.options);
            walk.budget = LAST_BUDGET;
            let count = walk.count_all();
            Count {
                exact: count.exact && walk.budget > 0,
                ..count
            }
        })
    }

    pub(super) fn count_all(&mut self) -> Count {
        self.counting = true;
        self.run_count()
    }

    /// How many paths go through the last node of `path`, ignoring all filters but the one of this search.
    pub(crate) fn count_below(&mut self, path: &[NodeId]) -> Count {
        let Some((&start, above)) = path.split_last() else {
            return Count::exact(0);
        };
        self.counting = true;
        self.restart(start, above);
        self.run_count()
    }

    fn run_count(&mut self) -> Count {
        self.sum = Count::exact(0);
        // A step ends only at an error or at the end; without joins there are no errors.
        while self.next().is_some() {}
        self.sum
    }

    /// Adds what was found below a node that is being left.
    pub(super) fn add(&mut self, frame: &mut Frame) {
        let total = frame.total;
        self.add_total(total);
        self.pass_profile(std::mem::take(&mut frame.removed), frame.key.as_deref());
        if let Some(key) = frame.key.take() {
            self.memo.insert(key, total);
        }
    }

    fn add_total(&mut self, total: Count) {
        match self.stack.last_mut() {
            Some(parent) => parent.total.add(total),
            None => self.sum.add(total),
        }
    }

    /// Whether `key` is known, so that the node need not be entered; counts what is known of it.
    pub(super) fn recall(&mut self, key: &[u32]) -> bool {
        let Some(&known) = self.memo.get(key) else {
            return false;
        };
        if known.variants > 0 {
            self.add_total(known);
            if let Some(parent) = self.stack.last_mut() {
                parent.found = true;
            }
        }
        self.recall_profile(key);
        true
    }
}
