//! The key patterns of `?=`, `?+=` and `?<=`.
//!
//! A pattern is the key text plus `$`, matched at the start of a key: in `a|b` the `$` binds to `b` alone, so `a` matches
//! every key that starts with it. Patterns that are only plain names between bars never reach the regex engine.

use std::fmt;
use std::sync::OnceLock;

use fancy_regex::Regex;

/// A compiled key pattern.
pub(crate) struct Matcher {
    text: String,
    plain: bool,
    regex: OnceLock<Result<Regex, String>>,
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Matcher").field(&self.text).finish()
    }
}

impl Matcher {
    pub(crate) fn new(text: &str) -> Self {
        let plain = text
            .chars()
            .all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | ' ' | '|'));
        Matcher {
            text: text.to_owned(),
            plain,
            regex: OnceLock::new(),
        }
    }

    /// The key text as written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The single key that the pattern can match, if it is a plain name.
    pub(crate) fn literal(&self) -> Option<&str> {
        (self.plain && !self.text.contains('|')).then_some(&*self.text)
    }

    /// Refuses a text that is no pattern, whether or not there is a key to try it on.
    ///
    /// # Errors
    /// The text is not a regular expression.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.plain {
            return Ok(());
        }
        let compiled = self.regex.get_or_init(|| compile(&self.text)).as_ref();
        compiled.map(|_| ()).map_err(Clone::clone)
    }

    /// Whether the pattern matches `key`.
    ///
    /// # Errors
    /// The text is not a regular expression, or matching it gave up.
    pub(crate) fn matches(&self, key: &str) -> Result<bool, String> {
        if self.plain {
            let (prefixes, last) = self
                .text
                .rsplit_once('|')
                .map_or((None, &*self.text), |(p, l)| (Some(p), l));
            return Ok(
                key == last || prefixes.is_some_and(|all| all.split('|').any(|one| key.starts_with(one)))
            );
        }
        match self.regex.get_or_init(|| compile(&self.text)) {
            Ok(regex) => regex.is_match(key).map_err(|error| error.to_string()),
            Err(error) => Err(error.clone()),
        }
    }
}

fn compile(text: &str) -> Result<Regex, String> {
    if let Some(at) = late_flags(text) {
        return Err(format!(
            "flags for the whole pattern, such as `(?i)`, stand at its start, not at character {}",
            at + 1
        ));
    }
    // Anchored like a match at the start, without letting alternation escape the anchor.
    Regex::new(&format!(r"\A(?:{text}$)")).map_err(|error| error.to_string())
}

/// Where flags for the whole pattern (`(?i)`) stand elsewhere than at its start, counted in characters: an error in the
/// reference's regular expressions, which ours would apply from there on.
fn late_flags(text: &str) -> Option<usize> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut in_class) = (0, false);
    while at < chars.len() {
        match chars[at] {
            '\\' => at += 1,
            // A bracket right behind the opening one is a member of the class.
            '[' if !in_class => {
                in_class = true;
                at += usize::from(chars.get(at + 1) == Some(&'^'));
                at += usize::from(chars.get(at + 1) == Some(&']'));
            }
            ']' => in_class = false,
            '(' if !in_class && at > 0 && chars.get(at + 1) == Some(&'?') => {
                let flags = chars[at + 2..]
                    .iter()
                    .take_while(|c| "aiLmsux".contains(**c))
                    .count();
                if flags > 0 && chars.get(at + 2 + flags) == Some(&')') {
                    return Some(at);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollar_binds_to_the_last_alternative() {
        let matcher = Matcher::new("a|b");
        let hits: Vec<_> = ["a", "ax", "b", "bx", "ca"]
            .map(|key| matcher.matches(key).expect("plain"))
            .into();
        assert_eq!(hits, [true, true, true, false, false]);
        let regex = Matcher::new("vg(_.*)?");
        assert_eq!(
            ["vg", "vg_a", "vgx"].map(|key| regex.matches(key).expect("valid")),
            [true, true, false]
        );
        assert!(Matcher::new("(").matches("a").is_err());
    }

    #[test]
    fn flags_stand_at_the_start() {
        for (text, late) in [
            ("(?i)a", None),
            ("a(?i) ", Some(1)),
            ("a(?ms)", Some(1)),
            (r"\((?x)", Some(2)),
            ("[(?i)]", None),
            ("[]](?i)", Some(3)),
            ("a(?i:b)", None),
            ("a(?=b)", None),
        ] {
            assert_eq!(late_flags(text), late, "{text}");
            assert_eq!(Matcher::new(text).matches("a").is_err(), late.is_some(), "{text}");
        }
    }
}
