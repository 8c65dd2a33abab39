//! Bytes to programs.

use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap;

use super::{NODE, NONE};
use crate::filter::{FilterId, FilterTable};
use crate::graph::{
    Atom, Atoms, Constraint, Graph, Guard, JoinSpec, LinkedFile, Node, NodeId, NodeLabel, Origin, Sources,
};
use crate::items::ItemId;
use crate::matcher::Matcher;
use crate::program::Program;
use crate::search::Tables;
use crate::symbols::{StoredSymbols, Sym, Symbols};
use crate::table::Table;

/// Takes lists from the front of bytes.
pub(super) struct Reader {
    bytes: &'static [u8],
}

impl Reader {
    pub(super) fn new(bytes: &'static [u8]) -> Self {
        Reader { bytes }
    }

    pub(super) fn program(mut self, sources: &Sources) -> Option<Program> {
        let names = self.texts()?;
        let texts = self.texts()?;
        let files = names
            .into_iter()
            .zip(texts)
            .map(|(name, text)| LinkedFile::Stored {
                name: name.into(),
                text,
                sources: sources.clone(),
                parsed: OnceLock::new(),
            });
        // Fields are made in the order in which they are written.
        let graph = Graph {
            files: files.collect(),
            base_names: self.texts()?.into_iter().map(Arc::from).collect(),
            symbols: self.symbols()?,
            atoms: self.atoms()?,
            filters: self.filters()?,
            labels: self.list()?.iter().map(label).collect(),
            nodes: self.list()?.iter().map(node).collect(),
            children: self.list()?.iter().map(|&child| NodeId(child)).collect(),
            stmts: Table::stored(self.list()?),
            origins: Table::stored(self.list()?),
            guards: self.list()?.iter().map(guard).collect(),
            constraints: self.list()?.iter().map(constraint).collect(),
            has_traps: *self.list::<u32>()?.first()? != 0,
            joins: self.joins()?,
            factors: self.list()?.iter().map(constraint).collect(),
            matchers: self
                .texts()?
                .into_iter()
                .map(|text| Arc::new(Matcher::new(text)))
                .collect(),
            text: self.text()?.to_owned(),
            bounds: Table::stored(self.list()?),
            ranks: OnceLock::new(),
            root: number(*self.list()?.first()?).map(NodeId),
            tables: OnceLock::from(Arc::new(self.tables()?)),
        };
        Some(Program {
            graph: Arc::new(graph),
        })
    }

    fn list<T: bytemuck::Pod>(&mut self) -> Option<&'static [T]> {
        let (count, rest) = self.bytes.split_first_chunk::<8>()?;
        let size = usize::try_from(u64::from_ne_bytes(*count))
            .ok()?
            .checked_mul(size_of::<T>())?;
        let list = bytemuck::try_cast_slice(rest.get(..size)?).ok()?;
        self.bytes = rest.get(size.checked_next_multiple_of(8)?..)?;
        Some(list)
    }

    fn text(&mut self) -> Option<&'static str> {
        std::str::from_utf8(self.list()?).ok()
    }

    fn texts(&mut self) -> Option<Vec<&'static str>> {
        let count: u64 = *self.list()?.first()?;
        (0..count).map(|_| self.text()).collect()
    }

    fn symbols(&mut self) -> Option<Symbols> {
        Some(Symbols::from_stored(StoredSymbols {
            text: self.text()?,
            ends: self.list()?,
            slots: self.list()?,
        }))
    }

    fn atoms(&mut self) -> Option<Atoms> {
        let info: &[[u32; 2]] = self.list()?;
        let info = info
            .iter()
            .map(|&[variable, value]| (number(variable).map(Sym), Sym(value)));
        Some(Atoms::from_stored(info.collect(), self.list()?))
    }

    fn filters(&mut self) -> Option<FilterTable<Atom>> {
        let labels: &[u32] = self.list()?;
        let ends = [self.list()?, self.list()?, self.list()?];
        let labels = labels.iter().map(|&atom| Atom(atom)).collect();
        Some(FilterTable::from_parts(labels, ends.map(<[u32]>::to_vec)))
    }

    fn joins(&mut self) -> Option<FxHashMap<NodeId, JoinSpec>> {
        let joining: &[[u32; 2]] = self.list()?;
        let spec = |&[node, stmt]: &[u32; 2]| {
            let factors = self.list()?.to_vec();
            Some((NodeId(node), JoinSpec { factors, stmt }))
        };
        joining.iter().map(spec).collect()
    }

    fn tables(&mut self) -> Option<Tables> {
        let width: u64 = *self.list()?.first()?;
        Some(Tables {
            width: usize::try_from(width).ok()?,
            sets: self.list()?.into(),
            below: self.list()?.into(),
        })
    }
}

fn number(written: u32) -> Option<u32> {
    (written != NONE).then_some(written)
}

fn label(&[variable, value, plain, named]: &[u32; 4]) -> NodeLabel {
    NodeLabel {
        variable: number(variable).map(Sym),
        value: Sym(value),
        plain: Atom(plain),
        named: Atom(named),
    }
}

fn node(node: &[u32; NODE]) -> Node {
    let &[
        a,
        b,
        c,
        d,
        e,
        f,
        g,
        h,
        deps,
        flags,
        default_child,
        variable,
        enclosing,
        base,
        in_file,
        file,
        item,
    ] = node;
    let origin = |file| Origin {
        file,
        item: ItemId(item),
    };
    Node {
        labels: a..b,
        content: c..d,
        constraints: e..f,
        children: g..h,
        deps: number(deps).map(FilterId),
        hidden: flags & 1 != 0,
        shared: flags & 2 != 0,
        default_child: number(default_child),
        variable: number(variable).map(Sym),
        enclosing: number(enclosing).map(Sym),
        base: number(base).map(NodeId),
        file: in_file,
        origin: number(file).map(origin),
    }
}

fn guard(&[filter, negated, parent, stmt]: &[u32; 4]) -> Guard {
    Guard {
        filter: FilterId(filter),
        negated: negated != 0,
        parent: number(parent),
        stmt,
    }
}

fn constraint(&[guard, filter, flags, stmt]: &[u32; 4]) -> Constraint {
    Constraint {
        guard: number(guard),
        filter: FilterId(filter),
        is_no: flags & 1 != 0,
        is_trap: flags & 2 != 0,
        stmt,
    }
}
