//! Starting commands behind a guard.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::net::unix::pipe;

use super::child::{Child, Link};
use super::command::{Command, Stream};
use super::duties::Duties;
use super::guard;
use super::janitor::Janitor;

/// Why a command did not start.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// The command itself: absent, not executable.
    #[error("start `{program}`: {reason}")]
    Command {
        /// The program as it was named.
        program: String,
        /// What the system said.
        reason: String,
    },
    /// The guard, pipes, sockets.
    #[error("start a guard process for `{program}` with {guard}: {source}")]
    Guard {
        /// The program as it was named.
        program: String,
        /// The guard's own program.
        guard: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file for the command's output.
    #[error("open {path} for the output of `{program}`: {source}")]
    Output {
        /// The program as it was named.
        program: String,
        /// The file.
        path: Utf8PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Starts commands, each behind a guard.
#[derive(Debug, Clone)]
pub struct Launcher {
    pub(super) exe: Utf8PathBuf,
}

impl Launcher {
    /// A launcher whose guards are this very program, even after its file was replaced. Its `main` must call
    /// [`guard::run_if_asked`] first.
    pub fn this_program() -> Launcher {
        Launcher::new("/proc/self/exe")
    }

    /// A launcher whose guards are another program that calls [`guard::run_if_asked`].
    pub fn new(exe: impl Into<Utf8PathBuf>) -> Launcher {
        Launcher { exe: exe.into() }
    }

    /// Starts a command. It lives until it ends, [`Child::kill`] is called, the `Child` is dropped, or we are gone.
    ///
    /// # Errors
    /// See [`SpawnError`]; nothing runs then.
    pub async fn spawn(&self, command: Command) -> Result<Child, SpawnError> {
        let program = command.program.to_string_lossy().into_owned();
        let mut prepared = Prepared::new(command)?;
        let guard = |source| SpawnError::Guard {
            program: program.clone(),
            guard: self.exe.clone(),
            source,
        };
        let link = self.guard(&mut prepared).map_err(guard)?;
        let stdout = prepared.stdout.take();
        let stderr = prepared.stderr.take();
        drop(prepared);
        let link = link.started().await.map_err(guard)?;
        link.map(|link| Child::new(link, stdout, stderr))
            .map_err(|reason| SpawnError::Command { program, reason })
    }

    /// Starts a guard that does `duties` once we are gone, or once the [`Janitor`] is finished or dropped.
    ///
    /// # Errors
    /// [`SpawnError::Guard`].
    pub async fn janitor(&self, duties: Duties) -> Result<Janitor, SpawnError> {
        let mut command = Command::new("");
        (command.run, command.remove, command.fds) = (duties.run, duties.remove, duties.hold);
        let failed = |source| SpawnError::Guard {
            program: "janitor".into(),
            guard: self.exe.clone(),
            source,
        };
        let link =
            Prepared::new(command).and_then(|mut prepared| self.guard(&mut prepared).map_err(failed))?;
        let link = link.started().await.map_err(failed)?;
        link.map(Janitor::new)
            .map_err(|reason| failed(io::Error::other(reason)))
    }

    /// Starts the guard process and returns our end of the link to it.
    fn guard(&self, prepared: &mut Prepared) -> io::Result<Link> {
        let ours = prepared.link()?;
        let mut guard = tokio::process::Command::new(&self.exe);
        guard.arg(guard::WORD).args(&prepared.options);
        let command = &prepared.command;
        if !command.program.is_empty() {
            guard.arg("--").arg(&command.program).args(&command.args);
        }
        if command.clear_env {
            guard.env_clear();
        }
        for (key, value) in &command.env {
            match value {
                Some(value) => guard.env(key, value),
                None => guard.env_remove(key),
            };
        }
        if let Some(dir) = &command.dir {
            guard.current_dir(dir);
        }
        guard
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let numbers: Vec<RawFd> = prepared.passed.iter().map(AsRawFd::as_raw_fd).collect();
        // SAFETY: `leave_session` makes system calls only: no allocation, no lock.
        let process = unsafe { guard.pre_exec(move || leave_session(&numbers)) }.spawn()?;
        Link::new(ours, Some(process))
    }
}

/// Runs in the forked child before the guard replaces it.
fn leave_session(passed: &[RawFd]) -> io::Result<()> {
    rustix::process::setsid()?;
    for number in passed {
        // SAFETY: the process of which this is a copy owns the descriptor until the fork is over.
        let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(*number) };
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
    }
    Ok(())
}

/// A command with its streams opened and the guard's options written.
pub(super) struct Prepared {
    pub(super) command: Command,
    /// Pairs of an option and its value.
    pub(super) options: Vec<OsString>,
    /// All descriptors that the guard inherits, in the order of the options that name them. They are closed on our side when
    /// this is dropped.
    pub(super) passed: Vec<OwnedFd>,
    pub(super) stdout: Option<pipe::Receiver>,
    pub(super) stderr: Option<pipe::Receiver>,
}

impl Prepared {
    pub(super) fn new(mut command: Command) -> Result<Prepared, SpawnError> {
        let (stdin, fds) = (command.stdin.take(), std::mem::take(&mut command.fds));
        let mut prepared = Prepared {
            command,
            options: Vec::new(),
            passed: Vec::new(),
            stdout: None,
            stderr: None,
        };
        if let Some(stdin) = stdin {
            prepared.pass("--stdin", stdin);
        }
        for fd in fds {
            prepared.pass("--fd", fd);
        }
        prepared.stdout = prepared.output("--stdout", prepared.command.stdout.clone())?;
        prepared.stderr = prepared.output("--stderr", prepared.command.stderr.clone())?;
        for path in prepared.command.remove.clone() {
            prepared.options.push("--remove".into());
            prepared.options.push(absolute(&path).into());
        }
        for text in prepared.command.run.clone() {
            prepared.options.push("--run".into());
            prepared.options.push(text.into());
        }
        for limit in prepared.command.limits.options() {
            prepared.options.push("--limit".into());
            prepared.options.push(limit.into());
        }
        Ok(prepared)
    }

    /// Makes the link, and gives our end of it.
    pub(super) fn link(&mut self) -> io::Result<UnixStream> {
        let (ours, theirs) = UnixStream::pair()?;
        self.pass("--link", theirs.into());
        Ok(ours)
    }

    fn pass(&mut self, option: &str, fd: OwnedFd) {
        self.options.push(option.into());
        self.options.push(fd.as_raw_fd().to_string().into());
        self.passed.push(fd);
    }

    fn output(&mut self, option: &str, stream: Stream) -> Result<Option<pipe::Receiver>, SpawnError> {
        let program = || self.command.program.to_string_lossy().into_owned();
        match stream {
            Stream::Null => Ok(None),
            Stream::File(path) => {
                let file = OpenOptions::new().append(true).create(true).open(&path);
                let file = file.map_err(|source| SpawnError::Output {
                    program: program(),
                    path,
                    source,
                })?;
                self.pass(option, file.into());
                Ok(None)
            }
            Stream::Pipe => {
                let open = || -> io::Result<_> {
                    let (ours, theirs) = io::pipe()?;
                    Ok((pipe::Receiver::from_owned_fd(ours.into())?, theirs))
                };
                let path = Utf8PathBuf::from("a pipe");
                let (ours, theirs) = open().map_err(|source| SpawnError::Output {
                    program: program(),
                    path,
                    source,
                })?;
                self.pass(option, theirs.into());
                Ok(Some(ours))
            }
        }
    }
}

fn absolute(path: &Utf8Path) -> Utf8PathBuf {
    let here = std::env::current_dir()
        .ok()
        .and_then(|dir| Utf8PathBuf::from_path_buf(dir).ok());
    here.unwrap_or_else(|| Utf8PathBuf::from("/")).join(path)
}
