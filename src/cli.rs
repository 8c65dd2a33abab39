//! The command line.

mod actions;
mod begin;
mod changes;
mod look;
mod sources;

use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand};

pub use self::actions::{
    AccelArg, ActionArgs, HostArgs, LogArgs, PlanArgs, Progress, RunArgs, RuntimeArg, StateArgs, WhyArgs,
};
pub use self::begin::{GuestAddArgs, GuestArgs, GuestCommand, NewArgs, NewCommand, ShellArgs};
pub use self::changes::{DiffArgs, DiffFormat, WatchArgs};
pub use self::look::{GraphArgs, GraphFormat, QueryArgs, QueryOutput};
pub use self::sources::{BootstrapArgs, DownloadArgs, DownloadCommand, ProvidersArgs, ProvidersCommand};
use crate::exit;

/// What the long help adds.
const EXAMPLES: &str = concat!(
    "Targets:\n",
    "  //...              every variant of the configuration\n",
    "  //migrate..tcp     variants with both labels, in any order (`..`)\n",
    "  //migrate.default  variants with both labels, one directly after the other (`.`)\n",
    "  //boot,reboot      either (`,`)\n",
    "  -//migrate         all but these\n\n",
    "Examples:\n",
    "  vtbuild //migrate..tcp                 run what has not passed yet in its present form\n",
    "  vtbuild run //boot --guest-os LinuxCustom.FooLinux\n",
    "  vtbuild list //migrate                 what would be selected, without running it\n",
    "  vtbuild params //migrate.default.tcp   the parameters of a variant; -s tells which statements made them\n",
    "  vtbuild plan //...                     what a run would do, and how long it would take\n",
    "  vtbuild why //boot                     the exact fields that differ from the last run, and who set them\n",
    "  vtbuild why-not //migrate..unix        the filter that is in the way of what is not listed\n",
    "  vtbuild lint                           what is hardly meant in a configuration\n",
    "  vtbuild diff HEAD .                    what your edit does to the variants, and what would run because of it\n",
    "  vtbuild watch //migrate                what each save changes, and the tests that it affects\n",
    "  vtbuild new provider && vtbuild new test uptime\n",
    "                                         the beginning of a test of your own: it passes at once\n",
    "  vtbuild shell //uptime                 a shell in the guest that the test would find\n",
    "  vtbuild doctor                         what this host lacks, and the command that mends it",
);

