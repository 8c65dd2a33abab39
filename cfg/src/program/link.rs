//! Walks items in textual order and builds the graph; blocks and includes live on an explicit stack.

mod constraints;
mod includes;
mod tree;

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rustc_hash::FxHashMap;

use super::{Program, Unit};
use crate::diagnostic::{Class, Diagnostic, Location};
use crate::filter::FilterId;
use crate::graph::{BoundKind, Graph, Guard, LinkedFile, Node, NodeId, Origin, RESERVED, Stmt, TextRef};
use crate::items::{Item, ItemId, Items, VariantHeader};
use crate::lexer::Operator;
use crate::matcher::Matcher;
use crate::parser::{Parsed, UNMATCHED_AT_END};
use crate::symbols::Sym;
use includes::fault;
pub(crate) use includes::resolve;

/// What happens when a block of items ends.
enum Close {
    File {
        diagnostics: Arc<[Diagnostic]>,
        reported: usize,
    },
    Condition {
        stmt: u32,
        guard: Option<u32>,
    },
    Variant {
        header: VariantHeader,
        item: ItemId,
    },
}

struct Block {
    file: u32,
    next: u32,
    end: u32,
    suffix: Option<(Sym, Origin)>,
    close: Close,
}

struct List {
    file: u32,
    next: u32,
    end: u32,
    variable: Option<Sym>,
    base: NodeId,
    children: Vec<NodeId>,
    default_child: Option<u32>,
}

enum Frame {
    Block(Block),
    List(List),
}

/// How a file's own numbers translate to the program's.
struct FileMap {
    path: Utf8PathBuf,
    symbols: Vec<Option<Sym>>,
    first_filter: u32,
    base_name: u32,
}

/// File and line.
type Place = (Arc<str>, u32);

pub(super) struct Linker<'g> {
    graph: Graph,
    get: &'g mut dyn FnMut(&Utf8Path) -> Unit,
    maps: Vec<FileMap>,
    /// Index of the first file of this run in the graph; earlier ones need no maps.
    first_file: usize,
    by_path: FxHashMap<Utf8PathBuf, u32>,
    diagnostics_of: Vec<Arc<[Diagnostic]>>,
    diagnostics: Vec<Diagnostic>,
    stack: Vec<Frame>,
    current: NodeId,
    guard: Option<u32>,
    /// Paths being included now, with the place of each include statement.
    including: Vec<(u32, Option<Place>)>,
    /// How many include statements may still be followed; nothing once there were too many.
    left: Option<u32>,
}

impl<'g> Linker<'g> {
    pub(super) fn new(mut graph: Graph, get: &'g mut dyn FnMut(&Utf8Path) -> Unit) -> Self {
        graph.ranks = std::sync::OnceLock::new();
        let first_file = graph.files.len();
        let current = match graph.root {
            Some(root) => root,
            None => {
                for key in RESERVED {
                    graph.symbols.intern(key);
                }
                graph.nodes.push(Node::default());
                NodeId(0)
            }
        };
        Linker {
            graph,
            get,
            maps: Vec::new(),
            first_file,
            by_path: FxHashMap::default(),
            diagnostics_of: Vec::new(),
            diagnostics: Vec::new(),
            stack: Vec::new(),
            current,
            guard: None,
            including: Vec::new(),
            left: Some(includes::MOST),
        }
    }

    pub(super) fn root(mut self, path: &Utf8Path) -> Result<Program, Vec<Diagnostic>> {
        match (self.get)(path) {
            Unit::File(parsed) => {
                let file = self.add_file(path.to_owned(), &parsed);
                self.enter_file(file, None);
                self.run()
            }
            unit => {
                let at = Location {
                    file: path.as_str().into(),
                    line: 0,
                    column: 0,
                    length: 1,
                    bytes: 0..0,
                    text: String::new(),
                };
                let message = format!("read configuration file `{path}`: {}", fault(&unit));
                Err(vec![Diagnostic::error(Class::Other, "unreadable", message, at)])
            }
        }
    }

