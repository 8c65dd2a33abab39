//! What can go wrong on a monitor.

use std::time::Duration;

use camino::Utf8PathBuf;

use super::wire::Failure;

/// Why a monitor gave no answer, or not the one wanted.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// The socket, or what came first over it.
    #[error("connect to the monitor at {path}: {source}")]
    Connect {
        /// The socket.
        path: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// QEMU refused the command: the ordinary failure.
    #[error("execute `{command}`: {failure}")]
    Command {
        /// The command's name.
        command: String,
        /// QEMU's class and description.
        failure: Failure,
    },
    /// No reply in time.
    #[error("get a reply to `{command}` within {} s", timeout.as_secs_f64())]
    Timeout {
        /// The command's name.
        command: String,
        /// The time it was given.
        timeout: Duration,
    },
    /// The monitor's connection is closed: its process ended.
    #[error("execute `{command}`: the monitor is closed, its process has ended")]
    Closed {
        /// The command's name.
        command: String,
    },
    /// The reply does not have the form that the schema gives it.
    #[error("read the reply to `{command}`: {source}")]
    Reply {
        /// The command's name.
        command: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}
