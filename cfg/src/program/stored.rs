//! A linked program as bytes, for a later process.
//!
//! The bytes hold what expanding needs, flat, so that most of it is used where it lies: texts, symbols, statements and what
//! can come below each node are slices of the bytes, and only the few small tables are copied. Items and places, which only
//! explanations and errors need, are not stored but parsed again when somebody asks, from [`Sources`].
//!
//! Numbers are written as this machine has them, each list at a multiple of eight bytes. The format has no version and no
//! checksum of its own: who keeps the bytes must give back exactly what it was given, and only to the same build of this
//! crate. Bytes that are anything else end in no program or in a wrong one, or in a panic.

mod read;
mod write;

#[cfg(test)]
mod tests;

use read::Reader;
use write::Writer;

use super::Program;
use crate::graph::Sources;

/// What is written of an optional number that is not there.
const NONE: u32 = u32::MAX;

/// How many numbers a node is.
const NODE: usize = 17;

impl Program {
    /// The program as bytes, without items and places.
    pub fn to_bytes(&self) -> Vec<u8> {
        Writer::default().program(&self.graph)
    }

    /// The program that was made these bytes, used where it lies; `sources` parses the files that it was linked from.
    ///
    /// Nothing if the bytes end early or are not aligned to eight bytes.
    pub fn from_bytes(bytes: &'static [u8], sources: &Sources) -> Option<Program> {
        Reader::new(bytes).program(sources)
    }
}
