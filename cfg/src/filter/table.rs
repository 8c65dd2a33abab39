//! Many filters in four flat arrays.

/// The number of a filter within its table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FilterId(pub(crate) u32);

/// Filters over labels of type `L`: an OR-list of words, each an AND-list of blocks, each a list of adjacent labels.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct FilterTable<L> {
    labels: Vec<L>,
    /// Where each block ends in `labels`, and so on upwards.
    blocks: Vec<u32>,
    words: Vec<u32>,
    filters: Vec<u32>,
    /// Whether any block has no labels.
    has_gaps: bool,
}

impl<L> Default for FilterTable<L> {
    fn default() -> Self {
        FilterTable {
            labels: Vec::new(),
            blocks: Vec::new(),
            words: Vec::new(),
            filters: Vec::new(),
            has_gaps: false,
        }
    }
}

fn range(ends: &[u32], index: usize) -> std::ops::Range<usize> {
    let start = if index == 0 { 0 } else { ends[index - 1] as usize };
    start..ends[index] as usize
}

impl<L> FilterTable<L> {
    /// The labels, and where blocks, words and filters end.
    pub(crate) fn parts(&self) -> (&[L], [&[u32]; 3]) {
        (&self.labels, [&self.blocks, &self.words, &self.filters])
    }

    /// The table that has these [parts](Self::parts).
    pub(crate) fn from_parts(labels: Vec<L>, [blocks, words, filters]: [Vec<u32>; 3]) -> Self {
        let has_gaps = (0..blocks.len()).any(|block| range(&blocks, block).is_empty());
        FilterTable {
            labels,
            blocks,
            words,
            filters,
            has_gaps,
        }
    }

    /// How many filters there are.
    pub fn len(&self) -> usize {
        self.filters.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.filters.is_empty()
    }

    /// A view of one filter.
    pub fn get(&self, id: FilterId) -> Expression<'_, L> {
        Expression {
            table: self,
            words: range(&self.filters, id.0 as usize),
        }
    }

    /// The number of words of a filter before the first that has a block without labels; nothing if there is none.
    pub(crate) fn gap(&self, id: FilterId) -> Option<usize> {
        if !self.has_gaps {
            return None;
        }
        self.get(id)
            .words()
            .position(|mut word| word.any(<[L]>::is_empty))
    }

    /// All filters in order.
    pub fn iter(&self) -> impl Iterator<Item = Expression<'_, L>> {
        (0..self.filters.len() as u32).map(|index| self.get(FilterId(index)))
    }

    pub(crate) fn push_label(&mut self, label: L) {
        self.labels.push(label);
    }

    pub(crate) fn end_block(&mut self) {
        self.has_gaps |= self.labels.len() == self.blocks.last().map_or(0, |&end| end as usize);
        self.blocks.push(self.labels.len() as u32);
    }

    pub(crate) fn end_word(&mut self) {
        self.words.push(self.blocks.len() as u32);
    }

    pub(crate) fn end_filter(&mut self) -> FilterId {
        self.filters.push(self.words.len() as u32);
        FilterId(self.filters.len() as u32 - 1)
    }

    /// Forgets what was pushed since the last finished filter.
    pub(crate) fn abandon(&mut self) {
        self.words
            .truncate(self.filters.last().map_or(0, |&end| end as usize));
        self.blocks
            .truncate(self.words.last().map_or(0, |&end| end as usize));
        self.labels
            .truncate(self.blocks.last().map_or(0, |&end| end as usize));
    }

    /// The same filters with the labels of each block in opposite order.
    pub(crate) fn mirrored(mut self) -> Self {
        for block in 0..self.blocks.len() {
            self.labels[range(&self.blocks, block)].reverse();
        }
        self
    }

    /// Copies every filter of `other` to the end, translating labels; the number of the first copy.
    pub(crate) fn extend_from<M>(&mut self, other: &FilterTable<M>, mut label: impl FnMut(&M) -> L) -> u32 {
        let (labels, blocks, words) = (self.labels.len(), self.blocks.len(), self.words.len());
        let first = self.filters.len() as u32;
        self.has_gaps |= other.has_gaps;
        self.labels.extend(other.labels.iter().map(&mut label));
        self.blocks
            .extend(other.blocks.iter().map(|end| end + labels as u32));
        self.words
            .extend(other.words.iter().map(|end| end + blocks as u32));
        self.filters
            .extend(other.filters.iter().map(|end| end + words as u32));
        first
    }
}

/// One filter of a table.
#[derive(Debug)]
pub struct Expression<'t, L> {
    table: &'t FilterTable<L>,
    words: std::ops::Range<usize>,
}

impl<L> Clone for Expression<'_, L> {
    fn clone(&self) -> Self {
        Expression {
            table: self.table,
            words: self.words.clone(),
        }
    }
}

impl<'t, L> Expression<'t, L> {
    /// Whether the filter has no words; such a filter matches nothing.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The OR-list: each word is an iterator over its blocks.
    pub fn words(
        &self,
    ) -> impl Iterator<Item = impl Iterator<Item = &'t [L]> + Clone + use<'t, L>> + use<'t, L> {
        let table = self.table;
        self.words.clone().map(move |word| {
            range(&table.words, word).map(move |block| &table.labels[range(&table.blocks, block)])
        })
    }
}
