//! The Python test host: one process of `python3` for each test, and the socket between it and us.
//!
//! `docs/host-protocol.md` is the contract. This module is its Rust half: [`protocol`] and [`request`] are the messages,
//! `serve` moves them, [`Interpreters`] have loaded what tests import, `run` forks one and says how it ended. What a request *means* is decided by
//! the [`Handler`], which here is only a trait.

mod interpreters;
pub mod protocol;
pub mod request;
mod run;
mod runtime;
mod serve;

pub use interpreters::{Interpreters, Packages};
pub use protocol::{CallError, Note, Start, Verdict};
pub use request::Request;
pub use run::{Ending, Finished, HostError, HostSetup, run};
pub use runtime::Runtime;
pub use serve::{ServeError, Served, serve};

use serde_json::Value;

/// Answers the calls of a test.
#[async_trait::async_trait]
pub trait Handler: Send + Sync + 'static {
    /// Does what a request asks for. Called concurrently; the future is dropped when the test ends.
    async fn call(&self, request: Request) -> Result<Value, CallError>;

    /// Takes note of what the test says about itself. Called in order.
    fn note(&self, _note: &Note) {}
}
