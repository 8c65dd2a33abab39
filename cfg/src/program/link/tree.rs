//! Builds the tree of nodes: variants, groups, and what is current.

use super::{Block, Close, Frame, Linker};
use crate::graph::{Atom, Node, NodeId, NodeLabel, Operator, Origin, Stmt, TextRef};
use crate::items::{Item, ItemId, VariantHeader};

impl Linker<'_> {
    /// Ends the current node's content here.
    pub(super) fn seal_content(&mut self) {
        let node = &mut self.graph.nodes[self.current.index()];
        node.content.end = self.graph.stmts.len() as u32;
        node.constraints.end = self.graph.constraints.len() as u32;
    }

    fn new_node(&mut self) -> NodeId {
        self.graph.tables = std::sync::OnceLock::new();
        let stmts = self.graph.stmts.len() as u32;
        let constraints = self.graph.constraints.len() as u32;
        self.graph.nodes.push(Node {
            content: stmts..stmts,
            constraints: constraints..constraints,
            ..Node::default()
        });
        NodeId(self.graph.nodes.len() as u32 - 1)
    }

    pub(super) fn start_variant(&mut self) {
        let Some(Frame::List(list)) = self.stack.last_mut() else {
            return;
        };
        let (file, item, base, variable) = (list.file, ItemId(list.next), list.base, list.variable);
        let items = self.graph.files[file as usize].items().clone();
        let Item::Variant(header) = items.item(item) else {
            unreachable!("a variants block holds variants")
        };
        list.next = header.end;
        self.seal_content();
        let node = self.new_node();
        let children = self.graph.children.len() as u32;
        self.graph.children.push(base);
        self.graph.nodes[node.index()].children = children..children + 1;
        self.current = node;
        if let Some(variable) = variable {
            let start = self.graph.text.len() as u32;
            for (index, label) in items.labels(header).enumerate() {
                if index > 0 {
                    self.graph.text.push('.');
                }
                self.graph.text.push_str(label);
            }
            let len = self.graph.text.len() as u32 - start;
            let value = TextRef {
                arena: TextRef::LINKED,
                start,
                len,
            };
            let assign = Stmt::Assign {
                operator: Operator::Set,
                substitutes: false,
                key: variable,
                value,
            };
            self.push(assign, Origin { file, item });
        }
        let close = Close::Variant {
            header: header.clone(),
            item,
        };
        self.stack.push(Frame::Block(Block {
            file,
            next: item.0 + 1,
            end: header.end,
            suffix: None,
            close,
        }));
    }

    pub(super) fn end_variant(&mut self, file: u32, header: &VariantHeader, item: ItemId) {
        let node = self.current;
        let origin = Origin { file, item };
        self.push(Stmt::FileMap(node), origin);
        self.seal_content();
        let items = self.graph.files[file as usize].items().clone();
        let variable = match self.stack.last() {
            Some(Frame::List(list)) => list.variable,
            _ => None,
        };
        let first = self.graph.labels.len() as u32;
        for &label in items.variant_labels(header) {
            let value = self.sym(file, label);
            let plain = self.graph.atoms.intern(None, value);
            let named = variable.map_or(Atom::NONE, |variable| {
                self.graph.atoms.intern(Some(variable), value)
            });
            self.graph.labels.push(NodeLabel {
                variable,
                value,
                plain,
                named,
            });
        }
        let deps = header.deps.map(|deps| self.filter(file, deps));
        let base_name = self.map(file).base_name;
        let labels = first..self.graph.labels.len() as u32;
        let entry = &mut self.graph.nodes[node.index()];
        entry.labels = labels;
        entry.deps = deps;
        entry.hidden = header.is_default;
        entry.file = base_name;
        entry.origin = Some(origin);
        entry.enclosing = variable;
        if let Some(Frame::List(list)) = self.stack.last_mut() {
            if header.is_default && list.default_child.is_none() {
                list.default_child = Some(list.children.len() as u32);
            }
            list.children.push(node);
        }
    }

    pub(super) fn end_list(&mut self) {
        let Some(Frame::List(list)) = self.stack.pop() else {
            return;
        };
        if list.children.is_empty() {
            return;
        }
        self.graph.nodes[list.base.index()].shared |= list.children.len() > 1;
        let group = self.new_node();
        let start = self.graph.children.len() as u32;
        self.graph.children.extend_from_slice(&list.children);
        let entry = &mut self.graph.nodes[group.index()];
        entry.children = start..start + list.children.len() as u32;
        entry.default_child = list.default_child;
        entry.variable = list.variable;
        entry.base = Some(list.base);
        self.current = group;
    }
}
