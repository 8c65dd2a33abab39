//! The linked program: the shared tree of variants, with everything interned to dense numbers.
//!
//! The last `variants` block of a text is the root's side of the tree, the first one the leaves' side: each variant's
//! only child is what was current before its block, shared by all variants of the block.

mod atoms;
mod file;
mod stmt;

use std::ops::Range;
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use crate::filter::{FilterId, FilterTable};
use crate::items::ItemId;
pub(crate) use crate::lexer::Operator;
use crate::matcher::Matcher;
use crate::search::Tables;
use crate::symbols::{Sym, Symbols};
use crate::table::Table;
pub(crate) use atoms::{Atom, Atoms};
pub(crate) use file::LinkedFile;
pub use file::Sources;
pub(crate) use stmt::Stmt;

/// A label that a node adds to the name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeLabel {
    pub(crate) variable: Option<Sym>,
    pub(crate) value: Sym,
    pub(crate) plain: Atom,
    /// `NONE` for labels of blocks without a variable.
    pub(crate) named: Atom,
}

/// The index of a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A node of the tree: content, labels, and the nodes below it.
#[derive(Clone, Default, Debug)]
pub(crate) struct Node {
    pub(crate) labels: Range<u32>,
    pub(crate) content: Range<u32>,
    pub(crate) constraints: Range<u32>,
    pub(crate) children: Range<u32>,
    pub(crate) deps: Option<FilterId>,
    /// Left out of short names.
    pub(crate) hidden: bool,
    /// Reached from more than one parent.
    pub(crate) shared: bool,
    /// Of a group: the position of its first default variant, and the variable of its block.
    pub(crate) default_child: Option<u32>,
    pub(crate) variable: Option<Sym>,
    /// Of the last group within a variant: the variable of the block that the variant stands in. If that one is to be
    /// expanded, other implementations go on after this group's default variant too.
    pub(crate) enclosing: Option<Sym>,
    /// Of a group: what was current before its block.
    pub(crate) base: Option<NodeId>,
    /// The file of a variant, as an index of the names that the file maps use.
    pub(crate) file: u32,
    /// The item of the `- name:` line, for nodes that are variants.
    pub(crate) origin: Option<Origin>,
}

/// A stretch of text: of a linked file, of the program itself, or of one variant's own computed text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TextRef {
    pub(crate) arena: u32,
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl TextRef {
    /// The arena of texts made while linking.
    pub(crate) const LINKED: u32 = u32::MAX;
    /// The arena of texts made while a variant's operations are applied.
    pub(crate) const OWN: u32 = u32::MAX - 1;
}

/// Where a statement came from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Origin {
    pub(crate) file: u32,
    pub(crate) item: ItemId,
}

/// A condition that a filter stands under; `parent` is the next one outwards.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guard {
    pub(crate) filter: FilterId,
    pub(crate) negated: bool,
    pub(crate) parent: Option<u32>,
    pub(crate) stmt: u32,
}

/// An `only` or `no` that can remove variants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Constraint {
    pub(crate) guard: Option<u32>,
    pub(crate) filter: FilterId,
    pub(crate) is_no: bool,
    /// Where its conditions hold and its filter does not match, an expansion ends with an error: what the filter goes on
    /// with, or what stands there instead, cannot be judged.
    pub(crate) is_trap: bool,
    pub(crate) stmt: u32,
}

/// The factors of all `join` lines of one node: constraints that are in force one at a time.
#[derive(Clone, Default, Debug)]
pub(crate) struct JoinSpec {
    pub(crate) factors: Vec<u32>,
    pub(crate) stmt: u32,
}

/// What `_min`, `_max` and `_fixed` keys bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum BoundKind {
    Min,
    Max,
    Fixed,
}

/// The whole linked program.
#[derive(Clone, Default, Debug)]
pub(crate) struct Graph {
    pub(crate) files: Vec<LinkedFile>,
    /// Base names of files, as the file maps show them.
    pub(crate) base_names: Vec<Arc<str>>,
    pub(crate) symbols: Symbols,
    pub(crate) atoms: Atoms,
    pub(crate) filters: FilterTable<Atom>,
    pub(crate) labels: Vec<NodeLabel>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) children: Vec<NodeId>,
    /// Packed; see [`Graph::stmt`].
    pub(crate) stmts: Table<[u32; 5]>,
    pub(crate) origins: Table<[u32; 2]>,
    pub(crate) guards: Vec<Guard>,
    pub(crate) constraints: Vec<Constraint>,
    /// Whether any of the constraints or factors is a trap.
    pub(crate) has_traps: bool,
    pub(crate) joins: FxHashMap<NodeId, JoinSpec>,
    /// The filters of join factors, in force only while their factor is expanded.
    pub(crate) factors: Vec<Constraint>,
    pub(crate) matchers: Vec<Arc<Matcher>>,
    pub(crate) text: String,
    /// By key: whether it bounds another key; packed, see [`Graph::bound`].
    pub(crate) bounds: Table<[u32; 2]>,
    /// Keys by rank in code-point order, for sorted output.
    pub(crate) ranks: OnceLock<Vec<u32>>,
    /// The node that further text is added to; the root of the tree.
    pub(crate) root: Option<NodeId>,
    pub(crate) tables: OnceLock<Arc<Tables>>,
}

