//! Being told to stop.

use std::sync::Arc;

use tokio::sync::watch;

/// A flag that many may wait for. Once set it stays set.
#[derive(Clone, Debug)]
pub struct Cancel {
    state: watch::Receiver<Option<Arc<str>>>,
}

/// Who may set the flag.
#[derive(Clone, Debug)]
pub struct Canceller {
    state: Arc<watch::Sender<Option<Arc<str>>>>,
}

/// A flag and who may set it.
#[must_use]
pub fn cancellation() -> (Canceller, Cancel) {
    let (sender, receiver) = watch::channel(None);
    (
        Canceller {
            state: Arc::new(sender),
        },
        Cancel { state: receiver },
    )
}

impl Canceller {
    /// Sets the flag; the first reason stays.
    pub fn cancel(&self, reason: &str) {
        self.state.send_if_modified(|state| {
            let first = state.is_none();
            if first {
                *state = Some(Arc::from(reason));
            }
            first
        });
    }

    /// A flag to wait on.
    #[must_use]
    pub fn watch(&self) -> Cancel {
        Cancel {
            state: self.state.subscribe(),
        }
    }
}

impl Cancel {
    /// Why it was set, where it is.
    #[must_use]
    pub fn reason(&self) -> Option<Arc<str>> {
        self.state.borrow().clone()
    }

    /// Waits until it is set and says why. Waits for ever when nobody can set it any more.
    pub async fn cancelled(&self) -> Arc<str> {
        let mut state = self.state.clone();
        // The borrow that `wait_for` gives must not live across the other await.
        let reason = state
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        match reason {
            Some(reason) => reason,
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_first_reason_stays() {
        let (canceller, cancel) = cancellation();
        assert_eq!(cancel.reason(), None);
        canceller.cancel("SIGINT");
        canceller.cancel("time is up");
        assert_eq!(&*cancel.cancelled().await, "SIGINT");
        assert_eq!(canceller.watch().reason().as_deref(), Some("SIGINT"));
    }
}
