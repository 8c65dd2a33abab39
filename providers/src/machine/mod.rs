//! Machines: QEMU processes and what can be done with them.
//!
//! ```text
//! Params -> MachineSpec -> argv -> Spawned -> Negotiated -> Machine (running) -> dead
//!            (plain data)           (start.rs: each phase owns its own way to fail)
//! ```
//!
//! A machine is described by a [`MachineSpec`], which is plain data, and lives as a [`Machine`], a handle that can be
//! cloned. QEMU runs behind a guard (see [`crate::process`]): it dies with the last handle, and with us.
//!
//! No host port is ever chosen here: QEMU is told to take port 0 and is asked which one it got, so that no two machines, of one
//! vtbuild or of several, can be after the same one.

mod argv;
mod error;
mod firmware;
mod handle;
mod identity;
pub mod migrate;
mod ports;
mod read;
mod serial;
pub mod spec;
mod start;
mod state;
mod state_file;

pub use argv::{Places, STANDING_ADDRESS, STANDING_PORT, argv, netdev_id};
pub use error::MachineError;
pub use firmware::HostCpu;
pub use handle::{ExitInfo, Listen, Machine};
pub use migrate::{MigrateError, Migrated, Migration, Transport};
pub use read::huge_page_mount;
pub use serial::SerialPort;
pub use spec::MachineSpec;
pub use start::{Incoming, Launch};
pub use state::RunState;
