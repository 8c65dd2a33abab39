//! Ways into a guest: shells over ssh and serial ports, and files.

use std::fs::File;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Desk, errors, settings};
use crate::build::{self, BuildError};
use crate::host::protocol::CallError;
use crate::host::request::{SessionId, VmCopyFrom, VmCopyTo, VmLogin, VmMirror};
use crate::machine::{Machine, RunState};
use crate::params::Params;
use crate::session::login::{self, LoginError, Pace};
use crate::session::ssh::Connection;
use crate::session::transfer::{Copied, TransferError, TransferOptions, from_guest, to_guest};
use crate::session::{HostKey, Shell, SshTarget, Terminal, serial};

/// The guest's port for logins, unless `shell_port` says otherwise.
const SSH_PORT: u16 = 22;

/// Who wants in, and how.
#[derive(Clone, Copy, Default)]
pub(super) struct Entry<'a> {
    pub(super) nic_index: Option<usize>,
    pub(super) username: Option<&'a str>,
    pub(super) password: Option<&'a str>,
    pub(super) prompt: Option<&'a str>,
}

impl Entry<'_> {
    /// Whether the machine's parameters decide it all.
    fn is_usual(&self) -> bool {
        self.nic_index.unwrap_or(0) == 0
            && self.username.is_none()
            && self.password.is_none()
            && self.prompt.is_none()
    }
}

impl Desk {
    pub(super) async fn vm_login(&self, args: VmLogin) -> Result<Value, CallError> {
        let entry = Entry {
            nic_index: args.nic_index,
            username: args.username.as_deref(),
            password: args.password.as_deref(),
            prompt: args.prompt.as_deref(),
        };
        let number = match args.serial {
            Some(true) => self.enter_by_serial(&args.vm, entry, args.timeout.0).await?,
            _ => self.enter(&args.vm, entry, args.timeout.0).await?,
        };
        Ok(json!({ "session": number }))
    }

    /// Logs in over ssh and keeps the session.
    pub(super) async fn enter(
        &self,
        vm: &str,
        entry: Entry<'_>,
        patience: Duration,
    ) -> Result<SessionId, CallError> {
        let greeted = if entry.is_usual() {
            self.greeted(vm).await
        } else {
            None
        };
        let shell = match greeted {
            Some(shell) => shell,
            None => self.shell(vm, Pace::Booting, entry, patience).await?,
        };
        Ok(self.keep(vm, None, shell))
    }

    /// Logs in over ssh.
    pub(super) async fn shell(
        &self,
        vm: &str,
        pace: Pace,
        entry: Entry<'_>,
        patience: Duration,
    ) -> Result<Shell, CallError> {
        let deadline = Instant::now() + patience;
        loop {
            if self.alive(vm).is_err() {
                self.settled(vm, deadline).await;
            }
            let (machine, params) = self.alive(vm)?;
            let target = Self::target(&machine, &params, entry)?;
            let setup = settings::shell(&params, entry.prompt).map_err(|error| errors::pattern(&error))?;
            let (name, log) = self.session_log(vm);
            let alive = || still_alive(&machine);
            let patience = deadline.saturating_duration_since(Instant::now());
            match login::ssh(pace, &target, setup, &name, log, patience, &alive).await {
                Ok(shell) => return Ok(shell),
                // A test migrates while another of its threads logs in.
                Err(_) if self.has_moved(vm, &machine, deadline).await => {}
                Err(error) => return Err(self.login_failed(vm, &machine, &error).await),
            }
        }
    }

    /// Logs in on the first serial port and keeps the session.
    pub(super) async fn enter_by_serial(
        &self,
        vm: &str,
        entry: Entry<'_>,
        patience: Duration,
    ) -> Result<SessionId, CallError> {
        let (machine, params) = self.alive(vm)?;
        let (port, terminal) = self.serial_terminal(vm, None).await?;
        let setup = settings::shell(&params, entry.prompt).map_err(|error| errors::pattern(&error))?;
        let (username, password) = settings::who(&params, entry.username, entry.password);
        let alive = || still_alive(&machine);
        match login::serial(terminal, &username, &password, setup, patience, &alive).await {
            Ok(shell) => Ok(self.keep(vm, Some(port), shell)),
            Err(error) => Err(self.login_failed(vm, &machine, &error).await),
        }
    }

