//! Filters judged with what is known at a node.

use crate::filter::{Expression, FilterId};
use crate::graph::{Atom, Constraint, Graph, Node};

/// What is known of a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Truth {
    False,
    Unknown,
    True,
}

impl Truth {
    fn not(self) -> Self {
        match self {
            Truth::False => Truth::True,
            Truth::Unknown => Truth::Unknown,
            Truth::True => Truth::False,
        }
    }
}

/// What is known of an `only` or `no` under its guards.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It removes everything from here on.
    Violated,
    /// It can remove nothing any more.
    Satisfied,
    /// It depends on what comes below.
    Pending,
    /// It cannot be judged.
    Trapped,
}

/// What filters ask about labels: single atoms, and blocks of adjacent ones.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    pub(super) atoms: &'a [u64],
    pub(super) blocks: &'a [Box<[Atom]>],
    /// The set of the blocks that are meant; otherwise all are.
    pub(super) chosen: Option<&'a [u64]>,
}

/// The labels on the way to a node.
#[derive(Clone, Default, Debug)]
pub(crate) struct State {
    /// Plain and named atom of each label, outermost first.
    labels: Vec<(Atom, Atom)>,
    /// How many labels carry each atom.
    seen: Vec<u16>,
    /// The atoms that any label carries, as a set.
    bits: Vec<u64>,
}

fn holds(set: &[u64], atom: Atom) -> bool {
    set.get(atom.0 as usize / 64)
        .is_some_and(|word| word >> (atom.0 % 64) & 1 == 1)
}

