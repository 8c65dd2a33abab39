//! What an action's key contains.
//!
//! | field | why |
//! |---|---|
//! | `rule`, `rule version` | a rule that changes its meaning moves all its keys |
//! | `label` | two actions that differ in name alone are two actions: their records carry the name |
//! | `params.NAME` | every parameter the rule read, absent ones included, sorted by name |
//! | `sources.NAME` | digest of every file it reads, or that the file is absent |
//! | `host.NAME` | what of the host and its tools the result depends on: facts as text, files by digest |
//! | `inputs.ROLE` | for every input, the names and digests of what it is made of: its content, not its key, so that an input built again to the same bytes changes nothing (early cut-off) |
//!
//! Not in it: where files are on this machine, what the action claims from the host, who asked for it, and the order in
//! which parameters were written down.

use std::sync::Arc;

use vtbuild_cache::{Digest, Fields, FileState, Keyed, Manifest, Value, digest_of, manifest_of};

use crate::spec::{Host, Spec};

/// One input as it enters a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputDigest {
    /// The part it plays.
    pub role: Arc<str>,
    /// Its outputs' names and digests, in the order in which the action made them.
    pub outputs: Arc<[(String, Digest)]>,
}

/// Everything that an action's key is computed from.
#[derive(Debug)]
pub struct ActionKey<'a> {
    /// What was declared.
    pub spec: &'a Spec,
    /// The state of each of `spec.sources`, in the same order.
    pub sources: &'a [FileState],
    /// The state of each of `spec.host.files`, in the same order.
    pub host: &'a [FileState],
    /// The inputs, in the order of `spec.needs` and then of `dep`.
    pub inputs: &'a [InputDigest],
}

impl ActionKey<'_> {
    /// The key.
    #[must_use]
    pub fn digest(&self) -> Digest {
        digest_of(self)
    }

    /// The same fields in a form that people can read and compare.
    #[must_use]
    pub fn manifest(&self) -> Manifest {
        manifest_of(self)
    }

    /// The same, followed by what was read beyond the key.
    #[must_use]
    pub fn manifest_with(&self, reads: &ParamReads<'_>) -> Manifest {
        manifest_of(&WithReads { key: self, reads })
    }
}

/// The parameters that were read beyond a key.
#[derive(Debug, Default)]
pub struct ParamReads<'a> {
    /// Name and value; absent is a value too.
    pub params: Vec<(&'a str, Option<&'a str>)>,
    /// The digest of all parameters, where all of them were read.
    pub everything: Option<Digest>,
}

/// A key and what was read beyond it: what a record is kept with.
struct WithReads<'a> {
    key: &'a ActionKey<'a>,
    reads: &'a ParamReads<'a>,
}

impl Keyed for WithReads<'_> {
    fn domain(&self) -> &'static str {
        self.key.domain()
    }

    fn fields(&self, sink: &mut dyn Fields) {
        self.key.fields(sink);
        if !self.reads.params.is_empty() {
            sink.open(READS);
            for (name, value) in &self.reads.params {
                sink.put(name, value.map_or(Value::Absent, Value::Text));
            }
            sink.close();
        }
        if let Some(digest) = self.reads.everything {
            sink.put(EVERYTHING, Value::Digest(digest));
        }
    }
}

/// The group of a manifest that tells what the inputs are made of.
pub(crate) const INPUTS: &str = "inputs";
/// The group of a manifest that tells which parameters were read beyond the key.
pub(crate) const READS: &str = "reads";
/// The field of a manifest that tells that all parameters were read.
pub(crate) const EVERYTHING: &str = "reads_everything";

