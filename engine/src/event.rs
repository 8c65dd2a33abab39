//! What happens during a run, as one stream. Every display and every results file is a consumer of it.

use std::sync::Arc;

use serde::Serialize;
use tokio::sync::mpsc;

use crate::audit::Audited;
use crate::outcome::Status;
use crate::reason::Reason;
use crate::spec::ActionId;

/// One thing that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The plan is known.
    Planned {
        /// Actions in the graph.
        actions: usize,
        /// Actions that were asked for.
        wanted: usize,
        /// Actions already known to be hits.
        hits: usize,
    },
    /// An action begins to run.
    Started {
        /// Which.
        #[serde(skip)]
        id: ActionId,
        /// Its label.
        label: Arc<str>,
        /// Its rule.
        rule: &'static str,
        /// Which try this is, from 1.
        attempt: u32,
        /// Why it was not served from the cache.
        reason: Reason,
        /// Seconds that it took last time.
        expected: Option<f64>,
        /// The titles of those that it waited for.
        after: Vec<Arc<str>>,
        /// What its rule remarks on it.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        remarks: Vec<Arc<str>>,
    },
    /// What a running action is doing now.
    Step {
        /// Which.
        #[serde(skip)]
        id: ActionId,
        /// Its label.
        label: Arc<str>,
        /// The step, one line.
        text: String,
    },
    /// An action waits for something outside the graph.
    Waiting {
        /// Its label.
        label: Arc<str>,
        /// For what.
        what: String,
    },
    /// A try failed and another follows.
    Retried {
        /// Its label.
        label: Arc<str>,
        /// The try that failed, from 1.
        attempt: u32,
        /// Its verdict.
        status: Status,
        /// One line.
        reason: Option<String>,
    },
    /// An action is done.
    Finished(Finished),
    /// Something that people should know and that belongs to no action.
    Notice {
        /// One line.
        text: String,
    },
    /// Someone asked the run to stop.
    Stopping {
        /// Why.
        reason: String,
    },
}

/// How an action ended.
#[derive(Clone, Debug, Serialize)]
pub struct Finished {
    /// Which.
    #[serde(skip)]
    pub id: ActionId,
    /// Its label.
    pub label: Arc<str>,
    /// Its rule.
    pub rule: &'static str,
    /// Which of the `--runs` this is, from 1.
    pub run: u32,
    /// The verdict.
    pub status: Status,
    /// Whether the verdict was served from the cache.
    pub cached: bool,
    /// Seconds that it took, when it ran.
    pub seconds: f64,
    /// Why. Its first line says it; further ones show it (what a compiler printed).
    pub reason: Option<String>,
    /// The action whose failure this one is skipped for.
    pub cause: Option<Arc<str>>,
    /// Tries needed.
    pub attempts: u32,
    /// What an audit of it found, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audited>,
    /// Where its logs are, below the job's folder.
    pub logs: Option<String>,
}

/// Where events are sent. Sending never blocks and never fails: with no listener left there is nobody to tell.
#[derive(Clone, Debug)]
pub struct Sink {
    sender: mpsc::UnboundedSender<Event>,
    action: Option<(ActionId, Arc<str>)>,
}

/// A sink and the stream that comes out of it.
#[must_use]
pub fn events() -> (Sink, mpsc::UnboundedReceiver<Event>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Sink { sender, action: None }, receiver)
}

impl Sink {
    /// The same stream, for what happens inside one action.
    #[must_use]
    pub fn of(&self, id: ActionId, label: Arc<str>) -> Self {
        Self {
            sender: self.sender.clone(),
            action: Some((id, label)),
        }
    }

    /// Sends an event.
    pub fn send(&self, event: Event) {
        // A closed stream means that nobody listens any more.
        let _ = self.sender.send(event);
    }

    /// Says what the action that this sink belongs to is doing now; a notice for a sink that belongs to none.
    pub fn step(&self, text: impl Into<String>) {
        let text = text.into();
        self.send(match &self.action {
            Some((id, label)) => Event::Step {
                id: *id,
                label: label.clone(),
                text,
            },
            None => Event::Notice { text },
        });
    }

    /// Tells people something that is worth a line of its own.
    pub fn notice(&self, text: impl Into<String>) {
        self.send(Event::Notice { text: text.into() });
    }
}
