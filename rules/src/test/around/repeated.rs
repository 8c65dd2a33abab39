//! Something that is done again and again while a test runs.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;

/// The least time between two turns.
const LEAST: Duration = Duration::from_millis(100);

/// It ends when it is stopped, and when this is dropped.
pub(super) struct Repeated(JoinHandle<()>);

impl Repeated {
    /// Begins at once; from the end of a turn to the beginning of the next it waits for `delay`.
    pub(super) fn every<F, Turn>(delay: Duration, mut turn: F) -> Self
    where
        F: FnMut() -> Turn + Send + 'static,
        Turn: Future<Output = ()> + Send,
    {
        Self(tokio::spawn(async move {
            loop {
                turn().await;
                tokio::time::sleep(delay.max(LEAST)).await;
            }
        }))
    }

    /// Ends it, within a turn or between two.
    pub(super) async fn stop(mut self) {
        self.0.abort();
        // An aborted task is what was asked for.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Repeated {
    fn drop(&mut self) {
        self.0.abort();
    }
}
