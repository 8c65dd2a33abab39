//! The desk: what stands behind the calls of one test.
//!
//! A test names its machines, and holds sessions and monitors by handles; the [`Desk`] knows what is behind the names.
//! It is the [`Handler`] of the Python test host over real machines, and is used by the preparation around the body
//! directly: [`Desk::create_vm`], [`Desk::shutdown_all`].
//!
//! A name means the machine that is reached by it *now*: after a migration, the one at the destination. Nothing is removed
//! from the desk while the test runs, so that the state, the serial log and the command line of a dead machine can
//! still be asked for. When the desk is dropped, its machines are killed and its sessions hang up.

mod access;
mod create;
mod errors;
mod kernel_log;
mod migrate;
mod monitors;
mod power;
mod reboot;
mod resume;
mod sessions;
mod settings;
mod standing;
mod tools;
mod visit;
mod vm;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use self::sessions::Session;
use crate::host::protocol::CallError;
use crate::host::{Handler, Request};
use crate::machine::{Launch, Machine};
use crate::params::Params;
use crate::qmp::Qmp;
use crate::session::Shell;

pub use create::{Saved, StartError};
pub use resume::{FirstSession, ResumeError};
pub use visit::{SshWay, WaysIn};

/// Between two looks at whether a migration is over.
const LOOK: Duration = Duration::from_millis(20);

/// Which file backs an image is the caller's decision: the desk never writes to an original.
#[async_trait::async_trait]
pub trait ImageSource: Send + Sync {
    /// A file that the machine `vm` (or, where there is none, a tool) may write to instead of the image that `image`, its
    /// view of the parameters, describes. The same file each time for the same machine and image.
    async fn open(&self, vm: Option<&str>, image: &Params) -> Result<OpenImage, ImageError>;
}

/// A file that stands for an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenImage {
    /// Where it is.
    pub file: Utf8PathBuf,
    /// Its own format; an overlay is qcow2 whatever it covers.
    pub format: String,
}

/// Why an image cannot be used.
#[derive(Clone, Debug, thiserror::Error)]
#[error("open the image {image}: {reason}")]
pub struct ImageError {
    /// Its name.
    pub image: String,
    /// What is wrong, and what to do.
    pub reason: String,
}

/// What a desk works with.
#[derive(Clone)]
pub struct DeskSetup {
    /// The variant's parameters: what tests hand over are views of them.
    pub params: Params,
    /// What machines are started with.
    pub launch: Launch,
    /// What relative names of images, kernels and media start from.
    pub data_dir: Utf8PathBuf,
    /// Where session logs and pictures go: the test's own folder.
    pub log_dir: Utf8PathBuf,
    /// Finds the files behind images.
    pub images: Arc<dyn ImageSource>,
}

/// One name and the machine behind it.
#[derive(Clone)]
struct Seat {
    params: Params,
    /// None until it is started for the first time.
    machine: Option<Machine>,
}

#[derive(Default)]
struct State {
    seats: BTreeMap<String, Seat>,
    sessions: BTreeMap<u64, Arc<Session>>,
    /// Shells of machines that began from a state, for whoever logs in first.
    greeted: BTreeMap<String, Shell>,
    /// Monitors of processes that are no machines, by their handles.
    opened: BTreeMap<String, Qmp>,
    /// Machines that are being migrated. The source ends before its name means the destination.
    moving: BTreeSet<String>,
}

/// The machines and sessions of one test.
pub struct Desk {
    setup: DeskSetup,
    state: Mutex<State>,
    numbers: AtomicU64,
    answered: OnceLock<Instant>,
}

impl Desk {
    /// A desk with nothing on it.
    pub fn new(setup: DeskSetup) -> Self {
        Self {
            setup,
            state: Mutex::default(),
            numbers: AtomicU64::new(1),
            answered: OnceLock::new(),
        }
    }

    /// The machine that a name means now, dead or alive.
    pub fn machine(&self, vm: &str) -> Option<Machine> {
        self.lock().seats.get(vm)?.machine.clone()
    }

    /// When the first command of the test was answered by a guest.
    pub fn first_answer(&self) -> Option<Instant> {
        self.answered.get().copied()
    }

