//! Arguments of the commands that are about a change.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};

use super::{AccelArg, ActionArgs, HostArgs, Progress, RunArgs, RuntimeArg, SelectArgs};

/// `vtbuild diff`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
OLD and NEW are each one of
  a folder with a tests.cfg, or a configuration file: that alone, and what it includes
  a folder of a workspace: its configuration, with its guest and filters
  a revision of the git repository around this workspace: the workspace as it was then

Where both are workspaces, both are planned against the cache, and what would run on the new side because of the difference is \
told with its time: what would have been served before, what is new, and what nobody has seen pass but the difference reaches. \
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

/// `vtbuild watch`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Every save of a configuration file, of a provider's Python, of a recipe or of vtbuild.toml is looked at at once: which variants are \
new, gone or other ones, key by key, and how long it took to find out. Then the tests that it affects run: those whose verdict \
does not hold any more, and those that never passed and that the save reaches.

An edit while tests run: one that affects an action of the run that is not done yet stops the run; what was left of it starts \
again with what the edit affects. Any other edit waits until the run is over. Mistakes in files are told, and the watch goes on. \
Ctrl-C stops what runs and ends the watch; a second one ends it at once.

Examples:
  vtbuild watch //migrate..tcp            edit, save, and see
  vtbuild watch //... --no-run            only what each save changes and would run
  vtbuild watch //boot --now              begin with the tests that have not passed yet")]
pub struct WatchArgs {
    /// Which actions
    #[command(flatten)]
    pub actions: ActionArgs,
    /// What of the host
    #[command(flatten)]
    pub host: HostArgs,
    /// Run nothing; only say what each save changes and would run
    #[arg(long)]
    pub no_run: bool,
    /// Begin with the tests that are not known to pass
    #[arg(long, conflicts_with = "no_run")]
    pub now: bool,
    /// Try a failed test again up to N times
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// Stop a test that takes longer than this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Where job results go [default: job-results in the workspace]
    #[arg(long, value_name = "DIR")]
    pub results: Option<Utf8PathBuf>,
}

impl WatchArgs {
    /// How affected tests are run. A live view would be drawn over what is said of the next edit.
    pub fn run(&self) -> RunArgs {
        RunArgs {
            actions: self.actions.clone(),
            host: self.host.clone(),
            retries: self.retries,
            timeout: self.timeout,
            results: self.results.clone(),
            progress: Progress::Plain,
            ..RunArgs::default()
        }
    }
}
