//! Commands that are forked from a process that has loaded already what they need.

use std::io::{self, IoSlice};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram as StdUnixDatagram;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Map, Value, json};
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use super::child::{Child, Exit, Link};
use super::command::Command;
use super::launcher::{Launcher, Prepared, SpawnError};

/// No order is longer, in bytes.
const LONGEST: usize = 1 << 16;

/// A process that forks commands.
///
/// It is started with two more arguments: the numbers of a socket on which it gets orders, and of a program to which every
/// guard changes. `providers/python/vtbuild_host/forkserver.py` says what an order is and what is to be done with it.
#[derive(Debug)]
pub struct ForkServer {
    server: Child,
    orders: UnixDatagram,
    launcher: Launcher,
}

impl Launcher {
    /// Starts a fork server. It need not be ready yet when this returns: orders wait for it.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing runs then.
    pub async fn fork_server(&self, mut command: Command) -> Result<ForkServer, SpawnError> {
        let program = command.program.to_string_lossy().into_owned();
        let failed = |source| self.no_guard(&program, source);
        let (ours, theirs) = StdUnixDatagram::pair().map_err(failed)?;
        ours.set_nonblocking(true).map_err(failed)?;
        let orders = UnixDatagram::from_std(ours).map_err(failed)?;
        let guard = std::fs::File::open(&self.exe).map_err(failed)?;
        let numbers = [command.pass_fd(theirs), command.pass_fd(guard)];
        let command = command.args(numbers.map(|number| number.to_string()));
        Ok(ForkServer {
            server: self.spawn(command).await?,
            orders,
            launcher: self.clone(),
        })
    }

    fn no_guard(&self, program: &str, source: io::Error) -> SpawnError {
        SpawnError::Guard {
            program: program.to_owned(),
            guard: self.exe.clone(),
            source,
        }
    }
}

impl ForkServer {
    /// Whether it can still fork.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        // An order without words is none. Its guard may have much to do before it says that the server is dead.
        let listens = match self.orders.try_send(&[]) {
            Ok(_) => true,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        listens && self.server.try_wait().is_none()
    }

    /// Forks a command, which lives as any other command does, and no longer than this server. Of `command`, the program is a
    /// name for messages, arguments do not reach it, and its environment is the server's with the changes.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing runs then.
    pub async fn spawn(&self, command: Command) -> Result<Child, SpawnError> {
        let program = command.program.to_string_lossy().into_owned();
        let mut prepared = Prepared::new(command)?;
        let failed = |source| self.launcher.no_guard(&program, source);
        let ours = prepared.link().map_err(failed)?;
        self.send(&prepared).await.map_err(failed)?;
        let (stdout, stderr) = (prepared.stdout.take(), prepared.stderr.take());
        drop(prepared);
        let link = Link::new(ours, None).map_err(failed)?;
        let link = link.started().await.map_err(failed)?;
        link.map(|link| Child::new(link, stdout, stderr))
            .map_err(|reason| SpawnError::Command { program, reason })
    }

    async fn send(&self, prepared: &Prepared) -> io::Result<()> {
        let order = order(prepared)?;
        let fds: Vec<_> = prepared.passed.iter().map(AsFd::as_fd).collect();
        let write = || {
            let message = SendAncillaryMessage::ScmRights(&fds);
            let mut space = vec![std::mem::MaybeUninit::uninit(); message.size()];
            let mut ancillary = SendAncillaryBuffer::new(&mut space);
            ancillary.push(message);
            let sent = sendmsg(
                &self.orders,
                &[IoSlice::new(order.as_bytes())],
                &mut ancillary,
                SendFlags::NOSIGNAL,
            );
            sent.map(drop).map_err(io::Error::from)
        };
        self.orders.async_io(Interest::WRITABLE, write).await
    }

    /// Ends it, with all that it forked and that still runs, and waits until they are dead.
    pub async fn finish(&self) -> Exit {
        self.server.kill().await
    }
}

/// What the server is told: the words for a guard, and what is changed for the command.
fn order(prepared: &Prepared) -> io::Result<String> {
    let text = |words: &std::ffi::OsStr| {
        let text = words.to_str().map(str::to_owned);
        text.ok_or_else(|| io::Error::other(format!("{} is not UTF-8", words.display())))
    };
    let options = prepared.options.chunks_exact(2);
    let options = options
        .map(|pair| Ok(json!([text(&pair[0])?, text(&pair[1])?])))
        .collect::<io::Result<Vec<Value>>>()?;
    let env = prepared.command.env.iter();
    let env = env
        .map(|(key, value)| Ok((text(key)?, value.as_deref().map(text).transpose()?.into())))
        .collect::<io::Result<Map<String, Value>>>()?;
    let order = json!({"options": options, "env": env, "dir": prepared.command.dir}).to_string();
    if order.len() > LONGEST {
        return Err(io::Error::other(format!(
            "its environment takes {} bytes, and {LONGEST} is what a fork server reads",
            order.len()
        )));
    }
    Ok(order)
}
