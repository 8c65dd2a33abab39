//! Arguments of the commands that are about a change.

use clap::{Args, ValueEnum};

use super::{AccelArg, HostArgs, RuntimeArg, SelectArgs};

/// `vtbuild diff`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
OLD and NEW are each one of
  a folder with a tests.cfg, or a configuration file: that alone, and what it includes
  a folder of a workspace: its configuration, with its guest and filters
  a revision of the git repository around this workspace: the workspace as it was then

Where both are workspaces, both are planned against the cache, and what would run on the new side because of the difference is
told with its time: what would have been served before, what is new, and what nobody has seen pass but the difference reaches.
Times are medians of earlier passes; `?` marks those that rest on other actions of the same kind. Nothing is run.

Exits with 0 where all variants are the same and nothing would run because of the difference, else with 1.

Examples:
  vtbuild diff HEAD .                      what your edit does to the variants, key by key, and what would run
  vtbuild diff v1.0 v1.1 //migrate..tcp    the same for two releases and one kind of test
  vtbuild diff origin/main HEAD --format markdown
                                           a comment for a pull request
  vtbuild diff old/cfg new/cfg --json      for other programs: one object a line, the sum last")]
pub struct DiffArgs {
    /// The state before
    #[arg(value_name = "OLD")]
    pub old: String,
    /// The state after
    #[arg(value_name = "NEW")]
    pub new: String,
    /// Which variants
    #[command(flatten)]
    pub select: SelectArgs,
    /// How it is told
    #[arg(long, value_enum, default_value_t = DiffFormat::Text)]
    pub format: DiffFormat,
    /// As JSON, one object a line
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
    /// Compare variants alone; do not ask what would run
    #[arg(long)]
    pub variants_only: bool,
    /// Compare them all, even if there are more than 50,000 (10,000 for what would run)
    #[arg(long)]
    pub all: bool,
    /// Accelerator, as for `run`
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// What runs a test's Python, as for `run`
    #[arg(long, value_enum, default_value_t = RuntimeArg::Auto)]
    pub runtime: RuntimeArg,
    /// What of the host the time is told for
    #[command(flatten)]
    pub host: HostArgs,
}

impl DiffArgs {
    /// How it is told.
    pub fn format(&self) -> DiffFormat {
        if self.json { DiffFormat::Json } else { self.format }
    }
}

/// `--format` of `vtbuild diff`.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiffFormat {
    /// For people
    Text,
    /// A comment for a pull request
    Markdown,
    /// One object a line
    Json,
}
