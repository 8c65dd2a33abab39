//! A graph, or a part of one, in formats that other programs read.

use std::collections::BTreeSet;
use std::fmt::Write;

use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};
use serde_json::json;
use vtbuild_engine::graph::{Graph, Link};
use vtbuild_engine::spec::ActionId;

use crate::exit::{Exit, Failure};

/// A graph, or some of its actions with the edges between them.
pub struct Part<'a> {
    graph: &'a Graph,
    /// Those that are in it; `None` for all.
    kept: Option<&'a BTreeSet<ActionId>>,
}

impl<'a> Part<'a> {
    /// All of a graph.
    pub fn whole(graph: &'a Graph) -> Self {
        Self { graph, kept: None }
    }

    /// These actions of a graph.
    pub fn of(graph: &'a Graph, kept: &'a BTreeSet<ActionId>) -> Self {
        let kept = Some(kept);
        Self { graph, kept }
    }

    fn has(&self, id: ActionId) -> bool {
        self.kept.is_none_or(|kept| kept.contains(&id))
    }

    fn nodes(&self) -> impl Iterator<Item = ActionId> {
        self.graph.order().iter().copied().filter(|&id| self.has(id))
    }

    fn edges(&self) -> impl Iterator<Item = (ActionId, ActionId, &Link)> {
        self.nodes().flat_map(|id| {
            let waits = self.graph.waits_for(id);
            waits
                .filter(|(earlier, _)| self.has(*earlier))
                .map(move |(earlier, link)| (earlier, id, link))
        })
    }

