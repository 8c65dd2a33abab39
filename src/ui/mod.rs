//! `--ui`: the page of the graph, served on loopback while a run goes on, and fed with what happens.
//!
//! | module | what it is for |
//! |---|---|
//! | `state` | how each action stands, fed by the run's events; what has changed since somebody last looked |
//! | `server` | the two addresses: the page, and the stream of changes |

mod server;
mod state;

use std::sync::Arc;

use crate::exit::Failure;
use crate::report::Reporter;
use server::Server;
use state::State;

/// A page that is being served.
pub struct Ui {
    server: Server,
    state: Arc<State>,
}

impl Ui {
    /// Serves a page, on loopback alone, at an address that nobody can guess. For inside of a runtime.
    pub async fn serve(page: String) -> Result<Self, Failure> {
        let state = Arc::new(State::new());
        let server = Server::start(page, state.clone()).await.map_err(|error| {
            Failure::environment(format!("failed to serve the page on 127.0.0.1: {error}"))
        })?;
        Ok(Self { server, state })
    }

    /// Where the page is.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Who must be told what happens.
    pub fn reporter(&self) -> Box<dyn Reporter> {
        Box::new(state::Feed(self.state.clone()))
    }

    /// Ends: whoever looks has heard by then that the run is over, or is too slow.
    pub async fn finish(self) {
        self.server.finish().await;
    }
}
