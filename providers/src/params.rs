//! Parameters as a variant has them: an ordered map of strings in which the key `KEY_obj` overrides `KEY` for an object.
//!
//! ```
//! use vtbuild_providers::params::Params;
//!
//! let params: Params = [("mem", "512"), ("mem_vm1", "1024")].into_iter().collect();
//! assert_eq!(params.get("mem"), Some("512"));
//! assert_eq!(params.object("vm1").get("mem"), Some("1024"));
//! ```

mod reads;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

use rustc_hash::FxHashMap;

pub use reads::ReadSet;
use reads::Recorder;

/// A parameter whose value cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("use parameter `{key} = {value}`{}: expected {expected}", of(object))]
pub struct ParamError {
    /// The parameter.
    pub key: String,
    /// The object whose parameter it is, for example a disk; empty for the machine itself.
    pub object: String,
    /// What it is set to.
    pub value: String,
    /// What would do, as a noun phrase.
    pub expected: String,
}

fn of(object: &str) -> String {
    if object.is_empty() {
        String::new()
    } else {
        format!(" of {object}")
    }
}

/// An ordered map of strings. Views and copies share what they do not change: there are thousands of variants, and of each
/// some dozens of views.
#[derive(Debug, Clone, Default)]
pub struct Params {
    list: Arc<List>,
    /// The objects whose view this is, outermost first.
    view: Vec<String>,
    /// Who remembers what is asked, where somebody does.
    recorder: Option<Arc<Recorder>>,
    /// What was set (true) or removed (false) in this view and those around it: no property of the variant.
    own: HashMap<(usize, String), bool>,
}

/// Keys and values in order, and where each key is.
#[derive(Debug, Clone, Default)]
struct List {
    entries: Vec<(Arc<str>, Arc<str>)>,
    index: FxHashMap<Arc<str>, usize>,
}

impl List {
    fn put(&mut self, key: Arc<str>, value: Arc<str>) {
        if let Some(position) = self.index.get(&key) {
            self.entries[*position].1 = value;
        } else {
            self.index.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }

    fn get(&self, key: &str) -> Option<&Arc<str>> {
        self.index.get(key).map(|position| &self.entries[*position].1)
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Params) -> bool {
        self.list.entries == other.list.entries
    }
}

impl Eq for Params {}

impl Params {
    /// No parameters.
    pub fn new() -> Params {
        Params::default()
    }

    /// The same parameters, which remember from now on what is asked of them and of every view of them. See [`reads`](Self::reads).
    #[must_use]
    pub fn recording(&self) -> Params {
        Params {
            recorder: Some(Arc::new(Recorder::new(self.list.clone()))),
            own: HashMap::new(),
            ..self.clone()
        }
    }

    /// What was asked since [`recording`](Self::recording), under the names of the parameters that it was called on.
    pub fn reads(&self) -> ReadSet {
        self.recorder
            .as_ref()
            .map(|recorder| recorder.report())
            .unwrap_or_default()
    }

    /// Remembers a question for `key`: the names behind it in the views, most special first, until one is found.
    fn asked(&self, key: &str) {
        if let Some(recorder) = &self.recorder {
            self.look_for(recorder, key, self.view.len());
        }
    }

    fn look_for(&self, recorder: &Recorder, key: &str, depth: usize) -> bool {
        if !self.own.is_empty()
            && let Some(present) = self.own.get(&(depth, key.to_owned()))
        {
            return *present;
        }
        let Some(object) = depth.checked_sub(1).and_then(|outer| self.view.get(outer)) else {
            return recorder.record(key);
        };
        self.look_for(recorder, &format!("{key}_{object}"), depth - 1)
            || self.look_for(recorder, key, depth - 1)
    }

    /// Sets a key. One that exists keeps its place in the order.
    pub fn set(&mut self, key: impl Into<Arc<str>>, value: impl Into<Arc<str>>) {
        let (key, value) = (key.into(), value.into());
        if self.recorder.is_some() {
            self.own.insert((self.view.len(), (*key).to_owned()), true);
        }
        self.put(key, value);
    }

    fn put(&mut self, key: Arc<str>, value: Arc<str>) {
        Arc::make_mut(&mut self.list).put(key, value);
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.asked(key);
        self.peek(key)
    }

    /// The value of a key, without remembering that it was asked for.
    fn peek(&self, key: &str) -> Option<&str> {
        self.list.get(key).map(|value| &**value)
    }

    /// The value of a key without surrounding blanks; none when there is nothing left.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Keys and values in order. Not remembered as a question: for showing them and handing them on.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.list.entries.iter().map(|(key, value)| (&**key, &**value))
    }

