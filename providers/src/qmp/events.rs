//! The events of one monitor, in order of arrival.

use std::collections::VecDeque;
use std::sync::Mutex;

use tokio::sync::watch;

use super::wire::Event;

/// How many events are kept; a guest that reports faster than anybody reads loses its oldest.
const KEPT: usize = 10_000;

/// A point in a monitor's stream of events: those that arrive later are after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Mark(u64);

#[derive(Debug, Default)]
struct Queue {
    /// Number of the first event in `events`.
    first: u64,
    /// Number from which on events are listed; those before were cleared by the reader.
    cleared: u64,
    events: VecDeque<Event>,
}

/// Keeps events and wakes those who wait for one.
#[derive(Debug)]
pub(super) struct Events {
    queue: Mutex<Queue>,
    arrived: watch::Sender<u64>,
}

impl Events {
    pub(super) fn new() -> Events {
        Events {
            queue: Mutex::default(),
            arrived: watch::Sender::new(0),
        }
    }

    pub(super) fn push(&self, event: Event) {
        let mut queue = self.lock();
        queue.events.push_back(event);
        if queue.events.len() > KEPT {
            queue.events.pop_front();
            queue.first += 1;
        }
        let end = queue.first + queue.events.len() as u64;
        drop(queue);
        self.arrived.send_replace(end);
    }

    /// The position after the newest event.
    pub(super) fn mark(&self) -> Mark {
        let queue = self.lock();
        Mark(queue.first + queue.events.len() as u64)
    }

    /// All events that were not cleared.
    pub(super) fn list(&self) -> Vec<Event> {
        let queue = self.lock();
        let skipped = usize::try_from(queue.cleared.saturating_sub(queue.first)).unwrap_or(usize::MAX);
        queue.events.iter().skip(skipped).cloned().collect()
    }

    /// Hides all events so far from [`list`](Events::list). Marks stay good.
    pub(super) fn clear(&self) {
        let mut queue = self.lock();
        queue.cleared = queue.first + queue.events.len() as u64;
    }

    /// The oldest event that was not cleared, for waits which also take what is there already.
    pub(super) fn oldest(&self) -> Mark {
        Mark(self.lock().cleared)
    }

    /// Waits for the first event after `mark` that is wanted. Waits for ever; put a time-out around it.
    pub(super) async fn wait(&self, mark: Mark, wanted: impl Fn(&Event) -> bool) -> Event {
        self.next(mark, wanted).await.0
    }

    /// The same, with the point after the event.
    pub(super) async fn next(&self, mark: Mark, wanted: impl Fn(&Event) -> bool) -> (Event, Mark) {
        let mut arrived = self.arrived.subscribe();
        let mut next = mark.0;
        loop {
            arrived.mark_unchanged();
            {
                let queue = self.lock();
                let skip = usize::try_from(next.saturating_sub(queue.first)).unwrap_or(usize::MAX);
                let mut numbered = (queue.first..).zip(&queue.events).skip(skip);
                if let Some((number, event)) = numbered.find(|(_, event)| wanted(event)) {
                    return (event.clone(), Mark(number + 1));
                }
                next = queue.first + queue.events.len() as u64;
            }
            // The sender lives in `self`, so the channel cannot close.
            let _ = arrived.wait_for(|end| *end > next).await;
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        // A panic while the lock was held would leave whole events only.
        self.queue
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn event(name: &str) -> Event {
        Event {
            name: name.into(),
            data: Value::Null,
            timestamp: Value::Null,
        }
    }

    #[tokio::test]
    async fn a_wait_sees_what_is_there_and_what_comes() {
        let events = std::sync::Arc::new(Events::new());
        events.push(event("STOP"));
        assert_eq!(
            events
                .wait(Mark::default(), |event| event.name == "STOP")
                .await
                .name,
            "STOP"
        );
        let mark = events.mark();
        let waiting = events.clone();
        let task = tokio::spawn(async move { waiting.wait(mark, |event| event.name == "STOP").await });
        tokio::task::yield_now().await;
        assert!(!task.is_finished());
        events.push(event("RESUME"));
        events.push(event("STOP"));
        assert_eq!(task.await.unwrap().name, "STOP");
    }

    #[test]
    fn clearing_hides_and_forgets_nothing_else() {
        let events = Events::new();
        events.push(event("A"));
        let mark = events.mark();
        events.clear();
        events.push(event("B"));
        assert_eq!(
            events
                .list()
                .iter()
                .map(|event| event.name.as_str())
                .collect::<Vec<_>>(),
            ["B"]
        );
        assert_eq!(mark, events.oldest());
    }

    #[test]
    fn the_oldest_go_when_there_are_too_many() {
        let events = Events::new();
        for _ in 0..KEPT {
            events.push(event("OLD"));
        }
        events.push(event("NEW"));
        let list = events.list();
        assert_eq!((list.len(), list[KEPT - 1].name.as_str()), (KEPT, "NEW"));
        assert_eq!(events.mark(), Mark(KEPT as u64 + 1));
    }
}
