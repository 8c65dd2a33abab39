//! The span-free projection of a file: what it says, without where it says it.
//!
//! Items stand in textual order in one flat list; a block's extent is the index after its last item. Comments, blank
//! lines, indentation and blanks within a line never reach it, so an edit of those leaves the items equal.

use crate::filter::{FilterId, FilterTable};
use crate::lexer::Operator;
use crate::symbols::{Sym, Symbols};

/// The index of an item within its file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct ItemId(pub(crate) u32);

impl ItemId {
    /// The dense index of the item.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A stretch of a file's value text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct TextRange {
    pub(crate) start: u32,
    pub(crate) len: u32,
}

/// A label within a filter of a file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ItemLabel {
    /// The variable of `(variable=value)`.
    pub variable: Option<Sym>,
    /// The variant's name.
    pub value: Sym,
}

/// One variant's header.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct VariantHeader {
    /// The names between the dots, a range of the labels of [`Items`].
    pub(crate) labels: std::ops::Range<u32>,
    /// What the variant depends on.
    pub deps: Option<FilterId>,
    /// Whether the variant is left out of short names: written with `@`, or named by `[default=...]`.
    pub is_default: bool,
    /// The index after the variant's last item.
    pub end: u32,
}

/// One statement, or the header of a block.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Item {
    /// `key operator value`.
    Assign {
        /// The operator.
        operator: Operator,
        /// The key as written.
        key: Sym,
        /// The value without its outer quotes.
        value: TextRange,
    },
    /// `only filter`.
    Only(FilterId),
    /// `no filter`.
    No(FilterId),
    /// `join filter`.
    Join(FilterId),
    /// `filter:` or `!filter:` and the block under it.
    Condition {
        /// The filter.
        filter: FilterId,
        /// Whether it was written with `!`.
        negated: bool,
        /// The index after the block's last item.
        end: u32,
    },
    /// `include path`.
    Include(TextRange),
    /// `del key`.
    Del(Sym),
    /// `suffix text`.
    Suffix(Sym),
    /// `variants:` and its variants.
    Variants {
        /// The variable of a named block.
        variable: Option<Sym>,
        /// The index after the block's last item.
        end: u32,
    },
    /// One variant of the block before it.
    Variant(VariantHeader),
}

/// What a file says.
#[derive(Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Items {
    pub(crate) symbols: Symbols,
    pub(crate) text: String,
    pub(crate) items: Vec<Item>,
    pub(crate) filters: FilterTable<ItemLabel>,
    pub(crate) labels: Vec<Sym>,
}

impl Items {
    /// All items in textual order.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// One item.
    pub fn item(&self, id: ItemId) -> &Item {
        &self.items[id.index()]
    }

    /// The string behind a symbol of this file.
    pub fn symbol(&self, sym: Sym) -> &str {
        self.symbols.text(sym)
    }

    /// The text behind a range of this file.
    pub fn text(&self, range: TextRange) -> &str {
        &self.text[range.start as usize..(range.start + range.len) as usize]
    }

    /// The file's filters.
    pub fn filters(&self) -> &FilterTable<ItemLabel> {
        &self.filters
    }

    /// The names of a variant.
    pub fn labels(&self, variant: &VariantHeader) -> impl Iterator<Item = &str> {
        self.variant_labels(variant).iter().map(|&sym| self.symbol(sym))
    }

    pub(crate) fn variant_labels(&self, variant: &VariantHeader) -> &[Sym] {
        &self.labels[variant.labels.start as usize..variant.labels.end as usize]
    }

    /// The paths of all include statements, as written, with their items.
    pub fn includes(&self) -> impl Iterator<Item = (ItemId, &str)> {
        self.items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| match item {
                Item::Include(path) => Some((ItemId(index as u32), self.text(*path))),
                _ => None,
            })
    }

    pub(crate) fn push_text(&mut self, text: &str) -> TextRange {
        let range = TextRange {
            start: self.text.len() as u32,
            len: text.len() as u32,
        };
        self.text.push_str(text);
        range
    }
}
