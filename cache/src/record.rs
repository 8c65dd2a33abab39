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

/// Something an action looked at while it ran, beyond what it had declared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
            outputs: self.outputs_digest(),
            blobs: self.outputs.iter().map(|output| output.digest).collect(),
            seconds: self.seconds,
            finished_unix_ms: self.finished_unix_ms,
            status: self.status.clone(),
        }
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

/// The light part of a record: enough to plan by, without reading the manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    /// See [`Record::outputs_digest`].
    pub outputs: Digest,
    /// The blobs of the outputs, in their order.
    pub blobs: Vec<Digest>,
    /// How long the action took, in seconds.
    pub seconds: f64,
    /// When it ended, in milliseconds since 1970.
    pub finished_unix_ms: u64,
    /// How it ended.
    pub status: String,
}

impl Hit {
    /// Layout: outputs digest, seconds, end, number of blobs as `u32`, the blobs, the status.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(52 + 32 * self.blobs.len() + self.status.len());
        bytes.extend_from_slice(self.outputs.as_bytes());
        bytes.extend_from_slice(&self.seconds.to_le_bytes());
        bytes.extend_from_slice(&self.finished_unix_ms.to_le_bytes());
        let count =
            u32::try_from(self.blobs.len()).expect("an action has fewer than four thousand million outputs");
        bytes.extend_from_slice(&count.to_le_bytes());
        for blob in &self.blobs {
            bytes.extend_from_slice(blob.as_bytes());
        }
        bytes.extend_from_slice(self.status.as_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, Damage> {
        let mut rest = bytes;
        let outputs = Digest::from_bytes(take(&mut rest)?);
        let seconds = f64::from_le_bytes(take(&mut rest)?);
        let finished_unix_ms = u64::from_le_bytes(take(&mut rest)?);
        let count = u32::from_le_bytes(take(&mut rest)?);
        let blobs = (0..count)
            .map(|_| take(&mut rest).map(Digest::from_bytes))
            .collect::<Result<_, _>>()?;
        let status = std::str::from_utf8(rest)
            .map_err(|error| Damage::Content(error.to_string()))?
            .to_owned();
        Ok(Self {
            outputs,
            blobs,
            seconds,
            finished_unix_ms,
            status,
        })
    }
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
        let hit = record(&[("a", "1"), ("b", "2")]).hit();
        let bytes = hit.to_bytes();
        assert_eq!(Hit::from_bytes(&bytes), Ok(hit));
        for length in 0..bytes.len() - "PASS".len() {
            assert!(Hit::from_bytes(&bytes[..length]).is_err());
        }
    }
}
