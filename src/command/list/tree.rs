//! Names as a tree.

use std::fmt::Write;

/// The parts of names, in the order in which they first came.
#[derive(Default)]
pub struct Tree {
    inner: Vec<(String, Tree)>,
    /// Places of `inner` by name.
    places: std::collections::HashMap<String, usize>,
    /// Names that end here or below.
    names: usize,
}

impl Tree {
    /// Adds a name whose parts are joined by dots.
    pub fn add(&mut self, name: &str) {
        let mut at = self;
        for part in name.trim_end().split('.') {
            at.names += 1;
            let place = match at.places.get(part) {
                Some(&place) => place,
                None => {
                    at.places.insert(part.to_owned(), at.inner.len());
                    at.inner.push((part.to_owned(), Tree::default()));
                    at.inner.len() - 1
                }
            };
            at = &mut at.inner[place].1;
        }
        at.names += 1;
    }

    /// A part a line, below the part that it follows in names; with the number of names where it is not one.
    pub fn text(&self) -> String {
        let mut text = String::new();
        self.write(0, &mut text);
        text
    }

    fn write(&self, depth: usize, text: &mut String) {
        for (part, tree) in &self.inner {
            let many = match tree.names {
                1 => String::new(),
                names => format!("  ({names})"),
            };
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{:1$}{part}{many}", "", depth * 4);
            tree.write(depth + 1, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Tree;

    #[test]
    fn names_share_what_they_begin_with() {
        let mut tree = Tree::default();
        ["a.b", "c", "a.d", "a.b"].iter().for_each(|name| tree.add(name));
        assert_eq!(tree.text(), "a  (3)\n    b  (2)\n    d\nc\n");
    }
}
