//! What is kept of an action that was carried out.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::index::Damage;
use crate::key::{Fields, Keyed, Value, digest_of};
use crate::manifest::Manifest;

/// One output of an action: a blob under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// The name by which dependants ask for it.
    pub name: String,
    /// The blob.
    pub digest: Digest,
    /// The blob's size in bytes.
    pub size: u64,
}

/// Something an action looked at while it ran, beyond what had entered its key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Observed {
    /// What it looked at, such as `file:generic/tests/boot.py` or `param:mem`.
    pub name: String,
    /// The digest of what it saw; `None` when it was not there.
    pub digest: Option<Digest>,
}

/// The record of an action that succeeded: what entered its key, what came out, and the evidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The action's key.
    pub key: Digest,
    /// The name of its rule.
    pub rule: String,
    /// The target, as a person writes it.
    pub label: String,
    /// How it ended, such as `PASS`.
    pub status: String,
    /// Its outputs, in the rule's order.
    pub outputs: Vec<Output>,
    /// What it looked at while it ran.
    pub observed: Vec<Observed>,
    /// What entered the key, printed.
    pub manifest: Manifest,
    /// How long it took, in seconds: what garbage collection and estimates go by.
    pub seconds: f64,
    /// When it ended, in milliseconds since 1970.
    pub finished_unix_ms: u64,
    /// The host it ran on.
    pub host: String,
    /// Whatever shows that the result can be trusted; the cache does not look inside.
    pub evidence: serde_json::Value,
}

impl Record {
    /// What tells this record from others of the same key: the digest of the key and of all that was observed. Where the
    /// same things are looked at again and are what they were, the action comes to the same end.
    #[must_use]
    pub fn trace(&self) -> Digest {
        digest_of(&Trace(self))
    }

    /// The digest of names and contents of all outputs: what a dependant's key is made of, so that an action
    /// that ran again and produced the same does not make its dependants run.
    #[must_use]
    pub fn outputs_digest(&self) -> Digest {
        digest_of(&Outputs(&self.outputs))
    }

    /// The light part of this record.
    #[must_use]
    pub fn hit(&self) -> Hit {
        Hit {
            trace: self.trace(),
            outputs: self.outputs.clone(),
            observed: self.observed.clone(),
            seconds: self.seconds,
            finished_unix_ms: self.finished_unix_ms,
            status: self.status.clone(),
        }
    }
}

struct Trace<'a>(&'a Record);

impl Keyed for Trace<'_> {
    fn domain(&self) -> &'static str {
        "trace"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        sink.put("key", Value::Digest(self.0.key));
        sink.open("observed");
        for observed in &self.0.observed {
            sink.put(
                &observed.name,
                observed.digest.map_or(Value::Absent, Value::Digest),
            );
        }
        sink.close();
    }
}

struct Outputs<'a>(&'a [Output]);

impl Keyed for Outputs<'_> {
    fn domain(&self) -> &'static str {
        "outputs"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        for output in self.0 {
            sink.put(&output.name, Value::Digest(output.digest));
        }
    }
}

/// The light part of a record: enough to plan by and to serve, without reading the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// Which record of its key this is, see [`Record::trace`].
    pub trace: Digest,
    /// As in the record.
    pub outputs: Vec<Output>,
    /// As in the record.
    pub observed: Vec<Observed>,
    /// How long the action took, in seconds.
    pub seconds: f64,
    /// When it ended, in milliseconds since 1970.
    pub finished_unix_ms: u64,
    /// How it ended.
    pub status: String,
}

impl Hit {
    /// The blobs of the outputs, in their order.
    pub fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.outputs.iter().map(|output| output.digest)
    }

    /// Layout, numbers little-endian: trace, seconds, end, status; then, each list behind its length as `u32`, the outputs
    /// (name, digest, size) and the observations (name, a byte that says whether there is a digest, the digest).
    /// Texts stand behind their length as `u32`.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64 + 64 * (self.outputs.len() + self.observed.len()));
        bytes.extend_from_slice(self.trace.as_bytes());
        bytes.extend_from_slice(&self.seconds.to_le_bytes());
        bytes.extend_from_slice(&self.finished_unix_ms.to_le_bytes());
        put_text(&mut bytes, &self.status);
        put_length(&mut bytes, self.outputs.len());
        for output in &self.outputs {
            put_text(&mut bytes, &output.name);
            bytes.extend_from_slice(output.digest.as_bytes());
            bytes.extend_from_slice(&output.size.to_le_bytes());
        }
        put_length(&mut bytes, self.observed.len());
        for observed in &self.observed {
            put_text(&mut bytes, &observed.name);
            bytes.push(u8::from(observed.digest.is_some()));
            bytes.extend(observed.digest.iter().flat_map(Digest::as_bytes));
        }
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        let rest = &mut &*bytes;
        let trace = Digest::from_bytes(take(rest)?);
        let seconds = f64::from_le_bytes(take(rest)?);
        let finished_unix_ms = u64::from_le_bytes(take(rest)?);
        let status = take_text(rest)?;
        let outputs = take_list(rest, |rest| {
            let name = take_text(rest)?;
            let digest = Digest::from_bytes(take(rest)?);
            Ok(Output {
                name,
                digest,
                size: u64::from_le_bytes(take(rest)?),
            })
        })?;
        let observed = take_list(rest, |rest| {
            let name = take_text(rest)?;
            let [there] = take(rest)?;
            let digest = if there == 0 {
                None
            } else {
                Some(Digest::from_bytes(take(rest)?))
            };
            Ok(Observed { name, digest })
        })?;
        if !rest.is_empty() {
            return Err(Damage::Content("it is too long".to_owned()));
        }
        Ok(Self {
            trace,
            outputs,
            observed,
            seconds,
            finished_unix_ms,
            status,
        })
    }
}

