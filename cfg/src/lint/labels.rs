//! Filters that ask for names nobody carries, and variants that their own filters remove.

use std::cell::RefCell;

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Scope, place, warning};
use crate::diagnostic::Diagnostic;
use crate::filter::FilterId;
use crate::graph::{Graph, LinkedFile};
use crate::items::{Item, ItemLabel, Items, VariantHeader};
use crate::provenance::nearest;

/// The names that variants carry.
pub(super) struct Known<'g> {
    /// How many variants carry each name.
    values: FxHashMap<&'g str, usize>,
    named: FxHashSet<(&'g str, &'g str)>,
    /// Known names near to unknown ones: the same unknown name tends to stand in many filters.
    near: RefCell<FxHashMap<String, Vec<String>>>,
}

/// A filter's words, by how they come out.
struct Judged {
    words: usize,
    /// The names that nobody carries, of all words.
    unknown: Vec<(String, String)>,
    /// Words with such a name.
    hopeless: usize,
}

impl<'g> Known<'g> {
    pub(super) fn of(graph: &'g Graph) -> Self {
        let mut known = Known {
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

    /// Looks at every filter of a file.
    pub(super) fn check(&self, file: &LinkedFile, found: &mut Vec<Diagnostic>) {
        let items = &*file.items;
        let mut scope = Scope::default();
        for (index, item) in items.items().iter().enumerate() {
            let around: Vec<usize> = scope.at(index).collect();
            match item {
                Item::Only(filter) | Item::No(filter) => {
                    found.extend(self.filter(file, index, *filter));
                    let is_no = matches!(item, Item::No(_));
                    found.extend(self.dropped(file, index, &around, *filter, is_no));
                }
                Item::Join(filter) | Item::Condition { filter, .. } => {
                    found.extend(self.filter(file, index, *filter));
                }
                Item::Variant(VariantHeader { deps: Some(deps), .. }) => {
                    found.extend(self.dependency(file, index, *deps));
                }
                _ => {}
            }
            scope.enter(index, item);
        }
    }

    fn carries(&self, items: &Items, label: &ItemLabel) -> bool {
        let value = items.symbol(label.value);
        match label.variable {
            Some(variable) => self.named.contains(&(items.symbol(variable), value)),
            None => self.values.contains_key(value),
        }
    }

    fn judge(&self, items: &Items, filter: FilterId) -> Judged {
        let mut judged = Judged {
            words: 0,
            unknown: Vec::new(),
            hopeless: 0,
        };
        for word in items.filters().get(filter).words() {
            judged.words += 1;
            let unknown = word.flatten().filter(|label| !self.carries(items, label));
            let shown: Vec<_> = unknown
                .map(|label| (show(items, label), items.symbol(label.value).to_owned()))
                .collect();
            judged.hopeless += usize::from(!shown.is_empty());
            judged.unknown.extend(shown);
        }
        judged
    }

    fn filter(&self, file: &LinkedFile, index: usize, filter: FilterId) -> Option<Diagnostic> {
        let judged = self.judge(&file.items, filter);
        if judged.unknown.is_empty() {
            return None;
        }
        let all = judged.hopeless == judged.words;
        let (code, end) = if all {
            ("never-matches", "so this filter never matches")
        } else {
            ("unknown-label", "so this alternative of the filter never matches")
        };
        Some(self.unknown(file, index, code, end, &judged))
    }

    fn dependency(&self, file: &LinkedFile, index: usize, deps: FilterId) -> Option<Diagnostic> {
        let judged = self.judge(&file.items, deps);
        let end = "so this dependency matches nothing";
        (!judged.unknown.is_empty()).then(|| self.unknown(file, index, "unknown-dependency", end, &judged))
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
        let warning = warning(code, message, place(file, index));
        let near = match judged.unknown.first() {
            Some((_, value)) => self.nearest(value),
            None => Vec::new(),
        };
        if near.is_empty() {
            warning
        } else {
            warning.with_help(format!("did you mean `{}`?", near.join("` or `")))
        }
    }

    fn nearest(&self, value: &str) -> Vec<String> {
        let mut near = self.near.borrow_mut();
        near.entry(value.to_owned())
            .or_insert_with(|| nearest(value, self.values.keys().copied(), 3))
            .clone()
    }

    /// Whether a filter removes the variant it stands in, whatever that is combined with.
    fn dropped(
        &self,
        file: &LinkedFile,
        index: usize,
        around: &[usize],
        filter: FilterId,
        is_no: bool,
    ) -> Option<Diagnostic> {
        let items = &*file.items;
        let own = Own::of(items, around)?;
        let impossible = |label: &ItemLabel| {
            let value = items.symbol(label.value);
            let rivals = own.rivals.get(value).copied().unwrap_or_default();
            !self.carries(items, label)
                || (rivals > 0
                    && !own.labels.iter().any(|(_, known)| *known == value)
                    && self.values.get(value) == Some(&rivals))
        };
        let mut words = items.filters().get(filter).words();
        let drops = if is_no {
            words.any(|mut word| word.all(|block| block.len() == 1 && own.has(items, &block[0])))
        } else {
            words.all(|mut word| word.any(|block| block.iter().any(impossible)))
        };
        let header = *around.last()?;
        let Item::Variant(variant) = items.items().get(header)? else {
            return None;
        };
        let name: Vec<&str> = items.labels(variant).collect();
        let at = place(file, index);
        drops.then(|| {
            let message = format!(
                "the variant `{}` is always dropped, by `{}` at {}:{}",
                name.join("."),
                at.text.trim(),
                at.file,
                at.line
            );
            warning("always-dropped", message, place(file, header))
        })
    }
}

/// The labels that everything inside of some variants carries, and those that it cannot.
struct Own<'i> {
    labels: Vec<(Option<&'i str>, &'i str)>,
    /// Labels of the other variants of the same blocks, and how often they stand there.
    rivals: FxHashMap<&'i str, usize>,
}

impl<'i> Own<'i> {
    /// `None` under a condition, and outside of all variants.
    fn of(items: &'i Items, around: &[usize]) -> Option<Self> {
        let mut own = Own {
            labels: Vec::new(),
            rivals: FxHashMap::default(),
        };
        let mut block = None;
        for &header in around {
            match items.items().get(header)? {
                Item::Condition { .. } => return None,
                Item::Variants { variable, end } => {
                    block = Some((variable.map(|sym| items.symbol(sym)), header + 1, *end as usize));
                }
                Item::Variant(variant) => {
                    let (variable, start, end) = block?;
                    own.labels
                        .extend(items.labels(variant).map(|label| (variable, label)));
                    own.add_rivals(items, start, end, header);
                }
                _ => {}
            }
        }
        (!own.labels.is_empty()).then_some(own)
    }

    fn add_rivals(&mut self, items: &'i Items, start: usize, end: usize, chosen: usize) {
        let mut at = start;
        while at < end {
            let Some(Item::Variant(variant)) = items.items().get(at) else {
                return;
            };
            if at != chosen {
                for label in items.labels(variant) {
                    *self.rivals.entry(label).or_default() += 1;
                }
            }
            at = variant.end as usize;
        }
    }

    fn has(&self, items: &Items, label: &ItemLabel) -> bool {
        let value = items.symbol(label.value);
        let variable = label.variable.map(|sym| items.symbol(sym));
        self.labels
            .iter()
            .any(|(known, name)| *name == value && (variable.is_none() || *known == variable))
    }
}

fn show(items: &Items, label: &ItemLabel) -> String {
    let value = items.symbol(label.value);
    match label.variable {
        Some(variable) => format!("({}={value})", items.symbol(variable)),
        None => value.to_owned(),
    }
}
