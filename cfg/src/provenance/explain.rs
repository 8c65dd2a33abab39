//! The statements that made the values of a variant.
//!
//! The operations are applied once more, for all keys at once, and every change is noted under the number that the
//! working dictionary gives a key. `suffix` moves what was noted with the key; flattening and joins say which number a
//! final key came from.

mod names;

use rustc_hash::FxHashMap;

use super::Statement;
use crate::apply::{Cause, Change, Watch};
use crate::diagnostic::Diagnostic;
use crate::graph::{Constraint, Graph, Origin};
use crate::raw::{Maker, RawDict};
use crate::symbols::Sym;
use crate::variant::Variant;

/// One statement that changed a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The statement.
    pub statement: Statement,
    /// `=`, `+=`, `<=`, `~=`, `?=`, `?+=`, `?<=`, `del`, `suffix`, `join`, the bound that set it (`_min`, `_max`,
    /// `_fixed`), or `-` for a variant's line that added to a name.
    pub operator: &'static str,
    /// The value before, if the key was there.
    pub before: Option<String>,
    /// The value after, if the key is there.
    pub after: Option<String>,
    /// The conditions that it stands under, outermost first.
    pub under: Vec<Statement>,
    /// The filters that its variant has beside it, as far as they hold where it stands.
    pub filters: Vec<Statement>,
    /// Of a joined variant: the name of the one of its factors that the statement was applied in.
    pub factor: Option<String>,
}

/// Every statement that changed `key` on the way to its value in `variant`, in order of application.
///
/// # Errors
/// The variant's parameters cannot be computed.
pub fn explain(variant: &Variant, key: &str) -> Result<Vec<Step>, Box<Diagnostic>> {
    Ok(Explanation::of(variant)?.steps(key))
}

/// Where all values of a variant came from.
pub struct Explanation<'v> {
    graph: &'v Graph,
    factors: Vec<Factor>,
    makers: FxHashMap<String, Vec<Maker>>,
    /// The changes of computed keys.
    computed: FxHashMap<&'static str, Vec<(Link, Option<usize>)>>,
    join: Option<u32>,
}

/// What happened in one of the paths that a variant was made of.
struct Factor {
    /// Its name, where there are several.
    name: Option<String>,
    /// Changes by the numbers of keys.
    chains: FxHashMap<u32, Vec<Link>>,
}

/// One change, with statements as they are numbered.
#[derive(Clone)]
struct Link {
    at: Origin,
    /// Its number, if it is a statement of a variant's content.
    stmt: Option<u32>,
    operator: &'static str,
    before: Option<String>,
    after: Option<String>,
    under: Vec<u32>,
}

impl<'v> Explanation<'v> {
    /// Applies the variant's operations once more and notes what each did.
    ///
    /// # Errors
    /// The variant's parameters cannot be computed.
    pub fn of(variant: &'v Variant) -> Result<Self, Box<Diagnostic>> {
        let graph = variant.graph();
        let paths = variant.factors();
        let mut factors = Vec::new();
        let mut raw = RawDict::default();
        for &path in &paths {
            let mut watch = Noting::new(graph);
            raw = variant.watch(path, &mut watch)?;
            let name = (paths.len() > 1).then(|| crate::names::name(graph, path));
            factors.push(Factor {
                name,
                chains: watch.chains,
            });
        }
        let raw = variant.joined().cloned().unwrap_or(raw);
        let join = raw.join;
        let computed = names::computed(graph, &paths, &raw);
        let made = raw.flatten(variant.keep_dups()).into_iter();
        Ok(Explanation {
            graph,
            factors,
            makers: made.map(|made| (made.key, made.makers)).collect(),
            computed,
            join,
        })
    }

    /// Every statement that changed `key`, in order of application. Of a joined variant: factor by factor, with the
    /// `join` after each factor but the first one.
    pub fn steps(&self, key: &str) -> Vec<Step> {
        if let Some(links) = self.computed.get(key) {
            let step = |(link, factor): &(Link, Option<usize>)| self.step(link, *factor);
            return links.iter().map(step).collect();
        }
        let mut steps: Vec<Step> = Vec::new();
        for maker in self.makers.get(key).into_iter().flatten() {
            let before = steps.last().and_then(|step| step.after.clone());
            let factor = maker.factor as usize;
            let links = self.factors[factor].chains.get(&maker.key);
            steps.extend(
                links
                    .into_iter()
                    .flatten()
                    .map(|link| self.step(link, Some(factor))),
            );
            let after = steps.last().and_then(|step| step.after.clone());
            if let (Some(_), Some(join)) = (&before, self.join) {
                steps.push(self.step(&self.link(join, "join", before, after), None));
            }
        }
        steps
    }

