//! Our end of a guarded command.

use std::fmt;
use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf, pipe};
use tokio::sync::watch;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this exit status.
    Code(i32),
    /// This signal ended it: 9 when it was killed.
    Signal(i32),
    /// Its guard was killed by somebody else, and the command with it.
    Lost,
}

impl Exit {
    /// Whether the command returned 0.
    pub fn success(self) -> bool {
        self == Exit::Code(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exit::Code(code) => write!(f, "exit status {code}"),
            Exit::Signal(signal) => write!(f, "killed by signal {signal}"),
            Exit::Lost => f.write_str("killed together with its guard process"),
        }
    }
}

/// The link to a guard that has just been started.
#[derive(Debug)]
pub(super) struct Link {
    pid: u32,
    lines: Lines<BufReader<OwnedReadHalf>>,
    hold: OwnedWriteHalf,
    /// None where the guard is the child of a fork server, which reaps it.
    guard: Option<tokio::process::Child>,
}

impl Link {
    pub(super) fn new(ours: StdUnixStream, guard: Option<tokio::process::Child>) -> io::Result<Link> {
        ours.set_nonblocking(true)?;
        let (read, hold) = UnixStream::from_std(ours)?.into_split();
        Ok(Link {
            pid: 0,
            lines: BufReader::new(read).lines(),
            hold,
            guard,
        })
    }

    /// Waits for the guard to say that the command runs. The inner error is the reason why it does not.
    pub(super) async fn started(mut self) -> io::Result<Result<Link, String>> {
        let line = self.lines.next_line().await?.unwrap_or_default();
        match line.split_once(' ') {
            Some(("started", pid)) => {
                self.pid = pid.parse().map_err(io::Error::other)?;
                Ok(Ok(self))
            }
            Some(("failed", reason)) => {
                self.reap().await?;
                Ok(Err(reason.to_owned()))
            }
            _ => {
                let status = self.reap().await?;
                let status =
                    status.map_or_else(|| "nobody knows how".to_owned(), |status| status.to_string());
                Err(io::Error::other(format!(
                    "it ended at once ({status}); does its main call run_if_asked?"
                )))
            }
        }
    }

    async fn reap(&mut self) -> io::Result<Option<std::process::ExitStatus>> {
        match &mut self.guard {
            Some(guard) => guard.wait().await.map(Some),
            None => Ok(None),
        }
    }
}

/// A running command, with all that it starts. Dropping it kills them.
#[derive(Debug)]
pub struct Child {
    pid: u32,
    exit: watch::Receiver<Option<Exit>>,
    hold: Mutex<Option<OwnedWriteHalf>>,
    stdout: Option<pipe::Receiver>,
    stderr: Option<pipe::Receiver>,
}

impl Child {
    pub(super) fn new(link: Link, stdout: Option<pipe::Receiver>, stderr: Option<pipe::Receiver>) -> Child {
        let Link {
            pid,
            lines,
            hold,
            guard,
        } = link;
        let (tell, exit) = watch::channel(None);
        tokio::spawn(async move {
            let exit = last_words(lines).await;
            if let Some(mut guard) = guard {
                // Reaped here; what it had to say it said over the link.
                let _ = guard.wait().await;
            }
            tell.send_replace(Some(exit));
        });
        Child {
            pid,
            exit,
            hold: Mutex::new(Some(hold)),
            stdout,
            stderr,
        }
    }

    /// Process id of the command (not of its guard). It may have ended.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The reading end of standard output, where it was asked for as [`Stream::Pipe`](super::Stream::Pipe); once.
    pub fn take_stdout(&mut self) -> Option<pipe::Receiver> {
        self.stdout.take()
    }

    /// The reading end of standard error, as for [`take_stdout`](Child::take_stdout).
    pub fn take_stderr(&mut self) -> Option<pipe::Receiver> {
        self.stderr.take()
    }

    /// Waits until the command has ended and everything below it is dead.
    pub async fn wait(&self) -> Exit {
        let mut exit = self.exit.clone();
        match exit.wait_for(Option::is_some).await {
            Ok(exit) => exit.unwrap_or(Exit::Lost),
            Err(_) => Exit::Lost,
        }
    }

    /// How the command ended, or `None` while it runs.
    pub fn try_wait(&self) -> Option<Exit> {
        *self.exit.borrow()
    }

    /// Kills the command and everything below it, and waits until they are dead.
    pub async fn kill(&self) -> Exit {
        self.start_kill();
        self.wait().await
    }

    /// Tells the guard that nobody else is left who could write to what it removes.
    pub(super) fn bid_farewell(&self) {
        if let Ok(hold) = self.hold.lock()
            && let Some(hold) = hold.as_ref()
        {
            // A guard that is not told looks a little longer.
            let _ = hold.try_write(b".");
        }
    }

    /// As [`kill`](Child::kill), without waiting.
    pub fn start_kill(&self) {
        if let Ok(mut hold) = self.hold.lock() {
            hold.take();
        }
    }
}

async fn last_words(mut lines: Lines<BufReader<OwnedReadHalf>>) -> Exit {
    while let Ok(Some(line)) = lines.next_line().await {
        let exit = match line.split_once(' ') {
            Some(("code", code)) => code.parse().map(Exit::Code),
            Some(("signal", signal)) => signal.parse().map(Exit::Signal),
            _ => continue,
        };
        return exit.unwrap_or(Exit::Lost);
    }
    Exit::Lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_zero_is_success() {
        assert!(Exit::Code(0).success());
        assert!(!Exit::Code(1).success() && !Exit::Signal(9).success() && !Exit::Lost.success());
    }

    #[test]
    fn exits_read_as_a_sentence_goes_on() {
        assert_eq!(Exit::Code(3).to_string(), "exit status 3");
        assert_eq!(Exit::Signal(9).to_string(), "killed by signal 9");
    }
}
