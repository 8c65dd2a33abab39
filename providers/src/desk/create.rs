//! Making machines, and ending all of them.

use std::time::Duration;

use camino::Utf8Path;
use serde_json::{Value, json};

use super::{Desk, ImageError, Seat, errors, settings};
use crate::host::protocol::CallError;
use crate::host::request::{VmCreate, VmDiffers};
use crate::machine::spec::{Device, Disk};
use crate::machine::{Incoming, Listen, Machine, MachineError, MachineSpec};
use crate::params::{ParamError, Params};

/// How long a machine may take to end by itself when all are ended.
const QUIT_PATIENCE: Duration = Duration::from_secs(5);

/// Why a machine could not be made.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its parameters.
    #[error("describe the machine {vm}: {source}")]
    Params {
        /// The machine.
        vm: String,
        /// Which parameter.
        source: ParamError,
    },
    /// An image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// QEMU.
    #[error(transparent)]
    Machine(#[from] MachineError),
}

/// Where a machine begins.
#[derive(Clone, Copy)]
pub(super) enum Beginning<'a> {
    /// At its firmware.
    Firmware,
    /// The same, and its state will be saved.
    ToBeSaved,
    /// It waits for a migration.
    Migration,
    /// At a saved state, which QEMU has so long to read.
    State(Saved<'a>, Duration),
}

/// A machine's saved state.
#[derive(Clone, Copy)]
pub struct Saved<'a> {
    /// The file with memory and devices.
    pub memory: &'a Utf8Path,
    /// The prompt of the standing shell that is in it, where one is.
    pub standing: Option<&'a str>,
}

impl Beginning<'_> {
    /// Whether a standing shell may connect to the machine's other side. A machine to which a state comes needs that where the
    /// state's machine had it: `others` says whether one of the test's has.
    fn stands(self, others: impl FnOnce() -> bool) -> bool {
        match self {
            Self::Firmware => false,
            Self::ToBeSaved => true,
            Self::Migration => others(),
            Self::State(saved, _) => saved.standing.is_some(),
        }
    }
}

impl Desk {
    /// Starts the machine `vm`. `params` is its own view. A machine that already lives under that name is killed first.
    ///
    /// # Errors
    /// See [`StartError`]. The name is known afterwards all the same, as that of a machine that is not running.
    pub async fn create_vm(&self, vm: &str, params: Params) -> Result<Machine, StartError> {
        self.start_vm(vm, params, Beginning::Firmware, None).await
    }

    /// The same for a machine that [`save_vm`](Self::save_vm) will be asked to save.
    ///
    /// # Errors
    /// The same.
    pub async fn create_vm_to_save(&self, vm: &str, params: Params) -> Result<Machine, StartError> {
        self.start_vm(vm, params, Beginning::ToBeSaved, None).await
    }

    /// The same for a machine that may begin elsewhere, and may take over the disks of the machine `source`.
    pub(super) async fn start_vm(
        &self,
        vm: &str,
        params: Params,
        beginning: Beginning<'_>,
        source: Option<&str>,
    ) -> Result<Machine, StartError> {
        let taken_over = source.and_then(|source| self.machine(source));
        // Its former machine may be the one whose state comes to the new one.
        let stands = beginning.stands(|| self.has_standing());
        self.forget_machine(vm, params.clone()).await;
        let mut spec = self.spec(vm, &params, taken_over.as_ref()).await?;
        if stands {
            spec.offer_standing();
        }
        let launch = &self.setup.launch;
        let machine = match beginning {
            Beginning::Firmware | Beginning::ToBeSaved => Machine::start(launch, spec, None).await?,
            Beginning::Migration => Machine::start(launch, spec, Some(Incoming::Defer)).await?,
            Beginning::State(saved, patience) => {
                Machine::restore(launch, spec, saved.memory, patience).await?
            }
        };
        self.lock().seats.insert(
            vm.to_owned(),
            Seat {
                params,
                machine: Some(machine.clone()),
            },
        );
        Ok(machine)
    }

    /// What the machine `vm` consists of with these parameters, and with the disks of `taken_over` where those have the same
    /// names.
    async fn spec(
        &self,
        vm: &str,
        params: &Params,
        taken_over: Option<&Machine>,
    ) -> Result<MachineSpec, StartError> {
        let describe = |source| StartError::Params {
            vm: vm.to_owned(),
            source,
        };
        let mut spec = MachineSpec::from_params(vm, params, &self.setup.data_dir).map_err(describe)?;
        for device in &mut spec.devices {
            if let Device::Disk(disk) = device {
                let same = |other: &&Disk| other.name == disk.name;
                if let Some(other) = taken_over.and_then(|source| source.spec().disks().find(same)) {
                    (disk.file, disk.format) = (other.file.clone(), other.format.clone());
                    continue;
                }
                let open = self
                    .setup
                    .images
                    .open(Some(vm), &params.object(&disk.name))
                    .await?;
                (disk.file, disk.format) = (open.file, open.format);
            }
        }
        Ok(spec)
    }

