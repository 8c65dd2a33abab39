//! What can go wrong with a machine.

use camino::Utf8PathBuf;

use crate::process::{Exit, SpawnError};
use crate::qmp::QmpError;

/// Why a machine did not start, or did not do what it was told.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// QEMU's process.
    #[error("start machine {machine}: {source}")]
    Spawn {
        /// The machine.
        machine: String,
        /// Why.
        source: SpawnError,
    },
    /// QEMU ended before the machine ran: an option, a file or a lock that it did not like.
    #[error("start machine {machine}: QEMU ended at once ({exit}) and said: {}", stderr.trim())]
    DiedAtStart {
        /// The machine.
        machine: String,
        /// How it ended.
        exit: Exit,
        /// What it printed.
        stderr: String,
    },
    /// The host lacks something that the parameters ask for.
    #[error("start machine {machine}: there is no {path} on this host, which `{param}` asks for{advice}")]
    Lacks {
        /// The machine.
        machine: String,
        /// What is not there.
        path: &'static str,
        /// The parameter.
        param: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// Hardware that only upstream's machines know.
    #[error(
        "start machine {machine}: confidential guests (`vm_secure_guest_type = {kind}`) are known to the runtime `upstream` alone"
    )]
    Secure {
        /// The machine.
        machine: String,
        /// The parameter's value.
        kind: String,
    },
    /// A folder or a log file.
    #[error("prepare {path} for machine {machine}: {source}")]
    Files {
        /// The machine.
        machine: String,
        /// The file or folder.
        path: Utf8PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A socket's path has no room in the kernel's 108 bytes.
    #[error(
        "start machine {machine}: the path of the socket {path} is longer than 107 bytes; use a shorter run folder (TMPDIR)"
    )]
    LongPath {
        /// The machine.
        machine: String,
        /// The socket.
        path: Utf8PathBuf,
    },
    /// A monitor.
    #[error("command machine {machine}: {source}")]
    Monitor {
        /// The machine.
        machine: String,
        /// Why.
        source: QmpError,
    },
    /// QEMU's list of forwarded ports lacks one.
    #[error("find the host port of guest port {port} of {machine}'s {nic} in what QEMU reports: {report:?}")]
    Port {
        /// The machine.
        machine: String,
        /// The network card.
        nic: String,
        /// The guest's port.
        port: u16,
        /// `info usernet`.
        report: String,
    },
    /// A state file.
    #[error("{doing} the state of machine {machine} in {file}: {}", reason.trim())]
    State {
        /// `save` or `restore`.
        doing: &'static str,
        /// The machine.
        machine: String,
        /// The file.
        file: Utf8PathBuf,
        /// QEMU's reason.
        reason: String,
    },
}
