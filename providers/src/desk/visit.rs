//! Ways into a machine for people: what they connect to from outside, and terminals that they type on.

use std::time::Duration;

use camino::Utf8PathBuf;

use super::access::Entry;
use super::{Desk, errors, settings};
use crate::host::protocol::CallError;
use crate::host::request::SessionId;
use crate::machine::{RunState, SerialPort};
use crate::qmp::Shared;
use crate::session::login::Pace;
use crate::session::{Credentials, Terminal};

/// Seconds that a login may take where the parameters do not say.
const LOGIN_PATIENCE: u64 = 240;
/// How long a question of our own to a guest may take.
const ASK_PATIENCE: Duration = Duration::from_secs(60);
/// How long a command that somebody typed may take: who typed it can end it, too.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Where a machine is reached while it lives.
#[derive(Debug)]
pub struct WaysIn {
    /// Its ssh server, where a network card leads to it.
    pub ssh: Option<SshWay>,
    /// Its main monitor, shared with us for as long as this lives.
    pub monitor: Shared,
    /// Its serial ports: each has a socket for one client, and a log.
    pub serials: Vec<SerialPort>,
    /// Where sessions, serial ports and monitors are logged.
    pub logs: Utf8PathBuf,
}

/// An ssh server as seen from this host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SshWay {
    /// The port of 127.0.0.1.
    pub port: u16,
    /// Who logs in.
    pub username: String,
    /// With which password.
    pub password: String,
}

impl Desk {
    /// The ways into a machine that lives.
    ///
    /// # Errors
    /// When it is dead or unknown, or its monitor cannot be shared.
    pub fn ways_in(&self, vm: &str) -> Result<WaysIn, CallError> {
        let (machine, params) = self.alive(vm)?;
        let ssh = Self::target(&machine, &params, Entry::default());
        let ssh = ssh.ok().map(|target| SshWay {
            port: target.address.port(),
            username: target.username,
            password: match target.credentials {
                Credentials::Password(password) => password,
                Credentials::Key { .. } => String::new(),
            },
        });
        let monitor = machine
            .share_monitor()
            .map_err(|error| CallError::new("monitor", format!("share the monitor of {vm}: {error}")))?;
        Ok(WaysIn {
            ssh,
            monitor,
            serials: self.serial_ports(vm)?,
            logs: self.setup.log_dir.clone(),
        })
    }

    /// Logs in to a machine with its own parameters, over ssh or on its first serial port, within its `login_timeout`.
    ///
    /// # Errors
    /// When the guest does not let anybody in.
    pub async fn log_in(&self, vm: &str, serial: bool) -> Result<SessionId, CallError> {
        let patience = settings::seconds(&self.seat(vm)?.params, "login_timeout", LOGIN_PATIENCE);
        if serial {
            self.enter_by_serial(vm, Entry::default(), patience).await
        } else {
            self.enter(vm, Entry::default(), patience).await
        }
    }

    /// Runs a command in a session, however long it takes (up to 30 days), and gives its exit status and output.
    ///
    /// # Errors
    /// When the session ends meanwhile.
    pub async fn run_command(&self, session: SessionId, command: &str) -> Result<(i32, String), CallError> {
        let session = self.session(session)?;
        let mut shell = session.shell.lock().await;
        let ran = shell.cmd_status_output(command, COMMAND_PATIENCE).await;
        ran.map_err(|error| errors::shell(error, "shell-timeout"))
    }

    /// Whether a machine lives and its guest is not paused.
    pub async fn is_running(&self, vm: &str) -> bool {
        match self.machine(vm) {
            Some(machine) => matches!(machine.status().await, Ok(RunState::Running)),
            None => false,
        }
    }

    /// Runs one command in a guest, in a session that nobody uses, or in one of its own that is closed again.
    ///
    /// # Errors
    /// When the guest lets nobody in, or the command does not end.
    pub async fn ask(&self, vm: &str, command: &str) -> Result<String, CallError> {
        let idle = self.idle_session(vm);
        if let Some(session) = idle {
            let mut shell = session.shell.lock().await;
            if let Ok(output) = shell.cmd_output(command, ASK_PATIENCE).await {
                return Ok(output);
            }
        }
        let mut shell = self
            .shell(vm, Pace::Booting, Entry::default(), ASK_PATIENCE)
            .await?;
        let asked = shell.cmd_output(command, ASK_PATIENCE).await;
        shell.terminal().close();
        asked.map_err(|error| errors::shell(error, "shell-timeout"))
    }

    /// The terminal under a session, for passing keys and output through. The session must not be used meanwhile.
    pub fn terminal(&self, session: SessionId) -> Option<Terminal> {
        self.session(session).ok().map(|session| session.terminal.clone())
    }
}
