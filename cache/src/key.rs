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
    let mut encoder = Encoder::new(blake3::Hasher::new(), keyed.domain());
    keyed.fields(&mut encoder);
    encoder.finish().finalize().into()
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

/// Where encoded bytes go: a hasher, or (in tests) a vector.
trait Sink {
    fn write(&mut self, bytes: &[u8]);
}

impl Sink for blake3::Hasher {
    fn write(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// The hashing sink.
struct Encoder<S> {
    sink: S,
    depth: usize,
}

impl<S: Sink> Encoder<S> {
    fn new(sink: S, domain: &str) -> Self {
        let mut encoder = Self { sink, depth: 0 };
        encoder.sink.write(HEAD);
        encoder.sink.write(&ENCODING.to_le_bytes());
        encoder.text(domain.as_bytes());
        encoder
    }

    fn text(&mut self, bytes: &[u8]) {
        self.sink.write(&(bytes.len() as u64).to_le_bytes());
        self.sink.write(bytes);
    }

    fn finish(mut self) -> S {
        assert_eq!(self.depth, 0, "a group of key fields was opened and not closed");
        self.sink.write(b".");
        self.sink
    }
}

impl<S: Sink> Fields for Encoder<S> {
    fn put(&mut self, name: &str, value: Value<'_>) {
        self.sink.write(&[tag(value)]);
        self.text(name.as_bytes());
        match value {
            Value::Text(text) => self.text(text.as_bytes()),
            Value::Bytes(bytes) => self.text(bytes),
            Value::Number(number) => self.sink.write(&number.to_le_bytes()),
            Value::Flag(flag) => self.sink.write(&[u8::from(flag)]),
            Value::Digest(digest) => self.sink.write(digest.as_bytes()),
            Value::Absent => {}
        }
    }

    fn open(&mut self, name: &str) {
        self.depth += 1;
        self.sink.write(b"(");
        self.text(name.as_bytes());
    }

    fn close(&mut self) {
        self.depth = self
            .depth
            .checked_sub(1)
            .expect("a group of key fields is closed only after it was opened");
        self.sink.write(b")");
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
