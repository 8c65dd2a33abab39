//! Exit codes: they tell a user's mistake, a broken environment and our own bug apart.

/// How the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// Everything asked for passed, or was known to.
    Good = 0,
    /// At least one test did not pass; warnings, layouts or differences were found where a command looks for them.
    Failed = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// A configuration or workspace file makes no sense.
    Config = 3,
    /// The target selects nothing.
    NothingSelected = 4,
    /// The host lacks something, or refuses it: a program, space on the disk, a writable cache.
    Environment = 5,
    /// `vtbuild` itself is wrong.
    Bug = 70,
    /// Stopped from outside.
    Interrupted = 130,
}

/// The table printed at the end of `--help`.
pub const TABLE: &str = "\
Exit codes:
    0  everything passed (or was known to pass)
    1  a test failed; lint, fmt --check or diff found something
    2  the command line makes no sense
    3  a configuration file makes no sense
    4  the target selects nothing
    5  the host lacks something (see `vtbuild doctor`)
   70  vtbuild itself is wrong
  130  interrupted";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// An error on its way to the user, with the exit code of its kind.
#[derive(Debug)]
pub struct Failure {
    /// Its kind.
    pub exit: Exit,
    /// What is printed after `error: `; it says what, where and what to do next.
    pub message: String,
}

impl Failure {
    /// An error of a kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
        }
    }

    /// A broken environment.
    pub fn environment(message: impl Into<String>) -> Self {
        Self::new(Exit::Environment, message)
    }

    /// A mistake in a file of the user's.
    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Exit::Config, message)
    }
}

impl From<vtbuild_cache::StoreError> for Failure {
    fn from(error: vtbuild_cache::StoreError) -> Self {
        Self::environment(format!("failed to {error}"))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::environment(error.to_string())
    }
}