    pub(super) fn text(mut self, parsed: &Parsed) -> Result<Program, Vec<Diagnostic>> {
        let file = self.add_file(Utf8PathBuf::new(), parsed);
        self.enter_file(file, None);
        self.run()
    }

    fn add_file(&mut self, path: Utf8PathBuf, parsed: &Parsed) -> u32 {
        let index = self.graph.files.len() as u32;
        let (items, spans) = (parsed.items(), parsed.spans());
        let name: Arc<str> = path.file_name().unwrap_or("<string>").into();
        let base_names = &mut self.graph.base_names;
        let base_name = base_names
            .iter()
            .position(|known| *known == name)
            .unwrap_or_else(|| {
                base_names.push(name);
                base_names.len() - 1
            }) as u32;
        let mut symbols = vec![None; items.symbols.len()];
        let graph = &mut self.graph;
        let first_filter = graph.filters.extend_from(items.filters(), |label| {
            let mut global = |sym: Sym| {
                *symbols[sym.index()].get_or_insert_with(|| graph.symbols.intern(items.symbol(sym)))
            };
            let variable = label.variable.map(&mut global);
            let value = global(label.value);
            graph.atoms.intern(variable, value)
        });
        self.graph.files.push(LinkedFile::Parsed { items, spans });
        self.maps.push(FileMap {
            path: path.clone(),
            symbols,
            first_filter,
            base_name,
        });
        self.diagnostics_of.push(parsed.shared_diagnostics());
        if !path.as_str().is_empty() {
            self.by_path.insert(path, index);
        }
        index
    }

    fn map(&self, file: u32) -> &FileMap {
        &self.maps[file as usize - self.first_file]
    }

    fn sym(&mut self, file: u32, sym: Sym) -> Sym {
        let slot = &mut self.maps[file as usize - self.first_file].symbols[sym.index()];
        match *slot {
            Some(known) => known,
            None => {
                let items = self.graph.files[file as usize].items();
                let global = self.graph.symbols.intern(items.symbol(sym));
                *slot = Some(global);
                global
            }
        }
    }

    fn filter(&self, file: u32, filter: FilterId) -> FilterId {
        FilterId(self.map(file).first_filter + filter.0)
    }

    fn enter_file(&mut self, file: u32, from: Option<Place>) {
        self.including.push((file, from));
        let end = self.graph.files[file as usize].items().items.len() as u32;
        let diagnostics = self.diagnostics_of[file as usize - self.first_file].clone();
        let close = Close::File {
            diagnostics,
            reported: 0,
        };
        self.stack.push(Frame::Block(Block {
            file,
            next: 0,
            end,
            suffix: None,
            close,
        }));
    }

    fn run(mut self) -> Result<Program, Vec<Diagnostic>> {
        // The items of the file that is being walked, kept so that not every item takes a reference of its own.
        let mut open: Option<(u32, Arc<Items>)> = None;
        while let Some(frame) = self.stack.last_mut() {
            match frame {
                Frame::Block(block) if block.next < block.end => {
                    let (file, item) = (block.file, ItemId(block.next));
                    block.next += 1;
                    if open.as_ref().is_none_or(|(known, _)| *known != file) {
                        open = Some((file, self.graph.files[file as usize].items().clone()));
                    }
                    if let Some((_, items)) = &open {
                        self.item(items, file, item);
                    }
                }
                Frame::Block(_) => self.end_block(),
                Frame::List(list) if list.next < list.end => self.start_variant(),
                Frame::List(_) => self.end_list(),
            }
        }
        self.seal_content();
        if !self.diagnostics.is_empty() {
            return Err(self.diagnostics);
        }
        self.graph.root = Some(self.current);
        find_bounds(&mut self.graph);
        Ok(Program {
            graph: Arc::new(self.graph),
        })
    }

