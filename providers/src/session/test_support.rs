//! A line that goes nowhere: what was typed is kept for the test to look at, or answered by a script.

use std::sync::{Arc, Mutex};

use super::terminal::{Feed, Line, Terminal};

/// What was typed on a fake line.
#[derive(Clone, Default)]
pub(crate) struct Typed(Arc<Mutex<(String, bool)>>);

impl Typed {
    pub(crate) fn text(&self) -> String {
        self.0.lock().expect("no test panics with the lock").0.clone()
    }

    pub(crate) fn hung_up(&self) -> bool {
        self.0.lock().expect("no test panics with the lock").1
    }
}

impl Line for Typed {
    fn send(&self, bytes: &[u8]) -> bool {
        self.0
            .lock()
            .expect("no test panics with the lock")
            .0
            .push_str(&String::from_utf8_lossy(bytes));
        true
    }

    fn hang_up(&self) {
        self.0.lock().expect("no test panics with the lock").1 = true;
    }
}

/// A terminal, the end that feeds it, and what was typed.
pub(crate) fn fake_line() -> (Terminal, Feed, Typed) {
    let typed = Typed::default();
    let (terminal, feed) = Terminal::new("fake", None, Box::new(typed.clone()));
    (terminal, feed, typed)
}

/// What the other end does with a thing typed.
type Answer = Arc<dyn Fn(&str, &Feed) + Send + Sync>;

/// A line on which each thing typed is handed to `answer`, which feeds the reply.
struct Scripted {
    answer: Answer,
    feed: Arc<Mutex<Option<Arc<Feed>>>>,
}

impl Line for Scripted {
    fn send(&self, bytes: &[u8]) -> bool {
        let Some(feed) = self.feed.lock().expect("no test panics with the lock").clone() else {
            return false;
        };
        let (answer, typed) = (
            Arc::clone(&self.answer),
            String::from_utf8_lossy(bytes).into_owned(),
        );
        std::thread::spawn(move || answer(&typed, &feed));
        true
    }

    fn hang_up(&self) {
        self.feed.lock().expect("no test panics with the lock").take();
    }
}

/// A terminal whose other end runs `answer` (in a thread of its own) for each thing typed.
pub(crate) fn scripted(answer: impl Fn(&str, &Feed) + Send + Sync + 'static) -> (Terminal, Arc<Feed>) {
    let slot = Arc::new(Mutex::new(None));
    let line = Scripted {
        answer: Arc::new(answer),
        feed: Arc::clone(&slot),
    };
    let (terminal, feed) = Terminal::new("scripted", None, Box::new(line));
    let feed = Arc::new(feed);
    *slot.lock().expect("no test panics with the lock") = Some(Arc::clone(&feed));
    (terminal, feed)
}
