//! What to run: program, arguments, environment, streams and descriptors.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use camino::Utf8PathBuf;

use super::limits::Limits;

/// Where one of a child's output streams goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Stream {
    /// Thrown away.
    #[default]
    Null,
    /// A pipe that the [`Child`](super::Child) hands to us.
    Pipe,
    /// Appended to this file, which is created when absent.
    File(Utf8PathBuf),
}

/// A command to be started by a [`Launcher`](super::Launcher).
///
/// The child inherits our environment unless [`clear_env`](Command::clear_env) is called, reads nothing from standard input,
/// and its outputs are thrown away unless said otherwise.
#[derive(Debug)]
pub struct Command {
    pub(super) program: OsString,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, Option<OsString>)>,
    pub(super) clear_env: bool,
    pub(super) dir: Option<Utf8PathBuf>,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Stream,
    pub(super) stderr: Stream,
    pub(super) fds: Vec<OwnedFd>,
    pub(super) remove: Vec<Utf8PathBuf>,
    pub(super) run: Vec<String>,
    pub(super) limits: Limits,
}

impl Command {
    /// A command without arguments. A `program` without a slash is looked up in `PATH`.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        Command {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            clear_env: false,
            dir: None,
            stdin: None,
            stdout: Stream::Null,
            stderr: Stream::Null,
            fds: Vec::new(),
            remove: Vec::new(),
            run: Vec::new(),
            limits: Limits::default(),
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Command {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Command {
        self.args
            .extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable of the child's environment.
    pub fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Command {
        self.env
            .push((key.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Takes a variable out of the child's environment.
    pub fn without_env(mut self, key: impl AsRef<OsStr>) -> Command {
        self.env.push((key.as_ref().to_owned(), None));
        self
    }

    /// Starts from an empty environment instead of ours.
    pub fn clear_env(mut self) -> Command {
        self.clear_env = true;
        self
    }

    /// Runs the child in this folder.
    pub fn dir(mut self, dir: impl Into<Utf8PathBuf>) -> Command {
        self.dir = Some(dir.into());
        self
    }

    /// Gives the child something to read: an opened file, the read end of a pipe.
    pub fn stdin(mut self, stdin: impl Into<OwnedFd>) -> Command {
        self.stdin = Some(stdin.into());
        self
    }

    /// Says where standard output goes.
    pub fn stdout(mut self, stdout: Stream) -> Command {
        self.stdout = stdout;
        self
    }

    /// Says where standard error goes.
    pub fn stderr(mut self, stderr: Stream) -> Command {
        self.stderr = stderr;
        self
    }

    /// Hands a descriptor to the child under the number that it has here, which is returned for use in arguments or in
    /// the environment. Our copy is closed once the child runs.
    pub fn pass_fd(&mut self, fd: impl Into<OwnedFd>) -> RawFd {
        let fd = fd.into();
        let number = fd.as_raw_fd();
        self.fds.push(fd);
        number
    }

    /// Limits it, and all that it starts.
    pub fn limits(mut self, limits: Limits) -> Command {
        self.limits = limits;
        self
    }

    /// Has the guard remove this file or folder once the child and all its descent are dead.
    pub fn remove_after(mut self, path: impl Into<Utf8PathBuf>) -> Command {
        self.remove.push(path.into());
        self
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(&self.program)
            .chain(&self.args)
            .map(|word| word.to_string_lossy());
        f.write_str(&shell_words::join(words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_a_shell_would_read_it() {
        let command = Command::new("echo").arg("two words").args(["a", "b"]);
        assert_eq!(command.to_string(), "echo 'two words' a b");
    }

    #[test]
    fn a_passed_descriptor_keeps_its_number() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let number = theirs.as_raw_fd();
        let mut command = Command::new("true");
        assert_eq!(command.pass_fd(theirs), number);
        drop(ours);
    }
}
