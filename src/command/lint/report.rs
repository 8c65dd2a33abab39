//! Findings as text: by kind, those that say the same together, and of each kind only the first few unless all are wanted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use regex::Regex;
use vtbuild_cfg::lint::UNDECIDED;
use vtbuild_cfg::{Diagnostic, Severity};

use super::keys;
use crate::command::plural;
use crate::report::diagnostics::with_similar;

/// How many places of findings that say the same are named beside the first.
const PLACES: usize = 6;

/// Findings that say the same of several places.
struct Group<'d> {
    first: &'d Diagnostic,
    more: Vec<&'d Diagnostic>,
}

/// The text of all findings; of each kind at most `most` different ones.
pub fn text(found: &[Diagnostic], root: &Utf8Path, most: usize) -> String {
    let mut kinds: BTreeMap<(u8, &str), Vec<Group<'_>>> = BTreeMap::new();
    let mut places: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for diagnostic in found {
        // Errors stay in the order in which they were met.
        let kind = match diagnostic.severity {
            Severity::Error => "",
            Severity::Warning => diagnostic.code,
        };
        let groups = kinds.entry((rank(diagnostic), kind)).or_default();
        let same = (kind, without_places(&diagnostic.message));
        let alone = most == usize::MAX || kind.is_empty();
        match places.get(&same) {
            Some(&at) if !alone => groups[at].more.push(diagnostic),
            _ => {
                places.insert(same, groups.len());
                groups.push(Group {
                    first: diagnostic,
                    more: Vec::new(),
                });
            }
        }
    }
    let mut text = String::new();
    for ((rank, code), groups) in &mut kinds {
        // What is said most often first; otherwise as it stands in the files.
        groups.sort_by_key(|group| std::cmp::Reverse(group.more.len()));
        let shown = if *rank == 0 { groups.len() } else { most };
        groups
            .iter()
            .take(shown)
            .for_each(|group| group.write(root, &mut text));
        let hidden: usize = groups.iter().skip(shown).map(|group| 1 + group.more.len()).sum();
        if hidden > 0 {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "… and {hidden} more of [{code}]; --all lists every one");
        }
    }
    text + &summary(found)
}

/// What a finding is called.
pub fn severity(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning if is_note(diagnostic) => "note",
        Severity::Warning => "warning",
    }
}

/// Whether a finding is nothing to mend.
pub fn is_note(diagnostic: &Diagnostic) -> bool {
    [keys::CODE, UNDECIDED].contains(&diagnostic.code)
}

fn rank(diagnostic: &Diagnostic) -> u8 {
    match severity(diagnostic) {
        "error" => 0,
        "warning" => 1,
        _ => 2,
    }
}

/// A file as people find it.
pub fn shown(file: &str, root: &Utf8Path) -> Utf8PathBuf {
    let file = Utf8Path::new(file);
    file.strip_prefix(root).unwrap_or(file).to_owned()
}

/// The message, with the files it names shown like all others.
pub fn message(diagnostic: &Diagnostic, root: &Utf8Path) -> String {
    if root.as_str().is_empty() {
        diagnostic.message.clone()
    } else {
        diagnostic.message.replace(&format!("{root}/"), "")
    }
}

fn without_places(message: &str) -> String {
    static PLACE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r" at [^ ,]+:\d+").expect("a correct pattern of constant text"));
    PLACE.replace_all(message, "").into_owned()
}

impl Group<'_> {
    fn write(&self, root: &Utf8Path, text: &mut String) {
        let at = &self.first.location;
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}:{}:{}: {}[{}]: {}",
            shown(&at.file, root),
            at.line,
            at.column,
            severity(self.first),
            self.first.code,
            message(self.first, root)
        );
        let first = with_similar(self.first);
        for note in first.help.iter().chain(&first.notes) {
            let _ = writeln!(text, "    {note}");
        }
        for line in first.how_included(|file| shown(file, root).into_string()) {
            let _ = writeln!(text, "    {line}");
        }
        if self.more.is_empty() {
            return;
        }
        let mut file = &at.file;
        let mut places: Vec<String> = Vec::new();
        for other in self.more.iter().take(PLACES) {
            let at = &other.location;
            places.push(if at.file == *file {
                at.line.to_string()
            } else {
                format!("{}:{}", shown(&at.file, root), at.line)
            });
            file = &at.file;
        }
        let rest = if self.more.len() > PLACES { ", …" } else { "" };
        let _ = writeln!(
            text,
            "    and at {}: {}{rest}",
            plural(&self.more.len(), "more place"),
            places.join(", ")
        );
    }
}

/// How many findings there are, by what they are called and by kind.
fn summary(found: &[Diagnostic]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for word in ["error", "warning", "note"] {
        let of_word = || found.iter().filter(|it| severity(it) == word);
        let mut codes: BTreeMap<&str, usize> = BTreeMap::new();
        of_word().for_each(|it| *codes.entry(it.code).or_default() += 1);
        let count = of_word().count();
        if count > 0 {
            let kinds: Vec<String> = codes
                .iter()
                .map(|(code, count)| format!("{count} {code}"))
                .collect();
            let kinds = match &*kinds {
                [_] => String::new(),
                kinds => format!(" ({})", kinds.join(", ")),
            };
            parts.push(plural(&count, word) + &kinds);
        }
    }
    if parts.is_empty() {
        "nothing to complain about\n".to_owned()
    } else {
        format!("\n{}\n", parts.join("; "))
    }
}
