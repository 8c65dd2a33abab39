//! The action graph. Built once from specs, then never changed. `petgraph` stays in this file.

use std::collections::BTreeMap;
use std::sync::Arc;

use petgraph::Direction;
use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rustc_hash::FxHashMap;
use thiserror::Error;

use crate::dep::DepIndex;
use crate::spec::{ActionId, Spec};

/// What an edge means to the action that it leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Link {
    /// An input: outputs of the earlier action, under this role. `Some` picks the output of that name alone.
    Input {
        /// The part it plays.
        role: Arc<str>,
        /// The one output that is taken; all of them where `None`.
        output: Option<Arc<str>>,
    },
    /// A `dep` entry: the earlier one must have passed.
    After,
    /// An [`Aid`](crate::spec::Aid): the later one is waiting for it, but does without where there is none.
    Aid {
        /// The part it plays.
        role: Arc<str>,
        /// How many actions that run must want it before it is made for them.
        from: u32,
    },
}

impl Link {
    /// Whether the later action does without where the earlier one does not pass.
    #[must_use]
    pub fn is_aid(&self) -> bool {
        matches!(self, Self::Aid { .. })
    }
}

/// Why no graph could be made.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum GraphError {
    /// Actions that wait for each other. Every one of them is listed, in an order in which each waits for the next and
    /// the last for the first.
    #[error("actions wait for each other: {}; take one `dep` out of the ring", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// An input that nothing makes.
    #[error(
        "`{action}` needs `{output}` as {role}, which none of its dependencies makes and no rule can provide"
    )]
    NoMaker {
        /// Who asks.
        action: String,
        /// The output asked for.
        output: String,
        /// The part it would play.
        role: String,
    },
}

/// An immutable graph of actions.
#[derive(Debug)]
pub struct Graph {
    specs: Vec<Arc<Spec>>,
    shape: DiGraph<(), Link, u32>,
    wanted: Vec<ActionId>,
    order: Vec<ActionId>,
}

impl Graph {
    /// The graph of `wanted` actions and all they need. An action that several need is one node.
    ///
    /// # Errors
    /// When actions wait for each other, or an input has no maker.
    pub fn build(wanted: Vec<Arc<Spec>>) -> Result<Self, GraphError> {
        let mut builder = Builder::default();
        let roots: Vec<ActionId> = wanted.into_iter().map(|spec| builder.add(spec)).collect();
        let wanted = without_repeats(roots);
        builder.link()?;
        let Builder { specs, shape, .. } = builder;
        let order = topological(&specs, &shape)?;
        Ok(Self {
            specs,
            shape,
            wanted,
            order,
        })
    }

    /// How many actions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.specs.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.specs.is_empty()
    }

    /// What was declared for an action.
    #[must_use]
    pub fn spec(&self, id: ActionId) -> &Arc<Spec> {
        &self.specs[id.index()]
    }

    /// The actions that were asked for, in the order asked.
    #[must_use]
    pub fn wanted(&self) -> &[ActionId] {
        &self.wanted
    }

    /// All actions, each after those it waits for; where that leaves a choice, in the order in which they were declared.
    #[must_use]
    pub fn order(&self) -> &[ActionId] {
        &self.order
    }

    /// What an action waits for, in the order in which it was declared.
    pub fn waits_for(&self, id: ActionId) -> impl Iterator<Item = (ActionId, &Link)> {
        // The edges of a node are chained newest first.
        let newest_first = self.shape.edges_directed(index(id), Direction::Incoming);
        let mut edges: smallvec::SmallVec<[_; 4]> = newest_first.collect();
        edges.reverse();
        debug_assert!(edges.is_sorted_by_key(EdgeRef::id));
        edges
            .into_iter()
            .map(|edge| (action(edge.source()), edge.weight()))
    }

    /// How many edges lead to an action.
    #[must_use]
    pub fn waits(&self, id: ActionId) -> usize {
        self.shape.edges_directed(index(id), Direction::Incoming).count()
    }

    /// The actions that wait for this one; one that waits twice is named twice.
    pub fn followers(&self, id: ActionId) -> impl Iterator<Item = ActionId> {
        self.links_from(id).map(|(later, _)| later)
    }

    /// The same with what each of them waits for it as.
    pub fn links_from(&self, id: ActionId) -> impl Iterator<Item = (ActionId, &Link)> {
        self.shape
            .edges_directed(index(id), Direction::Outgoing)
            .map(|edge| (action(edge.target()), edge.weight()))
    }

    /// Whether an action was not asked for, and is nothing but an aid to others.
    #[must_use]
    pub fn only_aids(&self, id: ActionId) -> bool {
        let mut links = self.links_from(id).peekable();
        links.peek().is_some() && links.all(|(_, link)| link.is_aid()) && !self.wanted.contains(&id)
    }

    /// How many edges there are.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.shape.edge_count()
    }
}

