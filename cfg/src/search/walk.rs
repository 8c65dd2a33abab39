//! Depth-first search for the paths that pass all filters, in the language's order, on an explicit stack.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::facts::FactTable;
use super::join::{Join, SharedContents, lock};
use super::removed::{Profile, Watching};
use super::state::{State, Verdict};
use crate::apply::Modes;
use crate::count::Count;
use crate::diagnostic::{Class, Diagnostic};
use crate::expand::ExpandOptions;
use crate::graph::{Constraint, Graph, NodeId, Stmt};
use crate::raw::RawDict;
use crate::symbols::Sym;

/// What an expansion is asked for, as far as the search is concerned.
#[derive(Clone, Default, Debug)]
pub(crate) struct WalkOptions {
    /// Take only the default variant of a block where that gives anything.
    pub(crate) defaults: bool,
    /// Variables whose blocks are expanded all the same.
    pub(crate) expand: Vec<String>,
    /// How the parameters of joined variants are made, and whether mistakes of other implementations are refused.
    pub(crate) modes: Modes,
}

impl WalkOptions {
    pub(crate) fn new(options: &ExpandOptions) -> Self {
        WalkOptions {
            defaults: options.defaults,
            expand: options.expand.clone(),
            modes: Modes {
                keep_dups: options.keep_dups,
                strict: options.strict,
            },
        }
    }
}

/// A path that passes all filters: its nodes, the root first.
pub(crate) struct Found {
    pub(crate) path: Box<[NodeId]>,
    /// What joins made of it and of others.
    pub(crate) joined: Option<Box<RawDict>>,
}

/// How often a shared node is entered before what came of it is remembered: a search that meets each node a few times is
/// over before it has found out what there is to remember.
const UNREMEMBERED: u8 = 32;

type Step = Option<Result<Found, Box<Diagnostic>>>;

/// What came of trying to enter a node.
enum Entered {
    No,
    Yes,
    Failed(Box<Diagnostic>),
}

pub(super) struct Frame {
    pub(super) node: NodeId,
    /// How many children were tried.
    tried: u32,
    /// The first child to try in defaults mode.
    default_child: Option<u32>,
    /// Whether the others follow the default variant even if that gave something.
    all_after_default: bool,
    /// Where this frame's undecided constraints start.
    pending: usize,
    /// How many labels there were before this node's.
    depth: usize,
    /// Whether anything was found below.
    pub(super) found: bool,
    /// How much was found below, while counting.
    pub(super) total: Count,
    /// What was removed below, if that is watched.
    pub(super) removed: Profile,
    /// What to remember if nothing is found.
    pub(super) key: Option<Box<[u32]>>,
    /// The joins of this node, if it has any to carry out.
    join: Option<Box<Join>>,
}

/// The search.
pub(crate) struct Walk {
    pub(super) graph: Arc<Graph>,
    pub(super) options: WalkOptions,
    pub(super) state: State,
    pub(super) stack: Vec<Frame>,
    /// Undecided constraints of all frames, one after the other.
    pending: Vec<u32>,
    /// Nodes, with what was open there, and how much was found below. Without counting only those with nothing.
    pub(super) memo: FxHashMap<Box<[u32]>, Count>,
    /// How often each node was entered, up to what matters.
    entered: Vec<u8>,
    /// Count instead of stopping at each path.
    pub(super) counting: bool,
    /// Judge this constraint alone.
    pub(super) only: Option<u32>,
    /// Do as if this constraint were not there.
    pub(super) without: Option<u32>,
    /// How much was found in all, while counting.
    pub(super) sum: Count,
    /// How many nodes may still be entered; counting gives up at none.
    pub(super) budget: usize,
    /// Note what is ruled out.
    pub(super) watching: Option<Watching>,
    /// The constraint that ruled out the node that was tried last.
    pub(super) blame: Option<u32>,
    /// The constraint that could not be judged.
    trapped: Option<u32>,
    facts: FactTable,
    scratch: Vec<u32>,
    contents: SharedContents,
    /// The node to start at, until started, and the nodes above it that are not this search's own.
    start: Option<NodeId>,
    above: Box<[NodeId]>,
}

impl Walk {
    pub(crate) fn new(graph: &Arc<Graph>, options: &WalkOptions) -> Self {
        Walk::inside(
            graph,
            options,
            &SharedContents::default(),
            graph.root(),
            (&[], &[]),
        )
    }

