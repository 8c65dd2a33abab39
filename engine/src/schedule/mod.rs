//! Carrying a plan out: what may start when, and the loop that starts it.
//!
//! [`board`] decides and is pure: no clock, no I/O, no lock. [`run`] does what it says, with `work` for each single action. [`claims`] counts what the host
//! has left; [`simulate`] plays a run through without running anything.

pub mod board;
pub mod claims;
pub mod run;
pub mod simulate;
pub(crate) mod work;
