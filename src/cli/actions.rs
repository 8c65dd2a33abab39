//! Arguments that say which actions are meant, and of the commands that look at a graph or a run.

use camino::Utf8PathBuf;
use clap::{Args, ValueEnum};
use vtbuild_providers::host::Runtime;
use vtbuild_rules::state::Policy;

use super::SelectArgs;

/// Which actions, and what their keys are made of.
#[derive(Args, Debug, Clone, Default)]
pub struct ActionArgs {
    /// Which variants
    #[command(flatten)]
    pub select: SelectArgs,
    /// Take them all, even if there are more than 10,000
    #[arg(long)]
    pub all: bool,
    /// Run the selected tests even if they are known to pass
    #[arg(short, long)]
    pub force: bool,
    /// Let every parameter of a test count, whether it was read or not
    #[arg(long)]
    pub strict_keys: bool,
    /// Accelerator: auto boots a tiny guest to find out whether KVM really works
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// What runs a test's Python: auto chooses for each test by what it uses
    #[arg(long, value_enum, default_value_t = RuntimeArg::Auto)]
    pub runtime: RuntimeArg,
    /// How guests begin
    #[command(flatten)]
    pub states: StateArgs,
}

/// How guests begin.
#[derive(Args, Debug, Clone, Default)]
pub struct StateArgs {
    /// Which tests begin with guests that are up already, from saved states, instead of booting them
    #[arg(long, value_enum, value_name = "WHEN", default_value_t = StatesArg::Auto)]
    pub guest_state: StatesArg,
    /// Boot all guests: the same as --guest-state never
    #[arg(long, conflicts_with = "guest_state")]
    pub no_guest_state: bool,
}

impl StateArgs {
    /// When tests begin from states of guests.
    pub fn policy(&self) -> Policy {
        match self.guest_state {
            _ if self.no_guest_state => Policy::Never,
            StatesArg::Auto => Policy::Auto,
            StatesArg::Always => Policy::Always,
            StatesArg::Never => Policy::Never,
        }
    }
}

/// What may be taken of the host at once.
#[derive(Args, Debug, Clone, Default)]
pub struct HostArgs {
    /// Tests at once [default: the number of CPUs]
    #[arg(short, long, value_name = "N")]
    pub jobs: Option<u32>,
    /// Memory that guests may take together, in MiB [default: three quarters of the host's]
    #[arg(long, value_name = "MIB")]
    pub memory: Option<u32>,
    /// Virtual CPUs that guests may have together [default: twice the number of CPUs]
    #[arg(long, value_name = "N")]
    pub vcpus: Option<u32>,
}

/// `vtbuild run`.
#[derive(Args, Debug, Clone, Default)]
pub struct RunArgs {
    /// Which actions
    #[command(flatten)]
    pub actions: ActionArgs,
    /// What of the host
    #[command(flatten)]
    pub host: HostArgs,
    /// Start nothing more after the first test that does not pass
    #[arg(long)]
    pub fail_fast: bool,
    /// Try a failed test again up to N times
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub retries: u32,
    /// Run each selected test N times, whatever the cache knows
    #[arg(long, value_name = "N")]
    pub runs: Option<u32>,
    /// Run a random share of what would be served again, and stop serving what comes out otherwise
    #[arg(long, value_name = "P%", value_parser = percent, conflicts_with_all = ["dry_run", "force", "runs"])]
    pub audit: Option<f64>,
    /// Choose the same share as an earlier --audit, which said this number
    #[arg(long, value_name = "N", requires = "audit")]
    pub seed: Option<u64>,
    /// Stop a test that takes longer than this many seconds
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u64>,
    /// Keep the guests of a test that did not pass, say where they are, and wait for Enter (needs a terminal)
    #[arg(long, conflicts_with = "timeout")]
    pub pause_on_fail: bool,
    /// Say what would run and why, and run nothing (`vtbuild plan` says more)
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Say why each test runs
    #[arg(long)]
    pub explain: bool,
    /// Where job results go [default: job-results in the workspace]
    #[arg(long, value_name = "DIR")]
    pub results: Option<Utf8PathBuf>,
    /// Serve a live view of the graph to a browser on this machine, and say where; it ends with the run
    #[arg(long, conflicts_with = "dry_run")]
    pub ui: bool,
    /// How progress is shown
    #[arg(long, value_enum, default_value_t = Progress::Auto)]
    pub progress: Progress,
}

