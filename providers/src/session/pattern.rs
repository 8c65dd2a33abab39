//! Regular expressions as Python's `re.search` reads them.
//!
//! Prompts and expected patterns come from configuration files and tests written for Python. Most of the syntax is the
//! same; what differs is translated here, so that `[\#\$]\s*$` or `[[]root@.*{` mean what their authors saw.

use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// A regular expression that cannot be understood.
#[derive(Debug, thiserror::Error)]
#[error("understand the regular expression `{pattern}`: {reason}")]
pub struct PatternError {
    /// As it was written.
    pub pattern: String,
    /// What the parser says.
    pub reason: String,
}

/// A compiled regular expression in Python's flavour.
#[derive(Clone)]
pub struct Pattern {
    source: String,
    regex: fancy_regex::Regex,
}

impl Pattern {
    /// Compiles a Python regular expression.
    pub fn python(source: &str) -> Result<Self, PatternError> {
        let regex = fancy_regex::Regex::new(&translate(source)).map_err(|error| PatternError {
            pattern: source.to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    /// Whether the expression matches anywhere in `text`. One that needs more backtracking than is allowed does not.
    pub fn found_in(&self, text: &str) -> bool {
        self.regex.is_match(text).unwrap_or_else(|error| {
            tracing::warn!(pattern = self.source, %error, "gave up matching a regular expression");
            false
        })
    }

    /// The expression as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.source)
    }
}

/// Python's spelling to that of the `regex` crates.
fn translate(source: &str) -> String {
    let mut out = String::with_capacity(source.len() + 8);
    let mut rest = source.chars().peekable();
    let multi_line = source.starts_with("(?m") || source.starts_with("(?im") || source.starts_with("(?sm");
    while let Some(letter) = rest.next() {
        match letter {
            '\\' => escape(&mut out, rest.next()),
            '[' => class(&mut out, &mut rest),
            '{' => brace(&mut out, &mut rest),
            // Python's `$` also matches before a final line end.
            '$' if !multi_line => out.push_str("(?=\\n?\\z)"),
            _ => out.push(letter),
        }
    }
    out
}

fn escape(out: &mut String, letter: Option<char>) {
    match letter {
        Some('Z') => out.push_str("\\z"),
        Some(letter) if letter.is_alphanumeric() => out.extend(['\\', letter]),
        Some(letter) => literal(out, letter),
        None => out.push_str("\\\\"),
    }
}

/// One character that stands for itself.
fn literal(out: &mut String, letter: char) {
    if "\\.+*?()|[]{}^$#&-~".contains(letter) {
        out.push('\\');
    }
    out.push(letter);
}

/// A `[...]`: Python knows no nested sets and no set operators.
fn class(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    out.push('[');
    if rest.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    if rest.next_if_eq(&']').is_some() {
        out.push_str("\\]");
    }
    while let Some(letter) = rest.next() {
        match letter {
            ']' => {
                out.push(']');
                return;
            }
            '\\' => escape(out, rest.next()),
            '[' | '&' | '~' => out.extend(['\\', letter]),
            _ => out.push(letter),
        }
    }
}

/// A `{`: a repetition where it reads as one, else itself.
fn brace(out: &mut String, rest: &mut Peekable<Chars<'_>>) {
    let ahead: String = rest.clone().take_while(|letter| *letter != '}').collect();
    let closed = rest.clone().nth(ahead.chars().count()) == Some('}');
    let numbers: Vec<&str> = ahead.split(',').collect();
    let is_count = |text: &&str| text.chars().all(|letter| letter.is_ascii_digit());
    if !closed || ahead.is_empty() || ahead == "," || numbers.len() > 2 || !numbers.iter().all(is_count) {
        out.push_str("\\{");
        return;
    }
    out.push('{');
    if ahead.starts_with(',') {
        out.push('0');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(pattern: &str, text: &str) -> bool {
        Pattern::python(pattern).expect(pattern).found_in(text)
    }

    #[test]
    fn prompts_of_the_field_match() {
        for (pattern, text) in [
            (r"^\[.*\][\#\$]\s*$", "[root@localhost ~]# "),
            (r"[\#\$]\s*$", "root@jeos:~# "),
            (r"^root@.*[\#\$]\s*$", "root@jeos:~# "),
            (r"\[root@.{0,50}][\#\$] ", "[root@x ~]# "),
            (r"^\w:\\.*>\s*$", r"C:\Users\Administrator>"),
            (r"[*]$", "prompt*"),
            (r"[[]root", "[root"),
            (r"[]>]\s*$", "x] "),
            (r"foo{bar", "a foo{bar"),
            (r"a{,2}\Z", "aa"),
            (r"end$", "end\n"),
            (r"(?i)LOGIN:\s*$", "host login: "),
            (r"(?P<w>ab)(?P=w)", "abab"),
            (r"^(?!.*bad).*ok\/\-\@$", "is ok/-@"),
            (r"(?m)^two$", "one\ntwo\nthree"),
        ] {
            assert!(found(pattern, text), "{pattern} in {text:?}");
        }
    }

    #[test]
    fn what_does_not_match_does_not() {
        for (pattern, text) in [
            (r"[\#\$]\s*$", "100# of them"),
            (r"end\Z", "end\n"),
            (r"end$", "end\n\n"),
            (r"[^]x]", "]x"),
            (r"^two$", "one\ntwo\nthree"),
        ] {
            assert!(!found(pattern, text), "{pattern} in {text:?}");
        }
    }

    #[test]
    fn an_error_shows_the_pattern_as_written() {
        let error = Pattern::python("(open$").expect_err("is not closed");
        assert!(error.to_string().contains("`(open$`"), "{error}");
    }

    proptest! {
        /// Every escaped text is found in itself, whatever it is made of.
        #[test]
        fn escaped_punctuation_is_itself(text in "[ -~]{1,20}") {
            let escaped: String = text.chars().flat_map(|letter| {
                let slash = (!letter.is_alphanumeric()).then_some('\\');
                slash.into_iter().chain([letter])
            }).collect();
            prop_assert!(found(&format!("^{escaped}$"), &text), "{}", escaped);
        }
    }
}
