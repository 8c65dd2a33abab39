//! Lists whose beginning may be stored elsewhere: a stored program is used where it lies, and what is added to it later
//! stands in a list of its own.

use std::ops::Index;

/// A list: what was stored, then what was added.
#[derive(Clone, Debug)]
pub(crate) struct Table<T: 'static> {
    stored: &'static [T],
    added: Vec<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Table::stored(&[])
    }
}

impl<T> Table<T> {
    pub(crate) fn stored(stored: &'static [T]) -> Self {
        Table {
            stored,
            added: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.stored.len() + self.added.len()
    }

    pub(crate) fn push(&mut self, entry: T) {
        self.added.push(entry);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.stored.iter().chain(&self.added)
    }

    /// An entry that was added.
    pub(crate) fn added_mut(&mut self, at: usize) -> Option<&mut T> {
        self.added.get_mut(at.checked_sub(self.stored.len())?)
    }
}

impl<T> Index<usize> for Table<T> {
    type Output = T;

    #[inline]
    fn index(&self, at: usize) -> &T {
        match at.checked_sub(self.stored.len()) {
            Some(added) => &self.added[added],
            None => &self.stored[at],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_follows_what_was_stored() {
        let mut table = Table::stored(&[1, 2, 3]);
        table.push(4);
        table.push(5);
        assert_eq!(table.iter().copied().collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!((table[2], table[3], table.len()), (3, 4, 5));
        assert_eq!(table.added_mut(2), None);
        assert_eq!(table.added_mut(4), Some(&mut 5));
    }
}
