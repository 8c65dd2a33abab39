//! The steps of a migration, and the way back from each.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::settings::Settings;
use super::transport::Route;
use super::{MigrateError, Migrated, Migration};
use crate::machine::handle::Machine;
use crate::machine::spec::MachineSpec;
use crate::machine::start::{Incoming, Launch};
use crate::machine::state::RunState;

const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// How often a migration is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// How long the source may take to give up after it was told to.
const CANCEL_PATIENCE: Duration = Duration::from_secs(30);

/// How long a QEMU may take to end once its machine is elsewhere.
const QUIT_PATIENCE: Duration = Duration::from_secs(10);

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Source,
    Destination,
}

/// The two sides of a migration.
pub(super) struct Ends<'a> {
    pub(super) source: &'a Machine,
    pub(super) destination: Machine,
}

impl Ends<'_> {
    fn machine(&self, side: Side) -> (&Machine, &'static str) {
        match side {
            Side::Source => (self.source, "source"),
            Side::Destination => (&self.destination, "destination"),
        }
    }

    pub(super) async fn command(
        &self,
        side: Side,
        name: &str,
        arguments: Value,
    ) -> Result<Value, MigrateError> {
        let (machine, side) = self.machine(side);
        let result = machine
            .qmp()
            .command(name, Some(arguments), COMMAND_PATIENCE)
            .await;
        result.map_err(|source| MigrateError::Monitor {
            machine: machine.name().to_owned(),
            side,
            source,
        })
    }

    pub(super) async fn give(&self, side: Side, name: &str, fd: BorrowedFd<'_>) -> Result<(), MigrateError> {
        let (machine, side) = self.machine(side);
        let result = machine.qmp().give_fd(name, fd).await;
        result.map_err(|source| MigrateError::Monitor {
            machine: machine.name().to_owned(),
            side,
            source,
        })
    }

    pub(super) fn channel(&self, what: &'static str, source: std::io::Error) -> MigrateError {
        MigrateError::Channel {
            machine: self.source.name().to_owned(),
            what,
            source,
        }
    }

    pub(super) fn failed(&self, reason: String) -> MigrateError {
        MigrateError::Failed {
            machine: self.source.name().to_owned(),
            reason,
        }
    }

    /// QEMU's failure with whatever explains it.
    fn explained(&self, state: &Value) -> MigrateError {
        let source = state["error-desc"]
            .as_str()
            .unwrap_or("the source reports a failed migration")
            .to_owned();
        let said = self.destination.stderr();
        let said = said.trim();
        self.failed(if said.is_empty() {
            source
        } else {
            format!("{source}; the destination said: {said}")
        })
    }
}

/// Migrates; see [`Machine::migrate`].
pub(super) async fn migrate(
    source: &Machine,
    launch: &Launch,
    migration: &Migration,
) -> Result<Migrated, MigrateError> {
    let before = source.status().await.map_err(|error| monitor(source, error))?;
    let ends = ends(source, launch, migration).await?;
    let state = match attempt(&ends, migration, &before).await {
        Ok(state) => state,
        Err(error) => {
            ends.destination.kill().await;
            restore(source, &before).await;
            return Err(error);
        }
    };
    // Its machine is elsewhere: nothing of it needs care any more.
    source.quit(QUIT_PATIENCE).await;
    Ok(Migrated {
        machine: ends.destination,
        status: state["status"].as_str().unwrap_or_default().to_owned(),
        total_time_ms: state["total-time"].as_u64(),
        downtime_ms: state["downtime"].as_u64(),
    })
}

/// Starts the destination.
async fn ends<'a>(
    source: &'a Machine,
    launch: &Launch,
    migration: &Migration,
) -> Result<Ends<'a>, MigrateError> {
    // What the destination does at the end follows the source; it must not decide by itself.
    let mut spec = MachineSpec {
        paused: false,
        ..source.spec().clone()
    };
    spec.change(&migration.added, &migration.removed);
    let started = Machine::start(launch, spec, Some(Incoming::Defer)).await;
    Ok(Ends {
        source,
        destination: started.map_err(MigrateError::Destination)?,
    })
}

/// Begins to migrate; see [`Machine::begin_migration`].
pub(super) async fn begin(
    source: &Machine,
    launch: &Launch,
    migration: &Migration,
) -> Result<Machine, MigrateError> {
    let ends = ends(source, launch, migration).await?;
    let begun = async {
        Settings::agree(&ends, migration).await?;
        let mut route = Route::prepare(&ends, &migration.transport).await?;
        route.receive(&ends).await?;
        route.send(&ends).await
    };
    match begun.await {
        Ok(()) => Ok(ends.destination),
        Err(error) => {
            ends.destination.kill().await;
            Err(error)
        }
    }
}

/// Migrates with this migration's settings; a source that stays gets its former ones back.
async fn attempt(ends: &Ends<'_>, migration: &Migration, before: &RunState) -> Result<Value, MigrateError> {
    let former = Settings::of_source(ends).await?;
    let result = match Settings::agree(ends, migration).await {
        Ok(()) => go(ends, migration, before).await,
        Err(error) => Err(error),
    };
    if result.is_err() && ends.source.is_alive() {
        former.put_back(ends, migration).await;
    }
    result
}

