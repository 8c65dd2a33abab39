//! Interpreters that have loaded what tests import: one for each set of packages, forked for each test.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::Utf8PathBuf;
use tokio::sync::Mutex;

use super::run::HostError;
use super::runtime::Runtime;
use crate::process::{Command, ForkServer, Launcher};

/// The module that is run, and those of the runtimes: each has a `preload` and a `main`.
const SERVER: &str = "vtbuild_host.forkserver";
const OURS: &str = "virttest.runner";
const UPSTREAMS: &str = "vtbuild_host.upstream";

/// What an interpreter loads before it is forked.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Packages {
    /// The interpreter: `python3`.
    pub python: String,
    /// The folder with our packages.
    pub ours: Utf8PathBuf,
    /// Which packages the test sees.
    pub runtime: Runtime,
    /// Upstream's packages, for the runtimes that need them.
    pub upstream: Option<Utf8PathBuf>,
}

/// The interpreters of a run. Clones share them. Each is started when it is first asked for.
#[derive(Clone, Debug)]
pub struct Interpreters {
    launcher: Launcher,
    scratch: Utf8PathBuf,
    servers: Arc<Mutex<BTreeMap<Packages, Arc<ForkServer>>>>,
}

impl Interpreters {
    /// None yet; `launcher` will start them. What they write while they load goes below `scratch`.
    #[must_use]
    pub fn new(launcher: Launcher, scratch: Utf8PathBuf) -> Self {
        Self {
            launcher,
            scratch,
            servers: Arc::default(),
        }
    }

    /// The one that loads `packages`. It may be loading still; what it is told to fork waits.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn of(&self, packages: &Packages) -> Result<Arc<ForkServer>, HostError> {
        let mut servers = self.servers.lock().await;
        // One that a test has killed is replaced.
        if let Some(server) = servers.get(packages).filter(|server| server.is_alive()) {
            return Ok(server.clone());
        }
        let command = self.command(packages)?;
        let server = Arc::new(self.launcher.fork_server(command).await?);
        servers.insert(packages.clone(), server.clone());
        Ok(server)
    }

    /// Ends all of them, and waits until they are dead. To be called when nobody needs them any more.
    pub async fn finish(&self) {
        for server in std::mem::take(&mut *self.servers.lock().await).into_values() {
            server.finish().await;
        }
    }

    fn command(&self, packages: &Packages) -> std::io::Result<Command> {
        let module = match packages.runtime {
            Runtime::Own | Runtime::Layered => OURS,
            Runtime::Upstream => UPSTREAMS,
        };
        std::fs::create_dir_all(&self.scratch)?;
        let command = Command::new(&packages.python)
            .args(["-B", "-s", "-m", SERVER, module])
            .env("PYTHONPATH", &packages.ours)
            .env("PYTHONUNBUFFERED", "1")
            .env("TMPDIR", &self.scratch)
            .without_env("PYTHONHOME")
            .without_env("PYTHONSTARTUP")
            .dir(&self.scratch);
        Ok(match &packages.upstream {
            Some(folder) => command.env("VTBUILD_UPSTREAM", folder),
            None => command.without_env("VTBUILD_UPSTREAM"),
        })
    }
}
