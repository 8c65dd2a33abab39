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
Nothing else looks for something newer: every other command uses the commits of vtbuild.lock, and fetches only what is not \
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

/// `vtbuild download`.
#[derive(Args, Debug, Clone)]
pub struct DownloadArgs {
    /// What to do
    #[command(subcommand)]
    pub command: DownloadCommand,
}

/// What to do about downloads.
#[derive(Subcommand, Debug, Clone)]
pub enum DownloadCommand {
    /// Name, whether it is there, its file and its title
    List {
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
        /// As JSON, one object a line
        #[arg(long)]
        json: bool,
    },
    /// Fetch files that shared/downloads/*.ini defines; one that is there and right is left alone
    #[command(after_help = "\
A transfer that was cut goes on where it ended, in this run or the next. The file appears in its place only when its digest \
is right: the one of vtbuild.lock, and the publisher's (sha256, sha256_url, sha1_url, …). What was fetched for the first time is \
locked in vtbuild.lock.

Exits with 0, with 5 where something could not be fetched, with 3 where a definition or --locked is in the way.

Examples:
  vtbuild download get jeos-27-x86_64
  vtbuild download get --all --locked      for CI")]
    Get {
        /// Which ones
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// All of them
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// Give up on a server that sends nothing for so long
        #[arg(long, value_name = "SECONDS", default_value_t = 30)]
        silence: u64,
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Read what is there again and compare it with its digest
    Verify {
        /// Which ones [default: all that are there]
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Where the workspace and the cache are
        #[command(flatten)]
        place: PlaceArgs,
    },
}

/// `vtbuild bootstrap`.
#[derive(Args, Debug, Clone)]
#[command(after_help = "\
Runs need no bootstrap: they fetch and build what is missing by themselves. It is there to do so beforehand, and to see what the \
host lacks. It asks nothing, and doing it again does only what is still missing.

Not taken over are --vt-selinux-setup (data belongs to the workspace; label it as your policy has it) and the \
--vt-host-distro-… options (nothing is generated from the host's distribution).

Exits with 0, with 5 where something mandatory is missing, with 3 where the configuration makes no sense.

Examples:
  vtbuild bootstrap --vt-type qemu
  vtbuild bootstrap --vt-type libvirt --vt-no-downloads     only what works without a network")]
pub struct BootstrapArgs {
    /// Backend: qemu, libvirt, … [default: from vtbuild.toml]
    #[arg(long, value_name = "NAME")]
    pub vt_type: Option<String>,
    /// Guest whose image is made [default: from vtbuild.toml]
    #[arg(long, value_name = "NAME", alias = "guest-os")]
    pub vt_guest_os: Option<String>,
    /// Use no network: neither providers nor images are fetched or built
    #[arg(long, alias = "no-downloads")]
    pub vt_no_downloads: bool,
    /// Leave the guest's image alone
    #[arg(long)]
    pub vt_skip_verify_download_assets: bool,
    /// Take what is newest of git providers, as `vtbuild providers update` does
    #[arg(long)]
    pub vt_update_providers: bool,
    /// Accepted; the generated configuration is always up to date, and files of yours are never overwritten
    #[arg(long)]
    pub vt_update_config: bool,
    /// Accepted; nothing is ever asked
    #[arg(long)]
    pub yes_to_all: bool,
    /// Where the workspace and the cache are
    #[command(flatten)]
    pub place: PlaceArgs,
}
