//! Programs to bytes.

use std::ops::Range;

use super::{NODE, NONE};
use crate::filter::FilterTable;
use crate::graph::{Atom, Constraint, Graph, Guard, LinkedFile, Node, NodeLabel};
use crate::symbols::Sym;

/// Gathers bytes.
#[derive(Default)]
pub(super) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    pub(super) fn program(mut self, graph: &Graph) -> Vec<u8> {
        // Whoever adds a field must decide here what becomes of it.
        let Graph {
            files,
            base_names,
            symbols,
            atoms,
            filters,
            labels,
            nodes,
            children,
            stmts,
            origins,
            guards,
            constraints,
            has_traps,
            joins,
            factors,
            matchers,
            text,
            bounds,
            ranks: _,
            root,
            tables: _,
        } = graph;
        self.texts(files.iter().map(|file| &**file.name()));
        self.texts(files.iter().map(LinkedFile::text));
        self.texts(base_names.iter().map(|name| &**name));
        let (all, ends, slots) = symbols.flat();
        self.text(&all);
        self.list(&ends);
        self.list(&slots);
        let info = atoms
            .all()
            .iter()
            .map(|&(variable, value)| [sym(variable), value.0]);
        self.list(&info.collect::<Vec<_>>());
        self.list(&atoms.by_symbol(symbols.len()));
        self.filters(filters);
        self.list(&labels.iter().map(label).collect::<Vec<_>>());
        self.list(&nodes.iter().map(node).collect::<Vec<_>>());
        self.list(&children.iter().map(|child| child.0).collect::<Vec<_>>());
        self.list(&stmts.iter().copied().collect::<Vec<_>>());
        self.list(&origins.iter().copied().collect::<Vec<_>>());
        self.list(&guards.iter().map(guard).collect::<Vec<_>>());
        self.list(&constraints.iter().map(constraint).collect::<Vec<_>>());
        self.list(&[u32::from(*has_traps)]);
        let mut joining: Vec<_> = joins.iter().collect();
        joining.sort_unstable_by_key(|(node, _)| **node);
        self.list(
            &joining
                .iter()
                .map(|(node, spec)| [node.0, spec.stmt])
                .collect::<Vec<_>>(),
        );
        for (_, spec) in joining {
            self.list(&spec.factors);
        }
        self.list(&factors.iter().map(constraint).collect::<Vec<_>>());
        self.texts(matchers.iter().map(|matcher| matcher.text()));
        self.text(text);
        self.list(&bounds.iter().copied().collect::<Vec<_>>());
        self.list(&[root.map_or(NONE, |root| root.0)]);
        let tables = graph.tables();
        self.list(&[tables.width as u64]);
        self.list(&tables.sets);
        self.list(&tables.below);
        self.out
    }

    fn list<T: bytemuck::Pod>(&mut self, list: &[T]) {
        self.out.extend_from_slice(&(list.len() as u64).to_ne_bytes());
        self.out.extend_from_slice(bytemuck::cast_slice(list));
        self.out.resize(self.out.len().next_multiple_of(8), 0);
    }

    fn text(&mut self, text: &str) {
        self.list(text.as_bytes());
    }

    fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t str> + Clone) {
        self.list(&[texts.clone().count() as u64]);
        texts.for_each(|text| self.text(text));
    }

    fn filters(&mut self, filters: &FilterTable<Atom>) {
        let (labels, ends) = filters.parts();
        self.list(&labels.iter().map(|atom| atom.0).collect::<Vec<_>>());
        ends.into_iter().for_each(|ends| self.list(ends));
    }
}

fn sym(sym: Option<Sym>) -> u32 {
    sym.map_or(NONE, |sym| sym.0)
}

fn label(label: &NodeLabel) -> [u32; 4] {
    let NodeLabel {
        variable,
        value,
        plain,
        named,
    } = *label;
    [sym(variable), value.0, plain.0, named.0]
}

fn node(node: &Node) -> [u32; NODE] {
    let Node {
        labels,
        content,
        constraints,
        children,
        deps,
        hidden,
        shared,
        default_child,
        variable,
        enclosing,
        base,
        file,
        origin,
    } = node;
    let ends = |range: &Range<u32>| [range.start, range.end];
    let ([a, b], [c, d], [e, f], [g, h]) = (ends(labels), ends(content), ends(constraints), ends(children));
    [
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        deps.map_or(NONE, |deps| deps.0),
        u32::from(*hidden) | u32::from(*shared) << 1,
        default_child.unwrap_or(NONE),
        sym(*variable),
        sym(*enclosing),
        base.map_or(NONE, |base| base.0),
        *file,
        origin.map_or(NONE, |origin| origin.file),
        origin.map_or(NONE, |origin| origin.item.0),
    ]
}

fn guard(guard: &Guard) -> [u32; 4] {
    let Guard {
        filter,
        negated,
        parent,
        stmt,
    } = *guard;
    [filter.0, u32::from(negated), parent.unwrap_or(NONE), stmt]
}

fn constraint(constraint: &Constraint) -> [u32; 4] {
    let Constraint {
        guard,
        filter,
        is_no,
        is_trap,
        stmt,
    } = *constraint;
    let flags = u32::from(is_no) | u32::from(is_trap) << 1;
    [guard.unwrap_or(NONE), filter.0, flags, stmt]
}
