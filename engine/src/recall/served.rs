//! Verdicts that notes gave, among those of a run.

use std::sync::Arc;

use vtbuild_cache::Digest;

use super::{Memo, Slot};
use crate::event::Finished;
use crate::outcome::Status;
use crate::spec::ActionId;

/// What is served without being part of the graph. Nothing, where no notes were asked.
#[derive(Debug, Default)]
pub struct Served(Option<Box<Given>>);

#[derive(Debug)]
struct Given {
    memo: Arc<Memo>,
    /// The variants that were asked for, in order.
    slots: Vec<Slot>,
    blobs: Vec<Digest>,
    /// What a variant's action is called, and all that its prerequisites may be.
    wanted: &'static str,
    rules: &'static [&'static str],
    count: usize,
    /// What the served ones stand on; what others stood on is no longer known to hold.
    nodes: Vec<u32>,
}

impl Served {
    /// What `memo` speaks for among `slots`; the others are the graph's, in the order in which it was asked for them. `wanted` is
    /// the rule of the variants' actions, `rules` are those of all others.
    #[must_use]
    pub fn of(
        memo: Arc<Memo>,
        slots: Vec<Slot>,
        blobs: Vec<Digest>,
        wanted: &'static str,
        rules: &'static [&'static str],
    ) -> Self {
        let served = slots.iter().filter_map(|slot| match slot {
            Slot::Served(at) => Some(*at),
            Slot::LeftOut(_) | Slot::Rest(_) => None,
        });
        let (count, nodes) = (served.clone().count(), memo.below(served));
        Self(Some(Box::new(Given {
            memo,
            slots,
            blobs,
            wanted,
            rules,
            count,
            nodes,
        })))
    }

    /// How many of the actions that were asked for are served so.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |given| given.count)
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The outputs of all that they stand on.
    #[must_use]
    pub fn blobs(&self) -> &[Digest] {
        self.0.as_ref().map_or(&[], |given| &given.blobs)
    }

    /// What they stand on, but for what is also in the graph and has a key there.
    pub(crate) fn prerequisites(&self, known: impl Fn(&Digest) -> bool) -> Vec<Finished> {
        let Some(given) = &self.0 else { return Vec::new() };
        let nodes = given.nodes.iter().map(|at| &given.memo.nodes[*at as usize]);
        let told = nodes.filter(|node| !known(&node.key)).filter_map(|node| {
            let rule = given.rules.iter().find(|known| **known == node.rule)?;
            Some(served(rule, &node.title, node.seconds))
        });
        told.collect()
    }

    /// All that was asked for, in order: a verdict, or the action of the graph. `graph` is what the graph was asked for.
    pub(crate) fn all<'a>(
        &'a self,
        graph: &'a [ActionId],
    ) -> impl Iterator<Item = Result<Finished, ActionId>> + 'a {
        let given = self.0.as_deref();
        let slots = given.map_or(&[][..], |given| &given.slots).iter();
        let ours = slots.filter_map(move |slot| match slot {
            Slot::Served(at) => {
                let Given { memo, wanted, .. } = given?;
                Some(Ok(served(wanted, memo.title(*at), memo.seconds(*at))))
            }
            Slot::Rest(at) => graph.get(*at as usize).copied().map(Err),
            Slot::LeftOut(_) => None,
        });
        let theirs = if given.is_some() { &[][..] } else { graph };
        ours.chain(theirs.iter().copied().map(Err))
    }
}

fn served(rule: &'static str, title: &str, seconds: f64) -> Finished {
    Finished {
        id: ActionId::NONE,
        label: title.into(),
        rule,
        run: 1,
        status: Status::Pass,
        cached: true,
        seconds,
        reason: None,
        cause: None,
        attempts: 0,
        audit: None,
        logs: None,
    }
}