    /// A search below `start`, reached by a path with some filters still undecided.
    pub(super) fn inside(
        graph: &Arc<Graph>,
        options: &WalkOptions,
        contents: &SharedContents,
        start: NodeId,
        (above, pending): (&[NodeId], &[u32]),
    ) -> Self {
        let mut state = State::new(graph);
        for &node in above {
            state.push(graph, graph.node(node));
        }
        Walk {
            graph: graph.clone(),
            options: options.clone(),
            state,
            stack: Vec::new(),
            pending: pending.to_vec(),
            memo: FxHashMap::default(),
            entered: vec![0; graph.nodes.len()],
            counting: false,
            only: None,
            without: None,
            sum: Count::exact(0),
            watching: None,
            budget: usize::MAX,
            blame: None,
            trapped: None,
            facts: FactTable::default(),
            scratch: Vec::new(),
            contents: contents.clone(),
            start: Some(start),
            above: above.into(),
        }
    }

    /// Goes back to the beginning, at another place; what was learnt stays.
    pub(super) fn restart(&mut self, start: NodeId, above: &[NodeId]) {
        self.state.pop_to(0);
        for &node in above {
            self.state.push(&self.graph, self.graph.node(node));
        }
        self.stack.clear();
        self.pending.clear();
        self.pending.extend(self.only);
        self.above = above.into();
        self.start = Some(start);
    }

    /// The next path.
    pub(crate) fn next(&mut self) -> Step {
        let graph = self.graph.clone();
        if let Some(start) = self.start.take() {
            match self.enter(&graph, start) {
                Entered::Failed(error) => return Some(Err(error)),
                Entered::No => return None,
                Entered::Yes => {
                    if let Some(found) = self.leaf(&graph) {
                        return Some(Ok(found));
                    }
                }
            }
        }
        while let Some(frame) = self.stack.last_mut() {
            if let Some(join) = &mut frame.join {
                match join.next() {
                    Some(Ok(found)) => {
                        frame.found = true;
                        return Some(Ok(found));
                    }
                    Some(Err(error)) => return self.fail(error),
                    None => self.leave(),
                }
                continue;
            }
            if self.options.modes.strict && frame.goes_on(&graph) {
                let error = default_goes_on(&graph, frame.node);
                return self.fail(error);
            }
            let Some(child) = frame.next_child(&graph) else {
                self.leave();
                continue;
            };
            match self.enter(&graph, child) {
                Entered::Failed(error) => return self.fail(error),
                Entered::No => {}
                Entered::Yes => {
                    if let Some(found) = self.leaf(&graph) {
                        return Some(Ok(found));
                    }
                }
            }
        }
        None
    }

    /// An error ends the search.
    fn fail(&mut self, error: Box<Diagnostic>) -> Step {
        self.stack.clear();
        Some(Err(error))
    }

    /// The path, if the node on top of the stack has nothing below it.
    fn leaf(&mut self, graph: &Graph) -> Option<Found> {
        let frame = self.stack.last_mut()?;
        if frame.join.is_some() || !graph.node(frame.node).children.is_empty() {
            return None;
        }
        frame.found = true;
        if self.counting {
            frame.total = Count::exact(1);
            return None;
        }
        Some(Found {
            path: self.path(),
            joined: None,
        })
    }

    pub(super) fn path(&self) -> Box<[NodeId]> {
        self.above
            .iter()
            .copied()
            .chain(self.stack.iter().map(|frame| frame.node))
            .collect()
    }

    fn leave(&mut self) {
        let Some(mut frame) = self.stack.pop() else { return };
        self.state.pop_to(frame.depth);
        self.pending.truncate(frame.pending);
        if frame.found {
            if let Some(parent) = self.stack.last_mut() {
                parent.found = true;
            }
        } else if !self.counting
            && let Some(key) = frame.key.take()
        {
            self.memo.insert(key, Count::exact(0));
        }
        if self.counting {
            self.add(&mut frame);
        }
    }