    /// The names of all machines, in order.
    pub fn vms(&self) -> Vec<String> {
        self.lock().seats.keys().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between any two statements under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_number(&self) -> u64 {
        self.numbers.fetch_add(1, Ordering::Relaxed)
    }

    fn seat(&self, vm: &str) -> Result<Seat, CallError> {
        let state = self.lock();
        state.seats.get(vm).cloned().ok_or_else(|| {
            let known: Vec<&str> = state.seats.keys().map(String::as_str).collect();
            let known = if known.is_empty() {
                "there is none".to_owned()
            } else {
                known.join(", ")
            };
            CallError::new(
                "vm-unknown",
                format!("find the machine {vm} (machines of this test: {known})"),
            )
        })
    }

    /// A machine that lives, and its parameters.
    fn alive(&self, vm: &str) -> Result<(Machine, Params), CallError> {
        let (machine, params) = self.started(vm)?;
        match machine.exit_info() {
            None => Ok((machine, params)),
            Some(info) => Err(errors::dead(vm, &info)),
        }
    }

    /// Whether `machine` has ended while the machine of its name goes on elsewhere: it was migrated. Where it is being migrated
    /// that is awaited, until `deadline` at most.
    async fn has_moved(&self, vm: &str, machine: &Machine, deadline: tokio::time::Instant) -> bool {
        self.settled(vm, deadline).await;
        machine.exit_info().is_some() && self.alive(vm).is_ok()
    }

    /// Waits until a name means a machine that is not being migrated, until `deadline` at most.
    async fn settled(&self, vm: &str, deadline: tokio::time::Instant) {
        while self.lock().moving.contains(vm) && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// A machine that has been started, and its parameters.
    fn started(&self, vm: &str) -> Result<(Machine, Params), CallError> {
        let seat = self.seat(vm)?;
        match seat.machine {
            Some(machine) => Ok((machine, seat.params)),
            None => Err(CallError::new(
                "vm-dead",
                format!("use the machine {vm}: it has not been started"),
            )),
        }
    }
}

#[async_trait::async_trait]
impl Handler for Desk {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        match request {
            Request::VmCreate(args) => self.vm_create(*args).await,
            Request::VmDiffers(args) => self.vm_differs(*args).await.map(Value::Bool),
            Request::VmState(args) => self.vm_state(&args.vm).await,
            Request::VmVerify(args) => self.vm_verify(&args.vm, args.checks.as_deref()).await.map(none),
            Request::VmLogin(args) => self.vm_login(*args).await,
            Request::VmMigrate(args) => self.vm_migrate(*args).await,
            Request::VmConsole(args) => self.vm_console(&args.vm, args.name.as_deref()).await,
            Request::VmReboot(args) => self.vm_reboot(*args).await,
            Request::VmPause(args) => self.vm_pause(&args.vm).await.map(none),
            Request::VmResume(args) => self.vm_resume(&args.vm, args.timeout).await.map(none),
            Request::VmDestroy(args) => self
                .vm_destroy(&args.vm, args.gracefully == Some(true))
                .await
                .map(none),
            Request::VmShutdown(args) => self.vm_shutdown(*args).await.map(none),
            Request::VmWaitForDead(args) => self
                .vm_wait_for_dead(&args.vm, args.timeout.0)
                .await
                .map(Value::Bool),
            Request::VmAddress(args) => self.vm_address(&args.vm, args.index).map(Value::String),
            Request::VmPort(args) => self
                .vm_port(&args.vm, args.nic_index, args.guest_port)
                .map(|port| json!(port)),
            Request::VmCopyTo(args) => self.vm_copy_to(*args).await,
            Request::VmCopyFrom(args) => self.vm_copy_from(*args).await,
            Request::VmMirror(args) => self.vm_mirror(*args).await,
            Request::VmSerialLog(args) => self.vm_serial_log(&args.vm, args.name.as_deref()),
            Request::VmProcess(args) => self.vm_process(&args.vm),
            Request::VmDevices(args) => self.vm_devices(&args.vm),
            Request::VmScreendump(args) => self.vm_screendump(&args.vm, &args.path).await.map(none),
            Request::MonitorList(args) => self.monitor_list(&args.vm),
            Request::MonitorOpen(args) => self.monitor_open(*args).await,
            Request::MonitorCommand(args) => self.monitor_command(*args).await,
            Request::MonitorRaw(args) => self.monitor_raw(*args).await,
            Request::MonitorGreeting(args) => self.monitor_greeting(&args.monitor),
            Request::MonitorHmp(args) => self.monitor_hmp(*args).await,
            Request::MonitorEvents(args) => self.monitor_events(&args.monitor, args.clear == Some(true)),
            Request::MonitorWaitEvent(args) => self.monitor_wait_event(*args).await,
            Request::SessionCmd(args) => self.session_cmd(*args).await,
            Request::SessionSend(args) => self.session_send(*args).await.map(none),
            Request::SessionRead(args) => self
                .session_read(args.session, args.timeout.0)
                .await
                .map(Value::String),
            Request::SessionReadUntil(args) => self.session_read_until(*args).await,
            Request::SessionConfigure(args) => self.session_configure(*args).await.map(none),
            Request::SessionAlive(args) => Ok(Value::Bool(self.session_alive(args.session))),
            Request::SessionClose(args) => {
                self.session_close(args.session);
                Ok(Value::Null)
            }
            Request::ImageRun(args) => self.image_run(*args).await,
            Request::ImagePath(args) => self.image_path(&args.params).await,
        }
    }
}

fn none(_: ()) -> Value {
    Value::Null
}
