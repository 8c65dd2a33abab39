//! QMP, the machine protocol of QEMU: our own framing under qapi's typed commands.
//!
//! qapi's own stream follows a schema that is older than the QEMU in use and gives the connection up at the first event that
//! it does not know. Here a line is read, told apart as greeting, reply or event, and kept as data; only the reply of a typed
//! command meets the schema.
//!
//! - Commands may be sent from many tasks at once; replies find their senders by `id`.
//! - Every command has a time-out. A late reply is dropped, and the connection stays usable.
//! - Events are kept in the order of arrival, known or not, and can be waited for.
//! - QEMU serves one client a monitor, which is us; `share` lets others in beside us.
//! - Everything that crosses the socket goes to the transcript, if there is one.

mod client;
mod error;
mod events;
mod link;
mod share;
mod transcript;
mod wire;

pub use client::Qmp;
pub use error::QmpError;
pub use events::Mark;
pub use share::{Shared, share};
pub use transcript::Transcript;
pub use wire::{Event, Failure};
