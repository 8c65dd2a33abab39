//! Counts from the leaves outwards, where the outer blocks are a large product that the search would walk again and again.
//!
//! The tree is a chain of blocks. Taken from the innermost one, what is known of a partial path is what filters of outer
//! blocks can ask of it, and what its own filters still want of them; there are few such cases, because most tests ask
//! the same few things of guests and hardware. Filters are judged by the same code as in the search, on a mirrored graph:
//! labels arrive innermost first, so blocks of adjacent labels are read backwards.

use rustc_hash::{FxHashMap, FxHashSet};

use super::facts::{Facts, Known};
use super::state::{State, Verdict};
use crate::count::Count;
use crate::graph::{Atom, Graph, NodeId};

/// Give up beyond so many ways through one block, or so many combinations of those with cases.
const MAX_WAYS: usize = 200_000;
const MAX_COMBINATIONS: usize = 20_000_000;

/// A block of the chain.
struct Segment {
    /// The nodes of each way through it, outermost first.
    ways: Vec<Box<[NodeId]>>,
    nodes: FxHashSet<NodeId>,
}

/// All partial paths that filters see alike.
struct Case {
    labels: Vec<(Atom, Atom)>,
    pending: Vec<u32>,
    count: Count,
}

/// How many paths pass all filters, or nothing if this way of counting is no good here.
pub(super) fn count(graph: &Graph) -> Option<Count> {
    let segments = segments(graph)?;
    let mirror = mirror(graph);
    let outer = outer(&mirror, &segments);
    let mut cases = vec![Case {
        labels: Vec::new(),
        pending: Vec::new(),
        count: Count::exact(1),
    }];
    let mut state = State::new(&mirror);
    let mut combinations = 0;
    for (segment, (facts, above)) in segments.iter().zip(&outer) {
        combinations += cases.len() * segment.ways.len();
        if combinations > MAX_COMBINATIONS {
            return None;
        }
        let mut next: FxHashMap<Box<[u32]>, Case> = FxHashMap::default();
        for case in &cases {
            state.pop_to(0);
            state.push_labels(&case.labels);
            for way in &segment.ways {
                advance(&mirror, &mut state, case, way, (facts, above), &mut next);
                state.pop_to(case.labels.len());
            }
        }
        cases = next.into_values().collect();
    }
    let mut total = Count::exact(0);
    cases.iter().for_each(|case| total.add(case.count));
    Some(total)
}

/// Extends a case by one way through the next block outwards.
fn advance(
    mirror: &Graph,
    state: &mut State,
    case: &Case,
    way: &[NodeId],
    (facts, above): (&Facts, &[u64]),
    next: &mut FxHashMap<Box<[u32]>, Case>,
) {
    for &id in way.iter().rev() {
        state.push(mirror, mirror.node(id));
    }
    let own = way.iter().flat_map(|&id| mirror.node(id).constraints.clone());
    let mut pending = Vec::new();
    for index in case.pending.iter().copied().chain(own) {
        match state.constraint(mirror, &mirror.constraints[index as usize], above) {
            Verdict::Violated => return,
            Verdict::Satisfied => {}
            Verdict::Pending => pending.push(index),
        }
    }
    pending.sort_unstable();
    let mut key = Vec::new();
    state.facts(facts, above, &mut key);
    for &index in &pending {
        key.push(index | 3 << 30);
        state.residual(mirror, &mirror.constraints[index as usize], above, &mut key);
    }
    match next.get_mut(key.as_slice()) {
        Some(known) => known.count.add(case.count),
        None => {
            let labels = state.labels().to_vec();
            next.insert(
                key.into(),
                Case {
                    labels,
                    pending,
                    count: case.count,
                },
            );
        }
    }
}

/// The chain of blocks, the innermost first.
fn segments(graph: &Graph) -> Option<Vec<Segment>> {
    let mut out = Vec::new();
    let mut node = graph.root();
    while let Some(base) = graph.node(node).base {
        out.push(segment(graph, node, base)?);
        node = base;
    }
    out.push(Segment {
        ways: vec![[node].into()],
        nodes: FxHashSet::from_iter([node]),
    });
    out.reverse();
    Some(out)
}

