//! Whether any path goes through a given node that does what is wanted: meets some filters, or passes all.
//!
//! This looks for one path and stops there. It goes only where the node can be reached, knows at every step what can
//! still come on a path through that node, and has the filters that every such path meets in force from the start, so
//! that most questions are answered after a few steps. What failed once is not tried again where filters see it alike.

use std::borrow::Cow;

use rustc_hash::{FxHashMap, FxHashSet};

use super::asked::AskedSets;
use super::state::{Asked, State, Truth, Verdict};
use crate::filter::FilterId;
use crate::graph::{Graph, NodeId};

/// How many nodes are entered for one question, and for all, before the answer is that nobody knows.
const BUDGET: usize = 200_000;
const WHOLE_BUDGET: usize = 20_000_000;

/// What a filter, or a part of it, shall come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Want {
    pub(crate) filter: FilterId,
    pub(crate) part: Part,
    pub(crate) matches: bool,
}

/// What is meant of a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    /// All of it.
    All,
    /// One alternative, by its number.
    Word(usize),
    /// Labels that stand side by side, by their number among those of all alternatives.
    Block(usize),
}

/// What came of a search.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Answer {
    /// A path.
    Path(Box<[NodeId]>),
    /// There is none.
    Nothing,
    /// The search was given up.
    Unknown,
}

/// The filters that a path has to pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum InForce {
    /// None.
    None,
    /// A single one.
    One(u32),
    /// All that it meets, save those that stand outside of all variants.
    All,
}

/// Asks questions about the paths of one graph.
pub(crate) struct Through<'g> {
    graph: &'g Graph,
    asked: AskedSets,
    parents: Parents,
    /// The nodes that every path goes through, whose filters choose what is wanted of the whole.
    spine: FxHashSet<NodeId>,
    state: State,
    budget: usize,
    place: Place,
    /// How often each constraint was in the way since the last question about all.
    blame: FxHashMap<u32, usize>,
    blamed: Vec<u32>,
}

/// For each node those above it.
struct Parents {
    starts: Vec<u32>,
    list: Vec<NodeId>,
    /// The group that a block made, by what was current before the block.
    group: Vec<Option<NodeId>>,
}

/// A node that paths go through, and what is known about them.
struct Place {
    node: NodeId,
    /// By node above: its row of `sets` plus one; 0 for nodes that are not above.
    rows: Vec<u32>,
    above: Vec<NodeId>,
    /// By row: the atoms that can come below on a path through the node, and what filters there ask.
    sets: Vec<u64>,
    /// The constraints that all such paths meet, but for those that all paths meet.
    met: Vec<u32>,
    met_at: FxHashSet<NodeId>,
}

struct Frame {
    node: NodeId,
    tried: usize,
    depth: usize,
    pending: usize,
    key: Option<Box<[u32]>>,
    passed: bool,
}

impl<'g> Through<'g> {
    /// Nothing if the graph is so large that the tables would be too.
    pub(crate) fn new(graph: &'g Graph) -> Option<Self> {
        let asked = AskedSets::build(graph)?;
        let mut spine: FxHashSet<NodeId> =
            std::iter::successors(graph.root, |&node| graph.node(node).base).collect();
        // A choice that leaves none, outside of all others, chooses like a filter there.
        if let [only] = graph.node_children(graph.node(graph.root()))
            && spine.len() > 2
        {
            spine.insert(*only);
        }
        Some(Through {
            graph,
            asked,
            parents: Parents::of(graph),
            spine,
            state: State::new(graph),
            budget: WHOLE_BUDGET,
            place: Place {
                node: graph.root(),
                rows: vec![0; graph.nodes.len()],
                above: Vec::new(),
                sets: Vec::new(),
                met: Vec::new(),
                met_at: FxHashSet::default(),
            },
            blame: FxHashMap::default(),
            blamed: Vec::new(),
        })
    }

    /// The nodes that every path through `node` meets above it, the nearest first.
    pub(crate) fn above(&self, node: NodeId) -> impl Iterator<Item = NodeId> {
        std::iter::successors(self.parents.sure(node), |&at| self.parents.sure(at))
    }

