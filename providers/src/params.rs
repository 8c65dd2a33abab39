//! Parameters as a variant has them: an ordered map of strings in which the key `KEY_obj` overrides `KEY` for an object.
//!
//! ```
//! use vtbuild_providers::params::Params;
//!
//! let params: Params = [("mem", "512"), ("mem_vm1", "1024")].into_iter().collect();
//! assert_eq!(params.get("mem"), Some("512"));
//! assert_eq!(params.object("vm1").get("mem"), Some("1024"));
//! ```

use std::collections::HashMap;
use std::str::FromStr;

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

/// An ordered map of strings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params {
    entries: Vec<(String, String)>,
    index: HashMap<String, usize>,
    /// The innermost object that this is the view of.
    object: String,
}

impl Params {
    /// No parameters.
    pub fn new() -> Params {
        Params::default()
    }

    /// Sets a key. One that exists keeps its place in the order.
    pub fn set(&mut self, key: impl Into<String>, value: impl Into<String>) {
        let (key, value) = (key.into(), value.into());
        if let Some(position) = self.index.get(&key) {
            self.entries[*position].1 = value;
        } else {
            self.index.insert(key.clone(), self.entries.len());
            self.entries.push((key, value));
        }
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.index
            .get(key)
            .map(|position| self.entries[*position].1.as_str())
    }

    /// The value of a key without surrounding blanks; none when there is nothing left.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key).map(str::trim).filter(|value| !value.is_empty())
    }

    /// Keys and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
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
        view.object = object.to_owned();
        if object.is_empty() {
            return view;
        }
        let suffix = format!("_{object}");
        for (key, _) in self.entries.iter().filter(|(key, _)| key.ends_with(&suffix)) {
            let plain = key.split(&suffix).next().unwrap_or_default().to_owned();
            // The value as it is by now: an earlier key may have set this one.
            let value = view.get(key).unwrap_or_default().to_owned();
            view.set(plain, value);
        }
        view
    }

    /// An error about the value that a key has.
    pub fn bad(&self, key: &str, expected: impl Into<String>) -> ParamError {
        let value = self.get(key).unwrap_or_default().to_owned();
        ParamError {
            key: key.to_owned(),
            object: self.object.clone(),
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

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Params {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Params {
        let mut params = Params::new();
        entries
            .into_iter()
            .for_each(|(key, value)| params.set(key, value));
        params
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
