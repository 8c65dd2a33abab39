//! How each action of a run stands. Who looks is told what has changed since they last did: however slow they are, nothing
//! piles up.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde_json::{Value as Json, json};
use tokio::sync::watch;
use vtbuild_engine::event::{Event, Finished};
use vtbuild_engine::spec::ActionId;

use crate::report::{Reporter, Tally};
use crate::wiring;

/// How the actions of a run stand.
pub struct State {
    now: Mutex<Now>,
    version: watch::Sender<u64>,
}

struct Now {
    began: Instant,
    version: u64,
    /// With the version in which each changed last.
    actions: BTreeMap<ActionId, (u64, Json)>,
    tally: Tally,
    /// Why it is being stopped.
    stopping: Option<String>,
    /// What came of it, in the end.
    over: Option<String>,
}

/// What has changed since a version.
pub struct Since {
    /// Up to which version.
    pub version: u64,
    /// What to tell, as an object.
    pub told: Json,
    /// Whether nothing can follow.
    pub over: bool,
}

impl State {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self {
            now: Mutex::new(Now {
                began: Instant::now(),
                version: 0,
                actions: BTreeMap::new(),
                tally: Tally::default(),
                stopping: None,
                over: None,
            }),
            version: watch::Sender::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Now)) {
        let mut now = self.lock();
        now.version += 1;
        change(&mut now);
        self.version.send_replace(now.version);
    }

    /// All that has changed since `version`; 0 stands for the beginning.
    pub fn since(&self, version: u64) -> Since {
        let now = self.lock();
        let changed = now.actions.values().filter(|(when, _)| *when > version);
        let actions: Vec<&Json> = changed.map(|(_, action)| action).collect();
        Since {
            version: now.version,
            told: json!({
                "at": now.began.elapsed().as_secs_f64(), "actions": actions, "stopping": now.stopping, "over": now.over,
            }),
            over: now.over.is_some(),
        }
    }

    /// Tells of every change from now on.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }
}

impl Now {
    fn started(&mut self, id: ActionId, attempt: u32, expected: Option<f64>) {
        let since = self.began.elapsed().as_secs_f64();
        let action = json!({
            "id": id.index(), "state": "running", "since": since, "attempt": attempt, "expected": expected,
        });
        self.actions.insert(id, (self.version, action));
    }

    fn step(&mut self, id: ActionId, text: &str) {
        if let Some((version, action)) = self.actions.get_mut(&id) {
            *version = self.version;
            action["step"] = text.into();
        }
    }

    fn finished(&mut self, finished: &Finished) {
        if finished.rule == wiring::WANTED {
            self.tally.add(finished);
        }
        let state = if finished.cached {
            "cached"
        } else {
            finished.status.word()
        };
        let action = json!({
            "id": finished.id.index(), "state": state, "seconds": finished.seconds, "attempts": finished.attempts,
            "reason": finished.reason, "logs": finished.logs,
        });
        self.actions.insert(finished.id, (self.version, action));
    }
}

/// Takes what happens into a state.
pub struct Feed(pub std::sync::Arc<State>);

impl Reporter for Feed {
    fn event(&mut self, event: &Event) {
        self.0.change(|now| match event {
            Event::Started {
                id,
                attempt,
                expected,
                ..
            } => now.started(*id, *attempt, *expected),
            Event::Step { id, text, .. } => now.step(*id, text),
            Event::Finished(finished) => now.finished(finished),
            Event::Stopping { reason } => now.stopping = Some(reason.clone()),
            Event::Planned { .. } | Event::Waiting { .. } | Event::Retried { .. } | Event::Notice { .. } => {}
        });
    }

    fn close(&mut self) {
        self.0.change(|now| now.over = Some(now.tally.line()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vtbuild_engine::outcome::Status;
    use vtbuild_engine::reason::Reason;

    use super::*;

    fn started(at: usize) -> Event {
        Event::Started {
            id: ActionId::at(at),
            label: "boot".into(),
            rule: wiring::WANTED,
            attempt: 1,
            reason: Reason::Never,
            expected: None,
            after: Vec::new(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn who_looks_is_told_what_changed_since_they_last_did() {
        let state = Arc::new(State::new());
        let mut feed = Feed(state.clone());
        feed.event(&started(0));
        feed.event(&started(1));
        let first = state.since(0);
        assert_eq!(first.told["actions"].as_array().unwrap().len(), 2);
        feed.event(&Event::Step {
            id: ActionId::at(1),
            label: "boot".into(),
            text: "waits for ssh".into(),
        });
        let second = state.since(first.version);
        let actions = second.told["actions"].as_array().unwrap();
        assert_eq!((actions.len(), &actions[0]["step"]), (1, &"waits for ssh".into()));
        assert!(!second.over && state.since(second.version).told["actions"] == json!([]));
    }

    #[test]
    fn the_end_has_the_sum_of_the_tests() {
        let state = Arc::new(State::new());
        let mut feed = Feed(state.clone());
        feed.event(&Event::Finished(Finished {
            id: ActionId::at(0),
            label: "boot".into(),
            rule: wiring::WANTED,
            run: 1,
            status: Status::Pass,
            cached: true,
            seconds: 1.0,
            reason: None,
            cause: None,
            attempts: 0,
            logs: None,
            audit: None,
        }));
        feed.close();
        let end = state.since(0);
        assert!(end.over);
        assert_eq!(end.told["actions"][0]["state"], "cached");
        assert!(end.told["over"].as_str().unwrap().starts_with("PASS 1 | "));
    }
}
