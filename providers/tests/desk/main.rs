//! The desk over real QEMU. What needs no guest runs always; the rest needs one: set `VTBUILD_TEST_GUEST` to a folder with
//! `disk.qcow2`, `vmlinuz`, `initrd.img` and `cmdline` (user root, password 123456).

mod bare;
mod bench;
mod breadth;
mod figures;
mod guest;
mod python;
#[path = "../support/mod.rs"]
mod support;
