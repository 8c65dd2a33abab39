//! What is kept of an action that was carried out.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::hit::{Hit, Observations};
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
    /// The outputs of other actions that it read: collection weighs what stands on a blob.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<Digest>,
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
            inputs: self.inputs.clone(),
            observed: Observations::of(&self.observed),
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

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn record(outputs: &[(&str, &str)]) -> Record {
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
            inputs: Vec::new(),
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
}
