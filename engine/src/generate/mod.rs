//! The two configuration files that nobody writes: `subtests.cfg`, put together from the test providers, and
//! `guest-os.cfg`, put together from the tree of guest definitions.
//!
//! Both are derived inputs: they follow every edit by themselves. Each line remembers the file and line that it came from,
//! so that a diagnostic or a provenance chain names what a person wrote. The order is that of the names, the same on every
//! host.
//!
//! How the one is put together says `subtests`, the other [`guest_os`].
//!
//! `guest-os.cfg` is one variant `Guest`. A folder `X/` beside a file `X.cfg` holds the variants inside X: they follow the
//! file's text, in a block of their own. A first-column line `NAME:` without a dash is taken for `- NAME:`, because guides
//! show it so.

mod subtests;

use std::sync::Arc;

pub use subtests::{foreign, subtests};

/// Where a line of a generated file came from: a file, a line of it, and how many blanks were put before it.
pub type Origin = (Arc<str>, u32, u32);

/// A generated file.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Generated {
    /// Its text.
    pub text: String,
    /// Where each line of the text came from; `None` for lines that were added.
    pub origins: Vec<Option<Origin>>,
}

/// One file that goes into a generated one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Piece {
    /// How diagnostics call it.
    pub file: Arc<str>,
    /// Its text.
    pub text: Arc<str>,
}

/// The configuration files of one provider.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProviderPieces {
    /// The provider's name.
    pub name: Arc<str>,
    /// Files of the chosen backend.
    pub specific: Vec<Piece>,
    /// Files of the generic backends.
    pub generic: Vec<Piece>,
}

/// A folder of guest definitions.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct GuestFolder {
    /// What it holds, sorted by name.
    pub entries: Vec<GuestEntry>,
}

/// A guest or a family of guests.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuestEntry {
    /// The name of the file (without `.cfg`) and of the folder.
    pub name: Arc<str>,
    /// The file, where there is one.
    pub piece: Option<Piece>,
    /// The folder, where there is one.
    pub folder: Option<GuestFolder>,
}

/// The text of `guest-os.cfg`.
#[must_use]
pub fn guest_os(root: &GuestFolder) -> Generated {
    let mut out = Generated::default();
    out.add(0, "variants:");
    out.add(4, "- Guest:");
    out.guests(8, root);
    out
}

impl GuestEntry {
    /// Whether there is any definition in it.
    fn defines(&self) -> bool {
        let below = |folder: &GuestFolder| folder.entries.iter().any(Self::defines);
        self.piece.is_some() || self.folder.as_ref().is_some_and(below)
    }
}

impl Generated {
    fn add(&mut self, indent: usize, line: &str) {
        self.push(indent, line, None);
    }

    fn push(&mut self, indent: usize, line: &str, origin: Option<(Arc<str>, u32)>) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(line);
        self.text.push('\n');
        let blanks = u32::try_from(indent).expect("blocks are nested a few levels deep");
        self.origins.push(origin.map(|(file, line)| (file, line, blanks)));
    }

    fn guests(&mut self, indent: usize, folder: &GuestFolder) {
        // A folder without any definition, such as one that waits for custom guests, is no guest.
        let mut entries = folder.entries.iter().filter(|entry| entry.defines()).peekable();
        if entries.peek().is_some() {
            self.add(indent, "variants:");
        }
        for entry in entries {
            self.guest(indent + 4, entry);
        }
    }

    fn guest(&mut self, indent: usize, entry: &GuestEntry) {
        let Some(piece) = &entry.piece else {
            self.add(indent, &format!("- {}:", entry.name));
            if let Some(folder) = &entry.folder {
                self.guests(indent + 4, folder);
            }
            return;
        };
        for (number, line) in (1..).zip(piece.text.lines()) {
            let dash = if is_bare_header(line) { "- " } else { "" };
            self.push(
                indent,
                &format!("{dash}{line}"),
                Some((piece.file.clone(), number)),
            );
        }
        if let Some(folder) = &entry.folder {
            self.guests(indent + 4, folder);
        }
    }
}

/// Whether a line is `NAME:` in the first column.
fn is_bare_header(line: &str) -> bool {
    let name = line.trim_end().strip_suffix(':').unwrap_or_default();
    let label = |c: char| c.is_alphanumeric() || "_-.@".contains(c);
    !name.is_empty() && !name.starts_with('-') && name.chars().all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn piece(file: &str, text: &str) -> Piece {
        Piece {
            file: Arc::from(file),
            text: Arc::from(text),
        }
    }

    #[test]
    fn a_folder_holds_the_variants_inside_its_file() {
        let custom = GuestEntry {
            name: Arc::from("foo"),
            piece: Some(piece(
                "LinuxCustom/foo.cfg",
                "FooLinux:\n    image_name = images/foo-linux\n",
            )),
            folder: None,
        };
        let linux = GuestEntry {
            name: Arc::from("LinuxCustom"),
            piece: None,
            folder: Some(GuestFolder {
                entries: vec![custom],
            }),
        };
        let generated = guest_os(&GuestFolder { entries: vec![linux] });
        let expected = "\
variants:
    - Guest:
        variants:
            - LinuxCustom:
                variants:
                    - FooLinux:
                        image_name = images/foo-linux
";
        assert_eq!(generated.text, expected);
        assert_eq!(
            generated.origins[6],
            Some((Arc::from("LinuxCustom/foo.cfg"), 2, 20))
        );
    }
}
