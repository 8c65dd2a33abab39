//! Limits of processes: what a test and its machines may write when they crash, open, and lock in memory.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::params::{ParamError, Params};

/// The limits that there are: their parameters, and as options and programs name them.
const KINDS: [(&str, &str, Resource); 3] = [
    ("vt_ulimit_core", "core", Resource::Core),
    ("vt_ulimit_nofile", "nofile", Resource::Nofile),
    ("vt_ulimit_memlock", "memlock", Resource::Memlock),
];
/// How a parameter says that there is no limit. The first is how the field spells it.
const UNLIMITED: [&str; 2] = ["ulimited", "unlimited"];

/// Limits that hold for a process and all that it starts, soft and hard alike. Where nothing is said our own hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits(Vec<Limit>);

/// One limit; without a value there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Limit {
    name: &'static str,
    resource: Resource,
    value: Option<u64>,
}

impl Limits {
    /// What `vt_ulimit_core`, `vt_ulimit_nofile` and `vt_ulimit_memlock` say: bytes, files, bytes, or `ulimited`.
    ///
    /// # Errors
    /// When one of them is something else.
    pub fn from_params(params: &Params) -> Result<Self, ParamError> {
        let mut limits = Vec::new();
        for (key, name, resource) in KINDS {
            let Some(text) = params.text(key) else {
                continue;
            };
            let limit = Limit::of(name, resource, text);
            limits.push(limit.ok_or_else(|| params.bad(key, "a number or `ulimited`"))?);
        }
        Ok(Self(limits))
    }

    /// Whether nothing is said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As options of the guard: `nofile=8192`.
    pub(super) fn options(&self) -> impl Iterator<Item = String> {
        self.0.iter().map(|limit| match limit.value {
            Some(value) => format!("{}={value}", limit.name),
            None => format!("{}={}", limit.name, UNLIMITED[1]),
        })
    }
}

impl Limit {
    fn of(name: &'static str, resource: Resource, text: &str) -> Option<Self> {
        let value = if UNLIMITED.contains(&text) {
            None
        } else {
            Some(text.parse().ok()?)
        };
        Some(Self {
            name,
            resource,
            value,
        })
    }

    /// The limit that an option of the guard describes.
    pub(super) fn parse(option: &str) -> Option<Self> {
        let (name, value) = option.split_once('=')?;
        let (_, name, resource) = KINDS.into_iter().find(|(_, kind, _)| *kind == name)?;
        Self::of(name, resource, value)
    }

    /// Sets it for this process and all that it starts from now on.
    pub(super) fn set(&self) -> io::Result<()> {
        let limit = Rlimit {
            current: self.value,
            maximum: self.value,
        };
        setrlimit(self.resource, limit).map_err(|error| {
            let value = self
                .value
                .map_or_else(|| UNLIMITED[1].to_owned(), |value| value.to_string());
            let error = io::Error::from(error);
            io::Error::new(
                error.kind(),
                format!("the limit {} cannot be {value}: {}", self.name, error.kind()),
            )
        })
    }
}

/// A map from names to numbers, or to null where there is no limit.
impl Serialize for Limits {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for limit in &self.0 {
            map.serialize_entry(limit.name, &limit.value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(entries: &[(&str, &str)]) -> Result<Limits, ParamError> {
        Limits::from_params(&entries.iter().copied().collect())
    }

    #[test]
    fn parameters_become_options_and_back() {
        let limits = limits(&[("vt_ulimit_nofile", "8192"), ("vt_ulimit_memlock", "ulimited")]).unwrap();
        let options: Vec<String> = limits.options().collect();
        assert_eq!(options, ["nofile=8192", "memlock=unlimited"]);
        let parsed: Option<Vec<Limit>> = options.iter().map(|option| Limit::parse(option)).collect();
        assert_eq!(parsed, Some(limits.0.clone()));
        assert_eq!(
            serde_json::to_string(&limits).unwrap(),
            r#"{"nofile":8192,"memlock":null}"#
        );
    }

    #[test]
    fn nonsense_is_named() {
        let error = limits(&[("vt_ulimit_core", "much")]).unwrap_err();
        assert!(error.to_string().contains("vt_ulimit_core"), "{error}");
        assert!(limits(&[]).unwrap().is_empty());
        assert_eq!(Limit::parse("stack=1"), None);
    }
}
