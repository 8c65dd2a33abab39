//! `join`: each variant of the first factor merged with each of the others.
//!
//! Other implementations change the joining node's content in place while an expansion of it is suspended. What that
//! makes of three or more factors, and of joins below joins, shows in results that people have; so the same lists are
//! kept here, with the same sharing: a level appends its factor to the list in force, and goes back to one saved list
//! for every variant of the outer factor. Strict expansion refuses those cases instead.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::walk::{Found, Walk, WalkOptions};
use crate::diagnostic::{Class, Diagnostic};
use crate::graph::{Graph, JoinSpec, NodeId};
use crate::raw::RawDict;
use crate::variant::raw_dict;

/// How deep joins may stand below joins.
const MAX_NESTING: usize = 32;

/// What joining nodes hold instead of their `join` lines, and what removed nodes, shared by a search and those inside of it.
#[derive(Default)]
pub(super) struct Contents {
    lists: Vec<Vec<u32>>,
    in_force: FxHashMap<NodeId, usize>,
    removed_by: FxHashMap<NodeId, Vec<u32>>,
}

impl Contents {
    /// The factors in force at a node whose joins are being carried out.
    pub(super) fn factors(&self, node: NodeId) -> Option<&[u32]> {
        self.in_force.get(&node).map(|&list| &*self.lists[list])
    }

    /// In programs with constraints that cannot be judged: what removed a node before, and is judged there first.
    pub(super) fn removed_by(&self, node: NodeId) -> &[u32] {
        self.removed_by.get(&node).map(Vec::as_slice).unwrap_or_default()
    }

    pub(super) fn note_removed(&mut self, node: NodeId, constraint: u32) {
        let known = self.removed_by.entry(node).or_default();
        if !known.contains(&constraint) {
            known.push(constraint);
        }
    }

    fn begin(&mut self, node: NodeId) {
        self.lists.push(Vec::new());
        self.in_force.insert(node, self.lists.len() - 1);
    }

    /// Puts one more factor in force; the list to go back to.
    fn append(&mut self, node: NodeId, factor: u32) -> usize {
        let list = self.in_force[&node];
        let saved = self.lists[list].clone();
        self.lists[list].push(factor);
        self.lists.push(saved);
        self.lists.len() - 1
    }

    fn go_back(&mut self, node: NodeId, list: usize) {
        self.in_force.insert(node, list);
    }

    fn end(&mut self, node: NodeId) {
        self.in_force.remove(&node);
        if self.in_force.is_empty() {
            self.lists.clear();
        }
    }
}

pub(super) type SharedContents = Arc<Mutex<Contents>>;

pub(super) fn lock(contents: &SharedContents) -> MutexGuard<'_, Contents> {
    contents.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One factor being expanded.
struct Level {
    walk: Walk,
    saved: usize,
    /// The variant that the inner factors are being merged with.
    outer: Option<RawDict>,
}

/// The joins of one node being carried out.
pub(super) struct Join {
    graph: Arc<Graph>,
    options: WalkOptions,
    contents: SharedContents,
    node: NodeId,
    /// Where the node was entered: the path to it, and the filters undecided there.
    path: Box<[NodeId]>,
    pending: Box<[u32]>,
    levels: Vec<Level>,
}

impl Join {
    pub(super) fn new(
        graph: &Arc<Graph>,
        options: &WalkOptions,
        contents: &SharedContents,
        node: NodeId,
        (path, pending): (Box<[NodeId]>, Box<[u32]>),
    ) -> Result<Self, Box<Diagnostic>> {
        let spec = &graph.joins[&node];
        let nesting = lock(contents).in_force.len();
        let refuse = |code, message: String, help: &str| {
            let error = Diagnostic::error(Class::Other, code, message, graph.location(spec.stmt));
            Err(Box::new(error.with_help(help)))
        };
        if nesting >= MAX_NESTING {
            let message = format!("more than {MAX_NESTING} joins below one another");
            return refuse("join-nesting", message, "put the joins side by side");
        }
        if options.modes.strict && (spec.factors.len() > 2 || nesting > 0) {
            let message =
                "this join loses variants: three or more factors, or a join below a join".to_owned();
            return refuse(
                "join-loses-variants",
                message,
                "join two factors at a time, in files of their own",
            );
        }
        let mut join = Join {
            graph: graph.clone(),
            options: options.clone(),
            contents: contents.clone(),
            node,
            path,
            pending,
            levels: Vec::new(),
        };
        lock(contents).begin(node);
        join.start_level();
        Ok(join)
    }