    fn skip_to(&mut self, end: u32) {
        if let Some(Frame::Block(block)) = self.stack.last_mut() {
            block.next = end;
        }
    }

    fn item(&mut self, items: &Items, file: u32, id: ItemId) {
        let origin = Origin { file, item: id };
        match items.item(id) {
            Item::Assign { operator, key, value } => {
                let text = items.text(*value);
                let substitutes = memchr::memchr(b'$', text.as_bytes()).is_some();
                let value = TextRef {
                    arena: file,
                    start: value.start,
                    len: value.len,
                };
                self.assign(*operator, file, *key, value, substitutes, origin);
            }
            Item::Only(filter) => self.constrain(self.filter(file, *filter), false, origin),
            Item::No(filter) => self.constrain(self.filter(file, *filter), true, origin),
            Item::Join(_) if self.guard.is_some() => {
                let stmt = self.push(Stmt::Join, origin);
                let nothing = self.graph.filters.end_filter();
                self.add_constraint(nothing, false, true, stmt);
            }
            Item::Join(filter) => self.join(self.filter(file, *filter), origin),
            Item::Condition { filter, negated, end } => {
                let filter = self.filter(file, *filter);
                self.condition(filter, *negated, *end, origin);
            }
            Item::Include(path) => self.include(file, id, items.text(*path)),
            Item::Del(key) => {
                let key = self.sym(file, *key);
                self.push(Stmt::Del(key), origin);
            }
            Item::Suffix(suffix) => {
                let suffix = self.sym(file, *suffix);
                if let Some(Frame::Block(block)) = self.stack.last_mut() {
                    block.suffix = Some((suffix, origin));
                }
            }
            Item::Variants { variable, end } => {
                let variable = variable.map(|variable| self.sym(file, variable));
                self.variants(variable, *end, origin);
            }
            Item::Variant(_) => unreachable!("a variant stands only in a variants block"),
        }
    }

    fn condition(&mut self, filter: FilterId, negated: bool, end: u32, origin: Origin) {
        let condition = Stmt::Condition {
            filter,
            negated,
            end: 0,
        };
        let stmt = self.push(condition, origin);
        let (filter, is_trap) = self.judgeable(filter);
        if is_trap {
            self.add_constraint(filter, false, true, stmt);
        }
        if let Some(packed) = self.graph.stmts.added_mut(stmt as usize) {
            let end = 0;
            *packed = Stmt::Condition { filter, negated, end }.pack();
        }
        let parent = self.guard;
        self.graph.guards.push(Guard {
            filter,
            negated,
            parent,
            stmt,
        });
        self.guard = Some(self.graph.guards.len() as u32 - 1);
        self.skip_to(end);
        let close = Close::Condition { stmt, guard: parent };
        let (file, next) = (origin.file, origin.item.0 + 1);
        self.stack.push(Frame::Block(Block {
            file,
            next,
            end,
            suffix: None,
            close,
        }));
    }

    fn variants(&mut self, variable: Option<Sym>, end: u32, origin: Origin) {
        self.skip_to(end);
        let (file, next) = (origin.file, origin.item.0 + 1);
        if self.guard.is_some() {
            let at = self.graph.files[file as usize].spans().location(origin.item);
            self.report_until(at.line);
            let message = "`variants` is not allowed inside a conditional block";
            let error = Diagnostic::error(Class::Parser, "variants-in-condition", message, at);
            self.error(error.with_help("the file is included from a conditional block"));
            return;
        }
        let (base, children) = (self.current, Vec::new());
        self.stack.push(Frame::List(List {
            file,
            next,
            end,
            variable,
            base,
            children,
            default_child: None,
        }));
    }

    fn push(&mut self, stmt: Stmt, origin: Origin) -> u32 {
        self.graph.stmts.push(stmt.pack());
        self.graph.origins.push([origin.file, origin.item.0]);
        self.graph.stmts.len() as u32 - 1
    }

