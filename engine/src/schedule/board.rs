//! The state of every action of a run. It decides what may start and what can never start any more; it starts nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::graph::Graph;
use crate::outcome::Status;
use crate::schedule::claims::{Capacity, Claims};
use crate::spec::ActionId;

/// Where an action stands. All changes go through [`Board::settle`], [`Board::start_next`] and [`Board::stop`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// Waits for this many others.
    Waiting(u32),
    /// May start.
    Ready,
    /// Has started.
    Running,
    /// Is done, with this verdict.
    Done(Status),
    /// Can never start: the named action did not pass.
    Blocked(ActionId),
    /// Was not started because the run was stopped first.
    Dropped,
}

/// The states of all actions of one run.
#[derive(Debug)]
pub struct Board {
    graph: Arc<Graph>,
    states: Vec<State>,
    /// Ready actions, the first to start first.
    ready: BTreeSet<(u32, ActionId)>,
    place: Vec<u32>,
    claims: Claims,
    open: usize,
    stopped: bool,
}

impl Board {
    /// A board with nothing started. `priority` says, for each action, how early it should start: the smallest first.
    #[must_use]
    pub fn new(graph: Arc<Graph>, capacity: Capacity, priority: Vec<u32>) -> Self {
        let states: Vec<State> = (0..graph.len())
            .map(|at| {
                let waits = graph.waits(ActionId::at(at));
                State::Waiting(u32::try_from(waits).expect("fewer than 2^32 edges"))
            })
            .collect();
        let open = states.len();
        let mut board = Self {
            graph,
            states,
            ready: BTreeSet::new(),
            place: priority,
            claims: Claims::new(capacity),
            open,
            stopped: false,
        };
        for at in 0..board.states.len() {
            board.ready_if_free(ActionId::at(at));
        }
        board
    }

    /// Where an action stands.
    #[must_use]
    pub fn state(&self, id: ActionId) -> State {
        self.states[id.index()]
    }

