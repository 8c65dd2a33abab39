//! The canonical dump: one JSON object a variant, keys sorted by code point, no blanks, nothing escaped that need not be.

use crate::diagnostic::Diagnostic;
use crate::variant::Variant;

/// Appends the dump of `variant`, with its line end, to `out`.
///
/// # Errors
/// The variant's parameters cannot be computed.
pub fn canonical_dump(variant: &Variant, out: &mut String) -> Result<(), Box<Diagnostic>> {
    let params = variant.params().map_err(|error| Box::new(error.clone()))?;
    let maps = variant.maps();
    let mut special: Vec<(&str, String)> = vec![("dep", list(&variant.dep()))];
    if !maps.is_empty() {
        special.push((
            "_name_map_file",
            object(maps.iter().map(|(file, full, _)| (&**file, &**full)).collect()),
        ));
        special.push((
            "_short_name_map_file",
            object(maps.iter().map(|(file, _, short)| (&**file, &**short)).collect()),
        ));
    }
    special.sort_unstable();
    let mut special = special.into_iter().peekable();
    out.push('{');
    for (key, value) in params.sorted() {
        while let Some((name, text)) = special.next_if(|(name, _)| *name < key) {
            write_entry(name, &text, out);
        }
        string(key, out);
        out.push(':');
        string(value, out);
        out.push(',');
    }
    for (name, text) in special {
        write_entry(name, &text, out);
    }
    out.pop();
    out.push_str("}\n");
    Ok(())
}

fn write_entry(name: &str, json: &str, out: &mut String) {
    string(name, out);
    out.push(':');
    out.push_str(json);
    out.push(',');
}

fn list(items: &[String]) -> String {
    let mut out = String::from("[");
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(item, &mut out);
    }
    out.push(']');
    out
}

fn object(mut pairs: Vec<(&str, &str)>) -> String {
    pairs.sort_unstable();
    let mut out = String::from("{");
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(key, &mut out);
        out.push(':');
        string(value, &mut out);
    }
    out.push('}');
    out
}

/// Appends a JSON string.
fn string(text: &str, out: &mut String) {
    out.push('"');
    let escaped = |b: u8| b < 0x20 || b == b'"' || b == b'\\';
    // Nearly no text needs escapes, and asking all bytes at once is faster than looking for the first.
    if !text.bytes().fold(false, |any, b| any | escaped(b)) {
        out.push_str(text);
        out.push('"');
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(escaped) {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            8 => out.push_str("\\b"),
            12 => out.push_str("\\f"),
            other => out.push_str(&format!("\\u{other:04x}")),
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