    /// Turns to the paths through `node`.
    pub(crate) fn turn_to(&mut self, node: NodeId) {
        let graph = self.graph;
        let place = &mut self.place;
        place.above.iter().for_each(|above| place.rows[above.index()] = 0);
        place.above.clear();
        place.sets.clear();
        place.node = node;
        let mut next = vec![node];
        while let Some(at) = next.pop() {
            for &parent in self.parents.of_node(at) {
                if place.rows[parent.index()] == 0 {
                    place.rows[parent.index()] = 1;
                    place.above.push(parent);
                    next.push(parent);
                }
            }
        }
        // Children stand before their parents.
        place.above.sort_unstable();
        let width = self.asked.width();
        for (row, &above) in place.above.iter().enumerate() {
            place.rows[above.index()] = row as u32 + 1;
            let mut set = vec![0; width];
            for &child in graph.node_children(graph.node(above)) {
                let below = match place.rows[child.index()] {
                    0 if child == node => self.asked.below(graph, child),
                    0 => continue,
                    row => place.sets[(row as usize - 1) * width..row as usize * width].to_vec(),
                };
                set.iter_mut().zip(below).for_each(|(into, from)| *into |= from);
                self.asked.add_labels(graph, child, &mut set);
            }
            self.asked.add_questions(graph, above, &mut set);
            place.sets.extend(set);
        }
        let down = std::iter::successors(Some(node), |&at| match graph.node_children(graph.node(at)) {
            [only] => Some(*only),
            _ => graph.node(at).base,
        });
        let sure: Vec<NodeId> = down.chain(self.above(node)).collect();
        let place = &mut self.place;
        place.met_at = sure.into_iter().filter(|at| !self.spine.contains(at)).collect();
        place.met = place
            .met_at
            .iter()
            .flat_map(|&at| graph.node(at).constraints.clone())
            .collect();
        place.met.sort_unstable();
    }

    /// Looks for a path on which all that is wanted comes true.
    pub(crate) fn find(&mut self, wants: &[Want], filters: InForce) -> Answer {
        let allowed = BUDGET.min(self.budget);
        self.state.pop_to(0);
        self.blame.clear();
        let pending = match filters {
            InForce::None => Vec::new(),
            InForce::One(constraint) => vec![constraint],
            InForce::All => self.place.met.clone(),
        };
        let mut search = Search {
            through: self,
            wants,
            all: filters == InForce::All,
            left: allowed,
            stack: Vec::new(),
            pending,
            failed: FxHashSet::default(),
        };
        let answer = search.run();
        let used = allowed - search.left;
        self.budget -= used;
        if filters == InForce::All {
            let mut blamed: Vec<(u32, usize)> = self.blame.drain().collect();
            blamed.sort_unstable_by_key(|&(constraint, times)| (std::cmp::Reverse(times), constraint));
            self.blamed = blamed.into_iter().map(|(constraint, _)| constraint).collect();
        }
        answer
    }

    /// The constraints that were in the way in the last search with all of them, the one that was most often first.
    pub(crate) fn blamed(&self) -> &[u32] {
        &self.blamed
    }
}

impl Parents {
    fn of(graph: &Graph) -> Self {
        let mut starts = vec![0_u32; graph.nodes.len() + 1];
        for child in graph.nodes.iter().flat_map(|node| graph.node_children(node)) {
            starts[child.index() + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut next = starts.clone();
        let mut list = vec![NodeId(0); *starts.last().unwrap_or(&0) as usize];
        let mut group = vec![None; graph.nodes.len()];
        for (index, node) in graph.nodes.iter().enumerate() {
            let id = NodeId(index as u32);
            for child in graph.node_children(node) {
                list[next[child.index()] as usize] = id;
                next[child.index()] += 1;
            }
            if let Some(base) = node.base {
                group[base.index()] = Some(id);
            }
        }
        Parents { starts, list, group }
    }

    fn of_node(&self, node: NodeId) -> &[NodeId] {
        &self.list[self.starts[node.index()] as usize..self.starts[node.index() + 1] as usize]
    }

    /// The nearest node above that no path to `node` avoids.
    fn sure(&self, node: NodeId) -> Option<NodeId> {
        match self.of_node(node) {
            [only] => Some(*only),
            _ => self.group[node.index()],
        }
    }
}

impl Place {
    /// The sets of a node, as far as paths through this place are concerned.
    fn sets_of(&self, id: NodeId, graph: &Graph, asked: &AskedSets) -> Cow<'_, [u64]> {
        let width = asked.width();
        match self.rows[id.index()] as usize {
            0 => asked.below(graph, id).into(),
            row => self.sets[(row - 1) * width..row * width].into(),
        }
    }
}

struct Search<'t, 'g> {
    through: &'t mut Through<'g>,
    wants: &'t [Want],
    /// Whether filters that are met on the way count.
    all: bool,
    left: usize,
    stack: Vec<Frame>,
    pending: Vec<u32>,
    failed: FxHashSet<Box<[u32]>>,
}

impl Search<'_, '_> {
    fn run(&mut self) -> Answer {
        let graph = self.through.graph;
        self.enter(graph.root());
        while let Some(frame) = self.stack.last_mut() {
            let children = graph.node_children(graph.node(frame.node));
            if children.is_empty() {
                return Answer::Path(self.stack.iter().map(|frame| frame.node).collect());
            }
            let Some(&child) = children.get(frame.tried) else {
                self.leave();
                continue;
            };
            frame.tried += 1;
            if !self.enter(child) {
                return Answer::Unknown;
            }
        }
        Answer::Nothing
    }

    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        self.through.state.pop_to(frame.depth);
        self.pending.truncate(frame.pending);
        self.failed.extend(frame.key);
    }