impl Keyed for ActionKey<'_> {
    fn domain(&self) -> &'static str {
        "vtbuild.action"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        sink.put("rule", Value::Text(self.spec.rule.name));
        sink.put("rule version", Value::Number(u64::from(self.spec.rule.version)));
        sink.put("label", Value::Text(&self.spec.label));
        sink.open("params");
        for (name, value) in &self.spec.declared {
            sink.put(name, value.as_deref().map_or(Value::Absent, Value::Text));
        }
        sink.close();
        sink.open("sources");
        for (source, state) in self.spec.sources.iter().zip(self.sources) {
            sink.put(&source.name, source_value(state));
        }
        sink.close();
        if *self.spec.host != Host::default() {
            sink.open("host");
            for (name, value) in &self.spec.host.facts {
                sink.put(name, value.as_deref().map_or(Value::Absent, Value::Text));
            }
            for (file, state) in self.spec.host.files.iter().zip(self.host) {
                sink.put(&file.name, source_value(state));
            }
            sink.close();
        }
        sink.open(INPUTS);
        for input in self.inputs {
            sink.open(&input.role);
            for (name, digest) in input.outputs.iter() {
                sink.put(name, Value::Digest(*digest));
            }
            sink.close();
        }
        sink.close();
    }
}

/// How the state of a source file enters a key. Something that is no regular file is as good as absent: the rule will
/// say what is wrong with it when it runs.
fn source_value(state: &FileState) -> Value<'static> {
    match state {
        FileState::File { digest, .. } => Value::Digest(*digest),
        FileState::Absent | FileState::NotAFile => Value::Absent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{RuleName, SourceFile};

    fn spec() -> Spec {
        let rule = RuleName {
            name: "test",
            version: 1,
        };
        let mut spec = Spec::new(rule, "bundled.boot");
        spec.declared = Box::new([
            (Arc::from("mem"), Some(Arc::from("512"))),
            (Arc::from("smp"), None),
        ]);
        spec.sources = Box::new([SourceFile::new("bundled/boot.py", "/here/boot.py".into())]);
        spec
    }

    fn key(spec: &Spec, text: &str, role: &str) -> Digest {
        let sources = [FileState::File {
            digest: Digest::of(text.as_bytes()),
            size: 1,
        }];
        let inputs = [InputDigest {
            role: Arc::from(role),
            outputs: Arc::new([("disk".into(), Digest::of(b"d"))]),
        }];
        ActionKey {
            spec,
            sources: &sources,
            host: &[FileState::Absent],
            inputs: &inputs,
        }
        .digest()
    }

    #[test]
    fn every_field_moves_the_key_and_places_do_not() {
        let base = key(&spec(), "a", "image1");
        let mut elsewhere = spec();
        elsewhere.sources[0].path = "/there/boot.py".into();
        elsewhere.claim.vcpus = 7;
        assert_eq!(base, key(&elsewhere, "a", "image1"));

        let changes: [fn(&mut Spec); 7] = [
            |s| s.rule.version = 2,
            |s| s.label = Arc::from("bundled.reboot"),
            |s| s.declared[0].1 = Some(Arc::from("1024")),
            |s| s.declared[1].1 = Some(Arc::from("")),
            |s| s.sources[0].name = Arc::from("bundled/reboot.py"),
            |s| {
                Arc::make_mut(&mut s.host).facts = Box::new([(Arc::from("kernel"), Some(Arc::from("6.1")))]);
            },
            |s| {
                Arc::make_mut(&mut s.host).files =
                    Box::new([SourceFile::new("emulator", "/bin/qemu".into())]);
            },
        ];
        for change in changes {
            let mut changed = spec();
            change(&mut changed);
            assert_ne!(base, key(&changed, "a", "image1"));
        }
        assert_ne!(base, key(&spec(), "b", "image1"));
        assert_ne!(base, key(&spec(), "a", "image2"));
    }

    #[test]
    fn the_manifest_names_each_field() {
        let spec = spec();
        let sources = [FileState::Absent];
        let manifest = ActionKey {
            spec: &spec,
            sources: &sources,
            host: &[],
            inputs: &[],
        }
        .manifest();
        let text = format!("{manifest:?}");
        for field in ["params.mem", "params.smp", "bundled/boot.py"] {
            assert!(text.contains(field), "{field} is missing from {text}");
        }
    }
}