    /// How many actions are neither done, blocked nor dropped.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open
    }

    /// How many actions run.
    #[must_use]
    pub fn running(&self) -> u32 {
        self.claims.running()
    }

    /// The action to start now, which then counts as running; `None` when nothing may start until something ends.
    pub fn start_next(&mut self) -> Option<ActionId> {
        if self.stopped {
            return None;
        }
        let fits = |&&(_, id): &&(u32, ActionId)| self.claims.fits(self.graph.spec(id).claim);
        let &(place, id) = self.ready.iter().find(fits)?;
        self.ready.remove(&(place, id));
        self.claims.take(self.graph.spec(id).claim);
        self.states[id.index()] = State::Running;
        Some(id)
    }

    /// Takes note that an action ended with `status`, whether it ran or was served. Returns the actions that can never
    /// start because of it, each after those that it waits for. Those that it would only have aided may start.
    ///
    /// # Panics
    /// When the action is already settled: each ends once.
    pub fn settle(&mut self, id: ActionId, status: Status) -> Vec<ActionId> {
        match self.states[id.index()] {
            State::Running => self.claims.give_back(self.graph.spec(id).claim),
            State::Ready => {
                self.ready.remove(&(self.place[id.index()], id));
            }
            State::Waiting(_) => {}
            settled => panic!("`{}` ends twice: it is {settled:?}", self.graph.spec(id).label),
        }
        self.close(id, State::Done(status));
        if status.lets_followers_run() {
            self.release(id);
            return Vec::new();
        }
        self.block_followers(id)
    }

    /// Starts nothing more. Returns the actions that will never start.
    pub fn stop(&mut self) -> Vec<ActionId> {
        self.stopped = true;
        self.ready.clear();
        let graph = self.graph.clone();
        let idle = |state: State| matches!(state, State::Ready | State::Waiting(_));
        let dropped: Vec<_> = graph
            .order()
            .iter()
            .copied()
            .filter(|id| idle(self.state(*id)))
            .collect();
        for &id in &dropped {
            self.close(id, State::Dropped);
        }
        dropped
    }

    fn release(&mut self, id: ActionId) {
        let graph = self.graph.clone();
        for follower in graph.followers(id) {
            self.release_one(follower);
        }
    }

    /// One of the actions that `follower` waits for is out of its way.
    fn release_one(&mut self, follower: ActionId) {
        if let State::Waiting(missing) = &mut self.states[follower.index()] {
            *missing -= 1;
            self.ready_if_free(follower);
        }
    }

    fn ready_if_free(&mut self, id: ActionId) {
        if self.states[id.index()] == State::Waiting(0) {
            self.states[id.index()] = State::Ready;
            self.ready.insert((self.place[id.index()], id));
        }
    }

    fn block_followers(&mut self, cause: ActionId) -> Vec<ActionId> {
        let graph = self.graph.clone();
        let mut blocked = Vec::new();
        let mut queue = vec![cause];
        while let Some(at) = queue.pop() {
            for (follower, link) in graph.links_from(at) {
                if link.is_aid() {
                    self.release_one(follower);
                } else if matches!(self.state(follower), State::Waiting(_)) {
                    self.close(follower, State::Blocked(cause));
                    blocked.push(follower);
                    queue.push(follower);
                }
            }
        }
        blocked.sort_unstable();
        blocked
    }

    fn close(&mut self, id: ActionId, state: State) {
        self.states[id.index()] = state;
        self.open -= 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::{Claim, RuleName, Spec};

    const HOST: Capacity = Capacity {
        jobs: 2,
        memory_mib: 1024,
        vcpus: 2,
    };

    fn graph(actions: &[(&[usize], Claim)]) -> Arc<Graph> {
        let specs = actions.iter().enumerate().map(|(at, (after, claim))| {
            let mut spec = Spec::new(
                RuleName {
                    name: "test",
                    version: 1,
                },
                format!("n{at}"),
            );
            spec.variant = Arc::from(format!("n{at}"));
            spec.after = after.iter().map(|dep| Arc::from(format!("n{dep}"))).collect();
            spec.claim = *claim;
            Arc::new(spec)
        });
        Arc::new(Graph::build(specs.collect()).unwrap())
    }

    fn board(graph: &Arc<Graph>) -> Board {
        Board::new(
            graph.clone(),
            HOST,
            (0..graph.len()).map(|at| u32::try_from(at).unwrap()).collect(),
        )
    }

    const SMALL: Claim = Claim {
        memory_mib: 256,
        vcpus: 1,
    };
    const HUGE: Claim = Claim {
        memory_mib: 9999,
        vcpus: 64,
    };

    #[test]
    fn a_failure_blocks_what_hangs_on_it_and_nothing_else() {
        let graph = graph(&[(&[], SMALL), (&[0], SMALL), (&[1], SMALL), (&[], SMALL)]);
        let mut board = board(&graph);
        let first = board.start_next().unwrap();
        assert_eq!(first, ActionId(0));
        assert_eq!(board.start_next(), Some(ActionId(3)));
        assert_eq!(board.settle(first, Status::Fail), [ActionId(1), ActionId(2)]);
        assert_eq!(board.state(ActionId(2)), State::Blocked(first));
        assert!(board.settle(ActionId(3), Status::Pass).is_empty());
        assert_eq!(board.open(), 0);
    }

    /// `aid` aids `user`, and stands on `base`.
    fn aided() -> Arc<Graph> {
        let rule = RuleName {
            name: "test",
            version: 1,
        };
        let base = Arc::new(Spec::new(rule, "base"));
        let mut aid = Spec::new(rule, "aid");
        aid.needs = Box::new([crate::spec::Need {
            role: Arc::from("base"),
            made: None,
            otherwise: Some(base),
        }]);
        let mut user = Spec::new(rule, "user");
        user.aids = Box::new([crate::spec::Aid {
            role: Arc::from("aid"),
            spec: Arc::new(aid),
            from: 1,
        }]);
        Arc::new(Graph::build(vec![Arc::new(user)]).unwrap())
    }

    #[test]
    fn an_aid_that_cannot_be_made_blocks_nobody() {
        let graph = aided();
        let named = |name: &str| {
            let found = graph.order().iter().find(|id| &*graph.spec(**id).label == name);
            *found.unwrap()
        };
        let mut board = board(&graph);
        assert_eq!(board.start_next(), Some(named("base")));
        assert_eq!(board.start_next(), None, "it waits for its aid");
        assert_eq!(board.settle(named("base"), Status::Fail), [named("aid")]);
        assert_eq!(board.start_next(), Some(named("user")));
        board.settle(named("user"), Status::Pass);
        assert_eq!(board.open(), 0);
    }

    #[test]
    fn what_is_larger_than_the_host_runs_alone() {
        let graph = graph(&[(&[], HUGE), (&[], SMALL)]);
        let mut board = board(&graph);
        assert_eq!(board.start_next(), Some(ActionId(0)));
        assert_eq!(board.start_next(), None);
        board.settle(ActionId(0), Status::Pass);
        assert_eq!(board.start_next(), Some(ActionId(1)));
    }

    #[test]
    fn a_stopped_board_starts_nothing() {
        let graph = graph(&[(&[], SMALL), (&[0], SMALL), (&[], SMALL)]);
        let mut board = board(&graph);
        board.start_next();
        assert_eq!(board.stop(), [ActionId(1), ActionId(2)]);
        assert_eq!(board.start_next(), None);
        board.settle(ActionId(0), Status::Pass);
        assert_eq!((board.open(), board.state(ActionId(1))), (0, State::Dropped));
    }

    proptest! {
        /// Whatever the graph and the verdicts: every action ends once, nothing starts before what it waits for has
        /// passed, and no more is taken than the host has.
        #[test]
        fn every_action_ends_once(
            edges in prop::collection::vec(prop::collection::vec(any::<prop::sample::Index>(), 0..3), 1..24),
            verdicts in prop::collection::vec(any::<bool>(), 24),
            pick in prop::collection::vec(any::<prop::sample::Index>(), 24),
        ) {
            let after: Vec<Vec<usize>> = edges.iter().enumerate()
                .map(|(at, deps)| if at == 0 { vec![] } else { deps.iter().map(|dep| dep.index(at)).collect() })
                .collect();
            let actions: Vec<(&[usize], Claim)> = after.iter().map(|deps| (&deps[..], SMALL)).collect();
            let graph = graph(&actions);
            let mut board = board(&graph);
            let (mut running, mut ended) = (Vec::new(), 0);
            while board.open() > 0 {
                while let Some(id) = board.start_next() {
                    for (earlier, _) in graph.waits_for(id) {
                        prop_assert_eq!(board.state(earlier), State::Done(Status::Pass));
                    }
                    running.push(id);
                    prop_assert!(running.len() <= HOST.jobs as usize);
                }
                prop_assert!(!running.is_empty(), "open actions and nothing runs");
                let id = running.swap_remove(pick[ended % pick.len()].index(running.len()));
                let status = if verdicts[id.index() % verdicts.len()] { Status::Pass } else { Status::Fail };
                ended += 1 + board.settle(id, status).len();
            }
            prop_assert_eq!(ended, graph.len());
        }
    }
}
