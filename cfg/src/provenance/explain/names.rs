//! Names, dependencies and file maps: no statement sets them, the lines of variants add to them.

use rustc_hash::FxHashMap;

use super::Link;
use crate::apply::{list_repr, map_repr};
use crate::graph::{Graph, NodeId};
use crate::names;
use crate::raw::RawDict;

/// A change, and the factor that it belongs to.
type Placed = (Link, Option<usize>);

/// How the computed keys of a variant, made of `paths`, came about.
pub(super) fn computed(
    graph: &Graph,
    paths: &[&[NodeId]],
    raw: &RawDict,
) -> FxHashMap<&'static str, Vec<Placed>> {
    let mut out: FxHashMap<&'static str, Vec<Placed>> = FxHashMap::default();
    for (factor, path) in paths.iter().enumerate() {
        for (key, link) in of_path(graph, path) {
            out.entry(key).or_default().push((link, Some(factor)));
        }
    }
    let Some(join) = raw.join else { return out };
    let finals = [
        ("name", Some(raw.name.clone())),
        ("shortname", Some(raw.shortname.clone())),
        ("dep", Some(list_repr(&raw.dep))),
        ("_name_map_file", map_repr(&raw.maps, false)),
        ("_short_name_map_file", map_repr(&raw.maps, true)),
    ];
    for (key, after) in finals {
        let Some(links) = out.get_mut(key) else { continue };
        let before = links.last().and_then(|(link, _)| link.after.clone());
        let link = Link {
            at: graph.origin(join),
            stmt: None,
            operator: "join",
            before,
            after,
            under: Vec::new(),
        };
        links.push((link, None));
    }
    out
}

/// What each variant's line on a path added: to names and dependencies from the outside inwards, to file maps the other
/// way round.
fn of_path(graph: &Graph, path: &[NodeId]) -> Vec<(&'static str, Link)> {
    let mut out = Vec::new();
    let variants = |id: &NodeId| Some((*id, graph.node(*id).origin?));
    let text = |text: String| (!text.is_empty()).then_some(text);
    let list = |list: Vec<String>| (!list.is_empty()).then(|| list_repr(&list));
    for (index, id) in path.iter().enumerate() {
        let Some((_, at)) = variants(id) else { continue };
        let (outer, with) = (&path[..index], &path[..=index]);
        let mut add = |key, before, after| {
            if before != after {
                out.push((key, link(at, before, after)));
            }
        };
        add(
            "name",
            text(names::name(graph, outer)),
            text(names::name(graph, with)),
        );
        let short = |path| text(names::shortname(graph, path));
        add("shortname", short(outer), short(with));
        add(
            "dep",
            list(names::dep(graph, outer)),
            list(names::dep(graph, with)),
        );
    }
    let mut mapped: Vec<NodeId> = Vec::new();
    for (id, at) in path.iter().rev().filter_map(variants) {
        let before = names::maps(graph, &mapped);
        mapped.push(id);
        let after = names::maps(graph, &mapped);
        for (key, short) in [("_name_map_file", false), ("_short_name_map_file", true)] {
            out.push((key, link(at, map_repr(&before, short), map_repr(&after, short))));
        }
    }
    out
}

fn link(at: crate::graph::Origin, before: Option<String>, after: Option<String>) -> Link {
    Link {
        at,
        stmt: None,
        operator: "-",
        before,
        after,
        under: Vec::new(),
    }
}
