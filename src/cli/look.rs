//! Arguments of the commands that look at the graph.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::ActionArgs;

/// `vtbuild graph`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
--html writes one page that needs nothing but itself and a browser: what kind each action is, whether it would be served or
run and why, what came of it last time, how long it takes, its parameters and who set them. Large graphs are drawn in groups
that open on a click. docs/graph.md tells how to find one's way in it.

Examples:
  vtbuild graph //... --html graph.html      the page
  vtbuild graph //migrate --open             the same, shown at once; it lies in job-results/graph.html
  vtbuild graph //boot | dot -Tpng >it.png   Graphviz
  vtbuild graph //boot --format mermaid      for a comment in Markdown")]
pub struct GraphArgs {
    /// Which actions
    #[command(flatten)]
    pub actions: ActionArgs,
    /// The format
    #[arg(long, value_enum, default_value_t = GraphFormat::Dot)]
    pub format: GraphFormat,
    /// Write to a file instead of the terminal
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<Utf8PathBuf>,
    /// Write a page to look at
    #[arg(long, value_name = "FILE", conflicts_with_all = ["format", "output"])]
    pub html: Option<Utf8PathBuf>,
    /// Show the page in the desktop's browser
    #[arg(long, conflicts_with_all = ["format", "output"])]
    pub open: bool,
}

/// `--format` of `vtbuild graph`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum GraphFormat {
    /// Graphviz
    Dot,
    /// A picture
    Svg,
    /// A flow chart for Markdown
    Mermaid,
    /// Nodes and edges
    Json,
    /// XML for yEd, Gephi, networkx
    Graphml,
}
