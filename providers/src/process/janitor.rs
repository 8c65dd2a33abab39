//! Scratch folders that do not outlive us.

use super::child::{Child, Link};

/// A guard that removes files and folders when it is finished or dropped, or when we die.
#[derive(Debug)]
#[must_use = "what it holds is removed as soon as it is dropped"]
pub struct Janitor {
    guard: Child,
}

impl Janitor {
    pub(super) fn new(link: Link) -> Janitor {
        Janitor {
            guard: Child::new(link, None, None),
        }
    }

    /// Removes what it holds and waits until it is gone. To be called when all other children have ended.
    pub async fn finish(self) {
        self.guard.bid_farewell();
        self.guard.kill().await;
    }
}
