//! Arguments of the commands that writing tests begins with.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand};

use super::{AccelArg, PlaceArgs, SelectArgs};

/// `vtbuild shell`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
The machines are prepared as for the test: images built, overlays made, devices as the parameters say. The test's body is not
run. When you leave, the machines end, and all that was written to their disks is gone.

On a terminal your keys go to the guest; Ctrl-] brings you to the prompt `vtbuild>`, which knows these commands:
  ssh, serial, qmp   where to go next; the same as with --serial and --qmp
  vm NAME            another machine of the test
  info               where the machine is reached from outside: ssh, monitor, serial ports
  quit               end; so does the end of the guest's shell
At `qmp vm1>` type a command of the monitor: `query-status`, `device_del {\"id\": \"nic1\"}`, a whole JSON object, or
`hmp info pci` for the human monitor.

Without a terminal each line of standard input is a command and its output goes to standard output; a line that begins with
a colon is one of the commands above, as in `:qmp`. The end of the input ends it; the exit code is 1 if the last command
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
