//! From a description to a running machine, phase by phase: spawned -> negotiated -> running.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;

use super::argv::{self, Places};
use super::error::MachineError;
use super::handle::{Machine, Running};
use super::ports;
use super::spec::{MachineSpec, MonitorKind};
use crate::accel::Accel;
use crate::process::{Child, Command, Launcher, Limits, Stream};
use crate::qemu::Qemu;
use crate::qmp::{Qmp, QmpError, Transcript};

/// How long QEMU may take to open its monitors. A loaded host takes a second or two.
const MONITOR_PATIENCE: Duration = Duration::from_secs(60);
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// Where the host's kernel serves network cards.
const VHOST_NET: &str = "/dev/vhost-net";

/// What every machine of a run is started with.
#[derive(Debug, Clone)]
pub struct Launch {
    /// Starts processes.
    pub launcher: Launcher,
    /// The programs.
    pub qemu: Qemu,
    /// The accelerator.
    pub accel: Accel,
    /// What QEMU may take of the host.
    pub limits: Limits,
    /// A folder for sockets. Short: a socket's path has 107 bytes. Each machine makes a folder of its own in it.
    pub run_dir: Utf8PathBuf,
    /// The folder for serial logs, QMP logs, command lines and what QEMU prints.
    pub log_dir: Utf8PathBuf,
}

/// How a machine begins that does not begin at its firmware.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incoming {
    /// It waits to be told where its state comes from.
    Defer,
}

/// Numbers the machines that this process has started.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// QEMU runs; nobody has spoken to it.
struct Spawned {
    child: Child,
    spec: MachineSpec,
    argv: Vec<String>,
    places: Places,
    stderr: Utf8PathBuf,
    transcript: Transcript,
    since: Instant,
}

/// QEMU listens to us; the guest has not run an instruction.
struct Negotiated {
    spawned: Spawned,
    monitors: Vec<(String, Qmp)>,
}

/// Starts a machine; see [`Machine::start`].
pub(super) async fn start(
    launch: &Launch,
    spec: MachineSpec,
    incoming: Option<Incoming>,
) -> Result<Machine, MachineError> {
    let paused = spec.paused || incoming.is_some();
    Spawned::new(launch, spec, incoming)
        .await?
        .negotiate()
        .await?
        .run(paused)
        .await
}

impl Spawned {
    async fn new(
        launch: &Launch,
        spec: MachineSpec,
        incoming: Option<Incoming>,
    ) -> Result<Spawned, MachineError> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = spec.name.clone();
        let sockets = launch.run_dir.join(format!("{}-{number}", std::process::id()));
        let places = Places {
            sockets: sockets.clone(),
            logs: launch.log_dir.clone(),
        };
        if let Some(kind) = spec.secure {
            return Err(MachineError::Secure { machine: name, kind });
        }
        if spec.nics().any(|nic| nic.vhost) && !Utf8Path::new(VHOST_NET).exists() {
            return Err(MachineError::Lacks {
                machine: name,
                path: VHOST_NET,
                param: "vhost",
                advice: "; run: modprobe vhost_net",
            });
        }
        if let Some(path) = argv::too_long(&spec, &places) {
            return Err(MachineError::LongPath { machine: name, path });
        }
        for dir in [&sockets, &launch.log_dir] {
            let failed = |source| MachineError::Files {
                machine: name.clone(),
                path: dir.clone(),
                source,
            };
            std::fs::create_dir_all(dir).map_err(failed)?;
        }
        let log = |kind: &str| launch.log_dir.join(format!("{kind}-{name}-{number}.log"));
        let files = |path: Utf8PathBuf| {
            let machine = name.clone();
            move |source| MachineError::Files {
                machine,
                path,
                source,
            }
        };
        let transcript = Transcript::open(&log("qmp")).map_err(files(log("qmp")))?;
        let argv = argv::argv(&spec, &places, launch.accel, incoming.is_some());
        let (stderr, shown) = (log("qemu"), log("cmdline"));
        let command = Command::new(&launch.qemu.binary)
            .args(&argv)
            .stdout(Stream::File(stderr.clone()))
            .stderr(Stream::File(stderr.clone()))
            .limits(launch.limits.clone())
            .remove_after(sockets);
        std::fs::write(&shown, format!("{command}\n")).map_err(files(shown))?;
        let child = launch.launcher.spawn(command).await;
        let child = child.map_err(|source| MachineError::Spawn {
            machine: name,
            source,
        })?;
        Ok(Spawned {
            child,
            spec,
            argv,
            places,
            stderr,
            transcript,
            since: Instant::now(),
        })
    }

    /// Opens the monitors. QEMU may die meanwhile, and then what it printed is the reason.
    async fn negotiate(self) -> Result<Negotiated, MachineError> {
        let mut monitors = Vec::new();
        let names = self
            .spec
            .monitors
            .iter()
            .filter(|monitor| monitor.kind == MonitorKind::Qmp);
        for (position, monitor) in names.enumerate() {
            let path = self.places.monitor(&monitor.name);
            // One log is enough; it is that of the monitor which everything goes through.
            let transcript = (position == 0).then(|| self.transcript.clone());
            let connected = tokio::select! {
                biased;
                connected = Qmp::connect(&path, transcript, MONITOR_PATIENCE) => connected,
                _ = self.child.wait() => return Err(self.died().await),
            };
            match connected {
                Ok(qmp) => monitors.push((monitor.name.clone(), qmp)),
                Err(error) => return Err(self.refused(error).await),
            }
        }
        Ok(Negotiated {
            spawned: self,
            monitors,
        })
    }

    /// The reason why QEMU is dead.
    async fn died(&self) -> MachineError {
        let exit = self.child.wait().await;
        MachineError::DiedAtStart {
            machine: self.spec.name.clone(),
            exit,
            stderr: read(&self.stderr),
        }
    }

    /// A monitor failed: because QEMU is dying, or for a reason of its own.
    async fn refused(&self, source: QmpError) -> MachineError {
        match tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await {
            Ok(_) => self.died().await,
            Err(_) => MachineError::Monitor {
                machine: self.spec.name.clone(),
                source,
            },
        }
    }
}

