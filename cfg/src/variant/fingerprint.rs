//! What a variant is made of, as one number: for telling, after an edit, which variants have to be made again.
//!
//! A variant's parameters follow from the contents of the nodes on its path, in their order, and from nothing else. Two
//! variants of two versions of a program that have the same fingerprint have the same names and parameters. Places are
//! no part of it.

use std::cell::RefCell;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

use super::Variant;
use crate::filter::FilterId;
use crate::graph::{Graph, Node, NodeId, Stmt};
use crate::program::Program;
use crate::search::{State, Truth};
use crate::symbols::Sym;

/// See the module. The same in every process of one build of the program.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fingerprint(u128);

impl Fingerprint {
    /// It as bytes, for [`from_bytes`](Self::from_bytes).
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// The fingerprint that was made these bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Fingerprint(u128::from_le_bytes(bytes))
    }
}

impl FromIterator<Fingerprint> for Fingerprint {
    fn from_iter<I: IntoIterator<Item = Fingerprint>>(all: I) -> Self {
        let mut sum = Sum::new();
        for one in all {
            sum.add(one);
        }
        sum.finish()
    }
}

/// Computes fingerprints of one program's variants; each node is looked at once.
pub struct Fingerprints {
    graph: Arc<Graph>,
    nodes: Vec<Option<Fingerprint>>,
}

impl Program {
    /// The fingerprints of this program's variants.
    pub fn fingerprints(&self) -> Fingerprints {
        Fingerprints {
            graph: self.graph.clone(),
            nodes: vec![None; self.graph.nodes.len()],
        }
    }
}

impl Fingerprints {
    /// The fingerprint of a variant, which must be one of this program.
    pub fn of(&mut self, variant: &Variant) -> Fingerprint {
        let mut sum = Sum::new();
        sum.add(variant.modes.keep_dups);
        for &node in &variant.path {
            sum.add(self.node(node));
        }
        if let Some(joined) = &variant.joined {
            // Joins are rare; their data are already made.
            sum.add(joined);
        }
        sum.finish()
    }

    fn node(&mut self, id: NodeId) -> Fingerprint {
        let graph = &self.graph;
        *self.nodes[id.index()].get_or_insert_with(|| {
            let node = graph.node(id);
            let mut sum = Sum::new();
            sum.head(graph, node);
            let mut open = Vec::new();
            for index in node.content.clone() {
                while open.pop_if(|end| *end <= index).is_some() {
                    sum.add("end of a condition");
                }
                let stmt = &graph.stmt(index);
                sum.statement(graph, stmt);
                if let Stmt::Condition { end, .. } = stmt {
                    open.push(*end);
                }
            }
            sum.finish()
        })
    }
}

/// Computes fingerprints that tell more exactly whether anything changed: of a condition that does not hold nothing counts,
/// neither what it asks for nor what stands under it. A name of another variant then is no change of this one.
pub struct Applied {
    graph: Arc<Graph>,
    nodes: Vec<OnceLock<Box<[Piece]>>>,
}

/// A stretch of a node's statements.
enum Piece {
    /// Statements that are always applied.
    Plain(Fingerprint),
    /// Those under a condition.
    Under {
        filter: FilterId,
        negated: bool,
        inside: Box<[Piece]>,
    },
}

thread_local! {
    /// Working space, reused from variant to variant.
    static STATE: RefCell<State> = RefCell::default();
}

impl Program {
    /// The fingerprints of what is really applied to this program's variants.
    pub fn applied(&self) -> Applied {
        let nodes = std::iter::repeat_with(OnceLock::new).take(self.graph.nodes.len());
        Applied {
            graph: self.graph.clone(),
            nodes: nodes.collect(),
        }
    }
}

impl Applied {
    /// The fingerprint of a variant, which must be one of this program.
    pub fn of(&self, variant: &Variant) -> Fingerprint {
        let mut sum = Sum::new();
        sum.add(variant.modes.keep_dups);
        sum.add(variant.modes.strict);
        // Joins are rare; their data are already made.
        sum.add(&variant.joined);
        STATE.with_borrow_mut(|state| {
            state.reset(&self.graph);
            for &node in &variant.path {
                state.push(&self.graph, self.graph.node(node));
            }
            for &node in &variant.path {
                self.pieces(state, self.node(node), &mut sum);
            }
        });
        sum.finish()
    }

