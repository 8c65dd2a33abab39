//! From an expression and a graph to actions.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::{FxHashMap, FxHashSet};

use super::pattern::like;
use super::{Expr, Op, Query};
use crate::graph::Graph;
use crate::spec::{ActionId, Spec};

type Set = BTreeSet<ActionId>;

impl Query {
    /// The actions of a graph that are asked for, by number. `selected` tells which a target of [`Query::targets`] selects.
    #[must_use]
    pub fn answer(&self, graph: &Graph, selected: &dyn Fn(&str) -> Set) -> Set {
        Asked { graph, selected }.answer(&self.root)
    }
}

struct Asked<'a> {
    graph: &'a Graph,
    selected: &'a dyn Fn(&str) -> Set,
}

impl Asked<'_> {
    fn answer(&self, expr: &Expr) -> Set {
        match expr {
            Expr::Target(target) => (self.selected)(target),
            Expr::Named { kind, name } => {
                let all = self.graph.order().iter().copied();
                self.keep(all, |spec| spec.rule.name == kind && like(name, &spec.title))
            }
            Expr::Kind { kind, of } => self.keep(self.answer(of), |spec| spec.rule.name == kind),
            Expr::Attr { key, value, of } => self.keep(self.answer(of), |spec| {
                attribute(spec, key).is_some_and(|text| like(value, text))
            }),
            Expr::Deps { of, steps } => self.before(&self.answer(of), *steps),
            Expr::Rdeps { among, of, steps } => {
                let among = self.before(&self.answer(among), None);
                let of = self.answer(of).intersection(&among).copied().collect();
                let within = |id: ActionId| {
                    let followers = self.graph.followers(id);
                    followers.filter(|id| among.contains(id)).collect()
                };
                reach(&of, *steps, within)
            }
            Expr::Paths { from, to, all } => self.paths(&self.answer(from), &self.answer(to), *all),
            Expr::Set { left, op, right } => {
                let (left, right) = (self.answer(left), self.answer(right));
                match op {
                    Op::Union => left.union(&right).copied().collect(),
                    Op::Except => left.difference(&right).copied().collect(),
                    Op::Intersect => left.intersection(&right).copied().collect(),
                }
            }
        }
    }

    fn keep(&self, ids: impl IntoIterator<Item = ActionId>, is: impl Fn(&Spec) -> bool) -> Set {
        ids.into_iter().filter(|&id| is(self.graph.spec(id))).collect()
    }

    fn earlier(&self, id: ActionId) -> Vec<ActionId> {
        self.graph.waits_for(id).map(|(earlier, _)| earlier).collect()
    }

    fn before(&self, of: &Set, steps: Option<usize>) -> Set {
        reach(of, steps, |id| self.earlier(id))
    }

    fn paths(&self, from: &Set, to: &Set, all: bool) -> Set {
        if all {
            let after = reach(to, None, |id| self.graph.followers(id).collect());
            return self.before(from, None).intersection(&after).copied().collect();
        }
        // Breadth first: the first end that is met is nearest.
        let mut came_from: FxHashMap<ActionId, ActionId> = FxHashMap::default();
        let mut queue: VecDeque<ActionId> = from.iter().copied().collect();
        while let Some(id) = queue.pop_front() {
            if to.contains(&id) {
                return std::iter::successors(Some(id), |id| came_from.get(id).copied()).collect();
            }
            for earlier in self.earlier(id) {
                if !from.contains(&earlier) && !came_from.contains_key(&earlier) {
                    came_from.insert(earlier, id);
                    queue.push_back(earlier);
                }
            }
        }
        Set::new()
    }
}

/// All that is at most so many steps away, the start included.
fn reach(start: &Set, steps: Option<usize>, next: impl Fn(ActionId) -> Vec<ActionId>) -> Set {
    let mut seen: FxHashSet<ActionId> = start.iter().copied().collect();
    let mut front: Vec<ActionId> = start.iter().copied().collect();
    let mut left = steps.unwrap_or(usize::MAX);
    while left > 0 && !front.is_empty() {
        left -= 1;
        let ahead = front.into_iter().flat_map(&next);
        front = ahead.filter(|id| seen.insert(*id)).collect();
    }
    seen.into_iter().collect()
}

