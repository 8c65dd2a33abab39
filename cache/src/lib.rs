//! Digests, keys and stores: what lets an action's result be found again, and be trusted.
//!
//! - [`Digest`]: BLAKE3 of bytes and files.
//! - [`Keyed`], [`digest_of`], [`manifest_of`]: what enters a key, written once, hashed and printed.
//! - [`Store`]: blobs by content, records of actions by key, history by label, digests of files; shared by processes.
//!
//! The crate knows nothing of rules, graphs or machines.

mod bare;
mod blob;
mod digest;
mod error;
mod files;
mod gc;
mod history;
mod hit;
mod index;
mod key;
mod layout;
mod lock;
mod manifest;
mod marks;
mod notice;
mod pins;
mod record;
mod records;
mod sparse;
mod store;

pub use blob::{Blob, Take, Verified};
pub use digest::{Digest, ParseDigestError};
pub use error::StoreError;
pub use files::{FileState, Identity};
pub use gc::{Aside, Gone, Kind, Limits, MadeAgain, Report, Stat, hold};
pub use history::{Last, Run};
pub use hit::{Hit, Observations, Seen};
pub use key::{ENCODING, Fields, Keyed, Value, digest_of, manifest_of};
pub use manifest::{Change, Manifest, ORDER};
pub use marks::Mark;
pub use notice::Notice;
pub use record::{Observed, Output, Record};
pub use records::{Lookup, Reservation};
pub use store::Store;
