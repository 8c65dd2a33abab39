//! A variant as rules see it.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use vtbuild_cfg::Diagnostic;

/// Parameters in the order in which they were set.
pub type Params = Vec<(Arc<str>, Arc<str>)>;

/// One variant of a configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Variant {
    /// The full name: unique within one expansion.
    pub name: Arc<str>,
    /// The name without default labels.
    pub shortname: Arc<str>,
    /// The name by which the field calls the test: its labels in `subtests.cfg`, else the short name.
    pub test_id: Arc<str>,
    /// `dep` entries.
    pub dep: Vec<Arc<str>>,
    /// For each configuration file the labels of this variant that stand in it, joined by dots.
    pub name_map: Vec<(String, String)>,
    /// The same without the variables of named labels.
    pub short_name_map: Vec<(String, String)>,
    /// The parameters, in the order in which they were set.
    pub params: Arc<Params>,
}

impl Variant {
    /// A variant of the configuration, computed; `texts` holds what it shares with others.
    pub(crate) fn of(variant: &vtbuild_cfg::Variant, texts: &mut Texts) -> Result<Self, Box<Diagnostic>> {
        let params = variant
            .params()
            .map_err(|diagnostic| Box::new(diagnostic.clone()))?;
        Ok(Self {
            name: variant.name().into(),
            shortname: variant.shortname().into(),
            test_id: variant.test_name().into(),
            dep: variant.dep().into_iter().map(Arc::from).collect(),
            name_map: variant.name_map(),
            short_name_map: variant.short_name_map(),
            params: Arc::new(
                params
                    .iter()
                    .map(|(key, value)| (texts.share(key), texts.share(value)))
                    .collect(),
            ),
        })
    }
}

/// Texts that stand in many variants, kept once.
#[derive(Default)]
pub(crate) struct Texts(FxHashSet<Arc<str>>);

impl Texts {
    fn share(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return known.clone();
        }
        let text: Arc<str> = Arc::from(text);
        self.0.insert(text.clone());
        text
    }

    /// Lets go of texts that no variant has any more.
    pub(crate) fn forget_unused(&mut self) {
        self.0.retain(|text| Arc::strong_count(text) > 1);
    }
}
