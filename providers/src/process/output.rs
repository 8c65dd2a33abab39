//! Short commands: run to the end, with a time-out, and collect what they print.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

use super::child::Exit;
use super::command::{Command, Stream};
use super::launcher::{Launcher, SpawnError};

/// What a short command left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub exit: Exit,
    /// Standard output; bytes that are not UTF-8 are replaced.
    pub stdout: String,
    /// Standard error, likewise.
    pub stderr: String,
}

/// Why a short command gave no output.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// It did not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// It did not end in time and was killed.
    #[error("finish `{command}` within {} s; it was killed{}", timeout.as_secs_f64(), after(stderr))]
    Timeout {
        /// The whole command.
        command: String,
        /// The time that it was given.
        timeout: Duration,
        /// What it had printed to standard error.
        stderr: String,
    },
}

fn after(stderr: &str) -> String {
    if stderr.trim().is_empty() {
        String::new()
    } else {
        format!("; it said: {}", stderr.trim())
    }
}

impl Launcher {
    /// Runs a command to its end and collects both its outputs. Any exit status is a success of this call.
    ///
    /// # Errors
    /// See [`OutputError`]; after a time-out nothing of the command is left running.
    pub async fn output(&self, command: Command, timeout: Duration) -> Result<Output, OutputError> {
        let shown = command.to_string();
        let mut child = self
            .spawn(command.stdout(Stream::Pipe).stderr(Stream::Pipe))
            .await?;
        let (out, err) = (child.take_stdout(), child.take_stderr());
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        let finished = tokio::time::timeout(timeout, async {
            tokio::join!(collect(out, &mut stdout), collect(err, &mut stderr), child.wait()).2
        });
        let exit = finished.await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match exit {
            Ok(exit) => Ok(Output {
                exit,
                stdout: text(&stdout),
                stderr: text(&stderr),
            }),
            Err(_) => {
                child.kill().await;
                Err(OutputError::Timeout {
                    command: shown,
                    timeout,
                    stderr: text(&stderr),
                })
            }
        }
    }
}

async fn collect(pipe: Option<pipe::Receiver>, into: &mut Vec<u8>) {
    if let Some(mut pipe) = pipe {
        // A pipe can only fail by our own doing; what was read before stands.
        let _ = pipe.read_to_end(into).await;
    }
}