    /// Whether the machine would have another command line with these parameters than that with which it was started.
    pub(super) async fn vm_differs(&self, args: VmDiffers) -> Result<bool, CallError> {
        let (machine, _) = self.alive(&args.vm)?;
        let params = settings::params(&self.setup.params, &args.params);
        // What cannot be described is another machine: starting it says what is wrong.
        let mut wanted = self.spec(&args.vm, &params, None).await.ok();
        // That a shell waited in its state is no difference.
        if let Some(wanted) = wanted.as_mut().filter(|_| machine.standing_socket().is_some()) {
            wanted.offer_standing();
        }
        Ok(wanted.as_ref() != Some(machine.spec()))
    }

    /// Whether a standing shell may be connected to one of the machines.
    fn has_standing(&self) -> bool {
        let state = self.lock();
        let mut machines = state.seats.values().filter_map(|seat| seat.machine.as_ref());
        machines.any(|machine| machine.spec().nics().any(|nic| nic.standing))
    }

    /// Makes a name known without starting anything.
    pub fn register_vm(&self, vm: &str, params: Params) {
        let mut state = self.lock();
        let machine = state.seats.get(vm).and_then(|seat| seat.machine.clone());
        state.seats.insert(vm.to_owned(), Seat { params, machine });
    }

    pub(super) async fn forget_machine(&self, vm: &str, params: Params) {
        let old = self.lock().seats.insert(
            vm.to_owned(),
            Seat {
                params,
                machine: None,
            },
        );
        if let Some(machine) = old.and_then(|seat| seat.machine) {
            machine.kill().await;
        }
        self.hang_up(vm, |_| true);
    }

    /// Ends all machines and sessions. With `in_order`, QEMU closes its files first (for disks that are kept).
    pub async fn shutdown_all(&self, in_order: bool) {
        let (machines, sessions) = {
            let mut state = self.lock();
            let machines: Vec<Machine> = state
                .seats
                .values()
                .filter_map(|seat| seat.machine.clone())
                .collect();
            (machines, std::mem::take(&mut state.sessions))
        };
        for session in sessions.values() {
            session.terminal.close();
        }
        let endings = machines
            .iter()
            .filter(|machine| machine.is_alive())
            .map(|machine| async move {
                match in_order {
                    true => machine.quit(QUIT_PATIENCE).await,
                    false => machine.kill().await,
                }
            });
        futures_util::future::join_all(endings).await;
    }

    pub(super) async fn vm_create(&self, args: VmCreate) -> Result<Value, CallError> {
        let params = settings::params(&self.setup.params, &args.params);
        if args.start == Some(false) {
            self.register_vm(&args.vm, params);
            return Ok(json!({ "pid": null }));
        }
        let mode = args.migration_mode.as_deref().filter(|mode| !mode.is_empty());
        let listen = mode
            .map(|mode| listen(&args.vm, mode, args.migration_exec_cmd.as_deref()))
            .transpose()?;
        let beginning = match listen {
            Some(_) => Beginning::Migration,
            None => Beginning::Firmware,
        };
        let source = args.source.as_deref();
        let machine =
            self.start_vm(&args.vm, params, beginning, source)
                .await
                .map_err(|error| match error {
                    StartError::Params { .. } => CallError::new("vm-create", error.to_string())
                        .with(json!({ "output": "", "status": null })),
                    StartError::Image(error) => CallError::new("image", error.to_string()),
                    StartError::Machine(error) => errors::start(&error),
                })?;
        let uri = match listen {
            Some(listen) => Some(
                machine
                    .listen(listen)
                    .await
                    .map_err(|error| errors::machine(&error))?,
            ),
            None => None,
        };
        Ok(json!({ "pid": machine.pid(), "uri": uri }))
    }
}

/// Where a machine waits for its state.
fn listen(vm: &str, mode: &str, command: Option<&str>) -> Result<Listen, CallError> {
    match (mode, command) {
        ("tcp", _) => Ok(Listen::Tcp),
        ("unix", _) => Ok(Listen::Unix),
        ("exec", Some(command)) => Ok(Listen::Exec(command.to_owned())),
        _ => {
            let message = format!(
                "start {vm} to wait for a migration by {mode}: it is tcp, unix, or exec with a command; \
                 vm.migrate does both sides of any"
            );
            Err(CallError::new("unsupported", message))
        }
    }
}