    pub(super) async fn vm_console(&self, vm: &str, name: Option<&str>) -> Result<Value, CallError> {
        let (_, params) = self.alive(vm)?;
        let (port, terminal) = self.serial_terminal(vm, name).await?;
        let setup = settings::shell(&params, None).map_err(|error| errors::pattern(&error))?;
        Ok(json!({ "session": self.keep(vm, Some(port), Shell::new(terminal, setup)) }))
    }

    /// The terminal on a serial port. QEMU serves one client at a time: a session that is there already is shared.
    async fn serial_terminal(&self, vm: &str, name: Option<&str>) -> Result<(String, Terminal), CallError> {
        let port = self.serial_port(vm, name)?;
        if let Some(terminal) = self.serial_session(vm, &port.name) {
            return Ok((port.name, terminal));
        }
        let terminal = serial::connect(&port.socket, format!("{vm}/{}", port.name), None)
            .await
            .map_err(|error| {
                let message = format!(
                    "connect to the serial port {} of {vm} at {}: {error}",
                    port.name, port.socket
                );
                CallError::new("login", message).with(json!({ "output": "" }))
            })?;
        Ok((port.name, terminal))
    }

    /// Where a machine's ssh server is reached, and as whom.
    pub(super) fn target(
        machine: &Machine,
        params: &Params,
        entry: Entry<'_>,
    ) -> Result<SshTarget, CallError> {
        let nic = Self::nic(machine, entry.nic_index)?;
        let guest_port: u16 = params
            .number("shell_port")
            .map_err(|error| CallError::new("argument", error.to_string()))?
            .unwrap_or(SSH_PORT);
        let port = machine.host_port(&nic, guest_port).ok_or_else(|| {
            let message = format!(
                "log in to {}: port {guest_port} of {nic} is not forwarded",
                machine.name()
            );
            CallError::new("address", message)
        })?;
        let (username, password) = settings::who(params, entry.username, entry.password);
        Ok(SshTarget {
            address: ([127, 0, 0, 1], port).into(),
            username,
            credentials: settings::credentials(&password),
            host_key: HostKey::Any,
        })
    }

    /// A name and a log file for a new session. A session without a log is better than none.
    pub(super) fn session_log(&self, vm: &str) -> (String, Option<File>) {
        let name = format!("session-{vm}-{}", self.next_number());
        let path = self.setup.log_dir.join(format!("{name}.log"));
        let log = File::create(&path)
            .inspect_err(|error| tracing::warn!(%path, %error, "a session's log cannot be written"))
            .ok();
        (name, log)
    }

    /// What went wrong, what the guest printed last, and a picture where it has a display.
    async fn login_failed(&self, vm: &str, machine: &Machine, error: &LoginError) -> CallError {
        let mut failure = errors::login(error);
        if let Ok(status) = machine.status().await
            && status != RunState::Running
        {
            failure
                .message
                .push_str(&format!("\nthe machine is {status}, not running"));
        }
        let lines = self.last_serial_lines(vm);
        failure.message.push_str(&if lines.is_empty() {
            "\nthe serial port stayed silent".to_owned()
        } else {
            format!("\nlast lines of the serial port:\n{lines}")
        });
        if let Some(picture) = self.picture(vm, machine).await {
            failure.message.push_str(&format!("\nthe screen is in {picture}"));
        }
        failure
    }

    async fn picture(&self, vm: &str, machine: &Machine) -> Option<Utf8PathBuf> {
        if !machine.spec().has_display() || !machine.is_alive() {
            return None;
        }
        let path = self
            .setup
            .log_dir
            .join(format!("screen-{vm}-{}.png", self.next_number()));
        machine.screendump(&path).await.ok().map(|()| path)
    }

