//! Which hits run again, to find out whether they would still come out as they are recorded.

use vtbuild_cache::Digest;

use crate::graph::Graph;
use crate::outcome::{Artefact, Status};
use crate::plan::{Forecast, Plan};
use crate::resolve::{FILE, Made};
use crate::spec::{ActionId, Spec};

/// An audit: how many of the hits, and which.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Audit {
    /// The share of the hits, in percent. Where there is a hit, and the share is not nothing, at least one runs.
    pub percent: f64,
    /// Decides which: the same seed chooses the same among the same.
    pub seed: u64,
}

impl Audit {
    /// The hits of `plan` that run again.
    #[must_use]
    pub fn choose(&self, graph: &Graph, plan: &Plan) -> Vec<ActionId> {
        let order = graph.order().iter().copied();
        let mut hits: Vec<(Digest, ActionId)> = order
            .filter(|id| is_audited(graph, *id) && matches!(plan.of(*id), Forecast::Hit { .. }))
            .map(|id| (self.draw(graph.spec(id)), id))
            .collect();
        hits.sort_unstable();
        hits.truncate(self.count(hits.len()));
        hits.into_iter().map(|(_, id)| id).collect()
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a number of actions is such a number"
    )]
    fn count(&self, hits: usize) -> usize {
        (hits as f64 * self.percent.clamp(0.0, 100.0) / 100.0).ceil() as usize
    }

    fn draw(&self, spec: &Spec) -> Digest {
        Digest::of(format!("{}\0{}\0{}", self.seed, spec.rule, spec.label).as_bytes())
    }
}

/// Whether an action comes to the same each time if it is determined at all: a file is no action, and of an aid (a guest
/// that is up) no result depends.
fn is_audited(graph: &Graph, id: ActionId) -> bool {
    graph.spec(id).rule != FILE && !graph.only_aids(id)
}

/// What an audit of one action found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Audited {
    /// It came out as it is recorded.
    Agreed,
    /// It did not. Its key is marked.
    Disagreed,
}

/// How what became of an action differs from what is recorded, both in words; `None` where it does not.
#[must_use]
pub fn difference(recorded: &Made, status: Status, made: &[Artefact]) -> Option<(String, String)> {
    if status != Status::Pass {
        return Some((Status::Pass.word().to_owned(), status.word().to_owned()));
    }
    let same = |(one, other): (&Artefact, &Artefact)| one.name == other.name && one.digest == other.digest;
    if recorded.artefacts.len() == made.len() && recorded.artefacts.iter().zip(made).all(same) {
        return None;
    }
    let told = |artefacts: &[Artefact]| {
        let one = |artefact: &Artefact| format!("{} {}", artefact.name, artefact.digest.short());
        let all: Vec<String> = artefacts.iter().map(one).collect();
        if all.is_empty() {
            "no outputs".to_owned()
        } else {
            all.join(", ")
        }
    };
    Some((told(&recorded.artefacts), told(made)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn artefact(name: &str, text: &str) -> Artefact {
        Artefact {
            name: name.into(),
            digest: Digest::of(text.as_bytes()),
            size: 1,
            path: "/x".into(),
        }
    }

    #[test]
    fn status_names_and_contents_are_compared() {
        let recorded = Made {
            artefacts: Arc::new([artefact("disk", "a")]),
            seconds: 1.0,
            trace: None,
        };
        assert_eq!(
            difference(&recorded, Status::Pass, &[artefact("disk", "a")]),
            None
        );
        let (was, became) = difference(&recorded, Status::Fail, &[]).unwrap();
        assert_eq!((was.as_str(), became.as_str()), ("PASS", "FAIL"));
        for other in [vec![artefact("disk", "b")], vec![artefact("other", "a")], vec![]] {
            let (was, became) = difference(&recorded, Status::Pass, &other).unwrap();
            assert!(was.starts_with("disk ") && was != became, "{was} {became}");
        }
    }

    #[test]
    fn a_share_of_some_is_at_least_one() {
        let count = |percent, hits| Audit { percent, seed: 1 }.count(hits);
        assert_eq!(
            [
                count(10.0, 3),
                count(10.0, 30),
                count(100.0, 7),
                count(0.0, 7),
                count(50.0, 0)
            ],
            [1, 3, 7, 0, 0]
        );
    }
}
