//! What a folder holds, one line an entry: the form in which this host and a target compare their folders.
//!
//! ```text
//! f SUM  ./PATH        a file, with the SHA-256 of its content
//! x SUM  ./PATH        a file that can be run
//! l <tab>./PATH<tab>TO a symbolic link
//! d <tab>./PATH        a folder
//! ```

use std::collections::BTreeMap;

use super::tree::{Kind, SourceTree, TreeError};

/// A POSIX shell function that prints the listing of the current folder, without its folders and without our own files.
pub(super) const LIST: &str = r#"list() {
    find . -type f ! -name '.vtbuild-*' ! -perm -100 -exec sha256sum {} + | sed 's/^/f /'
    find . -type f ! -name '.vtbuild-*' -perm -100 -exec sha256sum {} + | sed 's/^/x /'
    find . -type l -exec sh -c 'for p do printf "l \t%s\t%s\n" "$p" "$(readlink "$p")"; done' sh {} +
}
"#;

/// What one entry is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Item {
    File { sum: String, executable: bool },
    Link(String),
    Folder,
}

/// Entries by path.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct Listing(pub(super) BTreeMap<String, Item>);

impl Listing {
    /// What a folder of this host holds.
    pub(super) fn of(tree: &SourceTree) -> Result<Self, TreeError> {
        let item = |kind: &Kind, path: &str| {
            Ok(match kind {
                Kind::Folder => Item::Folder,
                Kind::Link(to) => Item::Link(to.clone()),
                Kind::File { executable } => Item::File {
                    sum: tree.sum(path)?,
                    executable: *executable,
                },
            })
        };
        let entries = tree.entries.iter();
        entries
            .map(|entry| Ok((entry.path.clone(), item(&entry.kind, &entry.path)?)))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// What lines say. A line that is none of ours is left out: a file of that strange a name is not ours either.
    pub(super) fn parse(text: &str) -> Self {
        Self(text.lines().filter_map(parse_line).collect())
    }

    /// The lines, in the order of their bytes (`LC_ALL=C sort`). Folders only where they are asked for.
    pub(super) fn text(&self, with_folders: bool) -> String {
        let entries = self.0.iter();
        let mut lines: Vec<String> = entries
            .filter(|(_, item)| with_folders || **item != Item::Folder)
            .map(|(path, item)| line(path, item))
            .collect();
        lines.sort_unstable();
        lines.concat()
    }
}

fn line(path: &str, item: &Item) -> String {
    match item {
        Item::File { sum, executable } => {
            let letter = if *executable { 'x' } else { 'f' };
            format!("{letter} {sum}  ./{path}\n")
        }
        Item::Link(to) => format!("l \t./{path}\t{to}\n"),
        Item::Folder => format!("d \t./{path}\n"),
    }
}

fn parse_line(line: &str) -> Option<(String, Item)> {
    let (letter, rest) = line.split_once(' ')?;
    if let Some(rest) = rest.strip_prefix('\t') {
        let (path, to) = rest
            .split_once('\t')
            .map_or((rest, None), |(p, to)| (p, Some(to)));
        let path = path.strip_prefix("./")?.to_owned();
        return match (letter, to) {
            ("l", Some(to)) => Some((path, Item::Link(to.to_owned()))),
            ("d", None) => Some((path, Item::Folder)),
            _ => None,
        };
    }
    let (sum, path) = rest.split_at_checked(64)?;
    let path = path.strip_prefix("  ").or_else(|| path.strip_prefix(" *"))?;
    let item = Item::File {
        sum: sum.to_owned(),
        executable: match letter {
            "x" => true,
            "f" => false,
            _ => return None,
        },
    };
    Some((path.strip_prefix("./")?.to_owned(), item))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_as_they_went() {
        let sum = "0123456789abcdef".repeat(4);
        let items = [
            (
                "a b",
                Item::File {
                    sum: sum.clone(),
                    executable: false,
                },
            ),
            ("dir", Item::Folder),
            (
                "dir/run",
                Item::File {
                    sum,
                    executable: true,
                },
            ),
            ("link -> x", Item::Link("dir/a -> b".into())),
        ];
        let listing = Listing(items.map(|(path, item)| (path.to_owned(), item)).into());
        assert_eq!(Listing::parse(&listing.text(true)), listing);
        let without = Listing::parse(&listing.text(false));
        assert_eq!(without.0.len(), 3);
        assert!(listing.text(true).lines().is_sorted());
        let strange = "\\f 00  ./x\nnonsense\nf short  ./y\nq \t./z\n";
        assert_eq!(Listing::parse(strange), Listing::default());
    }
}
