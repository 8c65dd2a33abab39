//! Terminal sessions: a shell in a guest, over ssh or over a serial console, and files copied both ways.
//!
//! | layer | what it knows |
//! |---|---|
//! | [`Terminal`] | bytes in, bytes out, a log file, open or ended |
//! | [`ssh`], [`serial`], [`standing`] | how bytes reach a guest |
//! | [`Transcript`], [`Pattern`], `echo` | pure text: escapes, Python's regular expressions, echoed commands |
//! | [`Shell`] | prompts, commands, exit statuses, time-outs that carry the output so far |
//! | [`login`] | from "the guest is booting" to a [`Shell`] |
//! | [`transfer`] | files and directories over sftp, or scp where there is no sftp |
//!
//! Everything above the transports is `async` and may be dropped at any await: dropping the last handle of a
//! [`Terminal`] hangs its line up, so no cancelled test leaves a thread reading.

mod echo;
pub mod login;
mod pattern;
mod prompt;
#[cfg(test)]
mod real_tests;
pub mod serial;
mod shell;
pub mod ssh;
pub mod standing;
mod terminal;
#[cfg(test)]
mod test_support;
mod transcript;
pub mod transfer;

pub use pattern::{Pattern, PatternError};
pub use shell::{Scope, Shell, ShellError, ShellSetup};
pub use ssh::{Credentials, HostKey, SshError, SshTarget};
pub use terminal::{End, Feed, Line, Terminal};
pub use transcript::Transcript;
