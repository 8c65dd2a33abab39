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
    text: String,
    ends: Vec<u32>,
    /// Open addressing: part of the hash, and the symbol's number plus one, or 0. Its size is a power of two.
    slots: Vec<(u32, u32)>,
}

impl PartialEq for Symbols {
    fn eq(&self, other: &Self) -> bool {
        self.ends == other.ends && self.text == other.text
    }
}

impl Eq for Symbols {}

impl Hash for Symbols {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
        self.ends.hash(state);
    }
}

impl Symbols {
    /// How many distinct strings the table holds.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether the table holds nothing.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The string behind `sym`, which must come from this table.
    pub fn text(&self, sym: Sym) -> &str {
        let index = sym.index();
        let start = if index == 0 {
            0
        } else {
            self.ends[index - 1] as usize
        };
        &self.text[start..self.ends[index] as usize]
    }

    /// The number of `text`, if it was ever interned.
    pub fn find(&self, text: &str) -> Option<Sym> {
        if self.slots.is_empty() {
            return None;
        }
        let slot = self.slot_of(text, hash(text));
        self.slots[slot].1.checked_sub(1).map(Sym)
    }

    /// The number of `text`, giving it one if it is new.
    pub fn intern(&mut self, text: &str) -> Sym {
        if (self.ends.len() + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let hash = hash(text);
        let slot = self.slot_of(text, hash);
        if let Some(found) = self.slots[slot].1.checked_sub(1) {
            return Sym(found);
        }
        let sym = Sym(u32::try_from(self.ends.len()).expect("fewer than 2^32 distinct strings"));
        self.text.push_str(text);
        self.ends
            .push(u32::try_from(self.text.len()).expect("less than 4 GiB of distinct text"));
        self.slots[slot] = (tag(hash), sym.0 + 1);
        sym
    }

    /// All strings in order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (Sym, &str)> {
        (0..self.ends.len() as u32).map(|index| (Sym(index), self.text(Sym(index))))
    }

    /// The bytes of a symbol, without the checks that a `str` costs.
    fn bytes(&self, sym: u32) -> &[u8] {
        let start = if sym == 0 {
            0
        } else {
            self.ends[sym as usize - 1] as usize
        };
        &self.text.as_bytes()[start..self.ends[sym as usize] as usize]
    }

    fn slot_of(&self, text: &str, hash: usize) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash & mask;
        loop {
            let (known, number) = self.slots[slot];
            if number == 0 || (known == tag(hash) && self.bytes(number - 1) == text.as_bytes()) {
                return slot;
            }
            slot = (slot + 1) & mask;
        }
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(256);
        let mut slots = vec![(0, 0); size];
        for (sym, text) in self.iter() {
            let hash = hash(text);
            let mut slot = hash & (size - 1);
            while slots[slot].1 != 0 {
                slot = (slot + 1) & (size - 1);
            }
            slots[slot] = (tag(hash), sym.0 + 1);
        }
        self.slots = slots;
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