    pub(super) async fn vm_copy_to(&self, args: VmCopyTo) -> Result<Value, CallError> {
        let entry = Entry {
            nic_index: args.nic_index,
            username: args.username.as_deref(),
            password: args.password.as_deref(),
            prompt: None,
        };
        let rate = rate("vm.copy_to", args.limit.as_ref())?;
        let (connection, options) = self.connection(&args.vm, entry, args.timeout.0, rate).await?;
        let options = TransferOptions {
            times: args.times == Some(true),
            ..options
        };
        copied(to_guest(connection, &args.host_path, &args.guest_path, options).await)
    }

    pub(super) async fn vm_copy_from(&self, args: VmCopyFrom) -> Result<Value, CallError> {
        let entry = Entry {
            nic_index: args.nic_index,
            username: args.username.as_deref(),
            password: args.password.as_deref(),
            prompt: None,
        };
        let rate = rate("vm.copy_from", args.limit.as_ref())?;
        let (connection, options) = self.connection(&args.vm, entry, args.timeout.0, rate).await?;
        copied(from_guest(connection, &args.guest_path, &args.host_path, options).await)
    }

    /// An authenticated connection to the guest of a machine, as its parameters say.
    ///
    /// # Errors
    /// Why nobody can log in, with what the guest printed last.
    pub async fn connect(&self, vm: &str, patience: Duration) -> Result<Connection, CallError> {
        let (connection, _) = self.connection(vm, Entry::default(), patience, None).await?;
        Ok(connection)
    }

    pub(super) async fn vm_mirror(&self, args: VmMirror) -> Result<Value, CallError> {
        if !args.guest_path.starts_with('/') {
            let message = format!(
                "mirror into {}: the folder is named from the root on",
                args.guest_path
            );
            return Err(CallError::new("argument", message));
        }
        let (connection, options) = self
            .connection(&args.vm, Entry::default(), args.timeout.0, None)
            .await?;
        let mirrored = build::mirror(
            connection,
            &args.vm,
            &args.host_path,
            &args.guest_path,
            options.patience,
        );
        match mirrored.await {
            Ok(mirrored) => Ok(json!(mirrored)),
            Err(error @ BuildError::Late { .. }) => {
                Err(CallError::new("transfer-timeout", error.to_string()))
            }
            Err(error) => Err(CallError::new("transfer", error.to_string())),
        }
    }

    /// A connection for copying, and what is left of the time.
    async fn connection(
        &self,
        vm: &str,
        entry: Entry<'_>,
        patience: Duration,
        rate: Option<u64>,
    ) -> Result<(Connection, TransferOptions), CallError> {
        let started = Instant::now();
        let (machine, params) = self.alive(vm)?;
        let target = Self::target(&machine, &params, entry)?;
        let alive = || still_alive(&machine);
        match login::connect(&target, patience, &alive).await {
            Ok(connection) => {
                let patience = patience.saturating_sub(started.elapsed());
                Ok((
                    connection,
                    TransferOptions {
                        patience,
                        rate,
                        times: false,
                    },
                ))
            }
            Err(error) => Err(self.login_failed(vm, &machine, &error).await),
        }
    }
}

pub(super) fn still_alive(machine: &Machine) -> Result<(), String> {
    machine.exit_info().map_or(Ok(()), |info| {
        Err(format!("{}: {}", machine.name(), errors::why_dead(&info)))
    })
}

/// `limit` is what `scp -l` takes: kilobits per second.
fn rate(call: &str, limit: Option<&Value>) -> Result<Option<u64>, CallError> {
    Ok(settings::amount(call, "limit", limit)?.map(|kilobits| kilobits.saturating_mul(1000) / 8))
}

fn copied(result: Result<Copied, TransferError>) -> Result<Value, CallError> {
    result
        .map(|copied| json!(copied))
        .map_err(|error| errors::transfer(&error))
}