/// A share such as `10%`; the sign may be left out.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').parse::<f64>();
    let wanted = || "expected a share between 0% and 100%, such as 10%".to_owned();
    let percent = number.map_err(|_| wanted())?;
    if (0.0..=100.0).contains(&percent) {
        Ok(percent)
    } else {
        Err(wanted())
    }
}

/// `--accel`.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AccelArg {
    /// KVM where it works, else TCG
    #[default]
    Auto,
    /// KVM
    Kvm,
    /// Emulation
    Tcg,
}

/// `--guest-state`.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatesArg {
    /// Those whose state is in the cache, or is shared by several tests of the run
    #[default]
    Auto,
    /// All that can: a state is made even for a single test
    Always,
    /// None
    Never,
}

/// `--runtime`.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RuntimeArg {
    /// Our own package where it is enough, else layered; what turns out to be missing there is run by upstream's
    #[default]
    Auto,
    /// Our own package, with the standard library alone
    Own,
    /// Our own machines, monitors and sessions over upstream's helper modules, which are installed from PyPI
    Layered,
    /// Upstream's package runs the whole test
    Upstream,
}

impl RuntimeArg {
    /// The runtime that all tests are to be run by, unless each is to be run by what it needs.
    pub fn asked(self) -> Option<Runtime> {
        match self {
            Self::Auto => None,
            Self::Own => Some(Runtime::Own),
            Self::Layered => Some(Runtime::Layered),
            Self::Upstream => Some(Runtime::Upstream),
        }
    }
}

/// `--progress`.
#[derive(ValueEnum, Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Progress {
    /// Live on a terminal, else plain
    #[default]
    Auto,
    /// A line for each thing that happens
    Plain,
    /// A live view
    Live,
}

/// `vtbuild plan`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Each action is a hit (served from the cache), a miss (it runs, and the reason is named) or a maybe: what it stands on runs first, \
and should that come out as before, it is a hit, unless something of its own has changed, which is named. Times are medians of \
earlier passes; `?` marks those that rest on other actions of the same kind. Images that are missing and that downloads bring \
are actions, too. Nothing is run, and nothing is fetched.

Examples:
  vtbuild plan //...                  what a run of everything would do, and how long it would take
  vtbuild plan //migrate --jobs 4     the same with four tests at a time
  vtbuild plan //migrate --json       for other programs: one object a line, the sum last")]
pub struct PlanArgs {
    /// Which actions
    #[command(flatten)]
    pub actions: ActionArgs,
    /// What of the host
    #[command(flatten)]
    pub host: HostArgs,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `vtbuild why`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
For a test that would run: every field that differs from its last run, old and new value, and the statement that set it. For one \
that would be served: which run it is served from. Fields are named as they are hashed: `params.X` was asked for by what makes \
the test's machines, `reads.X` by the test while it ran, `sources.X` is a file, `inputs.X` what another action made.

Examples:
  vtbuild why //migrate..tcp
  vtbuild why //boot --key            everything that its key is made of, host and tools included")]
pub struct WhyArgs {
    /// Which actions
    #[command(flatten)]
    pub actions: ActionArgs,
    /// Print all fields of the key
    #[arg(long)]
    pub key: bool,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// `vtbuild log`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  vtbuild log                            the newest job of this workspace
  vtbuild log job-results/job-2026-…     that one
  vtbuild log --profile trace.json       open it in a trace viewer (Perfetto, chrome://tracing)")]
pub struct LogArgs {
    /// The job's folder [default: job-results/latest]
    #[arg(value_name = "JOB")]
    pub job: Option<Utf8PathBuf>,
    /// Where the workspace is
    #[command(flatten)]
    pub place: super::PlaceArgs,
    /// How many of the slowest actions are named
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub slowest: usize,
    /// Write a trace in the Chrome format to this file
    #[arg(long, value_name = "FILE")]
    pub profile: Option<Utf8PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}
