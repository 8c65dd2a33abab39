//! An insertion-ordered dictionary over dense keys.

use rustc_hash::FxHashMap;

use crate::graph::{Graph, TextRef};
use crate::symbols::Sym;

const GONE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Slot {
    epoch: u32,
    place: u32,
    value: TextRef,
}

/// The dictionary. Keys below the number of the program's symbols are those; above are suffixed keys.
#[derive(Default)]
pub(crate) struct Dict {
    slots: Vec<Slot>,
    /// Slots of other epochs are empty.
    epoch: u32,
    /// Keys in order of insertion; `GONE` where one was removed.
    order: Vec<u32>,
    live: usize,
    own: String,
    symbols: u32,
    /// A suffixed key: the key it was, and the suffix.
    suffixed: Vec<(u32, u32)>,
    by_parts: FxHashMap<(u32, u32), u32>,
}

impl Dict {
    pub(super) fn reset(&mut self, graph: &Graph) {
        self.symbols = graph.symbols.len() as u32;
        self.suffixed.clear();
        self.by_parts.clear();
        self.order.clear();
        self.own.clear();
        self.live = 0;
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.slots.clear();
            self.epoch = 1;
        }
        self.grow(graph.symbols.len());
    }

    fn grow(&mut self, len: usize) {
        if self.slots.len() < len {
            let empty = Slot {
                epoch: 0,
                place: 0,
                value: TextRef {
                    arena: 0,
                    start: 0,
                    len: 0,
                },
            };
            self.slots.resize(len, empty);
        }
    }

    pub(super) fn get(&self, key: u32) -> Option<TextRef> {
        self.slots
            .get(key as usize)
            .filter(|slot| slot.epoch == self.epoch)
            .map(|slot| slot.value)
    }

    pub(super) fn set(&mut self, key: u32, value: TextRef) {
        let slot = &mut self.slots[key as usize];
        slot.value = value;
        if slot.epoch != self.epoch {
            slot.epoch = self.epoch;
            slot.place = self.order.len() as u32;
            self.order.push(key);
            self.live += 1;
        }
    }

    pub(super) fn remove(&mut self, key: u32) -> Option<TextRef> {
        let value = self.get(key)?;
        let slot = &mut self.slots[key as usize];
        slot.epoch = 0;
        self.order[slot.place as usize] = GONE;
        self.live -= 1;
        Some(value)
    }

    pub(crate) fn len(&self) -> usize {
        self.live
    }

    /// Keys and values in order of insertion.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, TextRef)> {
        let live = self.order.iter().filter(|&&key| key != GONE);
        live.map(|&key| (key, self.slots[key as usize].value))
    }

    pub(super) fn keys(&self) -> Vec<u32> {
        self.iter().map(|(key, _)| key).collect()
    }

    /// Text computed for this variant.
    pub(crate) fn own(&self) -> &str {
        &self.own
    }

    pub(super) fn add_text(&mut self, text: &str) -> TextRef {
        let start = self.own.len() as u32;
        self.own.push_str(text);
        TextRef {
            arena: TextRef::OWN,
            start,
            len: text.len() as u32,
        }
    }

    /// The key that `key` becomes under `suffix`.
    pub(super) fn suffixed(&mut self, key: u32, suffix: u32) -> u32 {
        let fresh = self.symbols + self.suffixed.len() as u32;
        let id = *self.by_parts.entry((key, suffix)).or_insert(fresh);
        if id == fresh {
            self.suffixed.push((key, suffix));
            self.grow(fresh as usize + 1);
        }
        id
    }

    pub(crate) fn has_suffixes(&self) -> bool {
        !self.suffixed.is_empty()
    }

    pub(super) fn is_plain(&self, key: u32) -> bool {
        key < self.symbols
    }

    /// The base of a key and its suffixes in order of application.
    pub(crate) fn key_parts(&self, graph: &Graph, key: u32) -> (String, Vec<String>) {
        let mut suffixes = Vec::new();
        let mut key = key;
        while key >= self.symbols {
            let (base, suffix) = self.suffixed[(key - self.symbols) as usize];
            suffixes.push(graph.symbols.text(Sym(suffix)).to_owned());
            key = base;
        }
        suffixes.reverse();
        (graph.symbols.text(Sym(key)).to_owned(), suffixes)
    }

    /// The key as patterns and `del` see it: base and suffixes in order of application.
    pub(super) fn key_text(&self, graph: &Graph, key: u32) -> String {
        let (base, suffixes) = self.key_parts(graph, key);
        base + &suffixes.concat()
    }
}