#[derive(Default)]
struct Builder {
    specs: Vec<Arc<Spec>>,
    shape: DiGraph<(), Link, u32>,
    known: FxHashMap<Arc<str>, Vec<ActionId>>,
}

impl Builder {
    /// The node of `spec`, made if there is none for the same action.
    fn add(&mut self, spec: Arc<Spec>) -> ActionId {
        let same = self.known.entry(spec.label.clone()).or_default();
        if let Some(&id) = same.iter().find(|id| self.specs[id.index()].same_action(&spec)) {
            return id;
        }
        let id = action(self.shape.add_node(()));
        same.push(id);
        self.specs.push(spec);
        id
    }

    /// Draws the edges of all nodes, adding the nodes that turn out to be needed on the way.
    fn link(&mut self) -> Result<(), GraphError> {
        let entries = self.specs.iter().flat_map(|spec| spec.after.iter());
        let deps = DepIndex::of(self.specs.iter().map(|spec| &spec.variant), entries);
        let mut at = 0;
        while at < self.specs.len() {
            self.link_one(ActionId::at(at), &deps)?;
            at += 1;
        }
        Ok(())
    }

    fn link_one(&mut self, id: ActionId, deps: &DepIndex) -> Result<(), GraphError> {
        let spec = self.specs[id.index()].clone();
        let mut before = Vec::new();
        for dep in &spec.after {
            before.extend(deps.matching(dep).map(ActionId::at).filter(|&other| other != id));
        }
        let before = without_repeats(before);
        for need in &spec.needs {
            let (from, output) = self.maker(&spec, need, &before)?;
            let link = Link::Input {
                role: need.role.clone(),
                output,
            };
            self.shape.add_edge(index(from), index(id), link);
        }
        for other in before {
            self.shape.add_edge(index(other), index(id), Link::After);
        }
        for aid in &spec.aids {
            let from = self.add(aid.spec.clone());
            let link = Link::Aid {
                role: aid.role.clone(),
                from: aid.from,
            };
            self.shape.add_edge(index(from), index(id), link);
        }
        Ok(())
    }

    /// Who makes what `need` asks for: the last of the dependencies that makes it, else the fallback.
    fn maker(
        &mut self,
        spec: &Spec,
        need: &crate::spec::Need,
        before: &[ActionId],
    ) -> Result<(ActionId, Option<Arc<str>>), GraphError> {
        if let Some(output) = &need.made {
            let makes = |id: &&ActionId| self.specs[id.index()].makes.contains(output);
            if let Some(&id) = before.iter().rev().find(makes) {
                return Ok((id, Some(output.clone())));
            }
        }
        match &need.otherwise {
            Some(other) => Ok((self.add(other.clone()), None)),
            None => Err(GraphError::NoMaker {
                action: spec.title.to_string(),
                output: need.made.as_deref().unwrap_or_default().to_owned(),
                role: need.role.to_string(),
            }),
        }
    }
}

/// Kahn's algorithm with the smallest declared number first, so that the order is the listing's wherever it can be.
fn topological(specs: &[Arc<Spec>], shape: &DiGraph<(), Link, u32>) -> Result<Vec<ActionId>, GraphError> {
    let mut waits: Vec<u32> = vec![0; specs.len()];
    for edge in shape.edge_references() {
        waits[edge.target().index()] += 1;
    }
    let free = waits.iter().enumerate().filter(|(_, waits)| **waits == 0);
    let mut ready: std::collections::BinaryHeap<_> = free.map(|(at, _)| std::cmp::Reverse(at)).collect();
    let mut order = Vec::with_capacity(specs.len());
    while let Some(std::cmp::Reverse(at)) = ready.pop() {
        order.push(ActionId::at(at));
        for next in shape.neighbors_directed(index(ActionId::at(at)), Direction::Outgoing) {
            waits[next.index()] -= 1;
            if waits[next.index()] == 0 {
                ready.push(std::cmp::Reverse(next.index()));
            }
        }
    }
    if order.len() == specs.len() {
        Ok(order)
    } else {
        Err(ring(specs, shape))
    }
}

/// One whole ring of the graph, shortest first among those found.
fn ring(specs: &[Arc<Spec>], shape: &DiGraph<(), Link, u32>) -> GraphError {
    let looped = |node: NodeIndex| shape.find_edge(node, node).is_some();
    let mut rings: Vec<Vec<NodeIndex>> = tarjan_scc(shape)
        .into_iter()
        .filter(|part| part.len() > 1 || looped(part[0]))
        .collect();
    rings.sort_by_key(|part| (part.len(), part.iter().min().copied()));
    let part = rings.into_iter().next().unwrap_or_default();
    GraphError::Cycle(
        walk(&part, shape)
            .into_iter()
            .map(|node| specs[node.index()].title.to_string())
            .collect(),
    )
}

