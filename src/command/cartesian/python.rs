//! Texts, lists and maps in Python's notation.

use std::sync::LazyLock;

use regex::Regex;

/// A value of a variant.
pub enum Value<'v> {
    /// Text.
    Text(&'v str),
    /// What a variant depends on.
    List(Vec<String>),
    /// A map of files, in order of insertion.
    Map(Vec<(String, String)>),
}

/// Appends what Python's `repr` gives for `value`.
pub fn write_repr(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Text(text) => write_text(text, out),
        Value::List(items) => {
            out.push('[');
            separated(items, out, |item, out| write_text(item, out));
            out.push(']');
        }
        Value::Map(pairs) => {
            out.push('{');
            separated(pairs, out, |(key, value), out| {
                write_text(key, out);
                out.push_str(": ");
                write_text(value, out);
            });
            out.push('}');
        }
    }
}

fn separated<T>(items: &[T], out: &mut String, mut write: impl FnMut(&T, &mut String)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write(item, out);
    }
}

/// Appends what Python's `repr` gives for a string: single quotes, unless it holds one and no double quote.
pub fn write_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == '\\' || c == quote => out.extend(['\\', c]),
            c if printable(c) => out.push(c),
            c => escape(c as u32, out),
        }
    }
    out.push(quote);
}

fn escape(code: u32, out: &mut String) {
    out.push_str(&match code {
        0..=0xff => format!("\\x{code:02x}"),
        0x100..=0xffff => format!("\\u{code:04x}"),
        _ => format!("\\U{code:08x}"),
    });
}

/// Whether Python shows a character as it is: neither a control, a separator, private nor unassigned. What is assigned
/// is what was so in Unicode 14, the version of the Python that the output is compared with.
fn printable(c: char) -> bool {
    static HIDDEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[\p{C}\p{Z}\P{Age=14.0}]$").expect("a correct pattern of constant text")
    });
    match c {
        ' '..='~' => true,
        c if c.is_ascii() => false,
        c => !HIDDEN.is_match(c.encode_utf8(&mut [0; 4])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repr(text: &str) -> String {
        let mut out = String::new();
        write_text(text, &mut out);
        out
    }

    #[test]
    fn strings_are_quoted_as_python_does() {
        assert_eq!(repr(""), "''");
        assert_eq!(repr("it's"), r#""it's""#);
        assert_eq!(repr(r#"it's "it""#), r#"'it\'s "it"'"#);
        assert_eq!(repr("a\\b\u{7f}\u{1}\t"), r"'a\\b\x7f\x01\t'");
        assert_eq!(
            repr("é\u{a0}\u{ad}\u{200b}\u{3000}漢"),
            r"'é\xa0\xad\u200b\u3000漢'"
        );
        assert_eq!(repr("\u{1f600}\u{e0001}\u{378}"), "'\u{1f600}\\U000e0001\\u0378'");
    }

    #[test]
    fn lists_and_maps() {
        let mut out = String::new();
        write_repr(&Value::List(vec!["a".into(), "(v=b)".into()]), &mut out);
        write_repr(&Value::Map(vec![("f.cfg".into(), "a.b".into())]), &mut out);
        assert_eq!(out, "['a', '(v=b)']{'f.cfg': 'a.b'}");
    }
}
