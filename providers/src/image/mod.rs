//! Disk images: what parameters say about them, and `qemu-img`.

mod spec;

pub use spec::ImageSpec;
