//! Files and directories to a guest and from it.
//!
//! The rules are those that people know from `scp -r`: a source may be a pattern, an existing directory as the destination
//! is copied into, symbolic links are followed, permission bits are kept. Both sides are a `Tree`, so one copying
//! routine serves both directions, over sftp or, where the guest has no sftp server, over scp.
//!
//! Names that a guest lists are not trusted: one that would lead out of the directory being written is refused.

pub(crate) mod glob;
mod local;
mod scp;
mod sftp;
mod tree;

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::Utf8Path;

use self::local::Local;
use self::scp::Scp;
use self::sftp::Sftp;
use self::tree::{Meter, Tree, copy};
use super::ssh::Connection;
use super::ssh::exec::in_thread;

/// How a copy is limited.
#[derive(Clone, Copy, Debug)]
pub struct TransferOptions {
    /// All of it must be done in this time.
    pub patience: Duration,
    /// Bytes per second, if it is to be slow on purpose.
    pub rate: Option<u64>,
    /// Whether files from the host keep the times of their last change, as with `scp -p`.
    pub times: bool,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Copied {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Why files could not be copied.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// A file operation failed on one side.
    #[error("{what} {side}:{path}: {reason}")]
    File {
        /// "host" or "guest".
        side: &'static str,
        /// What was being done, as a verb.
        what: &'static str,
        /// The path on that side.
        path: String,
        /// What the system says.
        reason: String,
    },
    /// The source does not exist, or the pattern fits nothing.
    #[error("find {side}:{pattern}: no such file, and nothing that it fits as a pattern")]
    NoSource {
        /// "host" or "guest".
        side: &'static str,
        /// As it was asked for.
        pattern: String,
    },
    /// Several sources, or a path that ends in `/`, need an existing directory as the destination.
    #[error("copy into {side}:{path}: it is not an existing directory")]
    NoDirectory {
        /// "host" or "guest".
        side: &'static str,
        /// The destination.
        path: String,
    },
    /// A listed name would lead out of its directory.
    #[error(
        "copy {side}:{directory}: it lists an entry called `{name}`, which leads elsewhere; nothing of it was written"
    )]
    BadName {
        /// "host" or "guest".
        side: &'static str,
        /// The directory.
        directory: String,
        /// The name in it.
        name: String,
    },
    /// A device, a socket or a pipe.
    #[error("copy {side}:{path}: it is neither a file nor a directory")]
    Special {
        /// "host" or "guest".
        side: &'static str,
        /// The path.
        path: String,
    },
    /// Directories nested so deep that there must be a loop of links.
    #[error("copy {side}:{path}: directories are nested too deep; is there a loop of symbolic links?")]
    TooDeep {
        /// "host" or "guest".
        side: &'static str,
        /// The path.
        path: String,
    },
    /// It took too long.
    #[error("copy within {:.0} s: {} files and {} bytes were done", patience.as_secs_f64(), done.files, done.bytes)]
    Timeout {
        /// How long it was allowed to take.
        patience: Duration,
        /// What was copied meanwhile.
        done: Copied,
    },
    /// Neither sftp nor scp.
    #[error(
        "copy files: the guest serves neither sftp ({sftp}) nor scp ({scp}); install openssh's sftp-server there"
    )]
    NoService {
        /// Why not sftp.
        sftp: String,
        /// Why not scp.
        scp: String,
    },
}

/// Copies a file, a directory or what a pattern fits from the host into the guest.
pub async fn to_guest(
    connection: Connection,
    host_path: &Utf8Path,
    guest_path: &str,
    options: TransferOptions,
) -> Result<Copied, TransferError> {
    let (source, target) = (host_path.to_string(), guest_path.to_owned());
    transfer(connection, options, move |guest, meter| {
        copy(&Local, &source, guest, &target, meter)
    })
    .await
}

/// Copies a file, a directory or what a pattern fits from the guest to the host.
pub async fn from_guest(
    connection: Connection,
    guest_path: &str,
    host_path: &Utf8Path,
    options: TransferOptions,
) -> Result<Copied, TransferError> {
    let (source, target) = (guest_path.to_owned(), host_path.to_string());
    transfer(connection, options, move |guest, meter| {
        copy(guest, &source, &Local, &target, meter)
    })
    .await
}

/// Runs the copying in a thread, which ends when this is dropped: the connection's socket is shut down.
async fn transfer(
    connection: Connection,
    options: TransferOptions,
    work: impl FnOnce(&dyn Tree, &Meter) -> Result<(), TransferError> + Send + 'static,
) -> Result<Copied, TransferError> {
    let meter = Arc::new(Meter::new(Instant::now() + options.patience, options));
    let thread_meter = Arc::clone(&meter);
    let copying = in_thread(connection, options.patience, move |connection| {
        let guest = guest_tree(connection)?;
        work(guest.as_ref(), &thread_meter)
    });
    match copying.await {
        None => Err(meter.timeout()),
        Some(result) => result.map(|()| meter.copied()),
    }
}

fn guest_tree(connection: &Connection) -> Result<Box<dyn Tree + '_>, TransferError> {
    match connection.session.sftp() {
        Ok(sftp) => Ok(Box::new(Sftp(sftp))),
        Err(sftp) => match Scp::probe(&connection.session) {
            Ok(scp) => Ok(Box::new(scp)),
            Err(scp) => Err(TransferError::NoService {
                sftp: sftp.to_string(),
                scp,
            }),
        },
    }
}
