//! Scripts over ssh, without a terminal: what they print comes as it is, and their exit status is certain.

use std::io::{self, Read, Write};
use std::time::Duration;

use super::Connection;
use crate::session::login::HangUpOnDrop;

/// What a script finds on its standard input.
pub enum Input<'a> {
    /// Nothing.
    Empty,
    /// What this writes, and then the end.
    All(&'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>),
    /// What this writes; the end comes only when the script has ended or the connection is lost.
    Held(&'a mut dyn FnMut(&mut dyn Write) -> io::Result<()>),
}

/// How a script ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status; one above 128 stands for a signal, as in a shell.
    pub status: i32,
    /// What it said on standard error.
    pub stderr: String,
}

/// What runs POSIX shell scripts.
pub trait Target {
    /// Runs a script to its end. `output` is given what it prints, as it comes.
    ///
    /// # Errors
    /// When the target is lost; a script that fails is no error.
    fn run(&self, script: &str, input: Input<'_>, output: &mut dyn Write) -> io::Result<Ended>;
}

impl Target for Connection {
    fn run(&self, script: &str, input: Input<'_>, output: &mut dyn Write) -> io::Result<Ended> {
        let mut channel = self.session.channel_session()?;
        // Whatever shell the user has, it is only asked to start this one.
        channel.exec(&format!("exec sh -c {}", shell_words::quote(script)))?;
        match input {
            Input::Empty => channel.send_eof()?,
            Input::All(write) => {
                // Its end may come early: then the exit status tells why.
                let _ = in_blocks(&mut channel, write);
                channel.send_eof()?;
            }
            Input::Held(write) => {
                let _ = in_blocks(&mut channel, write);
            }
        }
        io::copy(&mut channel, output)?;
        let mut stderr = Vec::new();
        channel.stderr().read_to_end(&mut stderr)?;
        channel.close()?;
        channel.wait_close()?;
        let status = match channel.exit_signal()?.exit_signal {
            Some(signal) => 128 + number_of(&signal),
            None => channel.exit_status()?,
        };
        Ok(Ended {
            status,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }
}

/// A packet carries 32 KiB; smaller writes each cost one.
fn in_blocks(
    channel: &mut ssh2::Channel,
    write: &mut dyn FnMut(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffered = io::BufWriter::with_capacity(32 << 10, channel);
    write(&mut buffered)?;
    buffered.flush()
}

fn number_of(signal: &str) -> i32 {
    match signal {
        "HUP" => 1,
        "INT" => 2,
        "KILL" => 9,
        "SEGV" => 11,
        "TERM" => 15,
        _ => 0,
    }
}

/// Works with a connection in a thread of its own. The connection is cut when `patience` is over (then there is no
/// result) and when this is dropped; the thread ends with it.
///
/// # Panics
/// When `work` does.
pub async fn in_thread<T: Send + 'static>(
    connection: Connection,
    patience: Duration,
    work: impl FnOnce(&Connection) -> T + Send + 'static,
) -> Option<T> {
    let guard = HangUpOnDrop(connection.socket.try_clone().ok());
    // One slow step is as good as many: what counts is the whole, and that ends by the socket.
    let whole = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
    connection.session.set_timeout(whole.saturating_add(1000));
    let mut thread = tokio::task::spawn_blocking(move || work(&connection));
    let result = tokio::time::timeout(patience, &mut thread).await;
    drop(guard);
    match result {
        Err(_late) => None,
        Ok(Ok(result)) => Some(result),
        Ok(Err(panic)) => std::panic::resume_unwind(panic.into_panic()),
    }
}
