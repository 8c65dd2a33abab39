//! Starting the interpreter, and how a test ended.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::UnixStream;

use super::Handler;
use super::interpreters::{Interpreters, Packages};
use super::protocol::{Start, Verdict};
use super::serve::{ServeError, Served, lock, serve};
use crate::process::{Child, Command, Exit, SpawnError, Stream};

/// How long the interpreter may take to end after it closed the socket.
const GOODBYE: Duration = Duration::from_secs(20);
/// How long the socket is read after the interpreter has ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How much of standard error is kept, from the end.
const STDERR_TAIL: usize = 8 << 10;

/// What a test host is started with.
#[derive(Clone, Debug)]
pub struct HostSetup {
    /// Where it is forked from.
    pub interpreters: Interpreters,
    /// What it has loaded.
    pub packages: Packages,
    /// The working directory.
    pub work_dir: Utf8PathBuf,
    /// More for the environment.
    pub env: Vec<(String, String)>,
    /// Where what the test prints is appended.
    pub stdout: Utf8PathBuf,
    /// Where its standard error is appended.
    pub stderr: Utf8PathBuf,
}

/// Why a test host did not start.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The interpreter.
    #[error("start the test host: {0} (is python3 installed?)")]
    Spawn(#[from] SpawnError),
    /// The socket, or a folder.
    #[error("make the socket and the folder of the test host: {0}")]
    Socket(#[from] std::io::Error),
}

/// How it came to an end.
#[derive(Debug)]
pub enum Ending {
    /// The test said how it ended.
    Verdict(Box<Verdict>),
    /// The interpreter ended, or closed the socket, without a verdict.
    NoVerdict,
    /// The conversation broke.
    Broken(ServeError),
    /// It took longer than allowed, and was killed.
    TimedOut {
        /// What was allowed.
        after: Duration,
    },
    /// Somebody asked for the end, and it was killed.
    Cancelled,
}

/// A test host that has ended.
#[derive(Debug)]
pub struct Finished {
    /// How it came to an end.
    pub ending: Ending,
    /// How the interpreter ended.
    pub exit: Exit,
    /// The last of its standard error.
    pub stderr: String,
    /// What the test wants kept with its result.
    pub whiteboard: Option<String>,
    /// What it was doing last.
    pub last_step: Option<String>,
    /// How many requests it made.
    pub requests: u64,
}

impl Finished {
    /// The verdict, if there is one.
    pub fn verdict(&self) -> Option<&Verdict> {
        match &self.ending {
            Ending::Verdict(verdict) => Some(verdict),
            _ => None,
        }
    }

    /// In one line, why there is no verdict.
    pub fn without_verdict(&self) -> Option<String> {
        let doing = self
            .last_step
            .as_ref()
            .map(|step| format!(" while doing: {step}"))
            .unwrap_or_default();
        match &self.ending {
            Ending::Verdict(_) => None,
            Ending::NoVerdict => Some(format!(
                "the test's interpreter ended without a verdict ({}){doing}",
                self.exit
            )),
            Ending::Broken(error) => Some(format!("failed to {error}{doing}")),
            Ending::TimedOut { after } => {
                Some(format!("the test took longer than {} s{doing}", after.as_secs()))
            }
            Ending::Cancelled => Some(format!("the test was interrupted{doing}")),
        }
    }
}

/// Runs one test to its end: forks the interpreter, serves it, and waits until it is gone.
///
/// It is killed, with everything that it started, when `patience` is over, when `cancelled` completes, and when this
/// future is dropped.
pub async fn run<H: Handler + ?Sized>(
    setup: &HostSetup,
    start: &Start,
    handler: Arc<H>,
    patience: Option<Duration>,
    cancelled: impl Future<Output = ()>,
) -> Result<Finished, HostError> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    let ours = UnixStream::from_std(ours)?;
    let server = setup.interpreters.of(&setup.packages).await?;
    let child = server.spawn(command(setup, theirs.into())).await?;
    let deadline = async {
        match patience {
            Some(patience) => tokio::time::sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    let served = Mutex::new(Served::default());
    // It keeps the socket open until the end: a test that is killed must not see first that nobody answers any more.
    let mut serving = pin!(serve(ours, start, handler, &served));
    let ending = tokio::select! {
        result = &mut serving => result.err().map(Ending::Broken),
        // What the test left running may hold the socket open.
        () = gone(&child) => None,
        () = deadline => Some(Ending::TimedOut { after: patience.unwrap_or_default() }),
        () = cancelled => Some(Ending::Cancelled),
    };
    let Served {
        verdict,
        whiteboard,
        last_step,
        requests,
    } = std::mem::take(&mut *lock(&served));
    let ending = match (ending, verdict) {
        (None | Some(Ending::Cancelled | Ending::TimedOut { .. }), Some(verdict)) => {
            Ending::Verdict(Box::new(verdict))
        }
        (Some(ending), _) => ending,
        (None, None) => Ending::NoVerdict,
    };
    let exit = goodbye(&child, &ending).await;
    Ok(Finished {
        ending,
        exit,
        stderr: tail(&setup.stderr),
        whiteboard,
        last_step,
        requests,
    })
}

fn command(setup: &HostSetup, socket: OwnedFd) -> Command {
    let mut command = Command::new(&setup.packages.python)
        .dir(&setup.work_dir)
        .stdout(Stream::File(setup.stdout.clone()))
        .stderr(Stream::File(setup.stderr.clone()));
    for (key, value) in &setup.env {
        command = command.env(key, value);
    }
    let number = command.pass_fd(socket);
    command.env("VTBUILD_HOST_FD", number.to_string())
}

/// Completes when the interpreter has ended and what it said last has been read.
async fn gone(child: &Child) {
    child.wait().await;
    tokio::time::sleep(LAST_WORDS).await;
}

/// Waits for an interpreter that has said all it had to say; kills any other.
async fn goodbye(child: &Child, ending: &Ending) -> Exit {
    let patient = matches!(ending, Ending::Verdict(_) | Ending::NoVerdict);
    match tokio::time::timeout(if patient { GOODBYE } else { Duration::ZERO }, child.wait()).await {
        Ok(exit) => exit,
        Err(_late) => child.kill().await,
    }
}

fn tail(path: &Utf8Path) -> String {
    let bytes = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&bytes[bytes.len().saturating_sub(STDERR_TAIL)..]).into_owned()
}