fn monitor(source: &Machine, error: crate::machine::MachineError) -> MigrateError {
    match error {
        crate::machine::MachineError::Monitor { machine, source } => MigrateError::Monitor {
            machine,
            side: "source",
            source,
        },
        other => MigrateError::Failed {
            machine: source.name().to_owned(),
            reason: other.to_string(),
        },
    }
}

async fn go(ends: &Ends<'_>, migration: &Migration, before: &RunState) -> Result<Value, MigrateError> {
    let mut route = Route::prepare(ends, &migration.transport).await?;
    let two_steps = migration.transport.in_two_steps();
    if !two_steps {
        route.receive(ends).await?;
    }
    if migration.offline {
        ends.command(Side::Source, "stop", Value::Null).await?;
    }
    let begun = Instant::now();
    route.send(ends).await?;
    let state = follow(ends, migration, begun).await?;
    if two_steps {
        route.receive(ends).await?;
    }
    arrive(ends, migration, begun).await?;
    if migration.offline && *before == RunState::Running {
        ends.command(Side::Destination, "cont", Value::Null).await?;
    }
    Ok(state)
}

/// Watches the source until it has sent everything. Cancels when asked to, or when it takes too long.
async fn follow(ends: &Ends<'_>, migration: &Migration, begun: Instant) -> Result<Value, MigrateError> {
    let mut postcopy_due = migration.postcopy;
    loop {
        let state = ends.command(Side::Source, "query-migrate", Value::Null).await?;
        match state["status"].as_str().unwrap_or_default() {
            "completed" => return Ok(state),
            "failed" => return Err(ends.explained(&state)),
            "cancelled" => return Err(ends.failed("somebody cancelled it".into())),
            "postcopy-paused" => return Err(ends.failed("post-copy lost its connection".into())),
            "active" if postcopy_due && passed_once(&state) => {
                postcopy_due = false;
                ends.command(Side::Source, "migrate-start-postcopy", Value::Null)
                    .await?;
            }
            // The capability of this name asks for a word from outside before the guest is stopped for good.
            "pre-switchover" => {
                let go_on = json!({ "state": "pre-switchover" });
                ends.command(Side::Source, "migrate-continue", go_on).await?;
            }
            _ => {}
        }
        if !ends.destination.is_alive() {
            return Err(ends.explained(&json!({ "error-desc": "the destination has died" })));
        }
        let machine = ends.source.name().to_owned();
        if let Some(after) = migration.cancel_after.filter(|after| begun.elapsed() >= *after) {
            return cancel(ends)
                .await
                .map_or_else(Ok, |()| Err(MigrateError::Cancelled { machine, after }));
        }
        if begun.elapsed() >= migration.timeout {
            let (timeout, progress) = (migration.timeout, progress(&state));
            return cancel(ends).await.map_or_else(Ok, |()| {
                Err(MigrateError::Timeout {
                    machine,
                    timeout,
                    progress,
                })
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn passed_once(state: &Value) -> bool {
    state["ram"]["dirty-sync-count"]
        .as_u64()
        .is_some_and(|count| count >= 1)
}

fn progress(state: &Value) -> String {
    let mib = |key: &str| state["ram"][key].as_u64().unwrap_or(0) >> 20;
    let status = state["status"].as_str().unwrap_or("unknown");
    format!(
        "{status}, {} MiB sent, {} of {} MiB left",
        mib("transferred"),
        mib("remaining"),
        mib("total")
    )
}

/// Has the source give up. The error is the final state of a migration that was faster.
async fn cancel(ends: &Ends<'_>) -> Result<(), Value> {
    let deadline = Instant::now() + CANCEL_PATIENCE;
    // Refused when there is nothing left to cancel, which the look below shows.
    let _ = ends.command(Side::Source, "migrate_cancel", Value::Null).await;
    while Instant::now() < deadline {
        let Ok(state) = ends.command(Side::Source, "query-migrate", Value::Null).await else {
            break;
        };
        match state["status"].as_str().unwrap_or_default() {
            "completed" => return Err(state),
            "cancelled" | "failed" => break,
            _ => tokio::time::sleep(LOOK).await,
        }
    }
    Ok(())
}

/// Waits until the destination has taken everything in and is what the source was.
async fn arrive(ends: &Ends<'_>, migration: &Migration, begun: Instant) -> Result<(), MigrateError> {
    loop {
        let state = ends.command(Side::Destination, "query-status", Value::Null).await;
        let state = match state {
            Ok(state) => RunState::parse(state["status"].as_str().unwrap_or_default()),
            Err(error) if ends.destination.is_alive() => return Err(error),
            Err(_) => return Err(ends.explained(&json!({ "error-desc": "the destination has died" }))),
        };
        if !matches!(state, RunState::InMigrate | RunState::FinishMigrate) {
            return Ok(());
        }
        if begun.elapsed() >= migration.timeout {
            let machine = ends.source.name().to_owned();
            let progress = "sent, but the destination has not taken it in".to_owned();
            return Err(MigrateError::Timeout {
                machine,
                timeout: migration.timeout,
                progress,
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Lets the source go on as before. The destination is dead: it holds no lock and writes no disk.
async fn restore(source: &Machine, before: &RunState) {
    if *before == RunState::Running && source.is_alive() {
        // Harmless where QEMU has already gone on by itself; a source that cannot go on says so to its next user.
        let _ = source.cont().await;
    }
}
