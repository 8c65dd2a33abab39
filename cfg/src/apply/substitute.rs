//! `${key}` within values.

use super::Applier;
use crate::graph::{Graph, TextRef};

impl Applier {
    /// Replaces `${key}` left to right, once. The first unknown key ends it: the rest stays as it is.
    pub(super) fn substitute(&mut self, graph: &Graph, value: TextRef) -> TextRef {
        let text = graph.text(value, self.dict.own());
        let mut out = String::new();
        let mut done = 0;
        let mut from = 0;
        while let Some(start) = text[from..].find("${").map(|at| from + at) {
            // At least one character stands between the braces.
            let inner = start + 2;
            let first = text[inner..].chars().next().map_or(0, char::len_utf8);
            if first == 0 {
                break;
            }
            let Some(end) = text[inner + first..].find('}').map(|at| inner + first + at) else {
                break;
            };
            let Some(found) = self.lookup(graph, &text[inner..end]) else {
                break;
            };
            out.push_str(&text[done..start]);
            out.push_str(&found);
            done = end + 1;
            from = done;
        }
        if done == 0 {
            return value;
        }
        out.push_str(&text[done..]);
        self.dict.add_text(&out)
    }

    /// The value of `key` at this moment, seen as the final dictionary would show it.
    fn lookup(&self, graph: &Graph, key: &str) -> Option<String> {
        match key {
            "name" => return Some(self.name.clone()),
            "shortname" => return Some(self.shortname.clone()),
            "dep" => return Some(list_repr(&self.dep)),
            "_name_map_file" => return self.map_repr(graph, false),
            "_short_name_map_file" => return self.map_repr(graph, true),
            _ => {}
        }
        if self.dict.has_suffixes() {
            return self
                .raw(graph)
                .flatten(self.keep_dups)
                .into_iter()
                .find(|(k, _)| k == key)
                .map(|(_, v)| v);
        }
        let sym = graph.symbols.find(key)?;
        self.dict
            .get(sym.0)
            .map(|at| graph.text(at, self.dict.own()).to_owned())
    }

    fn map_repr(&self, graph: &Graph, short: bool) -> Option<String> {
        let maps = self.maps(graph);
        if maps.is_empty() {
            return None;
        }
        let entry = |(file, full, values): &(String, String, String)| {
            format!("{}: {}", repr(file), repr(if short { values } else { full }))
        };
        Some(format!(
            "{{{}}}",
            maps.iter().map(entry).collect::<Vec<_>>().join(", ")
        ))
    }
}

fn list_repr(items: &[String]) -> String {
    format!(
        "[{}]",
        items.iter().map(|item| repr(item)).collect::<Vec<_>>().join(", ")
    )
}

/// A string in Python's quoting, as far as names need it.
pub(crate) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        if c == '\\' || c == quote {
            out.push('\\');
        }
        out.push(c);
    }
    out.push(quote);
    out
}