impl Negotiated {
    /// Learns what QEMU chose for itself and lets the guest run.
    async fn run(self, paused: bool) -> Result<Machine, MachineError> {
        // The parameters' reader and `negotiate` see to it that there is one.
        let Some((_, qmp)) = self.monitors.first() else {
            return Err(self.spawned.died().await);
        };
        let forwards = match self.forwards(qmp).await {
            Ok(forwards) => forwards,
            Err(Fault::Monitor(error)) => return Err(self.spawned.refused(error).await),
            Err(Fault::Machine(error)) => return Err(error),
        };
        if !paused && let Err(error) = qmp.command("cont", None, COMMAND_PATIENCE).await {
            return Err(self.spawned.refused(error).await);
        }
        let Negotiated {
            spawned:
                Spawned {
                    child,
                    spec,
                    argv,
                    places,
                    stderr,
                    since,
                    ..
                },
            monitors,
        } = self;
        let running = Running {
            child,
            spec,
            argv,
            places,
            stderr,
            monitors,
            forwards,
            since,
        };
        Ok(Machine::new(Arc::new(running)))
    }

    async fn forwards(&self, qmp: &Qmp) -> Result<Vec<ports::Forward>, Fault> {
        let spec = &self.spawned.spec;
        if spec.nics().all(|nic| nic.forwards.is_empty()) {
            return Ok(Vec::new());
        }
        let arguments = json!({ "command-line": "info usernet" });
        let report = qmp
            .command("human-monitor-command", Some(arguments), COMMAND_PATIENCE)
            .await;
        let report = report
            .map_err(Fault::Monitor)?
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let found = ports::parse(&report);
        for nic in spec.nics() {
            for port in &nic.forwards {
                if !found
                    .iter()
                    .any(|forward| forward.nic == nic.name && forward.guest == *port)
                {
                    let (machine, nic, port) = (spec.name.clone(), nic.name.clone(), *port);
                    return Err(Fault::Machine(MachineError::Port {
                        machine,
                        nic,
                        port,
                        report,
                    }));
                }
            }
        }
        Ok(found)
    }
}

enum Fault {
    Monitor(QmpError),
    Machine(MachineError),
}

/// A file's text as far as it can be read: it goes into messages.
pub(super) fn read(path: &camino::Utf8Path) -> String {
    std::fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}
