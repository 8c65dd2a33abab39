//! Interned strings: one arena of text and a dense `u32` for each distinct string.
//!
//! Both a file's [`Items`](crate::Items) and a [`Program`](crate::Program) own one. Numbers are given in order of first
//! appearance, so two tables filled by the same calls are equal, and layout of the source never shows in them.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;

/// The number of an interned string within its table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Sym(pub(crate) u32);

impl Sym {
    /// The dense index of this symbol.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A table of distinct strings.
#[derive(Clone, Default, Debug)]
pub struct Symbols {
    /// The first strings, if they were stored; the others follow them.
    stored: StoredSymbols,
    text: String,
    ends: Vec<u32>,
    slots: Vec<[u32; 2]>,
}

/// A whole table as it was stored.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct StoredSymbols {
    /// All strings, one after the other.
    pub(crate) text: &'static str,
    /// Where each of them ends.
    pub(crate) ends: &'static [u32],
    /// Open addressing: part of the hash, and the symbol's number plus one, or 0. Its size is a power of two, or none.
    pub(crate) slots: &'static [[u32; 2]],
}

impl PartialEq for Symbols {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Symbols {}

impl Hash for Symbols {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.iter().for_each(|(_, text)| text.hash(state));
    }
}

impl Symbols {
    pub(crate) fn from_stored(stored: StoredSymbols) -> Self {
        Symbols {
            stored,
            ..Symbols::default()
        }
    }

    /// The same table with nothing stored: text, ends and slots as [`StoredSymbols`] has them.
    pub(crate) fn flat(&self) -> (String, Vec<u32>, Vec<[u32; 2]>) {
        let mut flat = Symbols::default();
        self.iter().for_each(|(_, text)| {
            flat.intern(text);
        });
        (flat.text, flat.ends, flat.slots)
    }

    /// How many distinct strings the table holds.
    pub fn len(&self) -> usize {
        self.stored.ends.len() + self.ends.len()
    }

    /// Whether the table holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The string behind `sym`, which must come from this table.
    #[inline]
    pub fn text(&self, sym: Sym) -> &str {
        match sym.index().checked_sub(self.stored.ends.len()) {
            Some(index) => &self.text[stretch(&self.ends, index)],
            None => &self.stored.text[stretch(self.stored.ends, sym.index())],
        }
    }

    /// The number of `text`, if it was ever interned.
    pub fn find(&self, text: &str) -> Option<Sym> {
        self.find_hashed(text, hash(text))
    }

    fn find_hashed(&self, text: &str, hash: usize) -> Option<Sym> {
        let stored = &self.stored;
        let known = |slots: &[[u32; 2]], all: &str, ends: &[u32]| {
            let slot = (!slots.is_empty()).then(|| slot_of(slots, all, ends, text, hash))?;
            slots[slot][1].checked_sub(1)
        };
        if let Some(found) = known(stored.slots, stored.text, stored.ends) {
            return Some(Sym(found));
        }
        let found = known(&self.slots, &self.text, &self.ends)?;
        Some(Sym(stored.ends.len() as u32 + found))
    }

    /// The number of `text`, giving it one if it is new.
    pub fn intern(&mut self, text: &str) -> Sym {
        let hash = hash(text);
        let before = self.stored.ends.len() as u32;
        if before > 0
            && let Some(found) = self.find_hashed(text, hash)
        {
            return found;
        }
        if (self.ends.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let slot = slot_of(&self.slots, &self.text, &self.ends, text, hash);
        if let Some(found) = self.slots[slot][1].checked_sub(1) {
            return Sym(before + found);
        }
        let number = u32::try_from(self.ends.len()).expect("fewer than 2^32 distinct strings");
        self.text.push_str(text);
        self.ends
            .push(u32::try_from(self.text.len()).expect("less than 4 GiB of distinct text"));
        self.slots[slot] = [tag(hash), number + 1];
        Sym(before + number)
    }

    /// All strings in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Sym, &str)> {
        (0..self.len() as u32).map(|index| (Sym(index), self.text(Sym(index))))
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(256);
        let mut slots = vec![[0, 0]; size];
        for number in 0..self.ends.len() {
            let hash = hash(&self.text[stretch(&self.ends, number)]);
            let mut slot = hash & (size - 1);
            while slots[slot][1] != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = [tag(hash), number as u32 + 1];
        }
        self.slots = slots;
    }
}

/// Where a string lies in the text of its table.
#[inline]
fn stretch(ends: &[u32], index: usize) -> std::ops::Range<usize> {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    start..ends[index] as usize
}

/// The slot that holds `text`, or the free one that it would go to.
fn slot_of(slots: &[[u32; 2]], all: &str, ends: &[u32], text: &str, hash: usize) -> usize {
    let mask = slots.len() - 1;
    let mut slot = hash & mask;
    loop {
        let [known, number] = slots[slot];
        // Bytes are compared without the checks that a `str` costs.
        let same = |number: u32| &all.as_bytes()[stretch(ends, number as usize)] == text.as_bytes();
        if number == 0 || (known == tag(hash) && same(number - 1)) {
            return slot;
        }
        slot = (slot + 1) & mask;
    }
}

/// The part of a hash that does not choose the slot.
fn tag(hash: usize) -> u32 {
    (hash as u64 >> 32) as u32
}

fn hash(text: &str) -> usize {
    let mut hasher = FxHasher::default();
    hasher.write(text.as_bytes());
    hasher.finish() as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_first_appearance() {
        let mut table = Symbols::default();
        let words: Vec<String> = (0..1000).map(|n| format!("word{n}")).collect();
        for (index, word) in words.iter().enumerate() {
            assert_eq!(table.intern(word).index(), index);
        }
        for (index, word) in words.iter().enumerate() {
            assert_eq!(table.find(word), Some(Sym(index as u32)));
            assert_eq!(table.text(Sym(index as u32)), word);
        }
        assert_eq!(table.find("other"), None);
        assert_eq!(table.intern("").index(), 1000);
        assert_eq!(table.text(Sym(1000)), "");
    }
}