    /// Enters `id` unless its filters, or those above, leave nothing there.
    fn enter(&mut self, graph: &Graph, id: NodeId) -> Entered {
        if self.budget == 0 {
            return Entered::No;
        }
        self.budget -= 1;
        let node = graph.node(id);
        let depth = self.state.depth();
        let inherited = self.stack.last().map_or(0, |frame| frame.pending)..self.pending.len();
        let pending = self.pending.len();
        let mut frame = Frame {
            node: id,
            tried: 0,
            default_child: None,
            all_after_default: false,
            pending,
            depth,
            found: false,
            total: Count::exact(0),
            removed: Profile::new(),
            key: None,
            join: None,
        };
        if !graph.joins.is_empty()
            && graph.joins.contains_key(&id)
            && lock(&self.contents).factors(id).is_none()
        {
            let inside = (self.path(), self.pending[inherited].into());
            match Join::new(&self.graph, &self.options, &self.contents, id, inside) {
                Ok(join) => frame.join = Some(Box::new(join)),
                Err(error) => return Entered::Failed(error),
            }
            self.stack.push(frame);
            return Entered::Yes;
        }
        self.state.push(graph, node);
        self.blame = None;
        let mut alive = self.judge(graph, id, inherited);
        if let Some(trap) = self.trapped.take() {
            return Entered::Failed(trapped(graph, constraint(graph, trap)));
        }
        if alive && node.shared && graph.joins.is_empty() && !graph.has_traps && self.remembers(id) {
            let key = self.remember(graph, id, pending);
            alive = !self.recall(&key);
            frame.key = Some(key);
        }
        if !alive {
            if let Some(blame) = self.blame.filter(|_| graph.has_traps) {
                lock(&self.contents).note_removed(id, blame);
            }
            self.note_removed(id);
            self.pending.truncate(pending);
            self.state.pop_to(depth);
            return Entered::No;
        }
        frame.default_child = node
            .default_child
            .filter(|_| self.options.defaults && !self.expands(graph, node.variable));
        frame.all_after_default = self.expands(graph, node.enclosing);
        self.stack.push(frame);
        Entered::Yes
    }

    /// Judges all constraints at `id`, keeping the undecided ones; `false` if one removes everything.
    fn judge(&mut self, graph: &Graph, id: NodeId, inherited: std::ops::Range<usize>) -> bool {
        let below = graph.tables().below(id);
        let own = match self.only {
            None => graph.node(id).constraints.clone(),
            Some(_) => 0..0,
        };
        let factors: Vec<u32> = match self.only {
            None if !graph.joins.is_empty() => lock(&self.contents).factors(id).map(<[u32]>::to_vec),
            _ => None,
        }
        .unwrap_or_default();
        let mut factors = factors
            .iter()
            .map(|factor| graph.constraints.len() as u32 + factor);
        // The order shows only where a filter cannot be judged and another one, judged before, ends the search.
        if graph.has_traps {
            !self.is_removed_again(graph, id, inherited.clone())
                && own.clone().all(|index| self.keep(graph, index, below))
                && factors.all(|index| self.keep(graph, index, below))
                && inherited
                    .clone()
                    .all(|at| self.keep(graph, self.pending[at], below))
        } else {
            inherited
                .clone()
                .all(|at| self.keep(graph, self.pending[at], below))
                && own.clone().all(|index| self.keep(graph, index, below))
                && factors.all(|index| self.keep(graph, index, below))
        }
    }

    /// Whether a constraint that removed the node before is in force again, and does the same.
    fn is_removed_again(&mut self, graph: &Graph, id: NodeId, inherited: std::ops::Range<usize>) -> bool {
        let own = graph.node(id).constraints.clone();
        let below = graph.tables().below(id);
        let contents = lock(&self.contents);
        let factors = contents.factors(id).unwrap_or_default();
        let in_force = |index: &&u32| {
            let factor = index.checked_sub(graph.constraints.len() as u32);
            own.contains(*index)
                || self.pending[inherited.clone()].contains(*index)
                || factor.is_some_and(|factor| factors.contains(&factor))
        };
        for &index in contents.removed_by(id).iter().rev().filter(in_force) {
            let constraint = constraint(graph, index);
            // What removed the node is judged as a whole now, with what cannot be; of a condition, that it holds is enough.
            if constraint.is_trap && constraint.guard.is_none() {
                self.trapped = Some(index);
                return true;
            }
            if self.state.constraint(graph, constraint, below) == Verdict::Violated {
                self.blame = Some(index);
                return true;
            }
        }
        false
    }

