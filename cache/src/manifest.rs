//! The printed form of a key, kept with each record so that "why did this run" can always be answered.

use std::collections::{BTreeMap, HashMap};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::key::{ENCODING, Fields, Value};

/// A text or byte string longer than this is printed as its length and digest.
const PRINTED_BYTES: usize = 4096;

/// The field name of a [`Change`] that tells that the same fields came in another order.
pub const ORDER: &str = "order of fields";

/// What entered a key: every field by its path (`params.mem`) with its printed value, in the key's order.
///
/// Two keys that differ never have equal manifests: paths are unique (a repeated name gets an index,
/// `dep[1]`) and the printed form of a value tells its type (`"1"` is text, `1` a number, `absent` a field
/// that was not there).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The kind of key, see [`Keyed::domain`](crate::key::Keyed::domain).
    pub domain: String,
    /// The version of the encoding the key was hashed with.
    pub encoding: u32,
    /// Path and printed value of each field.
    pub fields: Vec<(String, String)>,
}

/// One field that two manifests disagree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The field's path.
    pub field: String,
    /// Its printed value before; `None` when the field is new.
    pub old: Option<String>,
    /// Its printed value now; `None` when the field is gone.
    pub new: Option<String>,
}

impl Manifest {
    /// What is different in `new`, ordered by field name. Empty only when the two are equal.
    #[must_use]
    pub fn diff(&self, new: &Self) -> Vec<Change> {
        let mut changes = Vec::new();
        let mut note = |field: &str, old: Option<&str>, new: Option<&str>| {
            if old != new {
                let [old, new] = [old, new].map(|value| value.map(str::to_owned));
                changes.push(Change {
                    field: field.to_owned(),
                    old,
                    new,
                });
            }
        };
        note("domain", Some(&self.domain), Some(&new.domain));
        note(
            "encoding",
            Some(&self.encoding.to_string()),
            Some(&new.encoding.to_string()),
        );
        for (field, (old, new)) in self.pairs(new) {
            note(field, old, new);
        }
        if changes.is_empty() && self.fields != new.fields {
            let order = |manifest: &Self| Some(manifest.paths().collect::<Vec<_>>().join(" "));
            changes.push(Change {
                field: ORDER.to_owned(),
                old: order(self),
                new: order(new),
            });
        }
        changes
    }

    /// The printed value of the field at `path`.
    #[must_use]
    pub fn get(&self, path: &str) -> Option<&str> {
        self.fields
            .iter()
            .find(|(field, _)| field == path)
            .map(|(_, value)| value.as_str())
    }

    /// The digest of this manifest. It changes whenever the key does, but is not the key.
    #[must_use]
    pub fn digest(&self) -> Digest {
        crate::key::digest_of(self)
    }

    fn paths(&self) -> impl Iterator<Item = &str> {
        self.fields.iter().map(|(path, _)| path.as_str())
    }

    fn pairs<'a>(&'a self, new: &'a Self) -> BTreeMap<&'a str, (Option<&'a str>, Option<&'a str>)> {
        let mut pairs = BTreeMap::<_, (Option<&str>, Option<&str>)>::new();
        for (path, value) in &self.fields {
            pairs.entry(path.as_str()).or_default().0 = Some(value);
        }
        for (path, value) in &new.fields {
            pairs.entry(path.as_str()).or_default().1 = Some(value);
        }
        pairs
    }
}

impl crate::key::Keyed for Manifest {
    fn domain(&self) -> &'static str {
        "manifest"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        sink.put("domain", Value::Text(&self.domain));
        sink.put("encoding", Value::Number(self.encoding.into()));
        for (path, value) in &self.fields {
            sink.put(path, Value::Text(value));
        }
    }
}

/// The printing sink.
pub(crate) struct Printer {
    manifest: Manifest,
    groups: Vec<Group>,
}

/// A group that is open: its path, how often each name came in it, and whether anything did.
#[derive(Default)]
struct Group {
    path: String,
    seen: HashMap<String, usize>,
}

impl Group {
    fn path_of(&mut self, name: &str) -> String {
        let count = self.seen.entry(name.to_owned()).or_default();
        let index = *count;
        *count += 1;
        let name = quoted_if_needed(name);
        let dot = if self.path.is_empty() { "" } else { "." };
        let index = if index == 0 {
            String::new()
        } else {
            format!("[{index}]")
        };
        format!("{}{dot}{name}{index}", self.path)
    }
}

impl Printer {
    pub(crate) fn new(domain: &str) -> Self {
        let manifest = Manifest {
            domain: domain.to_owned(),
            encoding: ENCODING,
            fields: Vec::new(),
        };
        Self {
            manifest,
            groups: vec![Group::default()],
        }
    }

    pub(crate) fn finish(self) -> Manifest {
        assert_eq!(
            self.groups.len(),
            1,
            "a group of key fields was opened and not closed"
        );
        self.manifest
    }

    fn path_of(&mut self, name: &str) -> String {
        self.groups
            .last_mut()
            .expect("the outermost group is never closed")
            .path_of(name)
    }
}

impl Fields for Printer {
    fn put(&mut self, name: &str, value: Value<'_>) {
        let path = self.path_of(name);
        self.manifest.fields.push((path, printed(value)));
    }

    fn open(&mut self, name: &str) {
        let path = self.path_of(name);
        self.groups.push(Group {
            path,
            ..Group::default()
        });
    }

    fn close(&mut self) {
        assert!(
            self.groups.len() > 1,
            "a group of key fields is closed only after it was opened"
        );
        // An empty group enters the key, so it has to show as well.
        if let Some(group) = self.groups.pop()
            && group.seen.is_empty()
        {
            self.manifest.fields.push((group.path, "{}".to_owned()));
        }
    }
}

/// `name`, in quotes when its characters would make a path ambiguous.
fn quoted_if_needed(name: &str) -> String {
    let plain =
        !name.is_empty() && !name.contains(['.', '[', ']', '"', '\\']) && !name.contains(char::is_control);
    if plain { name.to_owned() } else { quoted(name) }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn printed(value: Value<'_>) -> String {
    match value {
        Value::Text(text) if text.len() > PRINTED_BYTES => {
            format!("text({} bytes):{}", text.len(), Digest::of(text.as_bytes()))
        }
        Value::Text(text) => quoted(text),
        Value::Bytes(bytes) if bytes.len() > PRINTED_BYTES => {
            format!("bytes({}):{}", bytes.len(), Digest::of(bytes))
        }
        Value::Bytes(bytes) => format!("hex:{}", HEXLOWER.encode(bytes)),
        Value::Number(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Digest(digest) => format!("blake3:{digest}"),
        Value::Absent => "absent".to_owned(),
    }
}
