//! A variant as rules see it.

use std::sync::Arc;

/// Parameters in the order in which they were set.
pub type Params = Vec<(Arc<str>, Arc<str>)>;

/// One variant of a configuration.
#[derive(Clone, Debug)]
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
