//! Depth-first search for the paths that pass all filters, in the language's order, on an explicit stack.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::facts::FactTable;
use super::join::{Join, SharedContents, lock};
use super::state::{State, Verdict};
use crate::diagnostic::Diagnostic;
use crate::graph::{Constraint, Graph, NodeId};
use crate::raw::RawDict;

/// What an expansion is asked for, as far as the search is concerned.
#[derive(Clone, Default, Debug)]
pub(crate) struct WalkOptions {
    /// Take only the default variant of a block where that gives anything.
    pub(crate) defaults: bool,
    /// Variables whose blocks are expanded all the same.
    pub(crate) expand: Vec<String>,
    /// Refuse joins that lose variants.
    pub(crate) strict: bool,
    /// Keep suffixed keys apart even where they agree.
    pub(crate) keep_dups: bool,
}

/// A path that passes all filters: its nodes, the root first.
pub(crate) struct Found {
    pub(crate) path: Box<[NodeId]>,
    /// What joins made of it and of others.
    pub(crate) joined: Option<Box<RawDict>>,
}

type Step = Option<Result<Found, Box<Diagnostic>>>;

/// What came of trying to enter a node.
enum Entered {
    No,
    Yes,
    Failed(Box<Diagnostic>),
}

struct Frame {
    node: NodeId,
    /// How many children were tried.
    tried: u32,
    /// The first child to try in defaults mode.
    default_child: Option<u32>,
    /// Where this frame's undecided constraints start.
    pending: usize,
    /// How many labels there were before this node's.
    depth: usize,
    /// Whether anything was found below.
    found: bool,
    /// What to remember if nothing is found.
    key: Option<Box<[u32]>>,
    /// The joins of this node, if it has any to carry out.
    join: Option<Box<Join>>,
}

/// The search.
pub(crate) struct Walk {
    graph: Arc<Graph>,
    options: WalkOptions,
    state: State,
    stack: Vec<Frame>,
    /// Undecided constraints of all frames, one after the other.
    pending: Vec<u32>,
    /// Nodes, with what was open there, below which nothing is found.
    dead: FxHashSet<Box<[u32]>>,
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
            dead: FxHashSet::default(),
            facts: FactTable::default(),
            scratch: Vec::new(),
            contents: contents.clone(),
            start: Some(start),
            above: above.into(),
        }
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
        Some(Found {
            path: self.path(),
            joined: None,
        })
    }

    fn path(&self) -> Box<[NodeId]> {
        self.above
            .iter()
            .copied()
            .chain(self.stack.iter().map(|frame| frame.node))
            .collect()
    }

    fn leave(&mut self) {
        let Some(frame) = self.stack.pop() else { return };
        self.state.pop_to(frame.depth);
        self.pending.truncate(frame.pending);
        if frame.found {
            if let Some(parent) = self.stack.last_mut() {
                parent.found = true;
            }
        } else if let Some(key) = frame.key {
            self.dead.insert(key);
        }
    }

    /// Enters `id` unless its filters, or those above, leave nothing there.
    fn enter(&mut self, graph: &Graph, id: NodeId) -> Entered {
        let node = graph.node(id);
        let depth = self.state.depth();
        let inherited = self.stack.last().map_or(0, |frame| frame.pending)..self.pending.len();
        let pending = self.pending.len();
        let mut frame = Frame {
            node: id,
            tried: 0,
            default_child: None,
            pending,
            depth,
            found: false,
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
        let mut alive = self.judge(graph, id, inherited);
        if alive && node.shared && graph.joins.is_empty() {
            let key = self.remember(graph, id, pending);
            alive = !self.dead.contains(&key);
            frame.key = Some(key);
        }
        if !alive {
            self.pending.truncate(pending);
            self.state.pop_to(depth);
            return Entered::No;
        }
        frame.default_child = node
            .default_child
            .filter(|_| self.options.defaults && !self.expands(graph, id));
        self.stack.push(frame);
        Entered::Yes
    }

    /// Judges all constraints at `id`, keeping the undecided ones; `false` if one removes everything.
    fn judge(&mut self, graph: &Graph, id: NodeId, inherited: std::ops::Range<usize>) -> bool {
        let below = graph.tables().below(id);
        for at in inherited {
            let index = self.pending[at];
            if !self.keep(graph, index, below) {
                return false;
            }
        }
        for index in graph.node(id).constraints.clone() {
            if !self.keep(graph, index, below) {
                return false;
            }
        }
        if graph.joins.is_empty() {
            return true;
        }
        let factors = lock(&self.contents)
            .factors(id)
            .map(<[u32]>::to_vec)
            .unwrap_or_default();
        factors
            .into_iter()
            .all(|factor| self.keep(graph, graph.constraints.len() as u32 + factor, below))
    }

    /// Keeps a constraint if it is undecided; `false` if it removes everything.
    fn keep(&mut self, graph: &Graph, index: u32, below: &[u64]) -> bool {
        match self.state.constraint(graph, constraint(graph, index), below) {
            Verdict::Violated => return false,
            Verdict::Satisfied => {}
            Verdict::Pending => self.pending.push(index),
        }
        true
    }

    /// The node with all that is open there.
    fn remember(&mut self, graph: &Graph, id: NodeId, pending: usize) -> Box<[u32]> {
        let below = graph.tables().below(id);
        let mut out = std::mem::take(&mut self.scratch);
        out.clear();
        out.push(id.0);
        self.state.facts(self.facts.get(graph, id), below, &mut out);
        for &index in &self.pending[pending..] {
            out.push(index | 3 << 30);
            self.state
                .residual(graph, constraint(graph, index), below, &mut out);
        }
        let key = out.as_slice().into();
        self.scratch = out;
        key
    }

    fn expands(&self, graph: &Graph, id: NodeId) -> bool {
        let variable = graph
            .node(id)
            .variable
            .map(|variable| graph.symbols.text(variable));
        variable.is_some_and(|variable| self.options.expand.iter().any(|wanted| wanted == variable))
    }
}

impl Frame {
    /// The next child to try.
    fn next_child(&mut self, graph: &Graph) -> Option<NodeId> {
        let children = graph.node_children(graph.node(self.node));
        let tried = self.tried;
        let enough = self.default_child.is_some() && tried == 1 && self.found;
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

/// A constraint of a node, or beyond those the filter of a join factor.
fn constraint(graph: &Graph, index: u32) -> &Constraint {
    let own = graph.constraints.len();
    graph
        .constraints
        .get(index as usize)
        .unwrap_or_else(|| &graph.factors[index as usize - own])
}