    /// The words of a value, each once, in order: names of objects.
    pub fn objects(&self, key: &str) -> Vec<&str> {
        let mut found = Vec::new();
        for word in self.get(key).unwrap_or_default().split_whitespace() {
            if !found.contains(&word) {
                found.push(word);
            }
        }
        found
    }

    /// The view of an object: for every key that ends in `_OBJECT`, in order, the part before the first `_OBJECT` is set to
    /// its value. For nested objects call it again: `params.object("vm1").object("image1")`.
    pub fn object(&self, object: &str) -> Params {
        let mut view = self.clone();
        if object.is_empty() {
            return view;
        }
        view.view.push(object.to_owned());
        if let Some(recorder) = &self.recorder {
            recorder.scan(object);
        }
        let suffix = format!("_{object}");
        let entries = self.list.entries.iter();
        for (key, value) in entries.filter(|(key, _)| key.ends_with(&suffix)) {
            let plain: Arc<str> = key.split(&suffix).next().unwrap_or_default().into();
            // The value as it is by now: an earlier key may have set this one.
            let value = view.list.get(key).unwrap_or(value).clone();
            if plain.len() + suffix.len() != key.len() {
                // The suffix stands in it twice: no rule of names finds it, so it is remembered at once.
                view.asked(key);
            }
            view.put(plain, value);
        }
        view
    }

    /// What a test made of the view of `objects` (outermost first) and hands back. Where a value is the same it is still the
    /// variant's own; what differs was set by the test, what is missing was removed.
    pub fn handed_back(&self, objects: &[String], given: &Params) -> Params {
        let mut view = objects
            .iter()
            .fold(self.clone(), |outer, object| outer.object(object));
        let own = std::mem::replace(&mut view.list, given.list.clone());
        let depth = view.view.len();
        let mut mark = |key: &str, present| view.own.insert((depth, key.to_owned()), present);
        for (key, value) in &own.entries {
            match given.peek(key) {
                Some(now) if *now == **value => {}
                now => drop(mark(key, now.is_some())),
            }
        }
        let new = given
            .list
            .entries
            .iter()
            .filter(|(key, _)| own.get(key).is_none());
        for (key, _) in new {
            mark(key, true);
        }
        view
    }

    /// An error about the value that a key has.
    pub fn bad(&self, key: &str, expected: impl Into<String>) -> ParamError {
        let value = self.peek(key).unwrap_or_default().to_owned();
        ParamError {
            key: key.to_owned(),
            object: self.view.last().cloned().unwrap_or_default(),
            value,
            expected: expected.into(),
        }
    }

    /// A switch: `yes`, `on`, `true`, `1` or `no`, `off`, `false`, `0`. None when the key is absent or empty.
    ///
    /// # Errors
    /// [`ParamError`] for any other text.
    pub fn switch(&self, key: &str) -> Result<Option<bool>, ParamError> {
        match self.text(key).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("yes" | "on" | "true" | "1") => Ok(Some(true)),
            Some("no" | "off" | "false" | "0") => Ok(Some(false)),
            Some(_) => Err(self.bad(key, "yes or no")),
        }
    }

    /// A number. None when the key is absent or empty.
    ///
    /// # Errors
    /// [`ParamError`] when the text is not one, or does not fit.
    pub fn number<T: FromStr>(&self, key: &str) -> Result<Option<T>, ParamError> {
        let parse = |text: &str| text.parse().map_err(|_| self.bad(key, "a whole number"));
        self.text(key).map(parse).transpose()
    }

    /// An amount of bytes with an optional suffix `B`, `K`, `M`, `G` or `T` (powers of 1024); without one, the number counts
    /// `unit` bytes. None when the key is absent or empty.
    ///
    /// # Errors
    /// [`ParamError`] when the text is no such amount.
    pub fn size(&self, key: &str, unit: u64) -> Result<Option<u64>, ParamError> {
        let parse =
            |text: &str| parse_size(text, unit).ok_or_else(|| self.bad(key, "a size such as 512M or 10G"));
        self.text(key).map(parse).transpose()
    }
}

fn parse_size(text: &str, unit: u64) -> Option<u64> {
    let text = text.strip_suffix("iB").unwrap_or(text);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" => unit,
        "B" => 1,
        "K" | "KB" => 1 << 10,
        "M" | "MB" => 1 << 20,
        "G" | "GB" => 1 << 30,
        "T" | "TB" => 1 << 40,
        _ => return None,
    };
    if let Ok(whole) = digits.trim().parse::<u64>() {
        return whole.checked_mul(unit);
    }
    let (whole, part) = digits.trim().split_once('.')?;
    let scale = 10_u64.checked_pow(u32::try_from(part.len()).ok()?)?;
    let amount = whole
        .parse::<u64>()
        .ok()?
        .checked_mul(scale)?
        .checked_add(part.parse().ok()?)?;
    amount.checked_mul(unit).map(|bytes| bytes / scale)
}

