//! Disk images: what parameters say about them ([`ImageSpec`]), and `qemu-img` ([`QemuImg`]).
//!
//! An image that is finished is not written to any more: whoever needs to write makes an [overlay](QemuImg::overlay).

mod report;
mod spec;
mod templates;
mod tool;

pub use report::{CheckOutcome, ImageInfo};
pub use spec::{ImageSpec, Preallocation};
pub use templates::Templates;
pub use tool::{Create, ImageError, QemuImg};
