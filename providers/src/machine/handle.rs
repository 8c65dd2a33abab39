//! The handle of a running machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::argv::Places;
use super::error::MachineError;
use super::ports::Forward;
use super::serial::SerialPort;
use super::spec::MachineSpec;
use super::start::{self, Incoming, Launch};
use super::state::RunState;
use crate::process::{Child, Exit};
use crate::qmp::Qmp;

const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// How a machine ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExitInfo {
    /// How QEMU ended.
    pub exit: Exit,
    /// What it printed over its whole life, warnings included.
    pub stderr: String,
}

/// Where a machine waits for its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// On a port of 127.0.0.1.
    Tcp,
    /// On a socket in its own folder.
    Unix,
    /// For what a command prints.
    Exec(String),
}

/// A machine that has been started. Clones are the same machine; it is killed when the last one is dropped.
#[derive(Debug, Clone)]
pub struct Machine {
    running: Arc<Running>,
}

#[derive(Debug)]
pub(super) struct Running {
    pub(super) child: Child,
    pub(super) spec: MachineSpec,
    pub(super) argv: Vec<String>,
    pub(super) places: Places,
    pub(super) stderr: Utf8PathBuf,
    pub(super) monitors: Vec<(String, Qmp)>,
    pub(super) forwards: Vec<Forward>,
    pub(super) since: Instant,
}

/// Numbers the sockets at which monitors were shared.
static SHARED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);

impl Machine {
    pub(super) fn new(running: Arc<Running>) -> Machine {
        Machine { running }
    }

    /// Starts a machine. It runs on return, unless the description says paused, or `incoming` has it wait for a migration.
    ///
    /// # Errors
    /// See [`MachineError`]; QEMU is dead then, and what it printed is in the error.
    pub async fn start(
        launch: &Launch,
        spec: MachineSpec,
        incoming: Option<Incoming>,
    ) -> Result<Machine, MachineError> {
        start::start(launch, spec, incoming).await
    }

    /// The description that it was started from.
    pub fn spec(&self) -> &MachineSpec {
        &self.running.spec
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.running.spec.name
    }

    /// QEMU's process id.
    pub fn pid(&self) -> u32 {
        self.running.child.pid()
    }

    /// How long ago QEMU was started.
    pub fn age(&self) -> Duration {
        self.running.since.elapsed()
    }

    /// The socket to which a standing shell of its guest is connected, where its machine was started for one.
    pub fn standing_socket(&self) -> Option<Utf8PathBuf> {
        let nic = self.spec().nics().find(|nic| nic.standing)?;
        Some(self.running.places.standing(&nic.name))
    }

    /// QEMU's command line without the program.
    pub fn argv(&self) -> &[String] {
        &self.running.argv
    }

    /// Whether QEMU runs.
    pub fn is_alive(&self) -> bool {
        self.running.child.try_wait().is_none()
    }

    /// The main monitor.
    pub fn qmp(&self) -> &Qmp {
        // `start` makes no machine without a monitor.
        &self.running.monitors[0].1
    }

