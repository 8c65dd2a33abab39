//! What filters remove, told by filter.
//!
//! Like counting, this visits only once what filters see alike; for each such case it remembers which filter removed
//! how many candidates below. A candidate is a path that passes the filter of the question.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::counting::LAST_BUDGET;
use super::state::Verdict;
use super::walk::{Walk, WalkOptions};
use crate::count::Count;
use crate::graph::{Graph, NodeId};

/// What one filter removed.
#[derive(Clone, Debug)]
pub(crate) struct Removed {
    /// The `only` or `no`.
    pub(crate) constraint: u32,
    pub(crate) candidates: Count,
    /// The way to the first node that it removed.
    pub(crate) example: Arc<[NodeId]>,
}

/// What all filters removed, in the order in which the search met them.
pub(crate) type Profile = Vec<Removed>;

fn merge(into: &mut Profile, from: &[Removed]) {
    for removed in from {
        match into
            .iter_mut()
            .find(|known| known.constraint == removed.constraint)
        {
            Some(known) => known.candidates.add(removed.candidates),
            None => into.push(removed.clone()),
        }
    }
}

/// A search that notes what is removed.
pub(super) struct Watching {
    /// The filter of the question.
    target: u32,
    candidates: Box<Walk>,
    profiles: FxHashMap<Box<[u32]>, Arc<[Removed]>>,
    total: Profile,
}

impl Walk {
    /// How many paths pass all filters, and what the filters other than `target` removed of those that it allows.
    pub(crate) fn profile(graph: &Arc<Graph>, options: &WalkOptions, target: u32) -> (Count, Profile) {
        let mut walk = Walk::new(graph, options);
        let candidates = Box::new(Walk::only(graph, options, target));
        walk.watching = Some(Watching {
            target,
            candidates,
            profiles: FxHashMap::default(),
            total: Vec::new(),
        });
        walk.budget = LAST_BUDGET;
        let count = walk.count_all();
        let count = Count {
            exact: count.exact && walk.budget > 0,
            ..count
        };
        (
            count,
            walk.watching.map(|watching| watching.total).unwrap_or_default(),
        )
    }

    /// Notes that `id` was just ruled out, if the question is still open there.
    pub(super) fn note_removed(&mut self, id: NodeId) {
        let Some(constraint) = self.blame else { return };
        let path: Box<[NodeId]> = self.path().iter().copied().chain([id]).collect();
        let Some(watching) = &mut self.watching else {
            return;
        };
        let graph = &self.graph;
        let target = &graph.constraints[watching.target as usize];
        let open = self.state.constraint(graph, target, graph.tables().below(id)) != Verdict::Violated;
        if !open || constraint as usize >= graph.constraints.len() {
            return;
        }
        let candidates = watching.candidates.count_below(&path);
        if candidates == Count::exact(0) {
            return;
        }
        let removed = Removed {
            constraint,
            candidates,
            example: path.into(),
        };
        self.add_profile(&[removed]);
    }

    /// Hands what was removed below a node on to its parent; remembers it under `key`.
    pub(super) fn pass_profile(&mut self, profile: Profile, key: Option<&[u32]>) {
        self.add_profile(&profile);
        if let (Some(watching), Some(key)) = (&mut self.watching, key)
            && !profile.is_empty()
        {
            watching.profiles.insert(key.into(), profile.into());
        }
    }

    /// Counts again what was removed in a case that is known.
    pub(super) fn recall_profile(&mut self, key: &[u32]) {
        let known = self
            .watching
            .as_ref()
            .and_then(|watching| watching.profiles.get(key).cloned());
        if let Some(known) = known {
            self.add_profile(&known);
        }
    }

    fn add_profile(&mut self, profile: &[Removed]) {
        match (self.stack.last_mut(), &mut self.watching) {
            (Some(parent), _) => merge(&mut parent.removed, profile),
            (None, Some(watching)) => merge(&mut watching.total, profile),
            (None, None) => {}
        }
    }
}
