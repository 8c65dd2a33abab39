//! A machine's whole state in a file: saved while it runs, and begun from later instead of booting.
//!
//! The file holds memory and devices, not disks. Whoever begins from it gives the machine the disks as they were then: the
//! machine is paused when the state is complete, so that they can be copied or kept as backing files.

use std::time::{Duration, Instant};

use camino::Utf8Path;
use serde_json::{Value, json};

use super::error::MachineError;
use super::handle::Machine;
use super::spec::MachineSpec;
use super::start::{Incoming, Launch};
use super::state::RunState;

/// How often progress is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// QEMU's own number of announcements.
const ANNOUNCEMENTS: u32 = 5;

/// The number for a machine that begins from a file. Nobody on its network has to learn where the guest has gone, and a translated
/// one is busy telling. Not 0: QEMU (10.0) frees a virtio card's timer for announcements then, and dies (`timer_del` of nothing in
/// `virtio_net_reset`) when the card is reset, which is when the guest reboots.
const FEWEST_ANNOUNCEMENTS: u32 = 1;

/// How long a QEMU that gives up may take to end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Each page of memory has its own place in the file, so that it is written and read in large pieces, by several threads,
/// and pages that hold nothing stay holes.
const CAPABILITIES: [&str; 3] = ["events", "mapped-ram", "multifd"];

impl Machine {
    /// Writes the machine's state to a new file. On return the machine is paused, for good: it can be ended.
    ///
    /// # Errors
    /// [`MachineError::State`] with QEMU's reason, or [`MachineError::Monitor`].
    pub async fn save(&self, file: &Utf8Path, timeout: Duration) -> Result<(), MachineError> {
        self.set_state_capabilities(true).await?;
        // No limit: nobody else is on this road, and memory that changes meanwhile would be written twice.
        self.command("stop", None).await?;
        self.command("migrate-set-parameters", Some(json!({ "max-bandwidth": 0 })))
            .await?;
        self.command("migrate", Some(json!({ "uri": format!("file:{file}") })))
            .await?;
        self.follow_state("save", file, timeout).await?;
        // QEMU reports completion a moment before it has settled; a command in between may find the disks open.
        let begun = Instant::now();
        while self.status().await? != RunState::PostMigrate && begun.elapsed() < LAST_WORDS {
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    }

    /// Starts a machine from a state that [`save`](Machine::save) wrote for the same description. It runs on return, unless the
    /// description says paused.
    ///
    /// # Errors
    /// [`MachineError`]; the machine is dead then.
    pub async fn restore(
        launch: &Launch,
        spec: MachineSpec,
        file: &Utf8Path,
        timeout: Duration,
    ) -> Result<Machine, MachineError> {
        let paused = spec.paused;
        let machine = Machine::start(launch, spec, Some(Incoming::Defer)).await?;
        match machine.take_in(file, timeout, paused).await {
            Ok(()) => Ok(machine),
            // QEMU ends when it cannot take a state in, and says why as it goes.
            Err(_) if machine.wait_dead(LAST_WORDS).await => {
                Err(machine.state_error("restore", file, machine.stderr()))
            }
            Err(error) => Err(error),
        }
    }

    async fn take_in(&self, file: &Utf8Path, timeout: Duration, paused: bool) -> Result<(), MachineError> {
        self.set_state_capabilities(true).await?;
        self.announce(FEWEST_ANNOUNCEMENTS).await?;
        self.command("migrate-incoming", Some(json!({ "uri": format!("file:{file}") })))
            .await?;
        self.follow_state("restore", file, timeout).await?;
        // Whoever migrates the machine from here finds a QEMU like any other.
        self.set_state_capabilities(false).await?;
        self.announce(ANNOUNCEMENTS).await?;
        if !paused && self.status().await? != RunState::Running {
            self.cont().await?;
        }
        Ok(())
    }

    fn state_error(&self, doing: &'static str, file: &Utf8Path, reason: String) -> MachineError {
        MachineError::State {
            doing,
            machine: self.name().to_owned(),
            file: file.to_owned(),
            reason,
        }
    }

    /// How often the guest tells its network where it is, once it has been migrated to this machine.
    async fn announce(&self, rounds: u32) -> Result<(), MachineError> {
        self.command(
            "migrate-set-parameters",
            Some(json!({ "announce-rounds": rounds })),
        )
        .await
        .map(drop)
    }

    async fn set_state_capabilities(&self, on: bool) -> Result<(), MachineError> {
        let list: Vec<Value> = CAPABILITIES
            .iter()
            .map(|name| json!({ "capability": name, "state": on }))
            .collect();
        self.command("migrate-set-capabilities", Some(json!({ "capabilities": list })))
            .await
            .map(drop)
    }

    async fn follow_state(
        &self,
        doing: &'static str,
        file: &Utf8Path,
        timeout: Duration,
    ) -> Result<(), MachineError> {
        let begun = Instant::now();
        loop {
            let state = match self.command("query-migrate", None).await {
                Ok(state) => state,
                Err(_) if self.wait_dead(LAST_WORDS).await => {
                    return Err(self.state_error(doing, file, self.stderr()));
                }
                Err(error) => return Err(error),
            };
            let status = state["status"].as_str().unwrap_or_default();
            if status == "completed" {
                return Ok(());
            }
            if matches!(status, "failed" | "cancelled") {
                let reason = state["error-desc"]
                    .as_str()
                    .map_or_else(|| self.stderr(), str::to_owned);
                return Err(self.state_error(doing, file, reason));
            }
            if begun.elapsed() >= timeout {
                let reason = format!("not done within {} s ({status})", timeout.as_secs_f64());
                return Err(self.state_error(doing, file, reason));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}
