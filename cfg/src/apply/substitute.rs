//! `${key}` within values.

use super::Applier;
use crate::diagnostic::Diagnostic;
use crate::graph::{Graph, TextRef};

impl Applier {
    /// Replaces `${key}` left to right, once. The first unknown key ends it: the rest stays as it is.
    ///
    /// # Errors
    /// In strict mode: a known key stands behind the unknown one.
    pub(super) fn substitute(
        &mut self,
        graph: &Graph,
        stmt: u32,
        value: TextRef,
    ) -> Result<TextRef, Box<Diagnostic>> {
        let text = graph.text(value, self.dict.own());
        let mut out = String::new();
        let mut done = 0;
        while let Some((start, key, end)) = reference(text, done) {
            let Some(found) = self.lookup(graph, key) else {
                if self.modes.strict {
                    self.refuse_known_behind(graph, stmt, text, (key, end))?;
                }
                break;
            };
            out.push_str(&text[done..start]);
            out.push_str(&found);
            done = end;
        }
        if done == 0 {
            return Ok(value);
        }
        out.push_str(&text[done..]);
        Ok(self.dict.add_text(&out))
    }

    /// Refuses a reference that is not replaced only because the unknown one, which ends at `from`, stands before it.
    fn refuse_known_behind(
        &self,
        graph: &Graph,
        stmt: u32,
        text: &str,
        (unknown, mut from): (&str, usize),
    ) -> Result<(), Box<Diagnostic>> {
        while let Some((_, key, end)) = reference(text, from) {
            if self.lookup(graph, key).is_some() {
                let message =
                    format!("`${{{key}}}` stays as it is, because `{unknown}` before it is unknown");
                let error = self.fail(graph, stmt, "unknown-ends-substitution", message);
                let help = format!("set `{unknown}` before, or build the value of two assignments");
                return Err(Box::new(error.with_help(help)));
            }
            from = end;
        }
        Ok(())
    }

    /// The value of `key` at this moment, seen as the final dictionary would show it.
    fn lookup(&self, graph: &Graph, key: &str) -> Option<String> {
        match key {
            "name" => return Some(self.name.clone()),
            "shortname" => return Some(self.shortname.clone()),
            "dep" => return Some(list_repr(&self.dep)),
            "_name_map_file" => return map_repr(&self.maps(graph), false),
            "_short_name_map_file" => return map_repr(&self.maps(graph), true),
            _ => {}
        }
        if self.dict.has_suffixes() {
            return self
                .raw(graph)
                .flatten(self.modes.keep_dups)
                .into_iter()
                .find(|made| made.key == key)
                .map(|made| made.value);
        }
        let sym = graph.symbols.find(key)?;
        self.dict
            .get(sym.0)
            .map(|at| graph.text(at, self.dict.own()).to_owned())
    }
}

/// The next `${key}` from byte `from` on: where it starts, the key, and where it ends. A key has at least one character.
fn reference(text: &str, from: usize) -> Option<(usize, &str, usize)> {
    let start = from + text[from..].find("${")?;
    let inner = start + 2;
    let first = text[inner..].chars().next()?.len_utf8();
    let end = inner + first + text[inner + first..].find('}')?;
    Some((start, &text[inner..end], end + 1))
}

/// File maps as `${}` shows them, if there are any.
pub(crate) fn map_repr(maps: &[(String, String, String)], short: bool) -> Option<String> {
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

/// A list as `${}` shows it.
pub(crate) fn list_repr(items: &[String]) -> String {
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
