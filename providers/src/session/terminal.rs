//! A terminal: bytes both ways, read in the background, kept in a bounded buffer and in a log file.

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// How many unread bytes a terminal keeps. Older ones are dropped (the log file has them all), so that a forgotten
/// session in which a guest prints for hours costs this much and no more, and never makes the guest wait.
const UNREAD_LIMIT: usize = 32 << 20;

/// The way to a guest's terminal: what a transport gives to a [`Terminal`].
pub trait Line: Send + Sync {
    /// Queues bytes to be typed. False where the line is already known to be gone.
    fn send(&self, bytes: &[u8]) -> bool;

    /// Ends the line. Called more than once.
    fn hang_up(&self);
}

/// How a terminal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// The exit status of the remote program, where the transport tells.
    pub status: Option<i32>,
    /// What happened, in words.
    pub reason: String,
}

#[derive(Default)]
struct State {
    unread: Vec<u8>,
    lost: u64,
    end: Option<End>,
    log: Option<File>,
}

struct Shared {
    state: Mutex<State>,
    /// Told of every change of `state`.
    changed: watch::Sender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Holds the line; the last handle that goes hangs up.
struct Handle {
    name: String,
    shared: Arc<Shared>,
    line: Box<dyn Line>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.line.hang_up();
    }
}

/// One terminal session. Clones are handles on the same session; the last one dropped hangs up.
#[derive(Clone)]
pub struct Terminal {
    handle: Arc<Handle>,
}

/// The transport's end of a [`Terminal`]: where it delivers what came and says that the line ended.
pub struct Feed {
    shared: Arc<Shared>,
}

impl Terminal {
    /// A terminal over `line`. What is delivered to the [`Feed`] is kept for reading and appended to `log`.
    pub fn new(name: impl Into<String>, log: Option<File>, line: Box<dyn Line>) -> (Self, Feed) {
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                log,
                ..State::default()
            }),
            changed: watch::Sender::new(()),
        });
        let handle = Arc::new(Handle {
            name: name.into(),
            shared: Arc::clone(&shared),
            line,
        });
        (Self { handle }, Feed { shared })
    }

    /// What this session is called in messages and logs.
    pub fn name(&self) -> &str {
        &self.handle.name
    }

    /// Types bytes. False where the session has ended.
    pub fn send(&self, bytes: &[u8]) -> bool {
        self.end().is_none() && self.handle.line.send(bytes)
    }

    /// Takes what has come since the last call.
    pub fn take(&self) -> Vec<u8> {
        let mut state = self.handle.shared.lock();
        if state.lost > 0 {
            tracing::warn!(
                session = self.name(),
                bytes = state.lost,
                "dropped old unread output"
            );
            state.lost = 0;
        }
        std::mem::take(&mut state.unread)
    }

    /// Waits until there is something to take or the session has ended, at most `patience`. True where there is
    /// something to take.
    pub async fn wait(&self, patience: Duration) -> bool {
        let mut changes = self.handle.shared.changed.subscribe();
        let arrived = async {
            loop {
                {
                    let state = self.handle.shared.lock();
                    if !state.unread.is_empty() || state.end.is_some() {
                        return !state.unread.is_empty();
                    }
                }
                if changes.changed().await.is_err() {
                    return false;
                }
            }
        };
        tokio::time::timeout(patience, arrived).await.unwrap_or(false)
    }

    /// How the session ended, or `None` while it lives. There may still be output to take.
    pub fn end(&self) -> Option<End> {
        self.handle.shared.lock().end.clone()
    }

    /// Whether the session has not ended.
    pub fn alive(&self) -> bool {
        self.end().is_none()
    }

    /// Ends the session.
    pub fn close(&self) {
        self.handle.shared.finish(End {
            status: None,
            reason: "the session was closed".to_owned(),
        });
        self.handle.line.hang_up();
    }
}

impl Shared {
    fn finish(&self, end: End) {
        let mut state = self.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        drop(state);
        self.changed.send_replace(());
    }
}

impl Feed {
    /// Delivers what came from the guest.
    pub fn data(&self, bytes: &[u8]) {
        let mut state = self.shared.lock();
        if let Some(log) = &mut state.log
            && let Err(error) = log.write_all(bytes)
        {
            tracing::warn!(%error, "a session's log cannot be written: the session goes on without");
            state.log = None;
        }
        state.unread.extend_from_slice(bytes);
        if state.unread.len() > UNREAD_LIMIT + UNREAD_LIMIT / 4 {
            let excess = state.unread.len() - UNREAD_LIMIT;
            state.unread.drain(..excess);
            state.lost += excess as u64;
        }
        drop(state);
        self.shared.changed.send_replace(());
    }

    /// Says that the line has ended. Only the first end counts.
    pub fn end(self, status: Option<i32>, reason: impl Into<String>) {
        self.shared.finish(End {
            status,
            reason: reason.into(),
        });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.finish(End {
            status: None,
            reason: "the transport ended".to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::test_support::fake_line;

    #[tokio::test]
    async fn bytes_come_in_order_and_the_end_after_them() {
        let (terminal, feed, _typed) = fake_line();
        assert!(!terminal.wait(Duration::from_millis(5)).await);
        feed.data(b"one");
        feed.data(b"two");
        feed.end(Some(3), "exit");
        assert!(terminal.wait(Duration::from_secs(5)).await);
        assert_eq!(terminal.take(), b"onetwo");
        assert!(!terminal.wait(Duration::from_secs(5)).await);
        assert_eq!(
            terminal.end(),
            Some(End {
                status: Some(3),
                reason: "exit".into()
            })
        );
        assert!(!terminal.send(b"x"));
    }

    #[tokio::test]
    async fn closing_wakes_a_reader_and_hangs_up() {
        let (terminal, feed, typed) = fake_line();
        let waiting = terminal.clone();
        let reader = tokio::spawn(async move { waiting.wait(Duration::from_secs(60)).await });
        tokio::task::yield_now().await;
        terminal.close();
        assert!(!reader.await.expect("the reader ends"));
        assert!(typed.hung_up());
        feed.end(Some(0), "too late");
        assert_eq!(
            terminal.end().map(|end| end.reason),
            Some("the session was closed".to_owned())
        );
    }

    #[test]
    fn the_last_handle_hangs_up_and_memory_is_bounded() {
        let (terminal, feed, typed) = fake_line();
        let twin = terminal.clone();
        for _ in 0..60 {
            feed.data(&vec![b'x'; 1 << 20]);
        }
        feed.data(b"the end");
        let kept = terminal.take();
        assert!(kept.len() <= UNREAD_LIMIT + UNREAD_LIMIT / 4);
        assert!(kept.ends_with(b"the end"));
        drop(terminal);
        assert!(!typed.hung_up());
        drop(twin);
        assert!(typed.hung_up());
    }
}