    fn label(&self, id: ActionId) -> String {
        let spec = self.graph.spec(id);
        format!("{}: {}", spec.rule, spec.title)
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Graphviz.
pub fn dot(part: &Part<'_>) -> String {
    let mut text = String::from("digraph vtbuild {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for id in part.nodes() {
        let (shape, colour) = match part.graph.spec(id).rule.name {
            "image" => ("cylinder", "#cfe3f7"),
            "file" => ("note", "#eeeeee"),
            _ => ("box", "#dff2d8"),
        };
        let label = quoted(&part.label(id));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  n{} [label={label}, shape={shape}, style=filled, fillcolor=\"{colour}\"];",
            id.index()
        );
    }
    for (earlier, later, link) in part.edges() {
        let style = match link {
            Link::Input { role, .. } => format!("label={}", quoted(role)),
            Link::Aid { role, .. } => format!("label={}, style=dotted", quoted(role)),
            Link::After => "style=dashed".to_owned(),
        };
        let _ = writeln!(text, "  n{} -> n{} [{style}];", earlier.index(), later.index());
    }
    text.push_str("}\n");
    text
}

/// Nodes and edges.
pub fn json(part: &Part<'_>) -> String {
    let nodes = part.nodes().map(|id| {
        let spec = part.graph.spec(id);
        let wanted = part.graph.wanted().contains(&id);
        json!({
            "id": id.index(), "rule": spec.rule.name, "title": spec.title, "label": spec.label, "wanted": wanted,
            "memory_mib": spec.claim.memory_mib, "vcpus": spec.claim.vcpus,
        })
    });
    let edges = part.edges().map(|(from, to, link)| match link {
        Link::Input { role, .. } => {
            json!({ "from": from.index(), "to": to.index(), "kind": "input", "role": role })
        }
        Link::Aid { role, .. } => {
            json!({ "from": from.index(), "to": to.index(), "kind": "aid", "role": role })
        }
        Link::After => json!({ "from": from.index(), "to": to.index(), "kind": "after" }),
    });
    let whole = json!({ "nodes": nodes.collect::<Vec<_>>(), "edges": edges.collect::<Vec<_>>() });
    format!("{whole:#}\n")
}

/// A flow chart for Markdown. What Mermaid would take for its own syntax is written as entities.
pub fn mermaid(part: &Part<'_>) -> String {
    let escaped = |text: &str| {
        let keep = |c: char| c.is_alphanumeric() || " .,:_-/=".contains(c);
        text.chars().fold(String::new(), |mut all, c| {
            // Writing to a string cannot fail.
            let _ = if keep(c) {
                write!(all, "{c}")
            } else {
                write!(all, "#{};", u32::from(c))
            };
            all
        })
    };
    let mut text = String::from("flowchart LR\n");
    for id in part.nodes() {
        let label = escaped(&part.label(id));
        let (open, close) = match part.graph.spec(id).rule.name {
            "image" => ("[(", ")]"),
            "file" => (">", "]"),
            _ => ("[", "]"),
        };
        let _ = writeln!(text, "  n{}{open}\"{label}\"{close}", id.index());
    }
    for (earlier, later, link) in part.edges() {
        let arrow = match link {
            Link::Aid { role, .. } => format!("-.->|\"{}\"|", escaped(role)),
            Link::Input { role, .. } => format!("-->|\"{}\"|", escaped(role)),
            Link::After => "-.->".to_owned(),
        };
        let _ = writeln!(text, "  n{} {arrow} n{}", earlier.index(), later.index());
    }
    text
}

/// `GraphML`, for yEd, Gephi, networkx and the like.
pub fn graphml(part: &Part<'_>) -> String {
    let mut text = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n",
    );
    for (owner, key, kind) in [
        ("node", "rule", "string"),
        ("node", "title", "string"),
        ("node", "label", "string"),
        ("node", "wanted", "boolean"),
        ("edge", "kind", "string"),
        ("edge", "role", "string"),
    ] {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  <key id=\"{key}\" for=\"{owner}\" attr.name=\"{key}\" attr.type=\"{kind}\"/>"
        );
    }
    text.push_str("  <graph id=\"vtbuild\" edgedefault=\"directed\">\n");
    let data = |key: &str, value: &str| format!("<data key=\"{key}\">{}</data>", xml(value));
    for id in part.nodes() {
        let spec = part.graph.spec(id);
        let wanted = part.graph.wanted().contains(&id).to_string();
        let all = [
            data("rule", spec.rule.name),
            data("title", &spec.title),
            data("label", &spec.label),
            data("wanted", &wanted),
        ];
        let _ = writeln!(text, "    <node id=\"n{}\">{}</node>", id.index(), all.concat());
    }
    for (earlier, later, link) in part.edges() {
        let all = match link {
            Link::Input { role, .. } => data("kind", "input") + &data("role", role),
            Link::Aid { role, .. } => data("kind", "aid") + &data("role", role),
            Link::After => data("kind", "after"),
        };
        let _ = writeln!(
            text,
            "    <edge source=\"n{}\" target=\"n{}\">{all}</edge>",
            earlier.index(),
            later.index()
        );
    }
    text.push_str("  </graph>\n</graphml>\n");
    text
}

/// Text inside an XML element. What XML 1.0 cannot say at all is left out.
fn xml(text: &str) -> String {
    let mut all = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => all.push_str("&amp;"),
            '<' => all.push_str("&lt;"),
            '>' => all.push_str("&gt;"),
            '\t' | '\n' | '\r' => all.push(c),
            c if c.is_control() => {}
            c => all.push(c),
        }
    }
    all
}

/// A picture.
pub fn svg(part: &Part<'_>) -> Result<String, Failure> {
    // The drawing library knows no cylinders and no notes.
    let plain = dot(part)
        .replace("shape=cylinder", "shape=ellipse")
        .replace("shape=note", "shape=box");
    let bug = |error: String| Failure::new(Exit::Bug, format!("failed to draw the graph: {error}"));
    let tree = DotParser::new(&plain).process().map_err(bug)?;
    let mut builder = GraphBuilder::new();
    builder.visit_graph(&tree);
    let mut writer = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut writer);
    Ok(writer.finalize())
}