/// Calls `found` for each member of a set.
fn each_bit(set: &[u64], mut found: impl FnMut(usize)) {
    for (at, &word) in set.iter().enumerate() {
        let mut left = word;
        while left != 0 {
            found(at * 64 + left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }
}

impl State {
    pub(crate) fn new(graph: &Graph) -> Self {
        let mut state = State::default();
        state.reset(graph);
        state
    }

    /// Forgets everything and makes room for another graph's atoms.
    pub(crate) fn reset(&mut self, graph: &Graph) {
        while !self.labels.is_empty() {
            self.pop_to(0);
        }
        if self.seen.len() < graph.atoms.len() {
            self.seen.resize(graph.atoms.len(), 0);
            self.bits.resize(graph.atoms.len().div_ceil(64), 0);
        }
    }

    pub(crate) fn depth(&self) -> usize {
        self.labels.len()
    }

    pub(crate) fn push(&mut self, graph: &Graph, node: &Node) {
        for label in graph.node_labels(node) {
            self.labels.push((label.plain, label.named));
            self.count(label.plain);
            if label.named != Atom::NONE {
                self.count(label.named);
            }
        }
    }

    /// Adds labels without a node.
    pub(crate) fn push_labels(&mut self, labels: &[(Atom, Atom)]) {
        for &(plain, named) in labels {
            self.labels.push((plain, named));
            self.count(plain);
            if named != Atom::NONE {
                self.count(named);
            }
        }
    }

    pub(crate) fn labels(&self) -> &[(Atom, Atom)] {
        &self.labels
    }

    fn count(&mut self, atom: Atom) {
        self.seen[atom.0 as usize] += 1;
        self.bits[atom.0 as usize / 64] |= 1 << (atom.0 % 64);
    }

    pub(crate) fn pop_to(&mut self, depth: usize) {
        while self.labels.len() > depth
            && let Some((plain, named)) = self.labels.pop()
        {
            self.uncount(plain);
            if named != Atom::NONE {
                self.uncount(named);
            }
        }
    }

    fn uncount(&mut self, atom: Atom) {
        self.seen[atom.0 as usize] -= 1;
        if self.seen[atom.0 as usize] == 0 {
            self.bits[atom.0 as usize / 64] &= !(1 << (atom.0 % 64));
        }
    }

    /// Writes everything about the labels so far that is asked, given what can still come.
    pub(super) fn facts(&self, asked: Asked<'_>, below: &[u64], out: &mut Vec<u32>) {
        for (at, (seen, wanted)) in self.bits.iter().zip(asked.atoms).enumerate() {
            let known = seen & wanted;
            if known != 0 {
                out.extend([at as u32, known as u32, (known >> 32) as u32]);
            }
        }
        out.push(u32::MAX);
        match asked.chosen {
            None => (0..asked.blocks.len()).for_each(|at| self.block_fact(asked.blocks, at, below, out)),
            Some(chosen) => each_bit(chosen, |at| self.block_fact(asked.blocks, at, below, out)),
        }
        out.push(u32::MAX);
    }

    fn block_fact(&self, blocks: &[Box<[Atom]>], at: usize, below: &[u64], out: &mut Vec<u32>) {
        let block = &blocks[at];
        if self.seen[block[0].0 as usize] == 0 {
            return;
        }
        let progress = match self.block(block, below) {
            Truth::False => return,
            Truth::True => u64::MAX,
            Truth::Unknown => self.progress(block, below),
        };
        out.extend([at as u32, progress as u32, (progress >> 32) as u32]);
    }

    /// Judges a filter; `below` is what can still come.
    pub(crate) fn filter(&self, graph: &Graph, filter: FilterId, below: &[u64]) -> Truth {
        self.expression(&graph.filters.get(filter), below)
    }

    fn expression(&self, filter: &Expression<'_, Atom>, below: &[u64]) -> Truth {
        let mut best = Truth::False;
        for word in filter.words() {
            match self.word(word, below) {
                Truth::True => return Truth::True,
                Truth::Unknown => best = Truth::Unknown,
                Truth::False => {}
            }
        }
        best
    }

    /// Judges one alternative of a filter.
    pub(super) fn word<'a>(&self, blocks: impl Iterator<Item = &'a [Atom]>, below: &[u64]) -> Truth {
        let mut all = Truth::True;
        for block in blocks {
            match self.block(block, below) {
                Truth::True => {}
                Truth::Unknown => all = Truth::Unknown,
                Truth::False => return Truth::False,
            }
        }
        all
    }

    /// Judges adjacent labels.
    pub(crate) fn block(&self, block: &[Atom], below: &[u64]) -> Truth {
        if let [atom] = block {
            return match (self.seen[atom.0 as usize] > 0, holds(below, *atom)) {
                (true, _) => Truth::True,
                (false, true) => Truth::Unknown,
                (false, false) => Truth::False,
            };
        }
        let mut all_seen = true;
        for &atom in block {
            if self.seen[atom.0 as usize] == 0 {
                all_seen = false;
                if !holds(below, atom) {
                    return Truth::False;
                }
            }
        }
        if all_seen && self.labels.windows(block.len()).any(|window| fits(window, block)) {
            return Truth::True;
        }
        match self.progress(block, below) {
            0 => Truth::False,
            _ => Truth::Unknown,
        }
    }

    /// The lengths of this block's beginnings that end the labels so far and can be completed below, as a bit set.
    pub(crate) fn progress(&self, block: &[Atom], below: &[u64]) -> u64 {
        let mut lengths = 0;
        let mut length = block.len().min(63);
        // `rest` of the block must come from below; it grows towards the front.
        while length > 0 && holds(below, block[length - 1]) {
            length -= 1;
            let have = self.labels.len();
            if length <= have && fits(&self.labels[have - length..], &block[..length]) {
                lengths |= 1 << length;
            }
        }
        if block.len() > 63 { lengths | 1 } else { lengths }
    }

    /// Judges an `only` or `no`.
    pub(crate) fn constraint(&self, graph: &Graph, constraint: &Constraint, below: &[u64]) -> Verdict {
        let matches = self.filter(graph, constraint.filter, below);
        if constraint.is_trap && matches != Truth::True {
            return match self.guards(graph, constraint.guard, below) {
                Truth::False => Verdict::Satisfied,
                Truth::Unknown => Verdict::Pending,
                Truth::True => Verdict::Trapped,
            };
        }
        let wanted = if constraint.is_no { matches.not() } else { matches };
        if wanted == Truth::True {
            return Verdict::Satisfied;
        }
        match self.guards(graph, constraint.guard, below) {
            Truth::False => Verdict::Satisfied,
            Truth::True if wanted == Truth::False => Verdict::Violated,
            _ => Verdict::Pending,
        }
    }

    /// Judges the conditions around a statement.
    pub(crate) fn guards(&self, graph: &Graph, mut guard: Option<u32>, below: &[u64]) -> Truth {
        let mut all = Truth::True;
        while let Some(index) = guard {
            let entry = &graph.guards[index as usize];
            let matches = self.filter(graph, entry.filter, below);
            match if entry.negated { matches.not() } else { matches } {
                Truth::False => return Truth::False,
                Truth::Unknown => all = Truth::Unknown,
                Truth::True => {}
            }
            guard = entry.parent;
        }
        all
    }

    /// Writes what of an undecided constraint is still open, so that equal writings mean equal futures.
    pub(crate) fn residual(&self, graph: &Graph, constraint: &Constraint, below: &[u64], out: &mut Vec<u32>) {
        self.residual_filter(&graph.filters.get(constraint.filter), below, out);
        let mut guard = constraint.guard;
        while let Some(index) = guard {
            let entry = &graph.guards[index as usize];
            out.push(u32::MAX);
            self.residual_filter(&graph.filters.get(entry.filter), below, out);
            guard = entry.parent;
        }
    }

    /// The same for one filter.
    pub(super) fn residual_filter(&self, filter: &Expression<'_, Atom>, below: &[u64], out: &mut Vec<u32>) {
        for (index, word) in filter.words().enumerate() {
            if self.word(word.clone(), below) == Truth::False {
                continue;
            }
            out.push(index as u32 | 1 << 31);
            for (position, block) in word.enumerate() {
                if self.block(block, below) == Truth::True {
                    out.push(position as u32);
                } else if block.len() > 1 {
                    let progress = self.progress(block, below);
                    out.extend([
                        position as u32 | 1 << 30,
                        progress as u32,
                        (progress >> 32) as u32,
                    ]);
                }
            }
        }
    }
}

fn fits(labels: &[(Atom, Atom)], block: &[Atom]) -> bool {
    labels
        .iter()
        .zip(block)
        .all(|((plain, named), atom)| plain == atom || named == atom)
}