    fn spec(&self) -> &JoinSpec {
        &self.graph.joins[&self.node]
    }

    fn start_level(&mut self) {
        let factor = self.spec().factors.get(self.levels.len()).copied();
        let saved = match factor {
            Some(factor) => lock(&self.contents).append(self.node, factor),
            None => 0,
        };
        let inside = (&*self.path, &*self.pending);
        let walk = Walk::inside(&self.graph, &self.options, &self.contents, self.node, inside);
        self.levels.push(Level {
            walk,
            saved,
            outer: None,
        });
    }

    /// The next merged variant.
    pub(super) fn next(&mut self) -> Option<Result<Found, Box<Diagnostic>>> {
        let last = self.spec().factors.len().saturating_sub(1);
        while let Some(level) = self.levels.last_mut() {
            let found = match level.walk.next() {
                None => {
                    self.levels.pop();
                    continue;
                }
                Some(Err(error)) => return Some(Err(error)),
                Some(Ok(found)) => found,
            };
            if self.levels.len() > last {
                return Some(self.merge(found));
            }
            match self.raw(&found) {
                Ok(raw) => {
                    if let Some(level) = self.levels.last_mut() {
                        level.outer = Some(raw);
                        lock(&self.contents).go_back(self.node, level.saved);
                    }
                }
                Err(error) => return Some(Err(error)),
            }
            self.start_level();
        }
        None
    }

    fn raw(&self, found: &Found) -> Result<RawDict, Box<Diagnostic>> {
        match &found.joined {
            Some(joined) => Ok((**joined).clone()),
            None => raw_dict(&self.graph, &found.path, self.options.modes),
        }
    }

    /// Merges the variants of all outer factors with the innermost one.
    fn merge(&self, found: Found) -> Result<Found, Box<Diagnostic>> {
        if self.levels.len() < 2 {
            return Ok(found);
        }
        let mut inner = self.raw(&found)?;
        for level in self.levels.iter().rev() {
            let Some(outer) = &level.outer else { continue };
            let mut merged = outer.clone();
            merged.name = self.join_names(&outer.name, &inner.name)?;
            merged.shortname = self.join_names(&outer.shortname, &inner.shortname)?;
            merged.update(inner);
            merged.join = Some(self.spec().stmt);
            inner = merged;
        }
        Ok(Found {
            path: found.path,
            joined: Some(Box::new(inner)),
        })
    }

    /// The common beginning, up to a dot, once; then what is left of both.
    fn join_names(&self, first: &str, second: &str) -> Result<String, Box<Diagnostic>> {
        let differs = first
            .char_indices()
            .zip(second.chars())
            .find(|((_, a), b)| a != b);
        let Some(((at, _), _)) = differs else {
            let message = format!("join `{first}` with `{second}`: one name is the beginning of the other");
            let at = self.graph.location(self.spec().stmt);
            let error = Diagnostic::error(Class::Other, "join-names", message, at);
            return Err(Box::new(
                error.with_help("join variants whose names and short names differ"),
            ));
        };
        let common = first[..at].rfind('.').map_or("", |dot| &first[..dot]);
        if common.is_empty() {
            return Ok(format!("{first}.{second}"));
        }
        if self.options.modes.strict && common.contains('(') {
            let message = format!("the name of this join repeats `{common}`, which both names start with");
            let at = self.graph.location(self.spec().stmt);
            let error = Diagnostic::error(Class::Other, "repeated-join-name", message, at);
            return Err(Box::new(
                error
                    .with_note(format!("while joining `{first}` with `{second}`"))
                    .with_help("join variants that share no named block, or take the name off that block"),
            ));
        }
        // Labels of named blocks keep the common part from being recognised again in either name.
        let rest = |name: &str| {
            if common.contains('(') {
                name.to_owned()
            } else {
                name[common.len()..].to_owned()
            }
        };
        Ok(format!("{common}{}{}", rest(first), rest(second)))
    }
}

impl Drop for Join {
    fn drop(&mut self) {
        lock(&self.contents).end(self.node);
    }
}
