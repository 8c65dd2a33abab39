//! From "the guest is booting" to a shell.
//!
//! With user networking a TCP connection to a forwarded port succeeds long before the guest's ssh server answers, and a
//! connection that was made too early may hang for seconds after the server is up. So several connections are kept
//! waiting for a banner, a new one every quarter of a second; the first that hears one wins. Only then does the (for an
//! emulated guest, slow) key exchange begin, with a time-out of its own.

use std::collections::VecDeque;
use std::fs::File;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::ssh::{Connection, SshError, SshTarget};
use super::{Pattern, PatternError, Shell, ShellError, ShellSetup, Terminal, Transcript};

/// How often a new connection is tried and the machine is looked at.
const POLL: Duration = Duration::from_millis(250);
/// How many connections may wait for a banner. sshd starts to refuse at ten that have not logged in.
const WAITING: usize = 6;
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

/// Says `Err` with a reason when the machine is dead, so that nobody waits for it.
pub type Alive<'a> = &'a (dyn Fn() -> Result<(), String> + Send + Sync);

/// Opens an authenticated connection as soon as the guest can give one.
pub async fn connect(
    target: &SshTarget,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Connection, LoginError> {
    let deadline = Instant::now() + patience;
    let mut last = String::new();
    let mut refused = 0;
    loop {
        let stream = banner(target.address, deadline, alive)
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
            Err(error) => last = error.to_string(),
        }
        sleep(POLL).await;
    }
}

