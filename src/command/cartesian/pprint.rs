//! The layout of Python's `pprint` for a variant: 80 columns, one key a line, long texts cut at blanks.
//!
//! Widths count characters. `indent` is the column where a value starts; `allowance` is what must still fit after it on
//! its last line: closing brackets.

use super::python::{Value, write_repr, write_text};

const WIDTH: usize = 80;

/// Appends a variant. `pairs` are in order of their keys.
pub fn write_dict(pairs: &[(&str, Value<'_>)], out: &mut String) {
    if fits_on_a_line(pairs, out) {
        return;
    }
    let refs = pairs.iter().map(|(key, value)| (*key, value));
    write_pairs(refs, 0, 0, out, write_value);
}

/// Writes the whole on one line, if that is short enough.
fn fits_on_a_line(pairs: &[(&str, Value<'_>)], out: &mut String) -> bool {
    let mut line = String::from("{");
    for (index, (key, value)) in pairs.iter().enumerate() {
        if index > 0 {
            line.push_str(", ");
        }
        write_text(key, &mut line);
        line.push_str(": ");
        write_sorted_repr(value, &mut line);
        if line.len() > 4 * WIDTH {
            return false;
        }
    }
    line.push('}');
    let fits = width(&line) <= WIDTH;
    if fits {
        out.push_str(&line);
    }
    fits
}

/// `{`, a pair a line, `}`.
fn write_pairs<'p, V>(
    pairs: impl ExactSizeIterator<Item = (&'p str, V)>,
    indent: usize,
    allowance: usize,
    out: &mut String,
    write: impl Fn(V, usize, usize, &mut String),
) {
    let last = pairs.len() - 1;
    out.push('{');
    for (index, (key, value)) in pairs.enumerate() {
        if index > 0 {
            new_line(indent + 1, out);
        }
        let start = out.len();
        write_text(key, out);
        let column = indent + 1 + width(&out[start..]) + 2;
        out.push_str(": ");
        write(value, column, if index == last { allowance + 1 } else { 1 }, out);
        if index < last {
            out.push(',');
        }
    }
    out.push('}');
}

fn write_value(value: &Value<'_>, indent: usize, allowance: usize, out: &mut String) {
    let start = out.len();
    write_sorted_repr(value, out);
    if indent + allowance + width(&out[start..]) <= WIDTH {
        return;
    }
    out.truncate(start);
    match value {
        Value::Text(text) => write_long_text(text, indent, allowance, out),
        Value::List(items) => write_list(items, indent, allowance, out),
        Value::Map(map) => {
            let sorted = sorted(map);
            let pairs = sorted.iter().map(|(key, value)| (&**key, value));
            write_pairs(pairs, indent, allowance, out, |value, indent, allowance, out| {
                write_value(&Value::Text(value), indent, allowance, out);
            });
        }
    }
}

fn write_list(items: &[String], indent: usize, allowance: usize, out: &mut String) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
            new_line(indent + 1, out);
        }
        let after = if index + 1 == items.len() {
            allowance + 1
        } else {
            1
        };
        write_value(&Value::Text(item), indent + 1, after, out);
    }
    out.push(']');
}

/// A text as several literals, one a line, each as long as fits. It is cut after blanks only.
fn write_long_text(text: &str, indent: usize, allowance: usize, out: &mut String) {
    let room = WIDTH.saturating_sub(indent);
    let parts = words(text);
    let mut chunks = Vec::new();
    let mut current = String::new();
    for (index, part) in parts.iter().enumerate() {
        let room = if index + 1 == parts.len() {
            room.saturating_sub(allowance)
        } else {
            room
        };
        let before = current.len();
        current.push_str(part);
        if width(&literal(&current)) > room {
            current.truncate(before);
            if !current.is_empty() {
                chunks.push(literal(&current));
            }
            current.clear();
            current.push_str(part);
        }
    }
    if !current.is_empty() {
        chunks.push(literal(&current));
    }
    if chunks.is_empty() {
        chunks.push(literal(text));
    }
    for (index, chunk) in chunks.iter().enumerate() {
        if index > 0 {
            new_line(indent, out);
        }
        out.push_str(chunk);
    }
}

/// The text cut into words, each with the blanks behind it; leading blanks are a piece of their own.
fn words(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut blanks = false;
    for (at, c) in text.char_indices() {
        let blank = is_blank(c);
        if blanks && !blank {
            parts.push(&text[start..at]);
            start = at;
        }
        blanks = blank;
    }
    if start < text.len() {
        parts.push(&text[start..]);
    }
    parts
}

/// White space as Python sees it: Unicode's, and the four separators of ASCII.
fn is_blank(c: char) -> bool {
    c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c)
}

fn write_sorted_repr(value: &Value<'_>, out: &mut String) {
    match value {
        Value::Map(map) => write_repr(&Value::Map(sorted(map)), out),
        value => write_repr(value, out),
    }
}

fn sorted(map: &[(String, String)]) -> Vec<(String, String)> {
    let mut sorted = map.to_vec();
    sorted.sort_unstable();
    sorted
}

fn literal(text: &str) -> String {
    let mut out = String::new();
    write_text(text, &mut out);
    out
}

fn new_line(indent: usize, out: &mut String) {
    out.push('\n');
    out.extend(std::iter::repeat_n(' ', indent));
}

fn width(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pprint(pairs: &[(&str, Value<'_>)]) -> String {
        let mut out = String::new();
        write_dict(pairs, &mut out);
        out
    }

    #[test]
    fn what_is_short_stays_on_a_line() {
        let pairs = [("a", Value::Text("1")), ("dep", Value::List(vec![]))];
        assert_eq!(pprint(&pairs), "{'a': '1', 'dep': []}");
    }

    #[test]
    fn long_texts_are_cut_at_blanks() {
        let text = format!("{}  {} {}", "a".repeat(30), "b".repeat(50), "c".repeat(100));
        let expected = format!(
            "{{'k': '{}  '\n      '{} '\n      '{}',\n 'z': ''}}",
            "a".repeat(30),
            "b".repeat(50),
            "c".repeat(100)
        );
        assert_eq!(
            pprint(&[("k", Value::Text(&text)), ("z", Value::Text(""))]),
            expected
        );
    }

    #[test]
    fn the_last_line_leaves_room_for_brackets() {
        // 5 columns of `{'k': `, quotes and `}` leave 71 characters for one line.
        let one = format!("{} {}", "a".repeat(35), "b".repeat(35));
        assert_eq!(pprint(&[("k", Value::Text(&one))]), format!("{{'k': '{one}'}}"));
        let two = format!("{one}b");
        assert!(pprint(&[("k", Value::Text(&two))]).contains("'\n      '"));
    }

    #[test]
    fn long_lists_and_maps_have_an_item_a_line() {
        let item = "x".repeat(50);
        let list = Value::List(vec![item.clone(), item.clone()]);
        let map = Value::Map(vec![("z".into(), item.clone()), ("b".into(), item.clone())]);
        let expected =
            format!("{{'d': ['{item}',\n       '{item}'],\n 'm': {{'b': '{item}',\n       'z': '{item}'}}}}");
        assert_eq!(pprint(&[("d", list), ("m", map)]), expected);
    }
}