/// A closed walk inside a strongly connected part, from its first declared member, each waiting for the next.
fn walk(part: &[NodeIndex], shape: &DiGraph<(), Link, u32>) -> Vec<NodeIndex> {
    let Some(&start) = part.iter().min() else {
        return Vec::new();
    };
    // Breadth first against the edges finds the shortest way from the start back to itself.
    let mut came_from: BTreeMap<NodeIndex, NodeIndex> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        let mut before: Vec<_> = shape.neighbors_directed(node, Direction::Incoming).collect();
        before.sort_unstable();
        for earlier in before.into_iter().filter(|n| part.contains(n)) {
            if earlier == start {
                return closed(start, node, &came_from);
            }
            if let std::collections::btree_map::Entry::Vacant(entry) = came_from.entry(earlier) {
                entry.insert(node);
                queue.push_back(earlier);
            }
        }
    }
    part.to_vec()
}

fn closed(start: NodeIndex, last: NodeIndex, came_from: &BTreeMap<NodeIndex, NodeIndex>) -> Vec<NodeIndex> {
    let mut way = vec![last];
    let mut node = last;
    while node != start {
        node = came_from[&node];
        way.push(node);
    }
    way.reverse();
    way.push(start);
    way
}

fn without_repeats(ids: Vec<ActionId>) -> Vec<ActionId> {
    let mut seen = rustc_hash::FxHashSet::default();
    ids.into_iter().filter(|id| seen.insert(*id)).collect()
}

fn index(id: ActionId) -> NodeIndex {
    NodeIndex::new(id.index())
}

fn action(node: NodeIndex) -> ActionId {
    ActionId::at(node.index())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Need, RuleName};

    const RULE: RuleName = RuleName {
        name: "test",
        version: 1,
    };

    fn test(name: &str, after: &[&str]) -> Arc<Spec> {
        let mut spec = Spec::new(RULE, name);
        spec.variant = Arc::from(name);
        spec.after = after.iter().map(|dep| Arc::from(*dep)).collect();
        Arc::new(spec)
    }

    fn labels(graph: &Graph, ids: &[ActionId]) -> Vec<String> {
        ids.iter().map(|&id| graph.spec(id).label.to_string()).collect()
    }

    #[test]
    fn deps_order_and_missing_ones_vanish() {
        let graph = Graph::build(vec![test("boot", &["copy", "install"]), test("copy", &[])]).unwrap();
        assert_eq!(labels(&graph, graph.order()), ["copy", "boot"]);
        assert_eq!(labels(&graph, graph.wanted()), ["boot", "copy"]);
    }

    #[test]
    fn a_shared_input_is_one_node() {
        let image = Arc::new(Spec::new(
            RuleName {
                name: "image",
                version: 1,
            },
            "images/jeos",
        ));
        let using = |name: &str| {
            let mut spec = Spec::new(RULE, name);
            spec.needs = Box::new([Need {
                role: Arc::from("image1"),
                made: None,
                otherwise: Some(image.clone()),
            }]);
            Arc::new(spec)
        };
        let graph = Graph::build(vec![using("a"), using("b")]).unwrap();
        assert_eq!(graph.len(), 3);
        assert_eq!(labels(&graph, graph.order()), ["images/jeos", "a", "b"]);
    }

    #[test]
    fn an_output_of_a_dependency_is_preferred_over_the_fallback() {
        let fallback = Arc::new(Spec::new(
            RuleName {
                name: "image",
                version: 1,
            },
            "from recipe",
        ));
        let mut maker = Spec::new(RULE, "install");
        maker.variant = Arc::from("install");
        maker.makes = Box::new([Arc::from("images/foo.qcow2")]);
        let mut user = Spec::new(RULE, "boot");
        user.variant = Arc::from("boot");
        user.after = Box::new([Arc::from("install")]);
        let made = Some(Arc::from("images/foo.qcow2"));
        user.needs = Box::new([Need {
            role: Arc::from("image1"),
            made,
            otherwise: Some(fallback),
        }]);
        let graph = Graph::build(vec![Arc::new(maker), Arc::new(user)]).unwrap();
        assert_eq!(labels(&graph, graph.order()), ["install", "boot"]);
        let boot = graph.order()[1];
        let links: Vec<_> = graph.waits_for(boot).map(|(_, link)| link.clone()).collect();
        assert!(matches!(&links[0], Link::Input { output: Some(name), .. } if &**name == "images/foo.qcow2"));
        assert_eq!(links[1], Link::After);
    }

    #[test]
    fn a_ring_is_printed_whole() {
        let specs = vec![
            test("a", &["b"]),
            test("b", &["c"]),
            test("c", &["a"]),
            test("d", &["a"]),
        ];
        let error = Graph::build(specs).unwrap_err();
        assert_eq!(
            error,
            GraphError::Cycle(["a", "b", "c", "a"].map(String::from).to_vec())
        );
        assert!(error.to_string().contains("a -> b -> c -> a"));
    }
}
