//! One variant: a path of the tree, from which everything else is made when it is asked for.

mod fingerprint;

use std::cell::RefCell;
use std::sync::{Arc, OnceLock};

use crate::apply::{Applier, Modes, NoWatch, Watch};
use crate::diagnostic::Diagnostic;
use crate::filter::Label;
use crate::graph::{Graph, NodeId, TextRef};
use crate::names;
use crate::params::Params;
use crate::raw::RawDict;
pub use fingerprint::{Fingerprint, Fingerprints};

thread_local! {
    /// Working space, reused from variant to variant.
    static APPLIER: RefCell<Applier> = RefCell::default();
}

/// One combination of variants, with its parameters.
#[derive(Clone, Debug)]
pub struct Variant {
    graph: Arc<Graph>,
    path: Box<[NodeId]>,
    joined: Option<Box<RawDict>>,
    modes: Modes,
    name: OnceLock<String>,
    params: OnceLock<Result<Arc<Params>, Box<Diagnostic>>>,
}

impl Variant {
    pub(crate) fn new(
        graph: Arc<Graph>,
        path: Box<[NodeId]>,
        joined: Option<Box<RawDict>>,
        modes: Modes,
    ) -> Self {
        Variant {
            graph,
            path,
            joined,
            modes,
            name: OnceLock::new(),
            params: OnceLock::new(),
        }
    }

    /// The full name: every label, outermost first; `(variable=value)` for those of named blocks.
    pub fn name(&self) -> &str {
        self.name.get_or_init(|| match &self.joined {
            Some(joined) => joined.name.clone(),
            None => names::name(&self.graph, &self.path),
        })
    }

    /// The short name: label values of all variants but default ones.
    pub fn shortname(&self) -> String {
        match &self.joined {
            Some(joined) => joined.shortname.clone(),
            None => names::shortname(&self.graph, &self.path),
        }
    }

    /// Names of what the variant depends on, as filters would spell them.
    pub fn dep(&self) -> Vec<String> {
        match &self.joined {
            Some(joined) => joined.dep.clone(),
            None => names::dep(&self.graph, &self.path),
        }
    }

    /// The labels of the name, outermost first. Of a joined variant: those of its last factor.
    pub fn labels(&self) -> Vec<Label> {
        let text = |sym| self.graph.symbols.text(sym).to_owned();
        names::labels(&self.graph, &self.path)
            .map(|label| Label {
                variable: label.variable.map(text),
                value: text(label.value),
            })
            .collect()
    }

    /// For each file, by base name, the labels of the variants that it defined.
    pub fn name_map(&self) -> Vec<(String, String)> {
        self.maps()
            .into_iter()
            .map(|(file, full, _)| (file, full))
            .collect()
    }

    /// For each file, by base name, the label values of the variants that it defined.
    pub fn short_name_map(&self) -> Vec<(String, String)> {
        self.maps()
            .into_iter()
            .map(|(file, _, values)| (file, values))
            .collect()
    }

    /// The name a test runner shows: the short name within `subtests.cfg` if the variant has one, else the short name.
    pub fn test_name(&self) -> String {
        let subtest = self
            .maps()
            .into_iter()
            .find(|(file, _, _)| file == "subtests.cfg");
        subtest.map_or_else(|| self.shortname(), |(_, _, values)| values)
    }

    pub(crate) fn maps(&self) -> Vec<(String, String, String)> {
        if let Some(joined) = &self.joined {
            return joined.maps.clone();
        }
        let is_variant = |id: &NodeId| self.graph.node(*id).origin.is_some();
        let mapped: Vec<NodeId> = self.path.iter().rev().copied().filter(is_variant).collect();
        names::maps(&self.graph, &mapped)
    }

    /// The parameters, computed when first asked for.
    ///
    /// # Errors
    /// An operation along the path cannot be applied: a bound that is no number, a key pattern that is no pattern.
    pub fn params(&self) -> Result<&Arc<Params>, &Diagnostic> {
        let computed = self.params.get_or_init(|| self.compute().map(Arc::new));
        computed.as_ref().map_err(|error| &**error)
    }

    fn compute(&self) -> Result<Params, Box<Diagnostic>> {
        if let Some(joined) = &self.joined {
            return Ok(self.flattened((**joined).clone()));
        }
        APPLIER.with_borrow_mut(|applier| {
            applier.run(&self.graph, &self.path, self.modes, &mut NoWatch)?;
            if applier.has_suffixes() {
                return Ok(self.flattened(applier.raw(&self.graph)));
            }
            Ok(self.collect(applier))
        })
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn keep_dups(&self) -> bool {
        self.modes.keep_dups
    }

    /// The paths that were merged into this variant; its own, unless joins took part.
    pub(crate) fn factors(&self) -> Vec<&[NodeId]> {
        match &self.joined {
            Some(joined) => joined.factors.iter().map(|path| &**path).collect(),
            None => vec![&self.path],
        }
    }

    /// Applies the operations of one of its factors once more, telling `watch` of each. What came of it.
    pub(crate) fn watch<W: Watch>(
        &self,
        factor: &[NodeId],
        watch: &mut W,
    ) -> Result<RawDict, Box<Diagnostic>> {
        APPLIER.with_borrow_mut(|applier| {
            applier.run(&self.graph, factor, self.modes, watch)?;
            Ok(applier.raw(&self.graph))
        })
    }

    /// What joins merged into this variant.
    pub(crate) fn joined(&self) -> Option<&RawDict> {
        self.joined.as_deref()
    }

    fn flattened(&self, raw: RawDict) -> Params {
        let names = [
            ("name".to_owned(), raw.name.clone()),
            ("shortname".to_owned(), raw.shortname.clone()),
        ];
        let made = raw.flatten(self.modes.keep_dups).into_iter();
        let pairs = names.into_iter().chain(made.map(|made| (made.key, made.value)));
        Params::from_parts(self.graph.clone(), pairs)
    }

    fn collect(&self, applier: &Applier) -> Params {
        let (name, shortname) = applier.names();
        let own = applier.dict().own();
        let mut text = String::with_capacity(own.len() + name.len() + shortname.len());
        text.push_str(own);
        let mut entries = Vec::with_capacity(applier.dict().len() + 2);
        for (key, value) in [(0, name), (1, shortname)] {
            let at = TextRef {
                arena: TextRef::OWN,
                start: text.len() as u32,
                len: value.len() as u32,
            };
            text.push_str(value);
            entries.push((key, at));
        }
        entries.extend(applier.dict().iter());
        Params::new(self.graph.clone(), entries, text)
    }
}

/// The data of a path with suffixed keys still apart.
///
/// # Errors
/// An operation along the path cannot be applied.
pub(crate) fn raw_dict(graph: &Graph, path: &[NodeId], modes: Modes) -> Result<RawDict, Box<Diagnostic>> {
    APPLIER.with_borrow_mut(|applier| {
        applier.run(graph, path, modes, &mut NoWatch)?;
        let mut raw = applier.raw(graph);
        raw.factors.push(path.into());
        Ok(raw)
    })
}