/// All ways from `top` to above `base`.
fn segment(graph: &Graph, top: NodeId, base: NodeId) -> Option<Segment> {
    let mut segment = Segment {
        ways: Vec::new(),
        nodes: FxHashSet::from_iter([top]),
    };
    let mut stack = vec![(top, 0)];
    while let Some((node, tried)) = stack.last_mut() {
        let Some(&child) = graph.node_children(graph.node(*node)).get(*tried) else {
            stack.pop();
            continue;
        };
        *tried += 1;
        if child == base {
            segment.ways.push(stack.iter().map(|(node, _)| *node).collect());
            if segment.ways.len() > MAX_WAYS {
                return None;
            }
        } else {
            segment.nodes.insert(child);
            stack.push((child, 0));
        }
    }
    Some(segment)
}

/// The graph as seen from the leaves.
fn mirror(graph: &Graph) -> Graph {
    let mut mirror = graph.clone();
    mirror.filters = std::mem::take(&mut mirror.filters).mirrored();
    for node in &graph.nodes {
        mirror.labels[node.labels.start as usize..node.labels.end as usize].reverse();
    }
    mirror
}

/// For each segment what the blocks further out ask, and the atoms that they can add.
fn outer(mirror: &Graph, segments: &[Segment]) -> Vec<(Facts, Vec<u64>)> {
    let mut facts = Facts::new(mirror);
    let mut above = vec![0; mirror.atoms.len().div_ceil(64)];
    let mut known = Known::default();
    let mut out = Vec::new();
    for segment in segments.iter().rev() {
        out.push((facts.clone(), above.clone()));
        for node in segment.nodes.iter().map(|&id| mirror.node(id)) {
            facts.add_node(mirror, node, &mut known);
            for label in mirror.node_labels(node) {
                for atom in [label.plain, label.named]
                    .into_iter()
                    .filter(|&atom| atom != Atom::NONE)
                {
                    above[atom.0 as usize / 64] |= 1 << (atom.0 % 64);
                }
            }
        }
    }
    out.reverse();
    out
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use crate::{ExpandOptions, Loaded, Loader, Program};

    struct Nothing;

    impl Loader for Nothing {
        fn load(&self, _: &Utf8Path) -> Loaded {
            Loaded::Absent
        }
    }

    /// A small generator, so that failures repeat.
    struct Dice(u64);

    impl Dice {
        fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }

        fn label(&mut self) -> char {
            char::from(b'a' + self.roll(5) as u8)
        }

        fn filter(&mut self) -> String {
            let (a, b, c) = (self.label(), self.label(), self.label());
            match self.roll(6) {
                0 => format!("{a}"),
                1 => format!("{a}.{b}"),
                2 => format!("{a}..{b}"),
                3 => format!("{a}.{b}.{c}"),
                4 => format!("(v={a}).{b}"),
                _ => format!("{a}..{b}, {c}"),
            }
        }

        fn filter_line(&mut self, indent: &str) -> String {
            match self.roll(5) {
                0 => format!("{indent}only {}\n", self.filter()),
                1 => format!("{indent}no {}\n", self.filter()),
                2 => format!("{indent}{}:\n{indent}  no {}\n", self.label(), self.filter()),
                3 => format!("{indent}!{}:\n{indent}  only {}\n", self.label(), self.filter()),
                _ => format!("{indent}x = 1\n"),
            }
        }

        fn program(&mut self) -> String {
            let mut text = String::new();
            for _ in 0..self.roll(4) + 1 {
                text.push_str(if self.roll(2) == 0 {
                    "variants:\n"
                } else {
                    "variants v:\n"
                });
                for _ in 0..self.roll(3) + 1 {
                    text.push_str(&format!("  - {}:\n", self.label()));
                    if self.roll(2) == 0 {
                        text.push_str(&self.filter_line("    "));
                    }
                    if self.roll(3) == 0 {
                        text.push_str("    variants:\n");
                        for _ in 0..2 {
                            text.push_str(&format!("      - {}.{}:\n", self.label(), self.label()));
                            text.push_str(&self.filter_line("        "));
                        }
                    }
                }
                if self.roll(3) == 0 {
                    text.push_str(&self.filter_line(""));
                }
            }
            text
        }
    }

    #[test]
    fn agrees_with_listing() {
        let mut dice = Dice(7);
        let mut some = 0;
        for _ in 0..3000 {
            let text = dice.program();
            let program = Program::from_text("f", &text, &Nothing).expect("a correct program");
            let listed = program.variants(&ExpandOptions::default()).count() as u128;
            some += usize::from(listed > 0);
            let counted = super::count(&program.graph).expect("a small program");
            assert_eq!((counted.variants, counted.exact), (listed, true), "{text}");
        }
        assert!(some > 500, "only {some} programs had variants");
    }
}