    fn pieces(&self, state: &State, pieces: &[Piece], sum: &mut Sum) {
        for piece in pieces {
            match piece {
                Piece::Plain(fingerprint) => sum.add(fingerprint),
                Piece::Under {
                    filter,
                    negated,
                    inside,
                } => {
                    let holds = state.filter(&self.graph, *filter, &[]) == Truth::True;
                    if holds != *negated {
                        self.pieces(state, inside, sum);
                    }
                }
            }
        }
    }

    fn node(&self, id: NodeId) -> &[Piece] {
        self.nodes[id.index()].get_or_init(|| {
            let (graph, node) = (&*self.graph, self.graph.node(id));
            let mut head = Sum::new();
            head.head(graph, node);
            let mut pieces = vec![Piece::Plain(head.finish())];
            pieces.extend(split(graph, node.content.clone()));
            pieces.into()
        })
    }
}

/// The statements of a range in pieces.
fn split(graph: &Graph, range: Range<u32>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = None;
    let mut at = range.start;
    while at < range.end {
        let stmt = graph.stmt(at);
        at += 1;
        if let Stmt::Condition { filter, negated, end } = stmt {
            pieces.extend(plain.take().map(|sum: Sum| Piece::Plain(sum.finish())));
            let inside = split(graph, at..end).into();
            pieces.push(Piece::Under {
                filter,
                negated,
                inside,
            });
            at = end;
        } else {
            plain.get_or_insert_with(Sum::new).statement(graph, &stmt);
        }
    }
    pieces.extend(plain.map(|sum| Piece::Plain(sum.finish())));
    pieces
}

/// Two hashes side by side: 64 bits would meet by chance too easily.
struct Sum(DefaultHasher, DefaultHasher);

impl Sum {
    fn new() -> Self {
        let mut second = DefaultHasher::new();
        second.write_u8(1);
        Sum(DefaultHasher::new(), second)
    }

    fn add(&mut self, value: impl Hash) {
        value.hash(&mut self.0);
        value.hash(&mut self.1);
    }

    fn finish(self) -> Fingerprint {
        Fingerprint(u128::from(self.0.finish()) << 64 | u128::from(self.1.finish()))
    }

    /// What a node adds to names, dependencies and file maps.
    fn head(&mut self, graph: &Graph, node: &Node) {
        self.labels(graph, node);
        self.add(node.hidden);
        self.add(node.origin.map(|_| &graph.base_names[node.file as usize]));
        self.add(node.deps.is_some());
        if let Some(deps) = node.deps {
            self.filter(graph, deps);
        }
    }

    fn labels(&mut self, graph: &Graph, node: &Node) {
        for label in graph.node_labels(node) {
            self.add(label.variable.map(|variable| graph.symbols.text(variable)));
            self.sym(graph, label.value);
        }
    }

    fn sym(&mut self, graph: &Graph, sym: Sym) {
        self.add(graph.symbols.text(sym));
    }

    fn filter(&mut self, graph: &Graph, filter: FilterId) {
        for word in graph.filters.get(filter).words() {
            for block in word {
                for &atom in block {
                    self.add(graph.atom_text(atom));
                }
                self.add('.');
            }
            self.add(',');
        }
    }

