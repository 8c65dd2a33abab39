//! How mistakes in a configuration are shown: file, line, the text with a mark under it, what to do.

use std::borrow::Cow;
use std::fmt::Write;

use camino::Utf8Path;
use vtbuild_cfg::Diagnostic;
use vtbuild_cfg::provenance::{did_you_mean, nearest};

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
