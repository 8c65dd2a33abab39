//! Rebooting a guest and logging in to the *new* system.
//!
//! A guest that shuts down still accepts logins for a while, so a successful login proves nothing. QEMU's event RESET does;
//! where a guest reboots without one (kexec), its boot id has changed.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::access::Entry;
use super::sessions::Session;
use super::{Desk, errors, settings};
use crate::host::protocol::CallError;
use crate::host::request::{SessionId, VmReboot};
use crate::machine::Machine;
use crate::qmp::Mark;
use crate::session::Shell;

/// How long one small command may take.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);
/// How long a shell that has nothing to do may take to show its prompt.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// After so long without RESET, the boot id is looked at.
const RESET_PATIENCE: Duration = Duration::from_secs(60);

impl Desk {
    pub(super) async fn vm_reboot(&self, args: VmReboot) -> Result<Value, CallError> {
        let deadline = Instant::now() + args.timeout.0;
        let (machine, params) = self.alive(&args.vm)?;
        let mark = machine.qmp().mark();
        let entry = Entry {
            nic_index: args.nic_index,
            ..Entry::default()
        };
        let before = match args.method.as_str() {
            "shell" => {
                let command = settings::command(&params, "reboot_command", "shutdown -r now");
                let session = self
                    .speaker(&args.vm, args.session, entry, left(deadline))
                    .await?;
                let mut shell = session.shell.lock().await;
                let before = boot_id(&mut shell).await;
                shell
                    .type_line(&command)
                    .map_err(|error| errors::shell(error, "reboot"))?;
                before
            }
            "system_reset" => {
                machine
                    .system_reset()
                    .await
                    .map_err(|error| errors::machine(&error))?;
                None
            }
            other => {
                let message = format!(
                    "reboot {} by {other}: the methods are shell and system_reset",
                    args.vm
                );
                return Err(CallError::new("unsupported", message));
            }
        };
        let was_reset = self.was_reset(&machine, mark, deadline).await?;
        // Nothing of the old system answers any more, and the network does not say so.
        if was_reset {
            self.hang_up(&args.vm, |session| session.serial.is_none());
        }
        let old = if was_reset { None } else { before };
        let session = self.enter_new(&args, entry, old.as_deref(), deadline).await?;
        Ok(json!({ "session": session }))
    }

    /// A session to type a command in: the given one or an idle one, if a shell answers there; else a new one.
    pub(super) async fn speaker(
        &self,
        vm: &str,
        given: Option<SessionId>,
        entry: Entry<'_>,
        patience: Duration,
    ) -> Result<Arc<Session>, CallError> {
        let given = given.and_then(|number| self.session(number).ok());
        if let Some(session) = given.or_else(|| self.idle_session(vm)) {
            // Something may still be running in it: what is typed would go there.
            let answer = session.shell.lock().await.cmd_output("", ANSWER_PATIENCE).await;
            if answer.is_ok() {
                return Ok(session);
            }
        }
        let number = self.enter(vm, entry, patience).await?;
        self.session(number)
    }

    /// Waits for the event that a reset machine sends.
    async fn was_reset(&self, machine: &Machine, mark: Mark, deadline: Instant) -> Result<bool, CallError> {
        let patience = left(deadline).min(RESET_PATIENCE.max(left(deadline) / 2));
        let event = machine
            .qmp()
            .wait_event_after(mark, patience, |event| event.name == "RESET")
            .await;
        match machine.exit_info() {
            // Whether it was reset before it was migrated is for the boot id to say.
            Some(_) if self.has_moved(machine.name(), machine, deadline).await => Ok(event.is_some()),
            Some(info) => Err(errors::dead(machine.name(), &info)),
            None => Ok(event.is_some()),
        }
    }

    /// Logs in until the system is not the one whose boot id is `old`.
    async fn enter_new(
        &self,
        args: &VmReboot,
        entry: Entry<'_>,
        old: Option<&str>,
        deadline: Instant,
    ) -> Result<SessionId, CallError> {
        loop {
            let number = match args.serial {
                Some(true) => self.enter_by_serial(&args.vm, entry, left(deadline)).await?,
                _ => self.enter(&args.vm, entry, left(deadline)).await?,
            };
            let Some(old) = old else { return Ok(number) };
            let session = self.session(number)?;
            let new = boot_id(&mut *session.shell.lock().await).await;
            if new.is_some_and(|new| new != old) {
                return Ok(number);
            }
            self.session_close(number);
            if left(deadline).is_zero() {
                let seconds = args.timeout.0.as_secs();
                let message = format!(
                    "reboot {} within {seconds} s: the system that was up before is still up",
                    args.vm
                );
                return Err(CallError::new("reboot", message));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

/// What tells one run of a Linux system from the next; `None` where there is no such thing.
async fn boot_id(shell: &mut Shell) -> Option<String> {
    let output = shell
        .cmd_output("cat /proc/sys/kernel/random/boot_id", COMMAND_PATIENCE)
        .await
        .ok()?;
    let word = output.split_whitespace().last()?;
    let is_id = word.len() == 36
        && word
            .chars()
            .all(|letter| letter == '-' || letter.is_ascii_hexdigit());
    is_id.then(|| word.to_owned())
}