    /// Enters a node unless nothing wanted is there; `false` if the search has gone on for too long.
    fn enter(&mut self, id: NodeId) -> bool {
        let through = &mut *self.through;
        let (graph, place) = (through.graph, &through.place);
        let (above, parent) = (place.rows[id.index()], self.stack.last());
        let passed = id == place.node || parent.is_some_and(|parent| parent.passed);
        if !passed && above == 0 {
            return true;
        }
        let Some(left) = self.left.checked_sub(1) else {
            return false;
        };
        self.left = left;
        let sets = place.sets_of(id, graph, &through.asked);
        let (below, asked) = through.asked.split(&sets);
        let asked = self.all.then_some(asked);
        let depth = through.state.depth();
        let pending = self.pending.len();
        let inherited = parent.map_or(0, |parent| parent.pending);
        let met = if self.all && !place.met_at.contains(&id) && !through.spine.contains(&id) {
            graph.node(id).constraints.clone()
        } else {
            0..0
        };
        let due: Vec<u32> = self.pending[inherited..].iter().copied().chain(met).collect();
        let state = &mut through.state;
        state.push(graph, graph.node(id));
        let mut alive = self.wants.iter().all(|want| state.wanted(graph, want, below));
        if alive && let Some(violated) = keep(state, graph, &due, below, &mut self.pending) {
            *through.blame.entry(violated).or_default() += 1;
            alive = false;
        }
        let mut key = None;
        if alive && graph.node(id).shared {
            let open = (self.wants, &self.pending[pending..]);
            let made = key_of(state, graph, id, open, below, asked);
            alive = !self.failed.contains(&made);
            key = Some(made);
        }
        if !alive {
            state.pop_to(depth);
            self.pending.truncate(pending);
            return true;
        }
        self.stack.push(Frame {
            node: id,
            tried: 0,
            depth,
            pending,
            key,
            passed,
        });
        true
    }
}

/// Judges constraints and keeps those that are undecided; the first one that removes everything.
fn keep(state: &State, graph: &Graph, due: &[u32], below: &[u64], pending: &mut Vec<u32>) -> Option<u32> {
    for &index in due {
        match state.constraint(graph, &graph.constraints[index as usize], below) {
            Verdict::Violated | Verdict::Trapped => return Some(index),
            Verdict::Satisfied => {}
            Verdict::Pending => pending.push(index),
        }
    }
    None
}

/// All that can matter for what is below a node.
fn key_of(
    state: &State,
    graph: &Graph,
    id: NodeId,
    (wants, pending): (&[Want], &[u32]),
    below: &[u64],
    asked: Option<Asked<'_>>,
) -> Box<[u32]> {
    let mut key = vec![id.0];
    for want in wants {
        state.residual_filter(&graph.filters.get(want.filter), below, &mut key);
        key.push(u32::MAX);
    }
    if let Some(asked) = asked {
        state.facts(asked, below, &mut key);
    }
    for &index in pending {
        key.push(index | 3 << 30);
        state.residual(graph, &graph.constraints[index as usize], below, &mut key);
    }
    key.into()
}

impl State {
    /// Whether what is wanted can still come true.
    fn wanted(&self, graph: &Graph, want: &Want, below: &[u64]) -> bool {
        let mut words = graph.filters.get(want.filter).words();
        let part = match want.part {
            Part::All => Some(self.filter(graph, want.filter, below)),
            Part::Word(number) => words.nth(number).map(|word| self.word(word, below)),
            Part::Block(number) => words.flatten().nth(number).map(|block| self.block(block, below)),
        };
        let truth = part.unwrap_or(Truth::False);
        truth != if want.matches { Truth::False } else { Truth::True }
    }
}
