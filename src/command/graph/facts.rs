//! What the page is told: the graph, the plan and why, the history, the last run, parameters and who set them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_json::{Value as Json, json};
use vtbuild_cfg::Variant;
use vtbuild_cfg::provenance::Explanation;
use vtbuild_engine::estimate::Estimates;
use vtbuild_engine::graph::Link;
use vtbuild_engine::spec::ActionId;

use crate::analysis::wrong;
use crate::command::log::{JobLog, Ran};
use crate::command::params::sources;
use crate::command::{note, why};
use crate::exit::Failure;
use crate::planned::Planned;

/// Up to so many tests, every parameter is told with the statement that set it; beyond, those that are in a key.
const PLACED: usize = 1_000;
/// From so many tests on it is said that this takes a while.
const MANY: usize = 1_000;

/// All that the page shows, as one value.
pub fn facts(planned: &Planned, targets: &[String]) -> Result<Json, Failure> {
    let graph = &planned.foreseen.graph;
    let latest = planned.analysis.workspace.root.join("job-results/latest");
    let job = latest
        .join("events.jsonl")
        .exists()
        .then(|| JobLog::read(&latest));
    let job = job.transpose()?;
    let last = job.as_ref().map(JobLog::last_by_title).unwrap_or_default();
    let mut teller = Teller {
        planned,
        estimates: Estimates::of(graph, &planned.foreseen.plan, planned.foreseen.resolver.store())?,
        wanted: graph.wanted().iter().copied().collect(),
        last,
        tables: Tables::default(),
    };
    let variants = with_variants(planned)?;
    if variants.len() >= MANY {
        note(&format!("reading the parameters of {} variants", variants.len()));
    }
    let mut nodes = Vec::with_capacity(graph.len());
    for &id in graph.order() {
        nodes.push(teller.node(
            id,
            variants.get(&*graph.spec(id).variant),
            variants.len() <= PLACED,
        )?);
    }
    let edges = graph.order().iter().flat_map(|&id| {
        let edge = move |(earlier, link): (ActionId, &Link)| match link {
            Link::Input { role, .. } | Link::Aid { role, .. } => {
                json!([earlier.index(), id.index(), role])
            }
            Link::After => json!([earlier.index(), id.index()]),
        };
        graph.waits_for(id).map(edge)
    });
    let edges: Vec<Json> = edges.collect();
    Ok(json!({
        "targets": targets, "nodes": nodes, "edges": edges,
        "job": job.as_ref().map(|job| job.folder().file_name().unwrap_or_default()),
        "facts": teller.tables.facts.list, "places": teller.tables.places.list,
    }))
}

/// The variants behind the actions of a graph, by name.
fn with_variants(planned: &Planned) -> Result<HashMap<String, Variant>, Failure> {
    why::variants(planned, |_| true)
}

/// Values that stand in many places, written once.
#[derive(Default)]
struct Table {
    list: Vec<Json>,
    known: HashMap<String, usize>,
}

impl Table {
    fn at(&mut self, value: Json) -> usize {
        let next = self.list.len();
        let at = *self.known.entry(value.to_string()).or_insert(next);
        if at == next {
            self.list.push(value);
        }
        at
    }
}

#[derive(Default)]
struct Tables {
    /// `[name, value]`, of parameters and of fields of keys.
    facts: Table,
    /// Statements with their places.
    places: Table,
}

struct Teller<'a> {
    planned: &'a Planned,
    estimates: Estimates,
    wanted: HashSet<ActionId>,
    last: HashMap<&'a str, &'a Ran>,
    tables: Tables,
}