/// A parameter of an action, declared or offered; else what it is called.
fn attribute<'a>(spec: &'a Spec, key: &str) -> Option<&'a str> {
    let declared = spec.declared.iter().find(|(name, _)| &**name == key);
    if let Some((_, value)) = declared {
        return value.as_deref();
    }
    if let Some(value) = spec.offered.get(key) {
        return Some(value);
    }
    match key {
        "title" => Some(&spec.title),
        "label" => Some(&spec.label),
        "kind" => Some(spec.rule.name),
        "variant" => Some(&spec.variant),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::spec::RuleName;

    /// Actions `n0`, `n1`, …, each after those before it that are drawn; every third is an image.
    fn graph(after: &[Vec<usize>]) -> Graph {
        let specs = after.iter().enumerate().map(|(at, deps)| {
            let name = if at % 3 == 0 { "image" } else { "test" };
            let mut spec = Spec::new(RuleName { name, version: 1 }, format!("n{at}"));
            spec.variant = Arc::from(format!("n{at}"));
            spec.declared = Box::new([(Arc::from("odd"), Some(Arc::from((at % 2).to_string())))]);
            spec.after = deps.iter().map(|dep| Arc::from(format!("n{dep}"))).collect();
            Arc::new(spec)
        });
        Graph::build(specs.collect()).unwrap()
    }

    fn ask(graph: &Graph, text: &str) -> Vec<usize> {
        let query = Query::parse(text, &["image", "test"]).unwrap_or_else(|error| panic!("{error}"));
        let selected = |target: &str| {
            let name = target.strip_prefix("//").unwrap();
            let all = graph.order().iter().copied();
            all.filter(|&id| name == "..." || name == &*graph.spec(id).label)
                .collect()
        };
        let found = query.answer(graph, &selected);
        found.into_iter().map(ActionId::index).collect()
    }

    /// 0 <- 1 <- 3, 0 <- 2 <- 3, 4 alone.
    fn diamond() -> Graph {
        graph(&[vec![], vec![0], vec![0], vec![1, 2], vec![]])
    }

    #[test]
    fn each_function_on_a_diamond() {
        let graph = diamond();
        for (text, expected) in [
            ("deps(//n3)", vec![0, 1, 2, 3]),
            ("deps(//n3, 1)", vec![1, 2, 3]),
            ("deps(//n3, 0)", vec![3]),
            ("rdeps(//..., //n1)", vec![1, 3]),
            ("rdeps(//n1, //n0)", vec![0, 1]),
            ("rdeps(//..., //n0, 1)", vec![0, 1, 2]),
            ("rdeps(//n4, //n0)", vec![]),
            ("allpaths(//n3, //n0)", vec![0, 1, 2, 3]),
            ("allpaths(//n0, //n3)", vec![]),
            ("somepath(//n4, //n0)", vec![]),
            ("somepath(//n3, //n3)", vec![3]),
            ("image(n)", vec![0, 3]),
            ("image(n?) - image(n3)", vec![0]),
            ("kind(test, //...)", vec![1, 2, 4]),
            ("attr(odd, 1, //...)", vec![1, 3]),
            ("attr(title, n4, //...) + attr(nix, '', //...)", vec![4]),
            ("(deps(//n1) + //n4) ^ test(n)", vec![1, 4]),
        ] {
            assert_eq!(ask(&graph, text), expected, "{text}");
        }
        let some = ask(&graph, "somepath(//n3, image(n0))");
        assert!(some == [0, 1, 3] || some == [0, 2, 3], "{some:?}");
    }

    /// Graphs of up to twelve actions, as those that each waits for.
    fn graphs() -> impl Strategy<Value = Vec<Vec<usize>>> {
        (1..12_usize).prop_flat_map(|count| {
            let one = |at: usize| proptest::collection::vec(any::<bool>(), at);
            let drawn = |bits: Vec<bool>| {
                let at = bits.into_iter().enumerate().filter(|(_, bit)| *bit);
                at.map(|(at, _)| at).collect::<Vec<usize>>()
            };
            (0..count).map(|at| one(at).prop_map(drawn)).collect::<Vec<_>>()
        })
    }

    /// `distance[x][y]`: how many steps x waits for y, by Floyd and Warshall.
    fn distances(after: &[Vec<usize>]) -> Vec<Vec<Option<usize>>> {
        let count = after.len();
        let mut far = vec![vec![None; count]; count];
        for (at, deps) in after.iter().enumerate() {
            far[at][at] = Some(0);
            deps.iter().for_each(|&dep| far[at][dep] = Some(1));
        }
        for middle in 0..count {
            for x in 0..count {
                for y in 0..count {
                    if let (Some(first), Some(second)) = (far[x][middle], far[middle][y]) {
                        far[x][y] = Some(far[x][y].map_or(first + second, |old| old.min(first + second)));
                    }
                }
            }
        }
        far
    }

    proptest! {
        #[test]
        fn answers_are_those_of_naive_reachability(after in graphs(), x in 0..12_usize, y in 0..12_usize, steps in 0..5_usize) {
            let (x, y) = (x % after.len(), y % after.len());
            let (graph, far) = (graph(&after), distances(&after));
            let those = |is: &dyn Fn(usize) -> bool| (0..after.len()).filter(|&at| is(at)).collect::<Vec<_>>();
            prop_assert_eq!(ask(&graph, &format!("deps(//n{x})")), those(&|at| far[x][at].is_some()));
            let near = those(&|at| far[x][at].is_some_and(|far| far <= steps));
            prop_assert_eq!(ask(&graph, &format!("deps(//n{x}, {steps})")), near);
            prop_assert_eq!(ask(&graph, &format!("rdeps(//..., //n{y})")), those(&|at| far[at][y].is_some()));
            let between = those(&|at| far[x][at].is_some() && far[at][y].is_some());
            prop_assert_eq!(ask(&graph, &format!("rdeps(//n{x}, //n{y})")), between.clone());
            prop_assert_eq!(ask(&graph, &format!("allpaths(//n{x}, //n{y})")), between.clone());
            let some = ask(&graph, &format!("somepath(//n{x}, //n{y})"));
            prop_assert_eq!(some.len(), far[x][y].map_or(0, |far| far + 1), "as long as the shortest way");
            prop_assert!(some.iter().all(|at| between.contains(at)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[ -~ä]{0,40}|(deps|rdeps|image|//a|[(),+^ -]){0,12}") {
            if let Err(error) = Query::parse(&text, &["image"]) {
                prop_assert!(error.to_string().contains('^'));
            }
        }
    }
}
