//! Live migration: a second QEMU takes over where the first one is.
//!
//! Both sides run on this host and see the same disks. The images' locks are no obstacle: QEMU opens the destination's nodes
//! inactive, and hands them over at the end.

mod flow;
mod settings;
mod transport;

use std::time::Duration;

use serde_json::{Map, Value};

use super::error::MachineError;
use super::handle::Machine;
use super::start::Launch;
use crate::qmp::QmpError;

pub use transport::Transport;

/// What a migration is to be like.
///
/// Its settings come on top of those that the source has already (a test may have set some itself), and the destination
/// follows. When the migration fails, the source gets its former settings back.
#[derive(Debug, Clone)]
pub struct Migration {
    /// How the state travels.
    pub transport: Transport,
    /// The whole may take this long; after that it is cancelled.
    pub timeout: Duration,
    /// Bytes per second at most (`max-bandwidth`); QEMU's own limit is 128 MiB/s.
    pub speed: Option<u64>,
    /// Milliseconds of silence that are allowed at the end (`downtime-limit`).
    pub downtime_ms: Option<u64>,
    /// Capabilities, as QEMU names them: `multifd`, `postcopy-ram`, `xbzrle`, ...
    pub capabilities: Vec<(String, bool)>,
    /// Parameters, as QEMU names them: `multifd-channels`, ...
    pub parameters: Map<String, Value>,
    /// The same for the destination alone.
    pub destination_parameters: Map<String, Value>,
    /// Words for the destination's command line: devices that the source was given after its start.
    pub added: Vec<String>,
    /// Devices that the source has no more.
    pub removed: Vec<String>,
    /// Cancel when it has run this long. The result is [`MigrateError::Cancelled`].
    pub cancel_after: Option<Duration>,
    /// Pause the guest first, and let it go on at the destination.
    pub offline: bool,
    /// Switch to post-copy when the first pass is over; sets the capability.
    pub postcopy: bool,
}

impl Migration {
    /// A migration with QEMU's own limits that may take five minutes.
    pub fn new(transport: Transport) -> Migration {
        Migration {
            transport,
            timeout: Duration::from_secs(300),
            speed: None,
            downtime_ms: None,
            capabilities: Vec::new(),
            parameters: Map::new(),
            destination_parameters: Map::new(),
            added: Vec::new(),
            removed: Vec::new(),
            cancel_after: None,
            offline: false,
            postcopy: false,
        }
    }
}

/// A migration that has succeeded. The source is gone.
#[derive(Debug)]
pub struct Migrated {
    /// The machine, at its destination. It does what it did at the source: runs, or is paused.
    pub machine: Machine,
    /// QEMU's last word about it: `completed`.
    pub status: String,
    /// From the beginning to the end, in milliseconds.
    pub total_time_ms: Option<u64>,
    /// How long the guest stood still, in milliseconds.
    pub downtime_ms: Option<u64>,
}

/// Why a migration did not succeed. The destination is dead; unless said otherwise the source does what it did before.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The destination did not start.
    #[error("start the destination of the migration: {0}")]
    Destination(MachineError),
    /// A monitor refused or failed.
    #[error("migrate machine {machine}: the {side} cannot {source}")]
    Monitor {
        /// The machine.
        machine: String,
        /// `source` or `destination`.
        side: &'static str,
        /// Why.
        source: QmpError,
    },
    /// Something that the state was to travel through.
    #[error("prepare the {what} for migrating machine {machine}: {source}")]
    Channel {
        /// The machine.
        machine: String,
        /// What it is.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// QEMU reports failure.
    #[error("migrate machine {machine}: {reason}")]
    Failed {
        /// The machine.
        machine: String,
        /// QEMU's reason, or what the destination printed.
        reason: String,
    },
    /// It was cancelled, as asked.
    #[error("migrate machine {machine}: cancelled after {} s, as asked", after.as_secs_f64())]
    Cancelled {
        /// The machine.
        machine: String,
        /// How long it had run.
        after: Duration,
    },
    /// It took too long and was cancelled.
    #[error("migrate machine {machine} within {} s; it was cancelled ({progress})", timeout.as_secs_f64())]
    Timeout {
        /// The machine.
        machine: String,
        /// The time that it was given.
        timeout: Duration,
        /// How far it came.
        progress: String,
    },
}

impl Machine {
    /// Migrates this machine to a new QEMU, on this host, and ends the old one.
    ///
    /// # Errors
    /// See [`MigrateError`]. After an error this machine goes on, and the destination is dead.
    pub async fn migrate(&self, launch: &Launch, migration: &Migration) -> Result<Migrated, MigrateError> {
        flow::migrate(self, launch, migration).await
    }

    /// Begins to migrate and returns the destination, which takes the machine in by itself. Nobody watches over the two.
    ///
    /// # Errors
    /// See [`MigrateError`]. After an error this machine goes on, and the destination is dead.
    pub async fn begin_migration(
        &self,
        launch: &Launch,
        migration: &Migration,
    ) -> Result<Machine, MigrateError> {
        flow::begin(self, launch, migration).await
    }
}