/// Several light parts, each behind its length as `u32`.
pub(crate) fn hits_to_bytes(hits: &[Hit]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for hit in hits {
        let one = hit.to_bytes();
        put_length(&mut bytes, one.len());
        bytes.extend(one);
    }
    bytes
}

/// The reverse of [`hits_to_bytes`].
pub(crate) fn hits_from_bytes(mut bytes: &[u8]) -> Result<Vec<Hit>, Damage> {
    let mut hits = Vec::new();
    while !bytes.is_empty() {
        let length = u32::from_le_bytes(take(&mut bytes)?) as usize;
        let (one, rest) = bytes
            .split_at_checked(length)
            .ok_or_else(|| Damage::Content("it is too short".to_owned()))?;
        hits.push(Hit::from_bytes(one)?);
        bytes = rest;
    }
    Ok(hits)
}

fn put_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("names and lists of a record are shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_length(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

fn take_text(rest: &mut &[u8]) -> Result<String, Damage> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let (text, tail) = rest
        .split_at_checked(length)
        .ok_or_else(|| Damage::Content("it is too short".to_owned()))?;
    *rest = tail;
    let text = std::str::from_utf8(text).map_err(|error| Damage::Content(error.to_string()))?;
    Ok(text.to_owned())
}

/// A list behind its length. The length is not trusted: what is missing is noticed when it is taken.
fn take_list<T>(
    rest: &mut &[u8],
    mut one: impl FnMut(&mut &[u8]) -> Result<T, Damage>,
) -> Result<Vec<T>, Damage> {
    let length = u32::from_le_bytes(take(rest)?);
    let mut list = Vec::new();
    for _ in 0..length {
        list.push(one(rest)?);
    }
    Ok(list)
}

/// Splits the next `N` bytes off `rest`.
pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damage> {
    let (head, tail) = rest
        .split_first_chunk()
        .ok_or_else(|| Damage::Content("it is too short".to_owned()))?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(outputs: &[(&str, &str)]) -> Record {
        let output = |(name, content): &(&str, &str)| {
            let digest = Digest::of(content.as_bytes());
            Output {
                name: (*name).to_owned(),
                digest,
                size: content.len() as u64,
            }
        };
        Record {
            key: Digest::of(b"key"),
            rule: "test".to_owned(),
            label: "//boot".to_owned(),
            status: "PASS".to_owned(),
            outputs: outputs.iter().map(output).collect(),
            observed: Vec::new(),
            manifest: Manifest::default(),
            seconds: 1.5,
            finished_unix_ms: 17,
            host: "host".to_owned(),
            evidence: serde_json::Value::Null,
        }
    }

    #[test]
    fn outputs_digest_covers_names_contents_and_order_and_nothing_else() {
        let base = record(&[("a", "1"), ("b", "2")]);
        let slower = Record {
            seconds: 9.0,
            host: "other".to_owned(),
            ..base.clone()
        };
        assert_eq!(base.outputs_digest(), slower.outputs_digest());
        for other in [
            [("a", "2"), ("b", "1")],
            [("b", "1"), ("a", "2")],
            [("b", "2"), ("a", "1")],
        ] {
            assert_ne!(base.outputs_digest(), record(&other).outputs_digest());
        }
    }

    #[test]
    fn the_light_part_survives_its_encoding_and_no_other_length_does() {
        let seen = Observed {
            name: "lib.py".to_owned(),
            digest: Some(Digest::of(b"lib")),
        };
        let absent = Observed {
            name: "other.py".to_owned(),
            digest: None,
        };
        let hit = Record {
            observed: vec![seen, absent],
            ..record(&[("a", "1"), ("b", "2")])
        }
        .hit();
        let bytes = hit.to_bytes();
        assert_eq!(Hit::from_bytes(&bytes), Ok(hit.clone()));
        for length in 0..bytes.len() {
            assert!(Hit::from_bytes(&bytes[..length]).is_err());
        }
        let two = [hit.clone(), Hit { seconds: 3.0, ..hit }];
        assert_eq!(hits_from_bytes(&hits_to_bytes(&two)).as_deref(), Ok(&two[..]));
    }
}
