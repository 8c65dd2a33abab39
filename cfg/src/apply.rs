//! Applies the operations along a path and so makes a variant's parameters.
//!
//! Content is applied leaf first, root last, which is the textual order of the statements. The dictionary is a dense
//! array over the program's keys, reused from variant to variant; values are references into the program's text, and
//! only what `${}`, `+=` and `<=` compute is new text.

mod bounds;
mod dict;
mod ops;
mod substitute;
mod suffix;

use crate::diagnostic::{Class, Diagnostic};
use crate::graph::{Graph, NodeId, Operator, Stmt};
use crate::raw::RawDict;
use crate::search::{State, Truth};
use crate::symbols::Sym;

pub(crate) use dict::Dict;
pub(crate) use substitute::{list_repr, map_repr};

/// Told of every operation that is applied; [`NoWatch`] costs nothing.
pub(crate) trait Watch {
    /// Whether anything is wanted at all.
    const ON: bool = true;
    /// An operation changed a key.
    fn changed(&mut self, change: Change<'_>);
    /// A `suffix` made one key another, which is lost if it was there.
    fn renamed(&mut self, stmt: u32, from: u32, to: u32, value: &str);
    /// A condition that matches was entered.
    fn entered(&mut self, stmt: u32, end: u32);
}

/// How operations are applied, and suffixed keys shown.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Modes {
    /// Keep suffixed keys apart even where they agree.
    pub(crate) keep_dups: bool,
    /// Refuse what other implementations do by mistake.
    pub(crate) strict: bool,
}

/// What an operation did to a key.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) cause: Cause,
    /// The key as the working dictionary numbers it.
    pub(crate) key: u32,
    pub(crate) operator: &'static str,
    pub(crate) before: Option<&'a str>,
    pub(crate) after: Option<&'a str>,
}

/// What made a change.
#[derive(Clone, Copy)]
pub(crate) enum Cause {
    /// A statement.
    Stmt(u32),
    /// The value of a key that bounds another.
    Bound(Sym),
}

/// Watches nothing.
pub(crate) struct NoWatch;

impl Watch for NoWatch {
    const ON: bool = false;
    fn changed(&mut self, _: Change<'_>) {}
    fn renamed(&mut self, _: u32, _: u32, _: u32, _: &str) {}
    fn entered(&mut self, _: u32, _: u32) {}
}

/// Working space for applying operations; one a thread.
#[derive(Default)]
pub(crate) struct Applier {
    state: State,
    dict: Dict,
    /// Names of the current variant, for `${name}` and for the result.
    name: String,
    shortname: String,
    dep: Vec<String>,
    /// Nodes whose labels are in the file maps so far.
    mapped: Vec<NodeId>,
    path: Vec<NodeId>,
    modes: Modes,
}

impl Applier {
    /// Applies all operations along `path`.
    ///
    /// # Errors
    /// A key pattern that is no regular expression, or a bound that is not a number; in strict mode also what other
    /// implementations do by mistake.
    pub(crate) fn run<W: Watch>(
        &mut self,
        graph: &Graph,
        path: &[NodeId],
        modes: Modes,
        watch: &mut W,
    ) -> Result<(), Box<Diagnostic>> {
        self.start(graph, path, modes);
        for &node in path.iter().rev() {
            let content = graph.node(node).content.clone();
            let mut at = content.start;
            while at < content.end {
                at = self.step(graph, at, watch)?;
            }
        }
        self.apply_bounds(graph, watch)
    }

    fn start(&mut self, graph: &Graph, path: &[NodeId], modes: Modes) {
        self.state.reset(graph);
        self.path.clear();
        self.path.extend_from_slice(path);
        for &node in path {
            self.state.push(graph, graph.node(node));
        }
        self.dict.reset(graph);
        self.mapped.clear();
        self.modes = modes;
        (self.name, self.shortname) = crate::names::names(graph, path);
        self.dep = crate::names::dep(graph, path);
    }

    /// Applies the statement at `at`; the index of the next one.
    fn step<W: Watch>(&mut self, graph: &Graph, at: u32, watch: &mut W) -> Result<u32, Box<Diagnostic>> {
        match graph.stmt(at) {
            Stmt::Assign {
                operator,
                substitutes: false,
                key,
                value,
            } if operator == Operator::Set && !W::ON && !Graph::is_reserved(key) => {
                self.dict.set(key.0, value);
            }
            Stmt::Assign {
                operator,
                substitutes,
                key,
                value,
            } => {
                self.assign(graph, at, operator, substitutes, key, value, watch)?;
            }
            Stmt::AssignMatching {
                operator,
                substitutes,
                matcher,
                value,
            } => {
                self.assign_matching(graph, at, (operator, substitutes), matcher, value, watch)?;
            }
            Stmt::Only | Stmt::No | Stmt::Join => {}
            Stmt::Condition { filter, negated, end } => {
                let matches = self.state.filter(graph, filter, &[]) == Truth::True;
                if matches == negated {
                    return Ok(end);
                }
                watch.entered(at, end);
            }
            Stmt::Del(key) => self.del(graph, at, key, watch),
            Stmt::Suffix(suffix) => self.suffix(graph, at, suffix.0, watch),
            Stmt::FileMap(node) => self.mapped.push(node),
        }
        Ok(at + 1)
    }

    /// The result, with suffixed keys still apart.
    pub(crate) fn raw(&self, graph: &Graph) -> RawDict {
        let mut raw = RawDict::new(&self.name, &self.shortname, &self.dep, self.maps(graph));
        for (key, value) in self.dict.iter() {
            let (base, suffixes) = self.dict.key_parts(graph, key);
            raw.push(base, suffixes, graph.text(value, self.dict.own()).to_owned(), key);
        }
        raw
    }

    /// The file maps so far: base name, printed labels, label values.
    pub(crate) fn maps(&self, graph: &Graph) -> Vec<(String, String, String)> {
        crate::names::maps(graph, &self.mapped)
    }

    pub(crate) fn has_suffixes(&self) -> bool {
        self.dict.has_suffixes()
    }

    pub(crate) fn dict(&self) -> &Dict {
        &self.dict
    }

    pub(crate) fn names(&self) -> (&str, &str) {
        (&self.name, &self.shortname)
    }

    pub(super) fn fail(
        &self,
        graph: &Graph,
        stmt: u32,
        code: &'static str,
        message: String,
    ) -> Box<Diagnostic> {
        let error = Diagnostic::error(Class::Other, code, message, graph.location(stmt));
        Box::new(error.with_note(format!("while making variant `{}`", self.name)))
    }
}
