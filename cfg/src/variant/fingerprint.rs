//! What a variant is made of, as one number: for telling, after an edit, which variants have to be made again.
//!
//! A variant's parameters follow from the contents of the nodes on its path, in their order, and from nothing else. Two
//! variants of two versions of a program that have the same fingerprint have the same names and parameters. Places are
//! no part of it.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use super::Variant;
use crate::filter::FilterId;
use crate::graph::{Graph, Node, NodeId, Stmt};
use crate::program::Program;
use crate::symbols::Sym;

/// See the module. Meaningful within one process only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Fingerprint(u128);

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
            assert_ne!(
                fingerprint(&TEXT.replacen(old, new, 1)),
                fingerprint(TEXT),
                "{old} -> {new}"
            );
        }
    }
}
