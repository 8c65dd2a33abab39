//! `vtbuild`: a build engine whose targets are virtualization tests.

mod analysis;
mod bundled;
mod cli;
mod collect;
mod command;
mod execution;
mod exit;
mod lock;
mod lsp;
mod planned;
mod recall;
mod report;
mod scratch;
mod ui;
mod wiring;
mod workspace;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};

use crate::cli::{Cli, Command};
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    // A guard is this same program: it must know so before anything else happens.
    vtbuild_providers::process::guard::run_if_asked();
    let cli = Cli::parse_from(cli::arguments());
    trace();
    match dispatch(&cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            let style = anstyle::Style::new()
                .fg_color(Some(anstyle::AnsiColor::Red.into()))
                .bold();
            // With standard error gone the exit code still says what kind it was.
            let _ = writeln!(anstream::stderr(), "{style}error:{style:#} {}", failure.message);
            failure.exit.into()
        }
    }
}

fn dispatch(cli: &Cli) -> Result<Exit, Failure> {
    match &cli.command {
        None => command::run::run(&cli.run),
        Some(Command::Run(args)) => command::run::run(args),
        Some(Command::Plan(args)) => command::plan::plan(args),
        Some(Command::Why(args)) => command::why::why(args),
        Some(Command::Log(args)) => command::log::log(args),
        Some(Command::List(args)) => command::list::list(args),
        Some(Command::Params(args)) => command::params::params(args),
        Some(Command::WhyNot(args)) => command::why_not::why_not(args),
        Some(Command::Lint(args)) => command::lint::lint(args),
        Some(Command::Fmt(args)) => command::fmt::fmt(args),
        Some(Command::Diff(args)) => command::diff::diff(args),
        Some(Command::Watch(args)) => command::watch::watch(args),
        Some(Command::Cartesian(args)) => command::cartesian::cartesian(args),
        Some(Command::Shell(args)) => command::shell::shell(args),
        Some(Command::Guest(args)) => command::guest::guest(args),
        Some(Command::New(args)) => command::new::new(args),
        Some(Command::Bootstrap(args)) => command::bootstrap::bootstrap(args),
        Some(Command::Download(args)) => command::download::download(args),
        Some(Command::Providers(args)) => command::providers::providers(args),
        Some(Command::Graph(args)) => command::graph::graph(args),
        Some(Command::Query(args)) => command::query::query(args),
        Some(Command::Clean(args)) => command::clean::clean(args),
        Some(Command::Cache(args)) => command::cache::cache(args),
        Some(Command::Doctor(args)) => command::doctor::doctor(args),
        Some(Command::Lsp(args)) => lsp::serve(args),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Cli::command(), "vtbuild", &mut script);
            command::print(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Good)
        }
    }
}

/// Diagnostics of our own, for people who work on vtbuild: `VTBUILD_LOG=debug`.
fn trace() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("VTBUILD_LOG");
    if let Ok(filter) = filter {
        tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .init();
    }
}