/// Logs in over ssh and waits for the prompt.
pub async fn ssh(
    target: &SshTarget,
    setup: ShellSetup,
    name: &str,
    log: Option<File>,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Shell, LoginError> {
    let deadline = Instant::now() + patience;
    let connection = connect(target, patience, alive).await?;
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

/// Why no banner came.
enum NoBanner {
    Late,
    Dead(String),
}

impl NoBanner {
    fn into_error(self, address: SocketAddr, patience: Duration, last: &str) -> LoginError {
        match self {
            NoBanner::Dead(reason) => LoginError::MachineDead(reason),
            NoBanner::Late if last.is_empty() => LoginError::Timeout {
                patience,
                last: format!("the guest's ssh server never answered at {address}"),
            },
            NoBanner::Late => LoginError::Timeout {
                patience,
                last: last.to_owned(),
            },
        }
    }
}

/// A connection on which the server has begun to speak.
async fn banner(address: SocketAddr, deadline: Instant, alive: Alive<'_>) -> Result<TcpStream, NoBanner> {
    let started = Instant::now();
    let mut waiting = FuturesUnordered::new();
    loop {
        alive().map_err(NoBanner::Dead)?;
        if Instant::now() >= deadline {
            return Err(NoBanner::Late);
        }
        if waiting.len() < WAITING {
            // A busy guest may take longer to say hello: give later connections more time.
            let patience = Duration::from_millis(1500) + started.elapsed() / 10;
            waiting.push(async move { timeout(patience, first_byte(address)).await.ok()?.ok() });
        }
        let tick = sleep(POLL);
        tokio::pin!(tick);
        loop {
            tokio::select! {
                () = &mut tick => break,
                Some(stream) = waiting.next(), if !waiting.is_empty() => if let Some(stream) = stream {
                    return Ok(stream);
                },
            }
        }
    }
}

/// Connects and waits until the other side has said something.
async fn first_byte(address: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    match stream.peek(&mut [0; 1]).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(stream),
    }
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
pub(super) struct HangUpOnDrop(pub(super) Option<std::net::TcpStream>);

impl HangUpOnDrop {
    pub(super) fn disarm(mut self) {
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

/// What a serial console asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    Nothing,
    Username,
    Password,
    Command,
}

/// What the console's last line asks for, and whether a login was refused on the way.
fn asks(seen: &Transcript, prompt: &Pattern, login: &Pattern, password: &Pattern) -> Asks {
    let line = seen.last_line();
    if line.is_empty() {
        Asks::Nothing
    } else if password.found_in(&line) {
        Asks::Password
    } else if login.found_in(&line) {
        Asks::Username
    } else if prompt.found_in(&line) {
        Asks::Command
    } else {
        Asks::Nothing
    }
}

/// Logs in on a serial console, whatever it shows at first: a login prompt, a password prompt, or a shell.
///
/// The console's terminal type becomes "dumb" and very wide, so that commands behave as they do over ssh.
pub async fn serial(
    terminal: Terminal,
    username: &str,
    password: &str,
    setup: ShellSetup,
    patience: Duration,
    alive: Alive<'_>,
) -> Result<Shell, LoginError> {
    let deadline = Instant::now() + patience;
    let ask_login = Pattern::python(r"(?i)(login|username):\s*$")?;
    let ask_password = Pattern::python(r"(?i)password.*:\s*$")?;
    let refused = Pattern::python(r"(?i)login incorrect|authentication failure|login failed")?;
    let mut console = Console {
        terminal,
        seen: Transcript::new(1 << 20),
        history: VecDeque::new(),
    };
    let mut refusals = 0;
    let mut poke = Instant::now();
    while Instant::now() < deadline {
        alive().map_err(LoginError::MachineDead)?;
        console.listen(POLL).await?;
        if refused.found_in(&console.seen.text()) {
            refusals += 1;
            if refusals > REFUSALS {
                let reason = format!(
                    "the console refused `{username}` and its password: {}",
                    console.tail()
                );
                return Err(LoginError::Refused(reason));
            }
            console.seen.clear();
        }
        match asks(&console.seen, &setup.prompt, &ask_login, &ask_password) {
            Asks::Username => console.answer(username),
            Asks::Password => console.answer(password),
            Asks::Command => return wide_shell(console.terminal, setup, deadline).await,
            Asks::Nothing if Instant::now() >= poke => {
                console.answer("");
                poke = Instant::now() + 8 * POLL;
            }
            Asks::Nothing => {}
        }
    }
    Err(LoginError::Timeout {
        patience,
        last: format!(
            "the serial console shows no prompt; its last lines:\n{}",
            console.tail()
        ),
    })
}

async fn wide_shell(terminal: Terminal, setup: ShellSetup, deadline: Instant) -> Result<Shell, LoginError> {
    let mut shell = Shell::new(terminal, setup);
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(Duration::from_secs(5));
    let command = "export TERM=dumb; stty cols 8192 rows 2000 2>/dev/null";
    // Twice: what the first one prints may still be wrapped and mixed with kernel messages.
    shell.cmd_output(command, left).await?;
    shell.cmd_output(":", left).await?;
    Ok(shell)
}

struct Console {
    terminal: Terminal,
    seen: Transcript,
    history: VecDeque<String>,
}

impl Console {
    /// Takes in what comes until it pauses.
    async fn listen(&mut self, pause: Duration) -> Result<(), LoginError> {
        let until = Instant::now() + 4 * pause;
        while self.terminal.wait(pause).await {
            self.seen.push(&self.terminal.take());
            if Instant::now() > until {
                break;
            }
        }
        match self.terminal.end() {
            Some(end) => Err(LoginError::MachineDead(format!(
                "{}: {}",
                end.reason,
                self.tail()
            ))),
            None => Ok(()),
        }
    }

    /// Types a line; what was seen so far is answered by it.
    fn answer(&mut self, line: &str) {
        self.history.extend(self.seen.text().lines().map(str::to_owned));
        while self.history.len() > 20 {
            self.history.pop_front();
        }
        self.seen.clear();
        self.terminal.send(format!("{line}\n").as_bytes());
    }

    fn tail(&self) -> String {
        let seen = self.seen.text();
        let lines = self.history.iter().map(String::as_str).chain(seen.lines());
        let lines: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::test_support::scripted;

    const LONG: Duration = Duration::from_secs(20);

    fn setup() -> ShellSetup {
        ShellSetup::posix(Pattern::python(r"[\#\$]\s*$").expect("a prompt"))
    }

    /// A console as a getty keeps it: asks for a name, a password, then runs a shell.
    fn getty(right: &'static str) -> Terminal {
        let place = std::sync::Mutex::new(0);
        let (terminal, _feed) = scripted(move |typed, feed| {
            let mut place = place.lock().expect("one at a time");
            let line = typed.trim_end();
            let (next, reply) = match (*place, line) {
                (0, "") => (0, "\r\nguest login: ".to_owned()),
                (0, name) => (1, format!("{name}\r\nPassword: ")),
                (1, word) if word == right => (2, "\r\nWelcome!\r\nroot@guest:~# ".to_owned()),
                (1, _) => (0, "\r\nLogin incorrect\r\nguest login: ".to_owned()),
                (_, command) => (2, format!("{command}\r\nroot@guest:~# ")),
            };
            *place = next;
            feed.data(reply.as_bytes());
        });
        // The feed lives in the script's line.
        terminal
    }

    #[tokio::test]
    async fn a_console_is_logged_in_to() {
        let mut shell = serial(getty("secret"), "root", "secret", setup(), LONG, &|| Ok(()))
            .await
            .expect("a shell");
        assert_eq!(shell.cmd_output("true", LONG).await.expect("runs"), "");
    }

    #[tokio::test]
    async fn a_wrong_password_is_told_from_silence() {
        let result = serial(getty("secret"), "root", "guess", setup(), LONG, &|| Ok(())).await;
        let Err(error @ LoginError::Refused(_)) = result else {
            panic!("refused")
        };
        assert!(error.to_string().contains("`root`"), "{error}");
    }

    #[tokio::test]
    async fn a_console_that_says_nothing_times_out_with_its_last_lines() {
        let (terminal, feed) = scripted(|_, _| {});
        feed.data(b"Booting...\r\nKernel panic - not syncing\r\n");
        let result = serial(
            terminal,
            "root",
            "x",
            setup(),
            Duration::from_millis(600),
            &|| Ok(()),
        )
        .await;
        let Err(error @ LoginError::Timeout { .. }) = result else {
            panic!("late")
        };
        assert!(
            error
                .to_string()
                .ends_with("Booting...\nKernel panic - not syncing"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_dead_machine_is_noticed_at_once() {
        let target = SshTarget {
            address: ([127, 0, 0, 1], 9).into(),
            username: "root".to_owned(),
            credentials: crate::session::Credentials::Password("x".to_owned()),
        };
        let before = Instant::now();
        let result = connect(&target, LONG, &|| Err("qemu exited with status 1".to_owned())).await;
        assert!(matches!(result, Err(LoginError::MachineDead(reason)) if reason.contains("status 1")));
        assert!(before.elapsed() < Duration::from_secs(2));
    }
}