/// A build engine whose targets are virtualization tests.
///
/// Expands a Cartesian configuration into variants, prepares the guest images they need, boots real guests, runs the tests,
/// and remembers what passed: the next run repeats only what an edit has touched.
#[derive(Parser, Debug)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = exit::TABLE,
    after_long_help = format!("{EXAMPLES}\n\n{}", exit::TABLE),
)]
pub struct Cli {
    /// Options of a plain run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Another command.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The arguments with `-//FILTER` written as `!//FILTER`, which does not look like an option.
pub fn arguments() -> impl Iterator<Item = std::ffi::OsString> {
    std::env::args_os().map(
        |arg| match arg.to_str().and_then(|text| text.strip_prefix("-//")) {
            Some(filter) => format!("!//{filter}").into(),
            None => arg,
        },
    )
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Run the selected tests, and whatever they stand on, as far as the cache does not know the answer
    Run(RunArgs),
    /// Say what would run and why, what would be served, and how long it would take
    Plan(PlanArgs),
    /// Say why a test would run, or what it would be served from
    Why(WhyArgs),
    /// Say what a job did: what ran, what it waited for, what the cache saved
    Log(LogArgs),
    /// List the selected variants, or the guests
    List(ListArgs),
    /// Print the parameters of the selected variants
    Params(ParamsArgs),
    /// Say which filter is in the way of a variant that is not there
    WhyNot(WhyNotArgs),
    /// Find what is allowed in a configuration, but hardly what its author meant
    Lint(LintArgs),
    /// Lay configuration files out in the one canonical way
    Fmt(FmtArgs),
    /// Say what a change does: to the variants of two folders or git revisions, and what would run because of it
    Diff(DiffArgs),
    /// Stay, and on every save say what it changes, then run the tests that it affects
    Watch(WatchArgs),
    /// Print the variants of a configuration file, with the options of the field's own tool for it
    Cartesian(CartesianArgs),
    /// Boot the guest of a test, exactly as the test would find it, and type commands to it
    Shell(ShellArgs),
    /// Begin a test provider, or a test in one
    New(NewArgs),
    /// Do all at once what runs do by themselves: providers, folders, the guest's image; and say what the host lacks
    Bootstrap(BootstrapArgs),
    /// Say where tests come from, and take what is newest
    Providers(ProvidersArgs),
    /// Fetch, list and verify files from outside: guest images, installation media
    Download(DownloadArgs),
    /// Add a guest of your own
    Guest(GuestArgs),
    /// Draw the graph of the selected variants and all they stand on
    Graph(GraphArgs),
    /// Ask about the graph: what stands on an image, what a test stands on, how one comes to the other
    Query(QueryArgs),
    /// Remove job results and scratch folders of this workspace (the cache stays)
    Clean(CleanArgs),
    /// Look at the cache, or make it smaller
    Cache(CacheArgs),
    /// Say what is missing on this host and the command that mends it
    Doctor(DoctorArgs),
    /// Serve an editor: a language server for configuration files on standard input and output
    Lsp(LspArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Where things are.
#[derive(Args, Debug, Clone, Default)]
pub struct PlaceArgs {
    /// Workspace: the folder that holds vtbuild.toml [default: the nearest above the current one]
    #[arg(short = 'C', long, value_name = "DIR", global = false)]
    pub workspace: Option<Utf8PathBuf>,
    /// Cache folder [default: $XDG_CACHE_HOME/vtbuild]
    #[arg(long, value_name = "DIR", env = "VTBUILD_CACHE")]
    pub cache_dir: Option<Utf8PathBuf>,
    /// How large the cache may be before what is worth least in it goes, e.g. 50G [default: cache-size in vtbuild.toml, else
    /// 20G, or half of what a smaller disk has left]
    #[arg(long, value_name = "SIZE", env = "VTBUILD_CACHE_SIZE")]
    pub cache_size: Option<String>,
    /// Fail where vtbuild.lock would have to change, instead of changing it (for CI)
    #[arg(long)]
    pub locked: bool,
}

/// Which variants.
#[derive(Args, Debug, Clone, Default)]
pub struct SelectArgs {
    /// What to select, as //FILTER; -//FILTER takes away
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Of which configuration
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Which configuration, and what is added to it.
#[derive(Args, Debug, Clone, Default)]
pub struct ConfigArgs {
    /// Guest [default: from vtbuild.toml]
    #[arg(long, value_name = "NAME", alias = "vt-guest-os")]
    pub guest_os: Option<String>,
    /// Backend: qemu, libvirt, … [default: from vtbuild.toml]
    #[arg(long, value_name = "NAME")]
    pub vt_type: Option<String>,
    /// Keep only variants that match (a line `only FILTER` at the end of the configuration)
    #[arg(long, value_name = "FILTER")]
    pub only: Vec<String>,
    /// Drop variants that match (a line `no FILTER`)
    #[arg(long, value_name = "FILTER")]
    pub no: Vec<String>,
    /// Set a parameter in every variant (a line `KEY = VALUE`)
    #[arg(short, long = "param", value_name = "KEY=VALUE")]
    pub params: Vec<String>,
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `vtbuild list`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The lines that start with # are the filters in force: those of tests.cfg, of vtbuild.toml and of the command line.

Examples:
  vtbuild list //migrate              what `vtbuild //migrate` would run
  vtbuild list //... --tree           all names, each below what it belongs to
  vtbuild list //... --count          how many there are, however many: they are not listed for that
  vtbuild list //boot --runnable      which way it would be run, and what it lacks here
  vtbuild list --guests               one guest a line; (missing FILE) where its image is not there
  vtbuild list --guests --only q35    the same for another machine type")]
pub struct ListArgs {
    /// Which variants
    #[command(flatten)]
    pub select: SelectArgs,
    /// Full names, what a variant stands on, and the number of parameters
    #[arg(short, long)]
    pub verbose: bool,
    /// Guests instead of tests, and whether their images are there
    #[arg(long, alias = "vt-list-guests")]
    pub guests: bool,
    /// Which way each test would be run, and what it lacks on this host
    #[arg(long, conflicts_with_all = ["guests", "count", "tree", "verbose"])]
    pub runnable: bool,
    /// With --runnable: what is to run a test's Python, as for `run`
    #[arg(long, value_enum, default_value_t = RuntimeArg::Auto, requires = "runnable")]
    pub runtime: RuntimeArg,
    /// Only how many there are
    #[arg(long)]
    pub count: bool,
    /// Names as a tree
    #[arg(long, conflicts_with_all = ["json", "verbose", "guests", "count"])]
    pub tree: bool,
    /// As JSON, one object a line
    #[arg(long, conflicts_with = "count")]
    pub json: bool,
    /// List them all, even if there are more than 20,000
    #[arg(long)]
    pub all: bool,
}

/// `vtbuild why-not`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Every variant that would match, but is not there, is counted once: for the first filter against it. Filters of \
vtbuild.toml, of the command line, of the guest and of tests.cfg are told like all others.

Examples:
  vtbuild why-not //migrate..unix
  vtbuild why-not type_specific.bundled.migrate.unix
  vtbuild why-not //boot --guest-os Win10

Exits with 4 where no variant ever had such names.")]
pub struct WhyNotArgs {
    /// What is missed, as a name or //FILTER, and the rest of the selection
    #[command(flatten)]
    pub select: SelectArgs,
    /// How many statements are named
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub most: usize,
    /// As one JSON object
    #[arg(long)]
    pub json: bool,
}

/// `vtbuild params`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Examples:
  vtbuild params //migrate.default.tcp              everything that the test will see
  vtbuild params //boot -k mem -k '*_vm1'           one key, and keys by pattern
  vtbuild params //boot -k image_name --with-source the statements that made it, with file and line
  vtbuild params //boot --json | jq .params.mem     for other programs

With --with-source each key is followed by the statements that changed it, in the order in which they took effect:
  FILE:LINE: the statement
      OPERATOR  value before -> value after
      under FILE:LINE: the condition that it stands under, if any")]
pub struct ParamsArgs {
    /// Which variants
    #[command(flatten)]
    pub select: SelectArgs,
    /// Only this key; `*` stands for any text and `?` for one character; several mean any of them
    #[arg(short, long, value_name = "KEY")]
    pub key: Vec<String>,
    /// For each key the statements that made its value
    #[arg(short = 's', long)]
    pub with_source: bool,
    /// Full names
    #[arg(short, long)]
    pub fullname: bool,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Print them all, even if there are more than 20,000
    #[arg(long)]
    pub all: bool,
}

/// `vtbuild lint`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
What is found, as FILE:LINE:COLUMN: warning[CODE]: MESSAGE:
  never-matches        a filter that can match nothing where it stands: names that no variant carries, or never together
  unknown-label        one alternative of a filter asks for a name that no variant carries
  never-together       one alternative of a filter asks for names that never stand together there
  unknown-dependency   what a variant depends on does not exist
  always-dropped       filters remove a variant, whatever it is combined with; those outside of all variants do not count
  shadowed-assignment  a key is set twice in one block, and nothing can tell the first value
  tab                  tabs, which count as blanks up to the next multiple of eight columns
  python               in the Python of the workspace's own test providers, where `ruff` is installed: syntax errors, unknown
                       names, unused imports, or what the provider's own settings for ruff ask for
  unread-key           a note: a key that no rule, no test of a provider and no ${...} reads
  undecided            a note: how much of this would have taken too long to find out
Findings that say the same of several places are told once, with the places; of each kind, the most frequent first. \
Includes that are missing or cyclic, and all else that makes no sense, are errors.

Exits with 0 where nothing is found but notes, 1 with warnings, 3 with errors.

Examples:
  vtbuild lint                          the configuration of this workspace, providers' tests included
  vtbuild lint qemu/cfg/tests.cfg       one file and what it includes
  vtbuild lint --json | jq -r .code     for other programs")]
pub struct LintArgs {
    /// A configuration file, or the folder of a workspace or of a tests.cfg [default: this workspace]
    #[arg(value_name = "DIR|FILE")]
    pub path: Option<Utf8PathBuf>,
    /// How many different findings of each kind are told
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub most: usize,
    /// Every finding at every place
    #[arg(long)]
    pub all: bool,
    /// Also note keys that nothing known reads where there is no workspace, and so no test that could read them
    #[arg(long)]
    pub pedantic: bool,
    /// As JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `vtbuild fmt`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The layout: four blanks a level, one blank around operators and after commas, no tabs, no trailing blanks, at most one \
empty line at a time. Comments stay. What a file means never changes: a file whose layout cannot be changed without that is \
left as it is, and so is one with mistakes.

Exits with 0, with 1 where --check finds files in another layout, with 3 where a file is refused.

Examples:
  vtbuild fmt qemu/cfg                  all .cfg files below a folder
  vtbuild fmt --check qemu tests        for a CI job: names the files that are not in that layout
  vtbuild fmt - < tests.cfg             for an editor: standard input to standard output")]
pub struct FmtArgs {
    /// Configuration files, and folders of them; `-` is standard input
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<Utf8PathBuf>,
    /// Change nothing; name the files that would change
    #[arg(long)]
    pub check: bool,
}

/// `vtbuild cartesian`: the options are those of the field's own tool. As there, one may be said again, the last one counts,
/// and a long one may be cut short as far as no other begins like it.
#[derive(Args, Debug, Clone)]
#[command(args_override_self = true, infer_long_args = true)]
pub struct CartesianArgs {
    /// The configuration file
    #[arg(value_name = "FILE")]
    pub file: Utf8PathBuf,
    /// Configuration lines that are added at the end
    #[arg(value_name = "EXTRA TEXT")]
    pub extra: Vec<String>,
    /// Full names
    #[arg(short, long)]
    pub fullname: bool,
    /// The contents of each dict
    #[arg(short, long)]
    pub contents: bool,
    /// Dicts as Python prints them
    #[arg(short, long = "repr")]
    pub repr: bool,
    /// Only the default variant of each block that has one
    #[arg(short, long)]
    pub defaults: bool,
    /// With --defaults: comma-separated variables whose blocks are expanded all the same
    #[arg(short, long, value_name = "LIST")]
    pub expand: Option<String>,
    /// Keep suffixed keys that have the same value as the plain one
    #[arg(short = 's', long = "skip-dups")]
    pub keep_dups: bool,
    /// Name the files that were read, on standard error
    #[arg(short, long)]
    pub verbose: bool,
    /// The canonical dump: one JSON object a line
    #[arg(long, conflicts_with_all = ["sha", "names", "repr", "contents"])]
    pub jsonl: bool,
    /// The SHA-256 of the canonical dump, and the number of variants
    #[arg(long, conflicts_with_all = ["names", "repr", "contents"])]
    pub sha: bool,
    /// Full names, one a line
    #[arg(long, conflicts_with_all = ["repr", "contents"])]
    pub names: bool,
    /// Refuse what the reference implementation accepts by mistake
    #[arg(long)]
    pub strict: bool,
    /// Cache folder, where read configurations are kept [default: $XDG_CACHE_HOME/vtbuild]
    #[arg(long, value_name = "DIR", env = "VTBUILD_CACHE")]
    pub cache_dir: Option<Utf8PathBuf>,
}

/// `vtbuild clean`.
#[derive(Args, Debug, Clone)]
pub struct CleanArgs {
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Only say what would be removed
    #[arg(short = 'n', long)]
    pub dry_run: bool,
}

/// `vtbuild cache`.
#[derive(Args, Debug, Clone)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
After a run that put something into it, the cache is made as small as it should be. What goes first is what costs least \
seconds a byte to make again, with all that stands on it, and has not been used for long. What any running vtbuild uses stays.

Examples:
  vtbuild cache                          what is in it, by kind, and how large it may be
  vtbuild cache gc --dry-run             what would go now
  vtbuild cache gc --max-size 5G -n      what would go if it had to fit into 5 GiB"
)]
pub struct CacheArgs {
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
    /// What to do
    #[command(subcommand)]
    pub command: Option<CacheCommand>,
}

/// What to do with the cache.
#[derive(Subcommand, Debug, Clone)]
pub enum CacheCommand {
    /// What is in it, by kind
    Stat {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove what is worth least until the rest fits
    Gc {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
        /// How large the cache may be afterwards, e.g. 20G [default: what it may be anyway]
        #[arg(long, value_name = "SIZE")]
        max_size: Option<String>,
        /// Only say what would go
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// What an audit found to be non-deterministic: it is neither served nor stored
    Marks {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Let something be served and stored again that an audit has marked
    Unmark {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
        /// What is marked: a part of its name, or the beginning of its key
        #[arg(value_name = "NAME", required_unless_present = "all")]
        names: Vec<String>,
        /// Take all marks away
        #[arg(long, conflicts_with = "names")]
        all: bool,
    },
    /// Read everything again and compare it with its digest
    Verify {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// `vtbuild doctor`.
#[derive(Args, Debug, Clone)]
pub struct DoctorArgs {
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `vtbuild lsp`.
#[derive(Args, Debug, Clone)]
pub struct LspArgs {
    /// Where the workspace and the cache are [default: the workspace around the editor's folder]
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Talk over standard input and output, as it always does; some editors say so
    #[arg(long, hide = true)]
    pub stdio: bool,
}
