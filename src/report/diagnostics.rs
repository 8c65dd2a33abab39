//! How mistakes in a configuration are shown: file, line, the text with a mark under it, what to do.

use std::borrow::Cow;
use std::fmt::Write;
use std::ops::Range;

use camino::Utf8Path;
use vtbuild_cfg::provenance::{did_you_mean, nearest};
use vtbuild_cfg::{Class, Diagnostic, Location, Severity, expand_tabs};

/// How many mistakes are shown in full.
const SHOWN: usize = 20;

/// The diagnostics one after the other, as text.
pub fn render(found: &[Diagnostic]) -> String {
    let mut text = String::new();
    for diagnostic in found.iter().take(SHOWN) {
        if !text.is_empty() {
            text.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = write!(text, "{}", with_similar(diagnostic));
    }
    if found.len() > SHOWN {
        let _ = write!(text, "\nand {} more", found.len() - SHOWN);
    }
    text
}

/// A mistake in a TOML file of ours, as one in a configuration is shown.
pub fn of_toml(path: &Utf8Path, text: &str, error: &toml::de::Error) -> String {
    let diagnostic = Diagnostic {
        severity: Severity::Error,
        class: Class::Other,
        code: "toml",
        message: error.message().to_owned(),
        location: location(path, text, error.span()),
        help: None,
        notes: Vec::new(),
        included_from: Vec::new(),
        missing: None,
    };
    diagnostic.to_string()
}

/// Where a stretch of a text is; the file alone where nobody knows.
fn location(path: &Utf8Path, text: &str, span: Option<Range<usize>>) -> Location {
    let found = span.and_then(|span| {
        let before = text.get(..span.start)?;
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = text[begin..].lines().next().unwrap_or_default();
        let marked = text.get(span.clone())?.lines().next().unwrap_or_default();
        Some(Location {
            file: path.as_str().into(),
            line: count(before.matches('\n').count() + 1),
            column: count(expand_tabs(&text[begin..span.start]).chars().count() + 1),
            length: count(marked.chars().count().max(1)),
            bytes: span,
            text: expand_tabs(line).into_owned(),
        })
    });
    found.unwrap_or_else(|| Location {
        file: path.as_str().into(),
        line: 0,
        column: 0,
        length: 1,
        bytes: 0..text.len(),
        text: String::new(),
    })
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The diagnostic; where an include found no file, with the names in that folder that are like it.
pub fn with_similar(diagnostic: &Diagnostic) -> Cow<'_, Diagnostic> {
    let missing = diagnostic.missing.as_deref();
    let similar = missing.and_then(|missing| similar(missing, Utf8Path::new(&*diagnostic.location.file)));
    let Some(similar) = similar else {
        return Cow::Borrowed(diagnostic);
    };
    let mut diagnostic = diagnostic.clone();
    diagnostic.notes.push(similar);
    Cow::Owned(diagnostic)
}

/// Offers the files of a folder that have nearly the name that is missing, or have it with `.cfg`. A workspace's files have
/// names of their own to each other: there it is the folder of the file that asks.
fn similar(missing: &Utf8Path, asking: &Utf8Path) -> Option<String> {
    let folder = |path: &Utf8Path| match path.parent() {
        Some(folder) if !folder.as_str().is_empty() => folder.to_owned(),
        _ => ".".into(),
    };
    let folder = Some(folder(missing))
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(|| folder(asking));
    let wanted = missing.file_name()?;
    let entries = folder.read_dir_utf8().ok()?.flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    let names: Vec<String> = files.map(|entry| entry.file_name().to_owned()).collect();
    let mut found: Vec<String> = names
        .iter()
        .filter(|name| name.strip_suffix(".cfg") == Some(wanted))
        .cloned()
        .collect();
    found.extend(nearest(wanted, names.iter().map(String::as_str), 3));
    found.dedup();
    did_you_mean(&found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let error = toml::from_str::<std::collections::BTreeMap<String, String>>(text).unwrap_err();
        of_toml(Utf8Path::new("a.toml"), text, &error)
    }

    #[test]
    fn a_mistake_in_toml_is_shown_with_file_line_and_mark() {
        assert_eq!(
            shown("a = \"é\"\n\tb = [1]\n"),
            "a.toml:2:13: error: invalid type: sequence, expected a string\n            b = [1]\n                ^^^"
        );
        assert_eq!(
            shown("a = \"x\"\nb = ["),
            "a.toml:2:6: error: unclosed array, expected `]`\n    b = [\n         ^"
        );
    }
}
