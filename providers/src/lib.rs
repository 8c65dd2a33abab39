//! The world outside: processes, machines, hosts, test providers.
//!
//! This crate knows how to start things and how to speak to them. It does not know why: actions, caches and graphs are
//! other crates' business.

pub mod accel;
pub mod build;
pub mod cpu;
pub mod desk;
pub mod download;
pub mod host;
pub mod image;
pub mod ini;
pub mod lease;
pub mod machine;
pub mod memo;
pub mod params;
pub mod process;
pub mod provider;
pub mod qemu;
pub mod qmp;
pub mod requirements;
pub mod session;
