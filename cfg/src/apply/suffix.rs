//! `suffix`: renames every key present.

use super::{Applier, Watch};
use crate::graph::Graph;

impl Applier {
    /// Moves every key, in order, to its suffixed identity at the end of the dictionary.
    pub(super) fn suffix<W: Watch>(&mut self, graph: &Graph, stmt: u32, suffix: u32, watch: &mut W) {
        for key in self.dict.keys() {
            // A key that an earlier rename of this very run produced counts under its new value.
            let Some(value) = self.dict.remove(key) else {
                continue;
            };
            let renamed = self.dict.suffixed(key, suffix);
            self.dict.set(renamed, value);
            if W::ON {
                watch.renamed(stmt, key, renamed, graph.text(value, self.dict.own()));
            }
        }
    }
}