/// Keys that no assignment can change.
pub(crate) const RESERVED: [&str; 5] = [
    "name",
    "shortname",
    "dep",
    "_name_map_file",
    "_short_name_map_file",
];

impl Graph {
    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// One statement.
    #[inline]
    pub(crate) fn stmt(&self, at: u32) -> Stmt {
        Stmt::unpack(self.stmts[at as usize])
    }

    /// Where a statement came from.
    pub(crate) fn origin(&self, stmt: u32) -> Origin {
        let [file, item] = self.origins[stmt as usize];
        let item = ItemId(item);
        Origin { file, item }
    }

    /// What a key bounds, if anything.
    #[inline]
    pub(crate) fn bound(&self, key: u32) -> Option<(BoundKind, Sym)> {
        let [kind, base] = self.bounds[key as usize];
        let kind = match kind {
            1 => BoundKind::Min,
            2 => BoundKind::Max,
            3 => BoundKind::Fixed,
            _ => return None,
        };
        Some((kind, Sym(base)))
    }

    pub(crate) fn push_bound(&mut self, bound: Option<(BoundKind, Sym)>) {
        self.bounds.push(match bound {
            None => [0, 0],
            Some((BoundKind::Min, base)) => [1, base.0],
            Some((BoundKind::Max, base)) => [2, base.0],
            Some((BoundKind::Fixed, base)) => [3, base.0],
        });
    }

    pub(crate) fn node_labels(&self, node: &Node) -> &[NodeLabel] {
        &self.labels[node.labels.start as usize..node.labels.end as usize]
    }

    pub(crate) fn node_children(&self, node: &Node) -> &[NodeId] {
        &self.children[node.children.start as usize..node.children.end as usize]
    }

    pub(crate) fn root(&self) -> NodeId {
        self.root.expect("a linked graph has a root")
    }

    /// The text behind a reference, `own` being the variant's own.
    pub(crate) fn text<'a>(&'a self, at: TextRef, own: &'a str) -> &'a str {
        let arena = match at.arena {
            TextRef::OWN => own,
            TextRef::LINKED => &self.text,
            file => self.files[file as usize].text(),
        };
        &arena[at.start as usize..(at.start + at.len) as usize]
    }

    /// Whether assignments to `key` are ignored. Reserved keys are the first symbols of every program.
    pub(crate) fn is_reserved(key: Sym) -> bool {
        key.index() < RESERVED.len()
    }

    /// The place of each symbol in code-point order.
    pub(crate) fn ranks(&self) -> &[u32] {
        self.ranks.get_or_init(|| {
            let mut sorted: Vec<(&str, Sym)> = self.symbols.iter().map(|(sym, text)| (text, sym)).collect();
            sorted.sort_unstable();
            let mut ranks = vec![0; sorted.len()];
            for (rank, (_, sym)) in sorted.into_iter().enumerate() {
                ranks[sym.index()] = rank as u32;
            }
            ranks
        })
    }

    pub(crate) fn tables(&self) -> &Tables {
        self.tables.get_or_init(|| Arc::new(Tables::build(self)))
    }

    /// Appends a label as names show it.
    pub(crate) fn write_label(&self, label: &NodeLabel, out: &mut String) {
        match label.variable {
            Some(variable) => {
                out.push('(');
                out.push_str(self.symbols.text(variable));
                out.push('=');
                out.push_str(self.symbols.text(label.value));
                out.push(')');
            }
            None => out.push_str(self.symbols.text(label.value)),
        }
    }

    /// An atom as filters show it.
    pub(crate) fn atom_text(&self, atom: Atom) -> String {
        match self.atoms.info(atom) {
            (Some(variable), value) => {
                format!("({}={})", self.symbols.text(variable), self.symbols.text(value))
            }
            (None, value) => self.symbols.text(value).to_owned(),
        }
    }

    /// The node whose content a statement is part of.
    pub(crate) fn node_of(&self, stmt: u32) -> NodeId {
        // Nodes are made in the order of their content.
        let after = self.nodes.partition_point(|node| node.content.start <= stmt);
        NodeId(after.saturating_sub(1) as u32)
    }

    /// A statement's place.
    pub(crate) fn location(&self, stmt: u32) -> crate::diagnostic::Location {
        let origin = self.origin(stmt);
        self.files[origin.file as usize].spans().location(origin.item)
    }
}
