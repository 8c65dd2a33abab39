//! What enters a key, written once and read twice.
//!
//! A type that has a key lists its fields in [`Keyed::fields`]. Two sinks read that one list: [`digest_of`]
//! hashes it, [`manifest_of`] prints it. What an explanation says can therefore never differ from what was
//! hashed.
//!
//! # Encoding, version 1
//!
//! Integers are little-endian; *text* is its length in bytes as `u64`, then the bytes.
//!
//! | item | bytes |
//! |---|---|
//! | head | `vtbuild-key`, [`ENCODING`] as `u32`, the domain as *text* |
//! | field | tag, name as *text*, value |
//! | value by tag | `T` text: *text*; `B` bytes: *text*; `N` number: `u64`; `F` flag: one byte; `D` digest: 32 bytes; `A` absent: nothing |
//! | group | `(`, name as *text*, its items, `)` |
//! | end | `.` |
//!
//! Every item tells its own length, so two different lists never encode to the same bytes.

use crate::digest::Digest;
use crate::manifest::{Manifest, Printer};

/// The version of the encoding; it is hashed into every key, so raising it makes every stored key
/// unreachable.
pub const ENCODING: u32 = 1;

/// Most keys are shorter, in bytes.
const USUAL_BYTES: usize = 2048;

const HEAD: &[u8] = b"vtbuild-key";

/// One value of a field. Values of different types never encode alike: `Text("1")` is not `Number(1)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// Text a person can read.
    Text(&'a str),
    /// Any bytes.
    Bytes(&'a [u8]),
    /// A number; its unit belongs in the field's name.
    Number(u64),
    /// Yes or no.
    Flag(bool),
    /// The digest of a file, of an output or of another key.
    Digest(Digest),
    /// Looked for and not there. Not the same as an empty text.
    Absent,
}

/// What receives the fields of a key.
pub trait Fields {
    /// Takes the field `name`. The same name may come again: order and repetition count.
    fn put(&mut self, name: &str, value: Value<'_>);
    /// Opens a group; the fields up to its [`close`](Self::close) belong to it.
    fn open(&mut self, name: &str);
    /// Closes the group opened last.
    fn close(&mut self);
}

/// Something that has a key.
pub trait Keyed {
    /// What kind of key this is. Keys of different domains never meet.
    fn domain(&self) -> &'static str;
    /// Lists everything that enters the key, always in the same order.
    fn fields(&self, sink: &mut dyn Fields);
}

/// The key of `keyed`: the hash of its domain and fields.
///
/// # Panics
/// When the groups that `keyed` opens and closes do not match.
#[must_use]
pub fn digest_of(keyed: &dyn Keyed) -> Digest {
    // Hashed at once: a key is a thousand bytes in a hundred pieces, and the hash likes pieces least of all.
    let mut encoder = Encoder::new(keyed.domain());
    keyed.fields(&mut encoder);
    Digest::of(&encoder.finish())
}

/// The fields of `keyed`, printed.
///
/// # Panics
/// When the groups that `keyed` opens and closes do not match.
#[must_use]
pub fn manifest_of(keyed: &dyn Keyed) -> Manifest {
    let mut printer = Printer::new(keyed.domain());
    keyed.fields(&mut printer);
    printer.finish()
}

/// The sink of bytes that are hashed.
struct Encoder {
    bytes: Vec<u8>,
    depth: usize,
}

impl Encoder {
    fn new(domain: &str) -> Self {
        let mut encoder = Self {
            bytes: Vec::with_capacity(USUAL_BYTES),
            depth: 0,
        };
        encoder.write(HEAD);
        encoder.write(&ENCODING.to_le_bytes());
        encoder.text(domain.as_bytes());
        encoder
    }

    fn write(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    fn text(&mut self, bytes: &[u8]) {
        self.write(&(bytes.len() as u64).to_le_bytes());
        self.write(bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        assert_eq!(self.depth, 0, "a group of key fields was opened and not closed");
        self.write(b".");
        self.bytes
    }
}

impl Fields for Encoder {
    fn put(&mut self, name: &str, value: Value<'_>) {
        self.write(&[tag(value)]);
        self.text(name.as_bytes());
        match value {
            Value::Text(text) => self.text(text.as_bytes()),
            Value::Bytes(bytes) => self.text(bytes),
            Value::Number(number) => self.write(&number.to_le_bytes()),
            Value::Flag(flag) => self.write(&[u8::from(flag)]),
            Value::Digest(digest) => self.write(digest.as_bytes()),
            Value::Absent => {}
        }
    }

    fn open(&mut self, name: &str) {
        self.depth += 1;
        self.write(b"(");
        self.text(name.as_bytes());
    }

    fn close(&mut self) {
        self.depth = self
            .depth
            .checked_sub(1)
            .expect("a group of key fields is closed only after it was opened");
        self.write(b")");
    }
}

fn tag(value: Value<'_>) -> u8 {
    match value {
        Value::Text(_) => b'T',
        Value::Bytes(_) => b'B',
        Value::Number(_) => b'N',
        Value::Flag(_) => b'F',
        Value::Digest(_) => b'D',
        Value::Absent => b'A',
    }
}

#[cfg(test)]
mod tests;
