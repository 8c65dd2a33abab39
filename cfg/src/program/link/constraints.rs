//! Statements that remove variants: `only`, `no` and `join`.

use super::Linker;
use crate::filter::FilterId;
use crate::graph::{Atom, Constraint, JoinSpec, Origin, Stmt};

impl Linker<'_> {
    pub(super) fn constrain(&mut self, filter: FilterId, is_no: bool, origin: Origin) {
        let stmt = self.push(if is_no { Stmt::No } else { Stmt::Only }, origin);
        let (filter, is_trap) = self.judgeable(filter);
        self.add_constraint(filter, is_no, is_trap, stmt);
    }

    pub(super) fn add_constraint(&mut self, filter: FilterId, is_no: bool, is_trap: bool, stmt: u32) {
        self.graph.has_traps |= is_trap;
        self.graph.constraints.push(Constraint {
            guard: self.guard,
            filter,
            is_no,
            is_trap,
            stmt,
        });
    }

    /// A filter without the words that cannot be judged, and whether there are any.
    pub(super) fn judgeable(&mut self, filter: FilterId) -> (FilterId, bool) {
        let Some(gap) = self.graph.filters.gap(filter) else {
            return (filter, false);
        };
        let words = self.words(filter);
        words.iter().take(gap).for_each(|word| self.push_word(word));
        (self.graph.filters.end_filter(), true)
    }

    fn words(&self, filter: FilterId) -> Vec<Vec<Vec<Atom>>> {
        let words = self.graph.filters.get(filter).words();
        words.map(|word| word.map(<[Atom]>::to_vec).collect()).collect()
    }

    fn push_word(&mut self, word: &[Vec<Atom>]) {
        for block in word {
            for &atom in block {
                self.graph.filters.push_label(atom);
            }
            self.graph.filters.end_block();
        }
        self.graph.filters.end_word();
    }

    /// Each word of a join is a factor: a filter of its own, in force while that factor is expanded.
    pub(super) fn join(&mut self, filter: FilterId, origin: Origin) {
        let stmt = self.push(Stmt::Join, origin);
        let mut factors = Vec::new();
        for word in self.words(filter) {
            let is_trap = word.iter().any(Vec::is_empty);
            if !is_trap {
                self.push_word(&word);
            }
            self.graph.has_traps |= is_trap;
            let filter = self.graph.filters.end_filter();
            factors.push(self.graph.factors.len() as u32);
            self.graph.factors.push(Constraint {
                guard: None,
                filter,
                is_no: false,
                is_trap,
                stmt,
            });
        }
        let spec = self.graph.joins.entry(self.current).or_insert_with(|| JoinSpec {
            factors: Vec::new(),
            stmt,
        });
        spec.factors.append(&mut factors);
    }
}
