//! What a janitor does once nobody needs what it looks after: removing files, and undoing what was done to the host.

use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;

/// How long one command may take: a daemon that is asked for something may be busy, but it must not hold the guard for ever.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at a command that runs.
const PAUSE: Duration = Duration::from_millis(10);
/// The exit status that stands for a command that could not be started, or did not end in time.
const NOT_DONE: i32 = 127;

/// The duties of a [`Janitor`](super::Janitor), done in this order when it is finished or dropped, or when we die.
#[derive(Debug, Default)]
pub struct Duties {
    pub(super) run: Vec<String>,
    pub(super) remove: Vec<Utf8PathBuf>,
    pub(super) hold: Vec<OwnedFd>,
}

impl Duties {
    /// Has `sh` run this text. It must come to the same however often it is run: where we were killed, what it undoes may
    /// be done once more by a process that has not died yet, and it is run again.
    #[must_use]
    pub fn run(mut self, text: impl Into<String>) -> Self {
        self.run.push(text.into());
        self
    }

    /// Has this file or folder removed.
    #[must_use]
    pub fn remove(mut self, path: impl Into<Utf8PathBuf>) -> Self {
        self.remove.push(path.into());
        self
    }

    /// Keeps a descriptor open until all else is done: a lock on what is undone. Nothing that is run inherits it.
    #[must_use]
    pub fn hold(mut self, fd: impl Into<OwnedFd>) -> Self {
        self.hold.push(fd.into());
        self
    }
}

/// Runs the texts one after the other, in the guard itself, which has nothing else to do by then; gives the first exit status
/// that is not 0.
pub(super) fn carry_out(texts: &[std::ffi::OsString]) -> i32 {
    let mut first = 0;
    for text in texts {
        let quiet = || Stdio::null();
        let command = Command::new("sh")
            .arg("-c")
            .arg(text)
            .stdin(quiet())
            .stdout(quiet())
            .stderr(quiet())
            .spawn();
        let code = command.map_or(NOT_DONE, within_patience);
        if first == 0 {
            first = code;
        }
    }
    first
}

fn within_patience(mut child: std::process::Child) -> i32 {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(PAUSE),
            Ok(Some(status)) => return status.code().unwrap_or(NOT_DONE),
            Err(_) => return NOT_DONE,
        }
    }
    // The guard kills its descent once more before it goes.
    NOT_DONE
}