    fn assign(
        &mut self,
        operator: Operator,
        file: u32,
        key: Sym,
        value: TextRef,
        substitutes: bool,
        origin: Origin,
    ) {
        let operator = match operator {
            Operator::SetMatching => Operator::Set,
            Operator::AppendMatching => Operator::Append,
            Operator::PrependMatching => Operator::Prepend,
            plain => {
                let key = self.sym(file, key);
                self.push(
                    Stmt::Assign {
                        operator: plain,
                        substitutes,
                        key,
                        value,
                    },
                    origin,
                );
                return;
            }
        };
        let text = self.graph.files[file as usize].items().symbol(key);
        let known = self
            .graph
            .matchers
            .iter()
            .position(|matcher| matcher.text() == text);
        let matcher = known.unwrap_or_else(|| {
            self.graph.matchers.push(Arc::new(Matcher::new(text)));
            self.graph.matchers.len() - 1
        }) as u32;
        self.push(
            Stmt::AssignMatching {
                operator,
                substitutes,
                matcher,
                value,
            },
            origin,
        );
    }

    fn error(&mut self, mut error: Diagnostic) {
        let chain = self.including.iter().rev().filter_map(|(_, from)| from.clone());
        error.included_from = chain.collect();
        self.diagnostics.push(error);
    }

    /// Passes on the innermost file's own diagnostics that stand before `line`.
    fn report_until(&mut self, line: u32) {
        let innermost = self.stack.iter_mut().rev().find_map(|frame| match frame {
            Frame::Block(Block {
                close:
                    Close::File {
                        diagnostics,
                        reported,
                    },
                ..
            }) => Some((diagnostics, reported)),
            _ => None,
        });
        let Some((diagnostics, reported)) = innermost else {
            return;
        };
        let due: Vec<Diagnostic> = diagnostics[*reported..]
            .iter()
            .take_while(|d| d.location.line <= line && (line == u32::MAX || d.code != UNMATCHED_AT_END))
            .cloned()
            .collect();
        *reported += due.len();
        for diagnostic in due {
            self.error(diagnostic);
        }
    }

    fn end_block(&mut self) {
        if let Some(Frame::Block(block)) = self.stack.last_mut()
            && let Some((suffix, origin)) = block.suffix.take()
        {
            self.push(Stmt::Suffix(suffix), origin);
        }
        if matches!(
            self.stack.last(),
            Some(Frame::Block(Block {
                close: Close::File { .. },
                ..
            }))
        ) {
            self.report_until(u32::MAX);
        }
        let Some(Frame::Block(block)) = self.stack.pop() else {
            return;
        };
        match block.close {
            Close::File { .. } => {
                self.including.pop();
            }
            Close::Condition { stmt, guard } => {
                let here = self.graph.stmts.len() as u32;
                if let Some(packed) = self.graph.stmts.added_mut(stmt as usize)
                    && let Stmt::Condition { filter, negated, .. } = Stmt::unpack(*packed)
                {
                    let end = here;
                    *packed = Stmt::Condition { filter, negated, end }.pack();
                }
                self.guard = guard;
            }
            Close::Variant { header, item } => self.end_variant(block.file, &header, item),
        }
    }
}

/// Notes which keys bound others, and which are reserved.
fn find_bounds(graph: &mut Graph) {
    let mut index = graph.bounds.len();
    while index < graph.symbols.len() {
        let text = graph.symbols.text(Sym(index as u32));
        let ends = [
            ("_max", BoundKind::Max),
            ("_min", BoundKind::Min),
            ("_fixed", BoundKind::Fixed),
        ];
        let found = ends.into_iter().find(|(end, _)| text.ends_with(end));
        let base = found.and_then(|(end, kind)| text.find(end).map(|at| (kind, text[..at].to_owned())));
        let bound = base.map(|(kind, base)| (kind, graph.symbols.intern(&base)));
        graph.push_bound(bound);
        index += 1;
    }
}
