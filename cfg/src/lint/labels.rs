//! Filters that ask for names that nobody carries, or that never stand together.

use std::cell::RefCell;

use rustc_hash::{FxHashMap, FxHashSet};

use super::structure::Structure;
use super::{place, warning};
use crate::diagnostic::Diagnostic;
use crate::filter::FilterId;
use crate::graph::{Graph, LinkedFile, Origin};
use crate::items::{Item, ItemId, ItemLabel, Items, VariantHeader};
use crate::provenance::{did_you_mean, nearest};

/// The names that variants carry.
pub(super) struct Known<'g> {
    /// How many variants carry each name.
    values: FxHashMap<&'g str, usize>,
    named: FxHashSet<(&'g str, &'g str)>,
    /// Known names near to unknown ones: the same unknown name tends to stand in many filters.
    near: RefCell<FxHashMap<String, Vec<String>>>,
    structure: &'g Structure,
}

/// A filter's words, by how they come out.
struct Judged {
    words: usize,
    /// The names that nobody carries, of all words.
    unknown: Vec<(String, String)>,
    /// Words with such a name.
    hopeless: usize,
    /// Words of known names that never stand together, as they are written.
    apart: Vec<String>,
}

impl<'g> Known<'g> {
    pub(super) fn of(graph: &'g Graph, structure: &'g Structure) -> Self {
        let mut known = Known {
            structure,
            values: FxHashMap::default(),
            named: FxHashSet::default(),
            near: RefCell::default(),
        };
        for label in &graph.labels {
            let value = graph.symbols.text(label.value);
            *known.values.entry(value).or_default() += 1;
            if let Some(variable) = label.variable {
                known.named.insert((graph.symbols.text(variable), value));
            }
        }
        known
    }

    /// Looks at every filter of the file of this number.
    pub(super) fn check(&self, number: u32, file: &LinkedFile, found: &mut Vec<Diagnostic>) {
        for (index, item) in file.items().items().iter().enumerate() {
            let origin = Origin {
                file: number,
                item: ItemId(index as u32),
            };
            match item {
                Item::Only(filter)
                | Item::No(filter)
                | Item::Join(filter)
                | Item::Condition { filter, .. } => found.extend(self.filter(file, origin, *filter)),
                Item::Variant(VariantHeader { deps: Some(deps), .. }) => {
                    found.extend(self.dependency(file, origin, *deps));
                }
                _ => {}
            }
        }
    }

    fn carries(&self, items: &Items, label: &ItemLabel) -> bool {
        let value = items.symbol(label.value);
        match label.variable {
            Some(variable) => self.named.contains(&(items.symbol(variable), value)),
            None => self.values.contains_key(value),
        }
    }

    fn judge(&self, items: &Items, filter: FilterId, impossible: &[usize]) -> Judged {
        let mut judged = Judged {
            words: 0,
            unknown: Vec::new(),
            hopeless: 0,
            apart: Vec::new(),
        };
        for (number, word) in items.filters().get(filter).words().enumerate() {
            judged.words += 1;
            // One name for each alternative: where the first is unknown, the others say no more.
            let unknown = word.clone().flatten().find(|label| !self.carries(items, label));
            match unknown {
                Some(label) => {
                    judged.hopeless += 1;
                    judged
                        .unknown
                        .push((show(items, label), items.symbol(label.value).to_owned()));
                }
                None if impossible.contains(&number) => {
                    let block = |block: &[ItemLabel]| {
                        block
                            .iter()
                            .map(|label| show(items, label))
                            .collect::<Vec<_>>()
                            .join(".")
                    };
                    judged.apart.push(word.map(block).collect::<Vec<_>>().join(".."));
                }
                None => {}
            }
        }
        judged
    }

    fn filter(&self, file: &LinkedFile, origin: Origin, filter: FilterId) -> Option<Diagnostic> {
        let impossible = self
            .structure
            .impossible
            .get(&origin)
            .map_or(&[][..], |words| words);
        let judged = self.judge(file.items(), filter, impossible);
        let index = origin.item.index();
        let all = judged.hopeless + judged.apart.len() == judged.words;
        if !judged.unknown.is_empty() {
            let (code, end) = if all {
                ("never-matches", "so this filter never matches")
            } else {
                ("unknown-label", "so this alternative of the filter never matches")
            };
            return Some(self.unknown(file, index, code, end, &judged));
        }
        if judged.apart.is_empty() || self.structure.culprits.contains(&origin) {
            return None;
        }
        let code = if all { "never-matches" } else { "never-together" };
        let message = format!(
            "no variant that this filter is about can match `{}`: the names exist, but never so together",
            judged.apart.join("` or `")
        );
        Some(warning(code, message, place(file, index)))
    }

    fn dependency(&self, file: &LinkedFile, origin: Origin, deps: FilterId) -> Option<Diagnostic> {
        let judged = self.judge(file.items(), deps, &[]);
        let end = "so this dependency matches nothing";
        let index = origin.item.index();
        if !judged.unknown.is_empty() {
            return Some(self.unknown(file, index, "unknown-dependency", end, &judged));
        }
        let missing = self.structure.missing.get(&origin)?;
        let items = file.items();
        let blocks = items.filters().get(deps).words().flatten();
        let shown: Vec<String> = blocks
            .enumerate()
            .filter(|(number, _)| missing.contains(number))
            .map(|(_, block)| written(items, block))
            .collect();
        let message = format!("no variant has `{}` side by side, {end}", shown.join("` or `"));
        Some(warning("unknown-dependency", message, place(file, index)))
    }

    fn unknown(
        &self,
        file: &LinkedFile,
        index: usize,
        code: &'static str,
        end: &str,
        judged: &Judged,
    ) -> Diagnostic {
        let mut names: Vec<&str> = judged.unknown.iter().map(|(shown, _)| &**shown).collect();
        names.sort_unstable();
        names.dedup();
        let message = format!("no variant is called `{}`, {end}", names.join("` or `"));
        let first = judged.unknown.first();
        Diagnostic {
            help: first.and_then(|(_, value)| did_you_mean(&self.nearest(value))),
            ..warning(code, message, place(file, index))
        }
    }

    fn nearest(&self, value: &str) -> Vec<String> {
        let mut near = self.near.borrow_mut();
        near.entry(value.to_owned())
            .or_insert_with(|| nearest(value, self.values.keys().copied(), 3))
            .clone()
    }
}

fn show(items: &Items, label: &ItemLabel) -> String {
    let value = items.symbol(label.value);
    match label.variable {
        Some(variable) => format!("({}={value})", items.symbol(variable)),
        None => value.to_owned(),
    }
}

/// Labels side by side, as filters have them.
fn written(items: &Items, block: &[ItemLabel]) -> String {
    let labels: Vec<String> = block.iter().map(|label| show(items, label)).collect();
    labels.join(".")
}
