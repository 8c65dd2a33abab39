//! Arguments of the commands that one begins with: tests, providers and guests of one's own.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::{AccelArg, PlaceArgs, SelectArgs, StateArgs};

/// `vtbuild shell`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The machines are prepared as for the test: images built, overlays made, devices as the parameters say. The test's body is not \
run. When you leave, the machines end, and all that was written to their disks is gone. Where a saved state of the guest is \
at hand it is up at once; `--no-guest-state` shows it booting.

On a terminal your keys go to the guest; Ctrl-] brings you to the prompt `vtbuild>`, which knows these commands:
  ssh, serial, qmp   where to go next; the same as with --serial and --qmp
  vm NAME            another machine of the test
  info               where the machine is reached from outside: ssh, monitor, serial ports
  quit               end; so does the end of the guest's shell
At `qmp vm1>` type a command of the monitor: `query-status`, `device_del {\"id\": \"nic1\"}`, a whole JSON object, or \
`hmp info pci` for the human monitor.

Without a terminal each line of standard input is a command and its output goes to standard output; a line that begins with \
a colon is one of the commands above, as in `:qmp`. The end of the input ends it; the exit code is 1 if the last command \
failed.

Examples:
  vtbuild shell //uptime
  echo uptime | vtbuild shell //uptime
  echo query-status | vtbuild shell //boot --qmp
  vtbuild shell //boot --guest-os JeOS.12-firmware --serial")]
pub struct ShellArgs {
    /// Which variant: the target has to select exactly one
    #[command(flatten)]
    pub select: SelectArgs,
    /// Begin at the main monitor
    #[arg(long, conflicts_with = "serial")]
    pub qmp: bool,
    /// Begin at the first serial port
    #[arg(long)]
    pub serial: bool,
    /// Begin with this machine [default: the test's main_vm]
    #[arg(long, value_name = "NAME")]
    pub vm: Option<String>,
    /// Accelerator: auto boots a tiny guest to find out whether KVM really works
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// How the guests begin
    #[command(flatten)]
    pub states: StateArgs,
}

/// `vtbuild new`.
#[derive(Args, Debug, Clone)]
pub struct NewArgs {
    /// What to begin
    #[command(subcommand)]
    pub command: NewCommand,
}

/// What to begin.
#[derive(Subcommand, Debug, Clone)]
pub enum NewCommand {
    /// An empty test provider: a folder for tests, and the definition file that makes it known to the workspace
    Provider {
        /// Its folder; the provider is named after it
        #[arg(value_name = "DIR", default_value = "mine")]
        dir: Utf8PathBuf,
        /// Another name for it
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// A test that passes at once: its Python file and its configuration
    Test {
        /// Its name: letters, digits and underscores
        #[arg(value_name = "NAME")]
        name: String,
        /// The provider that gets it [default: the only one of the workspace]
        #[arg(long, value_name = "NAME")]
        provider: Option<String>,
        /// The backend it is for: generic runs on all
        #[arg(long, value_name = "NAME", default_value = "generic")]
        backend: String,
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// `vtbuild guest`.
#[derive(Args, Debug, Clone)]
pub struct GuestArgs {
    /// What to do
    #[command(subcommand)]
    pub command: GuestCommand,
}

/// What to do about guests.
#[derive(Subcommand, Debug, Clone)]
pub enum GuestCommand {
    /// Make a guest of an image: write its definition, boot it on a throw-away overlay, and log in
    Add(GuestAddArgs),
}

/// `vtbuild guest add`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The definition is shared/cfg/guest-os/Linux/LinuxCustom/NAME.cfg in the workspace (Windows/WindowsCustom with --windows), and \
the guest is then `--guest-os LinuxCustom.NAME`. What all guests of the family have in common (who logs in, how the prompt \
looks) is in Linux.cfg and Windows.cfg of the configuration set; say here what differs. The image stays where it is and is \
never written to. Where the guest cannot be logged in to, nothing is added.

Examples:
  vtbuild guest add FooLinux --image images/foo-linux.qcow2
  vtbuild guest add Rocky --image /srv/rocky.qcow2 --password secret --mem 2G
  vtbuild guest add FooWindows --image images/foo-windows.qcow2 --windows --no-verify")]
pub struct GuestAddArgs {
    /// Its name: letters, digits, - and _
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Its disk
    #[arg(long, value_name = "FILE")]
    pub image: Utf8PathBuf,
    /// It is a Windows guest
    #[arg(long)]
    pub windows: bool,
    /// Who logs in [default: root; Administrator on Windows]
    #[arg(long, value_name = "NAME")]
    pub username: Option<String>,
    /// With which password [default: that of the family]
    #[arg(long, value_name = "TEXT")]
    pub password: Option<String>,
    /// A regular expression for what the shell prints when it waits for a command
    #[arg(long, value_name = "REGEX")]
    pub prompt: Option<String>,
    /// Memory, in MiB or with a unit: 2G
    #[arg(long, value_name = "SIZE")]
    pub mem: Option<String>,
    /// Do not boot it
    #[arg(long)]
    pub no_verify: bool,
    /// Replace the definition of that name
    #[arg(long)]
    pub force: bool,
    /// Accelerator: auto boots a tiny guest to find out whether KVM really works
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
}
