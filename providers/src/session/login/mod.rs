//! From "the guest is booting" to a shell.
//!
//! Over ssh: wait until the server speaks (`banner`), then the (for an emulated guest, slow) key exchange with a time-out
//! of its own. On a serial console: answer what it asks for (`serial`). Both keep an eye on the machine.

mod banner;
mod serial;

use std::fs::File;
use std::net::Shutdown;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

pub use self::serial::serial;

use self::banner::banner;
use super::ssh::{Connection, SshError, SshTarget};
use super::{PatternError, Shell, ShellError, ShellSetup};

/// How often a new connection is tried and the machine is looked at.
const POLL: Duration = Duration::from_millis(250);
/// How long one key exchange and authentication may take.
const EXCHANGE: Duration = Duration::from_secs(30);
/// How often credentials may be refused. Twice, because a guest that is still booting may refuse once.
const REFUSALS: usize = 2;

/// Why nobody could log in.
#[derive(Debug, thiserror::Error)]
pub enum LoginError {
    /// The deadline passed.
    #[error("log in within {:.0} s: {last}", patience.as_secs_f64())]
    Timeout {
        /// How long it was tried.
        patience: Duration,
        /// What the last attempt met.
        last: String,
    },
    /// The guest refused the credentials.
    #[error("log in: {0}")]
    Refused(String),
    /// The machine is not running any more.
    #[error("log in: {0}")]
    MachineDead(String),
    /// A shell runs, but no prompt was recognised.
    #[error("recognise the shell's prompt: {0} (check shell_prompt)")]
    Prompt(#[from] ShellError),
    /// The connection works and what was asked of it does not.
    #[error(transparent)]
    Ssh(SshError),
    /// An expression of ours or of the configuration is wrong.
    #[error(transparent)]
    Pattern(#[from] PatternError),
}

/// How a guest is approached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pace {
    /// It boots: connections that are made too early are lost, so that many are tried.
    Booting,
    /// It is up: each further connection would only keep it from answering the first.
    Up,
}

impl Pace {
    /// How long a connection is waited for before another one is made.
    fn between(self) -> Duration {
        match self {
            Self::Booting => POLL,
            Self::Up => Duration::from_secs(3),
        }
    }
}

/// Says `Err` with a reason when the machine is dead, so that nobody waits for it.
pub type Alive<'a> = &'a (dyn Fn() -> Result<(), String> + Send + Sync);

/// Opens an authenticated connection as soon as the guest can give one.
pub async fn connect(
    target: &SshTarget,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Connection, LoginError> {
    connect_at(Pace::Booting, target, patience, alive).await
}

async fn connect_at(
    pace: Pace,
    target: &SshTarget,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Connection, LoginError> {
    let deadline = Instant::now() + patience;
    let mut last = String::new();
    let mut refused = 0;
    loop {
        let stream = banner(target.address, pace, deadline, alive)
            .await
            .map_err(|failure| failure.into_error(target.address, patience, &last))?;
        match exchange(stream, target, deadline, alive).await? {
            Ok(connection) => return Ok(connection),
            Err(error @ SshError::Refused { .. }) => {
                refused += 1;
                if refused == REFUSALS {
                    return Err(LoginError::Refused(error.to_string()));
                }
            }
            Err(error @ SshError::Untrusted { .. }) => return Err(LoginError::Ssh(error)),
            Err(error) => last = error.to_string(),
        }
        sleep(POLL).await;
    }
}

/// Logs in over ssh and waits for the prompt.
pub async fn ssh(
    pace: Pace,
    target: &SshTarget,
    setup: ShellSetup,
    name: &str,
    log: Option<File>,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Shell, LoginError> {
    let deadline = Instant::now() + patience;
    let connection = connect_at(pace, target, patience, alive).await?;
    let socket = HangUpOnDrop(connection.socket.try_clone().ok());
    let name = name.to_owned();
    let terminal = blocking(move || connection.shell(name, log))
        .await?
        .map_err(LoginError::Ssh)?;
    socket.disarm();
    let mut shell = Shell::new(terminal, setup);
    // The password was accepted: a shell that is slow to start is worth a little more than what is left.
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_secs(5));
    shell.start(left).await?;
    Ok(shell)
}

/// Key exchange and authentication in a thread, with an eye on the machine.
async fn exchange(
    stream: TcpStream,
    target: &SshTarget,
    deadline: Instant,
    alive: Alive<'_>,
) -> Result<Result<Connection, SshError>, LoginError> {
    let socket_error = |source| SshError::Socket {
        address: target.address,
        source,
    };
    let stream = match stream
        .into_std()
        .and_then(|stream| Ok((stream.try_clone()?, stream)))
    {
        Ok((twin, stream)) => (HangUpOnDrop(Some(twin)), stream),
        Err(error) => return Ok(Err(socket_error(error))),
    };
    let (guard, stream) = stream;
    let left = deadline
        .saturating_duration_since(Instant::now())
        .clamp(Duration::from_secs(5), EXCHANGE);
    let thread_target = target.clone();
    let exchange = blocking(move || Connection::authenticate(stream, &thread_target, left));
    tokio::pin!(exchange);
    loop {
        tokio::select! {
            result = &mut exchange => {
                guard.disarm();
                return result;
            }
            () = sleep(POLL) => alive().map_err(LoginError::MachineDead)?,
        }
    }
}

/// Shuts a socket down when dropped, which ends whatever a thread is doing on it.
pub(in crate::session) struct HangUpOnDrop(pub(in crate::session) Option<std::net::TcpStream>);

impl HangUpOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for HangUpOnDrop {
    fn drop(&mut self) {
        if let Some(socket) = &self.0 {
            // It may be gone already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

/// Runs what blocks in a thread made for it.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, LoginError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| LoginError::MachineDead(format!("the thread that logs in ended: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_dead_machine_is_noticed_at_once() {
        let target = SshTarget {
            address: ([127, 0, 0, 1], 9).into(),
            username: "root".to_owned(),
            credentials: crate::session::Credentials::Password("x".to_owned()),
            host_key: crate::session::HostKey::Any,
        };
        let before = Instant::now();
        let result = connect(&target, LONG, &|| Err("qemu exited with status 1".to_owned())).await;
        assert!(matches!(result, Err(LoginError::MachineDead(reason)) if reason.contains("status 1")));
        assert!(before.elapsed() < LONG / 2);
    }
}