impl<K: Into<Arc<str>>, V: Into<Arc<str>>> FromIterator<(K, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Params {
        let entries = entries.into_iter();
        let mut list = List::default();
        let (least, _) = entries.size_hint();
        list.entries.reserve(least);
        list.index.reserve(least);
        entries.for_each(|(key, value)| list.put(key.into(), value.into()));
        Params {
            list: Arc::new(list),
            ..Params::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(entries: &[(&str, &str)]) -> Params {
        entries.iter().copied().collect()
    }

    #[test]
    fn objects_nest() {
        let all = params(&[
            ("image_format", "raw"),
            ("image_format_stg", "qcow2"),
            ("image_format_stg_vm1", "vmdk"),
        ]);
        assert_eq!(all.object("stg").get("image_format"), Some("qcow2"));
        assert_eq!(all.object("vm1").object("stg").get("image_format"), Some("vmdk"));
        assert_eq!(all.object("vm2").object("other").get("image_format"), Some("raw"));
    }

    #[test]
    fn the_text_before_the_first_suffix_is_the_key() {
        let all = params(&[("a_x_x", "1")]);
        assert_eq!(all.object("x").get("a"), Some("1"));
    }

    #[test]
    fn names_are_listed_once() {
        assert_eq!(params(&[("vms", "b a  b")]).objects("vms"), ["b", "a"]);
        assert!(Params::new().objects("vms").is_empty());
    }

    #[test]
    fn errors_name_the_parameter_and_its_object() {
        let all = params(&[("smp", "two"), ("boot_menu", "perhaps")]);
        let error = all.number::<u32>("smp").unwrap_err();
        assert_eq!(
            error.to_string(),
            "use parameter `smp = two`: expected a whole number"
        );
        let error = all.object("vm1").switch("boot_menu").unwrap_err();
        assert_eq!(
            error.to_string(),
            "use parameter `boot_menu = perhaps` of vm1: expected yes or no"
        );
    }

    #[test]
    fn questions_are_remembered_under_the_variant_s_own_names() {
        let all = params(&[("mem", "512"), ("mem_vm1", "1024"), ("cpu", "x"), ("unread", "1")]).recording();
        let view = all.object("vm1");
        assert_eq!(view.get("mem"), Some("1024"));
        assert_eq!(view.object("image1").get("cpu"), Some("x"));
        assert_eq!(all.get("absent"), None);
        let reads = all.reads();
        let keys: Vec<&str> = reads.keys.iter().map(String::as_str).collect();
        assert_eq!(
            keys,
            [
                "absent",
                "cpu",
                "cpu_image1",
                "cpu_image1_vm1",
                "cpu_vm1",
                "mem_vm1"
            ]
        );
        assert_eq!(reads.suffixes.iter().collect::<Vec<_>>(), ["image1", "vm1"]);
    }

    #[test]
    fn what_a_test_changed_in_a_view_is_not_the_variant_s() {
        let all = params(&[("mem", "512"), ("cpu", "x"), ("smp", "1"), ("a_vm1_vm1", "1")]).recording();
        let given = params(&[
            ("mem", "2048"),
            ("cpu", "x"),
            ("new", "1"),
            ("a_vm1_vm1", "1"),
            ("a", "1"),
        ]);
        let view = all.handed_back(&["vm1".to_owned()], &given);
        assert_eq!(view, given);
        for key in ["mem", "cpu", "new", "smp"] {
            assert_eq!(view.get(key), given.get(key), "{key}");
        }
        let reads = all.reads();
        let keys: Vec<&str> = reads.keys.iter().map(String::as_str).collect();
        assert_eq!(keys, ["a_vm1_vm1", "a_vm1_vm1_vm1", "cpu", "cpu_vm1"]);
    }

    #[test]
    fn sizes_have_suffixes() {
        let cases = [
            ("10G", 10 << 30),
            ("512", 512 << 20),
            ("1.5K", 1536),
            ("64KiB", 65536),
            ("100B", 100),
        ];
        for (text, bytes) in cases {
            assert_eq!(
                params(&[("mem", text)]).size("mem", 1 << 20),
                Ok(Some(bytes)),
                "{text}"
            );
        }
        for text in ["G", "10X", "ten", "-1", "99999999999999T"] {
            assert!(params(&[("mem", text)]).size("mem", 1).is_err(), "{text}");
        }
    }
}
