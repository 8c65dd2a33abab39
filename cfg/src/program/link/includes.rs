//! Include statements: which file is meant, and what ends those that would go on for ever.

use camino::{Utf8Path, Utf8PathBuf};

use super::Linker;
use crate::diagnostic::{Class, Diagnostic, Location};
use crate::items::ItemId;
use crate::program::Unit;

/// How many include statements a configuration may come to. Files that include the next one twice each double it.
pub(super) const MOST: u32 = 100_000;
/// How deep files may include each other. Only one that finds itself again by ever new paths gets there: by a symbolic link
/// to its own folder, or by `..`. Linux follows no more links than that either.
const DEEPEST: usize = 40;

impl Linker<'_> {
    pub(super) fn include(&mut self, file: u32, id: ItemId, written: &str) {
        let Some(left) = self.left else {
            return;
        };
        let path = resolve(&self.map(file).path, written);
        let spans = self.graph.files[file as usize].spans().clone();
        self.report_until(spans.line(id));
        let from = spans.position(id);
        let known = self.by_path.get(&path).copied();
        if let Some(known) = known
            && self.including.iter().any(|(open, _)| *open == known)
        {
            self.error(cycle(format!("`{written}` includes itself"), spans.location(id)));
            return;
        }
        if self.including.len() == DEEPEST || left == 0 {
            self.left = None;
            self.error(self.endless(&path, spans.location(id)));
            return;
        }
        self.left = Some(left - 1);
        let unit = match known {
            Some(known) => return self.enter_file(known, Some(from)),
            None => (self.get)(&path),
        };
        if let Unit::File(parsed) = unit {
            let next = self.add_file(path, &parsed);
            return self.enter_file(next, Some(from));
        }
        let class = match unit {
            Unit::Unreadable(_) => Class::Other,
            _ => Class::MissingInclude,
        };
        let message = format!("include `{written}`: {}", fault(&unit));
        let help = format!("looked for `{path}`; paths are relative to the including file");
        let mut error =
            Diagnostic::error(class, "missing-include", message, spans.location(id)).with_help(help);
        error.missing = matches!(unit, Unit::Absent).then_some(path);
        self.error(error);
    }

    /// What is wrong where includes do not end.
    fn endless(&self, path: &Utf8Path, at: Location) -> Diagnostic {
        if self.including.len() < DEEPEST {
            let message = format!("more than {MOST} includes");
            return Diagnostic::error(Class::Other, "too-many-includes", message, at)
                .with_help("files that include the next one several times each multiply: include it once");
        }
        let name = path.file_name();
        let open = self.including.iter();
        let again = open
            .filter(|(open, _)| self.map(*open).path.file_name() == name)
            .count();
        match name {
            Some(name) if again > 1 => cycle(format!("`{name}` includes itself, by ever new paths"), at),
            _ => cycle(format!("files include each other more than {DEEPEST} deep"), at),
        }
    }
}

fn cycle(message: String, at: Location) -> Diagnostic {
    Diagnostic::error(Class::Other, "include-cycle", message, at)
        .with_help("remove one of the includes of the cycle")
}

pub(super) fn fault(unit: &Unit) -> String {
    match unit {
        Unit::Absent => "file does not exist".into(),
        Unit::NotAFile => "not a regular file".into(),
        Unit::Unreadable(why) => why.clone(),
        Unit::File(_) => "is a file".into(),
    }
}

/// The path of an include: `~` expanded, otherwise relative to the directory of the including file.
pub(crate) fn resolve(including: &Utf8Path, written: &str) -> Utf8PathBuf {
    let home = || std::env::var("HOME").ok().filter(|home| !home.is_empty());
    if let Some(rest) = written.strip_prefix('~')
        && (rest.is_empty() || rest.starts_with('/'))
        && let Some(home) = home()
    {
        return format!("{}{rest}", home.trim_end_matches('/')).into();
    }
    match including.parent() {
        Some(directory) => directory.join(written),
        None => written.into(),
    }
}
