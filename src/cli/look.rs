//! Arguments of the commands that look at the graph.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{ActionArgs, ConfigArgs, RuntimeArg};

/// `vtbuild graph`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
--html writes one page that needs nothing but itself and a browser: what kind each action is, whether it would be served or \
run and why, what came of it last time, how long it takes, its parameters and who set them. Large graphs are drawn in groups \
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

/// `vtbuild query`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Expressions:
  //FILTER             the tests that a target selects; in quotes where it holds commas: \"//boot,reboot\"
  KIND(NAME)           actions by name, of a kind: image, test, file, deps, python, toolchain, visit
  deps(X)              X and all that it waits for;                   deps(X, 1): at most one step away
  rdeps(U, X)          X and all that waits for it, within deps(U);   rdeps(U, X, 1): at most one step away
  somepath(X, Y)       one shortest way from X to a Y that it waits for
  allpaths(X, Y)       all that lies on any such way
  kind(KIND, X)        those of X that are of a kind
  attr(KEY, VALUE, X)  those of X whose parameter KEY is like VALUE; title, label, kind and variant are keys too
  X + Y, X - Y, X ^ Y  union, except, intersect (those words too), from left to right; blanks around `-`
A NAME or VALUE is a part of the text; with `*` or `?` in it, the whole text.

The answer is one action a line, kind and name, each after those that it waits for. It is about the graph of all variants that \
the targets in the expression select; of all there are where it has no target.

Examples:
  vtbuild query 'rdeps(//..., image(jeos))'                what stands on the images called jeos
  vtbuild query 'kind(image, deps(//migrate..tcp))'        the images that these tests need
  vtbuild query 'somepath(//boot, file(*.qcow2))'          how a file comes into a test
  vtbuild query '//... - rdeps(//..., image(*))'           tests that need no image that is built
  vtbuild query 'attr(mem, 512, //...)' --output json
  vtbuild query 'allpaths(//boot, image(*))' --output dot | dot -Tsvg >it.svg")]
pub struct QueryArgs {
    /// The question, in quotes
    #[arg(value_name = "EXPRESSION")]
    pub expression: String,
    /// How the answer is written
    #[arg(long, value_enum, default_value_t = QueryOutput::Label)]
    pub output: QueryOutput,
    /// Ask about them all, even if there are more than 100,000
    #[arg(long)]
    pub all: bool,
    /// Of which configuration
    #[command(flatten)]
    pub config: ConfigArgs,
    /// What runs a test's Python, as for `run`
    #[arg(long, value_enum, default_value_t = RuntimeArg::Auto)]
    pub runtime: RuntimeArg,
}

/// `--output` of `vtbuild query`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueryOutput {
    /// Kind and name, one a line
    Label,
    /// Nodes and edges
    Json,
    /// Graphviz
    Dot,
}