    /// The QMP monitor of this name.
    pub fn monitor(&self, name: &str) -> Option<&Qmp> {
        self.running
            .monitors
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, qmp)| qmp)
    }

    /// What the machine is doing.
    ///
    /// # Errors
    /// [`MachineError::Monitor`], also when the machine is dead.
    pub async fn status(&self) -> Result<RunState, MachineError> {
        let status = self.command("query-status", None).await?;
        Ok(RunState::parse(status["status"].as_str().unwrap_or_default()))
    }

    /// Pauses the guest.
    ///
    /// # Errors
    /// [`MachineError::Monitor`].
    pub async fn stop(&self) -> Result<(), MachineError> {
        self.command("stop", None).await.map(drop)
    }

    /// Lets the guest go on.
    ///
    /// # Errors
    /// [`MachineError::Monitor`].
    pub async fn cont(&self) -> Result<(), MachineError> {
        self.command("cont", None).await.map(drop)
    }

    /// Presses the reset button.
    ///
    /// # Errors
    /// [`MachineError::Monitor`].
    pub async fn system_reset(&self) -> Result<(), MachineError> {
        self.command("system_reset", None).await.map(drop)
    }

    /// Presses the power button; whether the guest shuts down is its own affair.
    ///
    /// # Errors
    /// [`MachineError::Monitor`].
    pub async fn system_powerdown(&self) -> Result<(), MachineError> {
        self.command("system_powerdown", None).await.map(drop)
    }

    /// Ends QEMU in order: files are flushed and closed. Kills it when it does not end within `timeout`.
    pub async fn quit(&self, timeout: Duration) -> Exit {
        // A machine that is dead, or too far gone to listen, is as good as one that obeys.
        let _ = self.qmp().command("quit", None, timeout).await;
        if self.wait_dead(timeout).await {
            self.running.child.wait().await
        } else {
            self.kill().await
        }
    }

    /// Kills QEMU and waits until it is gone.
    pub async fn kill(&self) -> Exit {
        self.running.child.kill().await
    }

    /// Waits until QEMU is gone; false when it is not within `timeout`.
    pub async fn wait_dead(&self, timeout: Duration) -> bool {
        tokio::time::timeout(timeout, self.running.child.wait())
            .await
            .is_ok()
    }

    /// Waits until QEMU is gone, however long that takes.
    pub async fn dead(&self) -> Exit {
        self.running.child.wait().await
    }

    /// How it ended; none while it lives.
    pub fn exit_info(&self) -> Option<ExitInfo> {
        self.running.child.try_wait().map(|exit| ExitInfo {
            exit,
            stderr: self.stderr(),
        })
    }

    /// What QEMU has printed so far.
    pub fn stderr(&self) -> String {
        start::read(&self.running.stderr)
    }

    /// The port of 127.0.0.1 that leads to a TCP port of the guest.
    pub fn host_port(&self, nic: &str, guest_port: u16) -> Option<u16> {
        let mut forwards = self.running.forwards.iter();
        forwards
            .find(|forward| forward.nic == nic && forward.guest == guest_port)
            .map(|forward| forward.host)
    }

    /// A serial port by its name.
    pub fn serial(&self, name: &str) -> Option<SerialPort> {
        let places = &self.running.places;
        let spec = self.spec().serials().find(|serial| serial.name == name)?;
        let log = places.serial_log(self.name(), &spec.name);
        Some(SerialPort {
            name: spec.name.clone(),
            socket: places.serial(&spec.name),
            log,
        })
    }

    /// Writes what the screen shows to a file: PNG when its name ends so, else PPM.
    ///
    /// # Errors
    /// [`MachineError::Monitor`], also for a machine without a graphics card.
    pub async fn screendump(&self, path: &Utf8Path) -> Result<(), MachineError> {
        let mut arguments = json!({ "filename": path });
        if path.extension() == Some("png") {
            arguments["format"] = "png".into();
        }
        self.command("screendump", Some(arguments)).await.map(drop)
    }

    /// Offers the main monitor to others, at a socket in the machine's own folder.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub fn share_monitor(&self) -> std::io::Result<crate::qmp::Shared> {
        let number = SHARED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        crate::qmp::share(self.qmp(), &self.socket_dir().join(format!("qmp{number}")))
    }

    /// Has a machine that was started with [`Incoming::Defer`] wait for its state, and returns where the sender finds it.
    ///
    /// # Errors
    /// [`MachineError::Monitor`].
    pub async fn listen(&self, listen: Listen) -> Result<String, MachineError> {
        let uri = match listen {
            // Port 0: the system chooses, and QEMU is asked afterwards what it got.
            Listen::Tcp => "tcp:127.0.0.1:0".to_owned(),
            Listen::Unix => format!("unix:{}", self.socket_dir().join("migration")),
            Listen::Exec(command) => format!("exec:{command}"),
        };
        self.command("migrate-incoming", Some(json!({ "uri": uri })))
            .await?;
        if !uri.starts_with("tcp:") {
            return Ok(uri);
        }
        let state = self.command("query-migrate", None).await?;
        let port = state["socket-address"][0]["port"].as_str().unwrap_or_default();
        Ok(format!("tcp:127.0.0.1:{port}"))
    }

    /// The machine's own folder for sockets. It goes when the machine goes.
    pub(super) fn socket_dir(&self) -> &Utf8Path {
        &self.running.places.sockets
    }

    pub(super) async fn command(&self, name: &str, arguments: Option<Value>) -> Result<Value, MachineError> {
        let result = self.qmp().command(name, arguments, COMMAND_PATIENCE).await;
        result.map_err(|source| MachineError::Monitor {
            machine: self.name().to_owned(),
            source,
        })
    }
}