    /// Filters say which variants there are, and nothing about one that there is: they are left out.
    fn statement(&mut self, graph: &Graph, stmt: &Stmt) {
        if !matches!(stmt, Stmt::Only | Stmt::No | Stmt::Join) {
            self.add(std::mem::discriminant(stmt));
        }
        match *stmt {
            Stmt::Assign {
                operator, key, value, ..
            } => {
                self.add(std::mem::discriminant(&operator));
                self.sym(graph, key);
                self.add(graph.text(value, ""));
            }
            Stmt::AssignMatching {
                operator,
                matcher,
                value,
                ..
            } => {
                self.add(std::mem::discriminant(&operator));
                self.add(graph.matchers[matcher as usize].text());
                self.add(graph.text(value, ""));
            }
            Stmt::Condition { filter, negated, .. } => {
                self.add(negated);
                self.filter(graph, filter);
            }
            Stmt::Del(key) | Stmt::Suffix(key) => self.sym(graph, key),
            Stmt::FileMap(node) => self.labels(graph, graph.node(node)),
            Stmt::Only | Stmt::No | Stmt::Join => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Fingerprint;
    use crate::expand::ExpandOptions;
    use crate::program::{Loaded, Program};

    const TEXT: &str = "a = 1\nvariants v:\n    - @x: y\n        b = ${a}\n        y: c += 2\n        suffix _s\nk.* ?= 3\ndel d\n";

    struct Nothing;

    impl crate::program::Loader for Nothing {
        fn load(&self, _: &camino::Utf8Path) -> Loaded {
            Loaded::Absent
        }
    }

    fn fingerprint(text: &str) -> Fingerprint {
        let program = Program::from_text("test.cfg", text, &Nothing).expect("the text is right");
        let mut fingerprints = program.fingerprints();
        let mut variants = program.variants(&ExpandOptions::default());
        let variant = variants.next().expect("there is a variant").expect("it expands");
        fingerprints.of(&variant)
    }

    /// What is really applied to the first variant.
    fn applied(text: &str) -> Fingerprint {
        let program = Program::from_text("test.cfg", text, &Nothing).expect("the text is right");
        let variant = program.variants(&ExpandOptions::default()).next();
        program
            .applied()
            .of(&variant.expect("there is a variant").expect("it expands"))
    }

    #[test]
    fn what_is_under_a_condition_shows_only_where_it_holds() {
        let with = |lines: &str| applied(&format!("{TEXT}{lines}"));
        let none = with("");
        assert_eq!(with("z:\n    a = 9\n"), none);
        assert_eq!(with("!x:\n    a = 9\n"), none);
        assert_ne!(with("x:\n    a = 9\n"), none);
        assert_ne!(with("!z:\n    a = 9\n"), none);
        assert_eq!(
            with("x:\n    a = 9\n    z:\n        b = 1\n"),
            with("x:\n    a = 9\n")
        );
        assert_ne!(
            with("x:\n    a = 9\n    !z:\n        b = 1\n"),
            with("x:\n    a = 9\n")
        );
    }

    #[test]
    fn bytes_are_the_same_fingerprint() {
        let one = applied(TEXT);
        assert_eq!(Fingerprint::from_bytes(one.to_bytes()), one);
    }

    #[test]
    fn layout_and_other_variants_do_not_show() {
        let same = [
            TEXT.replace("del d", "# What goes.\n\ndel   d"),
            TEXT.replace("        b = ", "          b=   "),
            TEXT.replace("k.*", "    - z:\n        a = 9\nk.*"),
            TEXT.replace("del d", "no w\ndel d"),
        ];
        for text in same {
            assert_eq!(fingerprint(&text), fingerprint(TEXT), "{text}");
            assert_eq!(applied(&text), applied(TEXT), "{text}");
        }
    }

    #[test]
    fn everything_that_a_variant_is_made_of_shows() {
        let edits = [
            ("a = 1", "a = 2"),
            ("a = 1", "aa = 1"),
            ("a = 1", "a += 1"),
            ("variants v", "variants w"),
            ("@x", "x"),
            ("@x", "@xx"),
            (": y\n", ": z\n"),
            ("y: c", "x: c"),
            ("y: c", "!y: c"),
            ("y: c", "y.x: c"),
            (
                "        y: c += 2",
                "        y:\n            no w\n        c += 2",
            ),
            ("_s", "_t"),
            ("k.*", "k.+"),
            ("?=", "?<="),
            ("del d", "del e"),
        ];
        for (old, new) in edits {
            let text = TEXT.replacen(old, new, 1);
            assert_ne!(fingerprint(&text), fingerprint(TEXT), "{old} -> {new}");
            // That one condition that does not hold is another one changes nothing that is applied.
            let same = new == "y.x: c";
            assert_eq!(applied(&text) == applied(TEXT), same, "{old} -> {new}");
        }
    }
}
