//! The commands about what comes from outside the workspace.

use clap::{Args, Subcommand};

use super::PlaceArgs;

/// `vtbuild providers`.
#[derive(Args, Debug, Clone)]
pub struct ProvidersArgs {
    /// What to do
    #[command(subcommand)]
    pub command: ProvidersCommand,
}

/// What to do about test providers.
#[derive(Subcommand, Debug, Clone)]
pub enum ProvidersCommand {
    /// Name, address, commit, backends and numbers of each, and what is wrong
    #[command(after_help = "Exits with 0, with 1 where a provider cannot be used.")]
    List {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Fetch what the definitions in test-providers.d mean by now, and lock it in vtbuild.lock
    #[command(after_help = "\
Nothing else looks for something newer: every other command uses the commits of vtbuild.lock, and fetches only what is not
locked or not in the cache yet. Providers that are folders are used as they are.

Exits with 0, with 5 where one could not be fetched; the others are updated all the same.

Examples:
  vtbuild providers update                 all of them
  vtbuild providers update user-libvirt    test-providers.d/user-libvirt.ini")]
    Update {
        /// Which ones [default: all]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Print the subtests.cfg that is put together from all of them
    Subtests {
        /// Backend: qemu, libvirt, … [default: from vtbuild.toml]
        #[arg(long, value_name = "NAME")]
        vt_type: Option<String>,
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
}
