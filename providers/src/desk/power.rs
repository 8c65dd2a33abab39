//! Ending machines, in order or not.

use std::time::Duration;

use tokio::time::Instant;

use super::access::Entry;
use super::{Desk, errors, settings};
use crate::host::protocol::CallError;
use crate::host::request::{SessionId, VmShutdown};
use crate::machine::{Machine, RunState};

/// How long a login for the sake of an orderly end may take.
const LOGIN_PATIENCE: Duration = Duration::from_secs(20);
/// How long QEMU may take to close its files.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);
/// How often a machine is looked at that is expected to end.
const LOOK: Duration = Duration::from_millis(250);
/// What shuts a Linux guest down, where `shutdown_command` is not set.
const SHUTDOWN: &str = "shutdown -h now";

impl Desk {
    /// Ends a machine. `gracefully`, the guest is asked first if `shutdown_command` says how; whatever comes of that, the
    /// machine is dead afterwards.
    pub(super) async fn vm_destroy(&self, vm: &str, gracefully: bool) -> Result<(), CallError> {
        let seat = self.seat(vm)?;
        let Some(machine) = seat.machine.filter(Machine::is_alive) else {
            return Ok(());
        };
        let command = seat.params.text("shutdown_command").filter(|_| gracefully);
        if let Some(command) = command
            && matches!(machine.status().await, Ok(RunState::Running))
        {
            let patience = settings::seconds(&seat.params, "kill_timeout", 60);
            if let Err(error) = self
                .ask_to_end(vm, &machine, command, None, LOGIN_PATIENCE, patience)
                .await
            {
                tracing::warn!(vm, %error, "the guest does not shut down by itself and is ended");
            }
        }
        if gracefully {
            machine.quit(QUIT_PATIENCE).await;
        } else {
            machine.kill().await;
        }
        self.hang_up(vm, |_| true);
        Ok(())
    }

    pub(super) async fn vm_shutdown(&self, args: VmShutdown) -> Result<(), CallError> {
        let (machine, params) = self.alive(&args.vm)?;
        let patience = args.timeout.0;
        match args.method.as_str() {
            "shell" => {
                let command = settings::command(&params, "shutdown_command", SHUTDOWN);
                self.ask_to_end(&args.vm, &machine, &command, args.session, patience, patience)
                    .await?;
            }
            "system_powerdown" => {
                machine
                    .system_powerdown()
                    .await
                    .map_err(|error| errors::machine(&error))?;
                self.see_end(&machine, patience, "its power button was pressed")
                    .await?;
            }
            other => {
                let message = format!(
                    "shut {} down by {other}: the methods are shell and system_powerdown",
                    args.vm
                );
                return Err(CallError::new("unsupported", message));
            }
        }
        self.hang_up(&args.vm, |_| true);
        Ok(())
    }

    async fn ask_to_end(
        &self,
        vm: &str,
        machine: &Machine,
        command: &str,
        session: Option<SessionId>,
        login: Duration,
        patience: Duration,
    ) -> Result<(), CallError> {
        let session = self.speaker(vm, session, Entry::default(), login).await?;
        let typed = session.shell.lock().await.type_line(command);
        typed.map_err(|error| errors::shell(error, "timeout"))?;
        self.see_end(machine, patience, &format!("`{command}` was typed"))
            .await
    }

    async fn see_end(&self, machine: &Machine, patience: Duration, after: &str) -> Result<(), CallError> {
        if ended(machine, patience).await {
            return Ok(());
        }
        let (vm, seconds) = (machine.name(), patience.as_secs_f64());
        let lines = self.last_serial_lines(vm);
        let message =
            format!("see {vm} shut down within {seconds} s after {after}; its serial port shows:\n{lines}");
        Err(CallError::new("timeout", message))
    }

    pub(super) async fn vm_wait_for_dead(&self, vm: &str, patience: Duration) -> Result<bool, CallError> {
        match self.seat(vm)?.machine {
            Some(machine) => Ok(ended(&machine, patience).await),
            None => Ok(true),
        }
    }
}

/// Waits until QEMU is gone, or is told to stay although the guest has shut down.
async fn ended(machine: &Machine, patience: Duration) -> bool {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if machine.wait_dead(left.min(LOOK)).await {
            return true;
        }
        if machine.spec().no_shutdown && matches!(machine.status().await, Ok(RunState::Shutdown)) {
            return true;
        }
        if left.is_zero() {
            return false;
        }
    }
}