    /// Whether a `join` made the variant of several.
    pub fn is_joined(&self) -> bool {
        self.join.is_some()
    }

    fn link(&self, stmt: u32, operator: &'static str, before: Option<String>, after: Option<String>) -> Link {
        Link {
            at: self.graph.origin(stmt),
            stmt: Some(stmt),
            operator,
            before,
            after,
            under: Vec::new(),
        }
    }

    fn step(&self, link: &Link, factor: Option<usize>) -> Step {
        let filters = link.stmt.map(|stmt| beside(self.graph, stmt, &link.under));
        Step {
            statement: Statement::at(self.graph, link.at),
            operator: link.operator,
            before: link.before.clone(),
            after: link.after.clone(),
            under: link
                .under
                .iter()
                .map(|&stmt| Statement::of(self.graph, stmt))
                .collect(),
            filters: filters.unwrap_or_default(),
            factor: factor.and_then(|factor| self.factors[factor].name.clone()),
        }
    }
}

/// The filters of the variant that a statement stands in, if they hold wherever the conditions `under` do. Those outside
/// of all variants are everybody's, and left out.
fn beside(graph: &Graph, stmt: u32, under: &[u32]) -> Vec<Statement> {
    let id = graph.node_of(stmt);
    let holds = |constraint: &&Constraint| {
        let guard = constraint.guard.map(|guard| graph.guards[guard as usize].stmt);
        guard.is_none_or(|guard| under.contains(&guard))
    };
    let mut everywhere = std::iter::successors(graph.root, |&node| graph.node(node).base);
    if everywhere.any(|node| node == id) {
        return Vec::new();
    }
    let own = graph.node(id).constraints.clone();
    graph.constraints[own.start as usize..own.end as usize]
        .iter()
        .filter(holds)
        .map(|constraint| Statement::of(graph, constraint.stmt))
        .collect()
}

/// Notes all changes.
struct Noting<'g> {
    graph: &'g Graph,
    /// Conditions entered, with the statements that they span.
    open: Vec<(u32, u32)>,
    chains: FxHashMap<u32, Vec<Link>>,
}

impl<'g> Noting<'g> {
    fn new(graph: &'g Graph) -> Self {
        Noting {
            graph,
            open: Vec::new(),
            chains: FxHashMap::default(),
        }
    }

    fn link(&self, stmt: u32, operator: &'static str, before: Option<&str>, after: Option<&str>) -> Link {
        let spans = |(start, end): &&(u32, u32)| (*start..*end).contains(&stmt);
        Link {
            at: self.graph.origin(stmt),
            stmt: Some(stmt),
            operator,
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            under: self.open.iter().filter(spans).map(|(start, _)| *start).collect(),
        }
    }

    /// The bound's own last change, as a change of the key that it bounds.
    fn bound(&self, bound: Sym, change: &Change<'_>) -> Option<Link> {
        let last = self.chains.get(&bound.0)?.last()?;
        Some(Link {
            operator: change.operator,
            before: change.before.map(str::to_owned),
            after: change.after.map(str::to_owned),
            ..last.clone()
        })
    }
}

impl Watch for Noting<'_> {
    fn changed(&mut self, change: Change<'_>) {
        let link = match change.cause {
            Cause::Stmt(stmt) => Some(self.link(stmt, change.operator, change.before, change.after)),
            Cause::Bound(bound) => self.bound(bound, &change),
        };
        self.chains.entry(change.key).or_default().extend(link);
    }

    fn renamed(&mut self, stmt: u32, from: u32, to: u32, value: &str) {
        let link = self.link(stmt, "suffix", Some(value), Some(value));
        let mut chain = self.chains.remove(&from).unwrap_or_default();
        chain.push(link);
        self.chains.insert(to, chain);
    }

    fn entered(&mut self, stmt: u32, end: u32) {
        self.open.retain(|(start, end)| (*start..*end).contains(&stmt));
        self.open.push((stmt, end));
    }
}
