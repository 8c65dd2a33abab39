//! The names of variants that `vtbuild.toml` asks for: its filters are part of the configuration.

use std::ops::Range;

use camino::Utf8Path;
use serde::Deserialize;
use toml::Spanned;

use super::scan::{Mention, scan};
use super::text::language_lines;

/// The file's name.
pub const FILE: &str = "vtbuild.toml";

/// Whether a file is a workspace's settings.
pub fn is_settings(path: &Utf8Path) -> bool {
    path.file_name() == Some(FILE)
}

/// What of the settings is written in the language. Everything else is passed over.
#[derive(Deserialize, Default)]
#[serde(default, rename_all = "kebab-case")]
struct Written {
    guest_os: Option<Spanned<String>>,
    only: Vec<Spanned<String>>,
    no: Vec<Spanned<String>>,
    config: Option<Spanned<String>>,
}

/// The names of variants in the filters and the configuration of settings. None where they cannot be read.
pub fn mentions(text: &str) -> Vec<Mention> {
    let written: Written = toml::from_str(text).unwrap_or_default();
    let filters = written.guest_os.iter().chain(&written.only).chain(&written.no);
    let mut found = Vec::new();
    for filter in filters {
        add(text, filter, "only ", &mut found);
    }
    if let Some(config) = &written.config {
        add(text, config, "", &mut found);
    }
    found.sort_by_key(|mention| mention.range.start);
    found
}

/// Adds the labels of a value, which is read behind `lead`.
fn add(text: &str, value: &Spanned<String>, lead: &str, found: &mut Vec<Mention>) {
    let said = value.get_ref();
    let Some(places) = places(text, value.span(), said) else {
        return;
    };
    let read = format!("{lead}{said}");
    for (start, line) in language_lines(&read) {
        let names = scan(line, start).into_iter().flat_map(|line| line.mentions);
        for name in names.filter(|name| name.role.is_label()) {
            let at = |offset: usize| places[offset - lead.len()];
            let range = at(name.range.start)..at(name.range.end - 1) + 1;
            // A name that is written with escapes is left alone.
            if text[range.clone()] == read[name.range.clone()] {
                found.push(Mention {
                    role: name.role,
                    range,
                });
            }
        }
    }
}

/// For each byte of a string's value where it stands in the text; nothing for a string that is put together otherwise
/// than is understood here.
fn places(text: &str, token: Range<usize>, value: &str) -> Option<Vec<usize>> {
    let written = &text[token.clone()];
    let quotes = ["\"\"\"", "'''", "\"", "'"];
    let quote = quotes.into_iter().find(|quote| written.starts_with(quote))?;
    let end = written.len() - quote.len();
    let mut at = quote.len();
    if quote.len() == 3 {
        at += ["\r\n", "\n"]
            .iter()
            .find_map(|new| written[at..].strip_prefix(new).map(|_| new.len()))
            .unwrap_or(0);
    }
    let mut places = Vec::with_capacity(value.len());
    let mut rest = value.chars();
    while at < end {
        let plain = written[at..].chars().next()?;
        let width = if plain == '\\' && quote.starts_with('"') {
            match written[at + 1..].chars().next()? {
                'x' => 4,
                'u' => 6,
                'U' => 10,
                // The line goes on behind the blanks of the next.
                '\n' | '\r' | ' ' | '\t' => {
                    let behind = written[at + 1..end].trim_start();
                    at = end - behind.len();
                    continue;
                }
                _ => 2,
            }
        } else {
            plain.len_utf8()
        };
        let said = rest.next()?;
        places.extend((0..said.len_utf8()).map(|byte| token.start + at + byte.min(width - 1)));
        at += width;
    }
    (places.len() == value.len()).then_some(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_variants_in_every_way_to_write_them() {
        let text = r#"
vt-type = "qemu"
guest-os = "JeOS.12"
only = ["migrate..tcp", 'Größe, (guest=small)', "say\u0020boot"]
no = []
data-dir = "only"
config = """
no \
    unix
name = "only tcp"
boot:
    only a\tb
"""
[params]
boot = "boot"
"#;
        let names: Vec<&str> = mentions(text)
            .into_iter()
            .map(|mention| &text[mention.range])
            .collect();
        assert_eq!(
            names,
            [
                "JeOS", "12", "migrate", "tcp", "Größe", "small", "say", "boot", "unix", "boot", "a", "b"
            ]
        );
        assert_eq!(mentions("only = "), []);
        let one_line = r#"config = "no c\nonly d\u0065""#;
        let names = mentions(one_line);
        assert_eq!(names.len(), 1, "what is written with escapes is left alone");
        assert_eq!(&one_line[names[0].range.clone()], "c");
    }
}
