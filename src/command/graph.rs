//! `vtbuild graph`.

use std::fmt::Write;

use layout::backends::svg::SVGWriter;
use layout::gv::{DotParser, GraphBuilder};
use serde_json::json;
use vtbuild_engine::graph::{Graph, Link};
use vtbuild_engine::spec::ActionId;

use super::print;
use crate::analysis::Analysis;
use crate::cli::{AccelArg, GraphArgs, GraphFormat};
use crate::exit::{Exit, Failure};
use crate::wiring::Wiring;

/// How many tests are drawn without being insisted upon.
const MOST: usize = 10_000;

/// Draws the graph of the selected variants.
pub fn graph(args: &GraphArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let variants = if args.all {
        analysis.variants(None)?
    } else {
        analysis.at_most(MOST, "draw")?
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // What accelerates the guests does not change the picture.
    let wiring = runtime.block_on(Wiring::of(
        &analysis.workspace,
        &variants,
        AccelArg::Tcg,
        args.runtime,
    ))?;
    let graph = wiring.graph(&variants)?;
    let text = match args.format {
        GraphFormat::Dot => dot(&graph),
        GraphFormat::Json => json_text(&graph),
        GraphFormat::Svg => svg(&graph)?,
    };
    match &args.output {
        None => print(&text)?,
        Some(path) => std::fs::write(path, text)
            .map_err(|error| Failure::environment(format!("failed to write {path}: {error}")))?,
    }
    Ok(Exit::Good)
}

fn edges(graph: &Graph) -> impl Iterator<Item = (ActionId, ActionId, &Link)> {
    graph.order().iter().flat_map(|&id| {
        graph
            .waits_for(id)
            .map(move |(earlier, link)| (earlier, id, link))
    })
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn dot(graph: &Graph) -> String {
    let mut text = String::from("digraph vtbuild {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n");
    for &id in graph.order() {
        let spec = graph.spec(id);
        let (shape, colour) = match spec.rule.name {
            "image" => ("cylinder", "#cfe3f7"),
            "file" => ("note", "#eeeeee"),
            _ => ("box", "#dff2d8"),
        };
        let label = quoted(&format!("{}: {}", spec.rule, spec.title));
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "  n{} [label={label}, shape={shape}, style=filled, fillcolor=\"{colour}\"];",
            id.index()
        );
    }
    for (earlier, later, link) in edges(graph) {
        let style = match link {
            Link::Input { role, .. } => format!("label={}", quoted(role)),
            Link::After => "style=dashed".to_owned(),
        };
        let _ = writeln!(text, "  n{} -> n{} [{style}];", earlier.index(), later.index());
    }
    text.push_str("}\n");
    text
}

fn json_text(graph: &Graph) -> String {
    let nodes = graph.order().iter().map(|&id| {
        let spec = graph.spec(id);
        let wanted = graph.wanted().contains(&id);
        json!({
            "id": id.index(), "rule": spec.rule.name, "title": spec.title, "label": spec.label, "wanted": wanted,
            "memory_mib": spec.claim.memory_mib, "vcpus": spec.claim.vcpus,
        })
    });
    let edges = edges(graph).map(|(from, to, link)| match link {
        Link::Input { role, .. } => {
            json!({ "from": from.index(), "to": to.index(), "kind": "input", "role": role })
        }
        Link::After => json!({ "from": from.index(), "to": to.index(), "kind": "after" }),
    });
    let whole = json!({ "nodes": nodes.collect::<Vec<_>>(), "edges": edges.collect::<Vec<_>>() });
    format!("{whole:#}\n")
}

fn svg(graph: &Graph) -> Result<String, Failure> {
    // The drawing library knows no cylinders and no notes.
    let plain = dot(graph)
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