    /// Keeps a constraint if it is undecided; `false` if it removes everything.
    fn keep(&mut self, graph: &Graph, index: u32, below: &[u64]) -> bool {
        if self.without == Some(index) {
            return true;
        }
        match self.state.constraint(graph, constraint(graph, index), below) {
            Verdict::Violated => {
                self.blame = Some(index);
                return false;
            }
            Verdict::Trapped => {
                self.trapped = Some(index);
                return false;
            }
            Verdict::Satisfied => {}
            Verdict::Pending => self.pending.push(index),
        }
        true
    }

    /// Whether it pays to remember what comes of entering a shared node.
    fn remembers(&mut self, id: NodeId) -> bool {
        let entered = &mut self.entered[id.index()];
        let known = *entered == UNREMEMBERED;
        *entered += u8::from(!known);
        known || self.counting
    }

    /// The node with all that is open there.
    fn remember(&mut self, graph: &Graph, id: NodeId, pending: usize) -> Box<[u32]> {
        let below = graph.tables().below(id);
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        out.push(id.0);
        if self.only.is_none() {
            self.state
                .facts(self.facts.get(graph, id).asked(), below, &mut out);
        }
        for &index in &self.pending[pending..] {
            out.push(index | 3 << 30);
            self.state
                .residual(graph, constraint(graph, index), below, &mut out);
        }
        let key = out.as_slice().into();
        self.scratch = out;
        key
    }

    fn expands(&self, graph: &Graph, variable: Option<Sym>) -> bool {
        let named = |wanted: &String| variable.is_some_and(|variable| graph.symbols.text(variable) == wanted);
        self.options.expand.iter().any(named)
    }
}

impl Frame {
    /// Whether the default variant was tried, and gave something.
    fn default_gave(&self) -> bool {
        self.default_child.is_some() && self.tried == 1 && self.found
    }

    /// Whether the variants behind the default follow only because the block around is to be expanded.
    fn goes_on(&self, graph: &Graph) -> bool {
        let more = graph.node(self.node).children.len() > 1;
        self.all_after_default && more && self.default_gave()
    }

    /// The next child to try.
    fn next_child(&mut self, graph: &Graph) -> Option<NodeId> {
        let children = graph.node_children(graph.node(self.node));
        let tried = self.tried;
        let enough = self.default_gave() && !self.all_after_default;
        if tried as usize == children.len() || enough {
            return None;
        }
        self.tried += 1;
        let index = match self.default_child {
            None => tried,
            Some(default) if tried == 0 => default,
            Some(default) if tried <= default => tried - 1,
            Some(_) => tried,
        };
        Some(children[index as usize])
    }
}

/// Refuses what a constraint cannot judge.
fn trapped(graph: &Graph, constraint: &Constraint) -> Box<Diagnostic> {
    let mut at = graph.location(constraint.stmt);
    let is_factor = constraint.guard.is_none();
    if matches!(graph.stmt(constraint.stmt), Stmt::Join) && !is_factor {
        let message = "`join` inside a conditional block";
        let error = Diagnostic::error(Class::Other, "join-in-condition", message, at);
        return Box::new(error.with_help("move it out of the condition"));
    }
    let dot = at
        .text
        .match_indices('.')
        .find(|(dot, _)| at.text[..*dot].ends_with([' ', ',']));
    if let Some((dot, _)) = dot {
        at.column = at.text[..dot].chars().count() as u32 + 1;
        at.length = 1;
    }
    let error = Diagnostic::error(Class::Other, "empty-block", "no variant name before `.`", at);
    Box::new(error.with_help("remove the blank before the dot, or the dot"))
}

/// Refuses a block that goes on after its default variant.
fn default_goes_on(graph: &Graph, group: NodeId) -> Box<Diagnostic> {
    let node = graph.node(group);
    let around = node.enclosing.map_or("", |variable| graph.symbols.text(variable));
    let default = node.default_child.unwrap_or_default() as usize;
    let file_map = graph.nodes[graph.node_children(node)[default].index()]
        .content
        .end
        - 1;
    let message =
        format!("the variants behind this default are taken too, because `{around}` around them is expanded");
    let error = Diagnostic::error(Class::Other, "default-goes-on", message, graph.location(file_map));
    Box::new(
        error.with_help(
            "name this block and expand it as well, or let no block with a default end the variant",
        ),
    )
}

/// A constraint of a node, or beyond those the filter of a join factor.
fn constraint(graph: &Graph, index: u32) -> &Constraint {
    let own = graph.constraints.len();
    graph
        .constraints
        .get(index as usize)
        .unwrap_or_else(|| &graph.factors[index as usize - own])
}
