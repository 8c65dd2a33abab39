//! What must not outlive us and is no process: scratch folders, changes to the host.

use super::child::{Child, Exit, Link};

/// A guard that does its [`Duties`](super::Duties) when it is finished or dropped, or when we die.
#[derive(Debug)]
#[must_use = "it does its duties as soon as it is dropped"]
pub struct Janitor {
    guard: Child,
}

impl Janitor {
    pub(super) fn new(link: Link) -> Janitor {
        Janitor {
            guard: Child::new(link, None, None),
        }
    }

    /// Has its duties done, waits until they are, and says whether all that it ran went well. To be called when all other
    /// children that could undo this have ended.
    pub async fn finish(self) -> Exit {
        self.guard.bid_farewell();
        self.guard.kill().await
    }
}