impl Teller<'_> {
    fn node(&mut self, id: ActionId, variant: Option<&Variant>, all_places: bool) -> Result<Json, Failure> {
        let spec = self.planned.foreseen.graph.spec(id).clone();
        let told = why::tell(self.planned, variant, id)?;
        let mut node = told.json(true);
        let key = node["key"].take();
        node["id"] = id.index().into();
        node["wanted"] = self.wanted.contains(&id).into();
        if node["seconds"].is_null() && node["plan"] != "hit" {
            node["seconds"] = self.estimates.seconds(id).into();
            node["known"] = self.estimates.known(id).into();
        }
        node["memory_mib"] = spec.claim.memory_mib.into();
        node["vcpus"] = spec.claim.vcpus.into();
        if let Some(ran) = self.last.get(&*spec.title) {
            node["last"] = ran.json();
        }
        node["key"] = self.key(&key, &spec.declared);
        if let Some(variant) = variant {
            node["groups"] = groups(variant)?;
            node["params"] = self.params(variant, &key, all_places)?;
        }
        Ok(node)
    }

    /// The fields of a key; where that is not known yet, the parameters that will be in it.
    fn key(&mut self, key: &Json, declared: &[(Arc<str>, Option<Arc<str>>)]) -> Json {
        let fields: Vec<usize> = match key.as_object() {
            Some(fields) => fields
                .iter()
                .map(|(name, value)| self.tables.facts.at(json!([name, value])))
                .collect(),
            None => declared
                .iter()
                .map(|(name, value)| {
                    (
                        format!("params.{name}"),
                        value.as_ref().map(|value| format!("{value:?}")),
                    )
                })
                .map(|(name, value)| self.tables.facts.at(json!([name, value])))
                .collect(),
        };
        fields.into()
    }

    /// `[fact, place]` of each parameter, or the fact alone where its place is not told.
    fn params(&mut self, variant: &Variant, key: &Json, all_places: bool) -> Result<Json, Failure> {
        let explanation = Explanation::of(variant).map_err(|error| wrong(&error))?;
        let read = |name: &str| {
            let has = |prefix: &str| key.get(format!("{prefix}.{name}")).is_some();
            has("params") || has("reads")
        };
        let params = variant.params().map_err(wrong)?;
        let mut all = Vec::new();
        for (name, value) in params.iter() {
            let fact = self.tables.facts.at(json!([name, value]));
            let place = (all_places || read(name))
                .then(|| sources::of(&self.planned.analysis, &explanation, name))
                .and_then(|steps| steps.last().map(sources::Source::line));
            all.push(match place {
                Some(place) => json!([fact, self.tables.places.at(place.into())]),
                None => json!([fact]),
            });
        }
        Ok(all.into())
    }
}

/// What a test can be put together with others by: its provider, its labels in each configuration file, and the
/// variants of each named block.
fn groups(variant: &Variant) -> Result<Json, Failure> {
    let params = variant.params().map_err(wrong)?;
    let mut groups = serde_json::Map::new();
    let mut provider = params.iter().filter(|(name, _)| &**name == "provider");
    if let Some((_, provider)) = provider.next() {
        groups.insert("provider".to_owned(), provider.to_string().into());
    }
    for (file, labels) in variant.short_name_map() {
        let axis = match file.as_str() {
            "guest-os.cfg" => "guest".to_owned(),
            "subtests.cfg" => "test".to_owned(),
            file => file.trim_end_matches(".cfg").to_owned(),
        };
        groups.insert(axis, labels.into());
    }
    for (axis, value) in named(variant.name()) {
        groups.insert(axis.to_owned(), value.into());
    }
    Ok(groups.into())
}

/// The named blocks of a full name, `(axis=label)`. What the tests themselves are named by tells no axis.
fn named(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let inside = name.split('(').skip(1);
    inside
        .filter_map(|rest| rest.split_once(')')?.0.split_once('='))
        .filter(|(axis, _)| *axis != "subtest")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_blocks_are_axes() {
        let name = "(size=big).qemu.(image_backend=filesystem).(subtest=boot).12.(odd";
        let found: Vec<_> = named(name).collect();
        assert_eq!(found, [("size", "big"), ("image_backend", "filesystem")]);
    }

    #[test]
    fn a_value_stands_in_a_table_once() {
        let mut table = Table::default();
        assert_eq!(
            [json!(1), json!("1"), json!(1)].map(|value| table.at(value)),
            [0, 1, 0]
        );
        assert_eq!(table.list, [json!(1), json!("1")]);
    }
}
