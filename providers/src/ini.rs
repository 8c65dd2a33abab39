//! Files of sections and keys, with the line of each: the format of Python's `configparser`, without interpolation.

use std::collections::BTreeMap;
use std::fmt;

use camino::{Utf8Path, Utf8PathBuf};
use configparser::ini::{Ini as Parser, IniDefault};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The file.
    pub path: Utf8PathBuf,
    /// The line, counted from 1, where it is one.
    pub line: Option<u32>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.path),
            None => write!(f, "{}", self.path),
        }
    }
}

/// A file, read.
#[derive(Debug)]
pub(crate) struct Ini {
    path: Utf8PathBuf,
    text: String,
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// Where it is and what is wrong with it.
    pub(crate) fn read(path: &Utf8Path) -> Result<Self, (Place, String)> {
        let at = |line| Place {
            path: path.to_owned(),
            line,
        };
        let text = std::fs::read_to_string(path).map_err(|error| (at(None), error.to_string()))?;
        let mut settings = IniDefault::default();
        settings.case_sensitive = true;
        settings.multiline = true;
        // An address may hold a `#`.
        settings.inline_comment_symbols = Some(Vec::new());
        let parsed = Parser::new_from_defaults(settings).read(text.clone());
        let parsed = parsed.map_err(|reason| (at(None), reason))?;
        let valued = |(key, value): (String, Option<String>)| (key.to_lowercase(), value.unwrap_or_default());
        let sections = parsed
            .into_iter()
            .map(|(name, keys)| (name, keys.into_iter().map(valued).collect()))
            .collect();
        Ok(Self {
            path: path.to_owned(),
            text,
            sections,
        })
    }

    /// The sections in the order in which they stand in the file.
    pub(crate) fn sections(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.sections.keys().map(String::as_str).collect();
        names.retain(|name| self.place(name, None).line.is_some());
        names.sort_by_key(|name| self.place(name, None).line);
        names
    }

    /// The value of a key; an empty one counts as absent.
    pub(crate) fn value(&self, section: &str, key: &str) -> Option<&str> {
        let value = self.sections.get(section)?.get(key)?.trim();
        (!value.is_empty()).then_some(value)
    }

    /// Where a key stands, else where its section begins, else the file.
    pub(crate) fn place(&self, section: &str, key: Option<&str>) -> Place {
        let mut header = None;
        let mut inside = false;
        for (number, line) in (1..).zip(self.text.lines()) {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
                inside = name.trim() == section;
                if inside {
                    header = header.or(Some(number));
                }
            } else if inside
                && line
                    .split([':', '='])
                    .next()
                    .is_some_and(|name| Some(name.trim().to_lowercase().as_str()) == key)
            {
                return self.at(Some(number));
            }
        }
        self.at(header)
    }

    fn at(&self, line: Option<u32>) -> Place {
        Place {
            path: self.path.clone(),
            line,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_their_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(dir.path()).unwrap().join("a.ini");
        let text = "# first\n[provider]\n; note\nURI: https://host/a#b\nbranch =\n\n[qemu]\nsubdir = q/\n";
        std::fs::write(&path, text).unwrap();
        let ini = Ini::read(&path).unwrap();
        assert_eq!(ini.sections(), ["provider", "qemu"]);
        assert_eq!(ini.value("provider", "uri"), Some("https://host/a#b"));
        assert_eq!(ini.value("provider", "branch"), None);
        assert_eq!(
            ini.place("provider", Some("uri")).to_string(),
            format!("{path}:4")
        );
        assert_eq!(ini.place("qemu", Some("none")).line, Some(7));
        assert_eq!(ini.place("none", None).line, None);
    }
}
