//! What surrounds a test: small steps, each keyed by its parameters, that are set up in order and cleaned up in reverse.
//!
//! There are two lists. The steps of [`before`] look at the host and run before any image or machine is made; those of
//! [`with_machines`] need machines that run. Only what was set up is cleaned up. A step that does not let a test run says with
//! which status it ends; a step that fails while it cleans up makes a passed test an error and leaves any other verdict alone.
//!
//! | step | parameters | at its beginning | at its end |
//! |---|---|---|---|
//! | [`host_log`] | `verify_host_dmesg`, `host_dmesg_…` | remembers what the kernel has said | new serious messages |
//! | [`requirements`] | `requires_root`, `cmds_installed_host`, `enable_kvm`, `required_kernel`, `required_qemu` | SKIP, CANCEL | |
//! | [`libvirt`] | `vm_type`, `connect_uri`, `vms` | SKIP; waits for other tests of libvirt | ends the domains |
//! | [`memory`] | `setup_hugepages`, `hugepage`, `setup_thp`, `setup_ksm`, … | SKIP; changes settings of the host | writes them back |
//! | [`commands`] | `pre_command…`, `post_command…` | the first one | the second one |
//! | [`screens`] | `take_regular_screendumps`, `screendump_…`, `inactivity_…` | begins to take pictures | stops, reports a screen that stood still |
//! | [`vm_info`] | `store_vm_info`, `vm_info_…` | begins to ask the monitors | stops |
//! | [`guest_log`] | `verify_guest_dmesg`, `guest_dmesg_…` | | what the guests' kernels have said |

mod commands;
mod guest_log;
mod host_log;
mod interval;
mod kernel_log;
pub(crate) mod kernel_params;
pub(in crate::test) mod libvirt;
mod memory;
mod repeated;
mod requirements;
mod screens;
mod vm_info;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use vtbuild_engine::cancel::Cancel;
use vtbuild_engine::event::Sink;
use vtbuild_engine::outcome::Status;
use vtbuild_providers::desk::Desk;
use vtbuild_providers::lease::Lease;
use vtbuild_providers::params::{ParamError, Params};
use vtbuild_providers::process::{Janitor, Launcher};
use vtbuild_providers::qemu::Version;

/// Why a test does not run, or what was wrong afterwards: a status and one line.
pub(crate) use super::execute::Stopped as Problem;
use super::execute::error;
pub(in crate::test) use commands::{POST, PRE};
pub(in crate::test) use requirements::facts;
pub use requirements::host_fact;

/// The ending of parameters that hold once a test has not passed.
const ON_ERROR: &str = "_on_error";

/// One step, and what it needs to know of its surroundings.
#[async_trait]
pub(super) trait Step<At: Sync>: Send + Sync {
    /// Does what comes before the test.
    async fn set_up(&mut self, _at: &At) -> Result<(), Problem> {
        Ok(())
    }

    /// Does what comes after it. Called only where `set_up` went well.
    async fn clean_up(&mut self, _at: &At) -> Result<(), Problem> {
        Ok(())
    }
}

/// What steps know before there are machines.
pub(super) struct Host {
    /// The parameters; after a test that did not pass, those that hold then.
    pub(super) params: Params,
    /// Starts programs.
    pub(super) launcher: Launcher,
    /// The version of the QEMU that the test will use.
    pub(super) qemu: Version,
    /// Where files that people read are left.
    pub(super) logs: Utf8PathBuf,
    /// The folder of all that the test makes.
    pub(super) scratch: Utf8PathBuf,
    /// Where they say what they are waiting for.
    pub(super) events: Sink,
    /// Set when they must not wait any more.
    pub(super) cancel: Cancel,
}

impl Host {
    /// Waits until no other test has the lease of a part of the host.
    async fn lease(&self, part: &str) -> Result<Lease, Problem> {
        let waiting = || {
            self.events.step(format!(
                "waiting for another test that changes {part} of this host"
            ));
        };
        tokio::select! {
            lease = Lease::take(part, waiting) => lease.map_err(error),
            reason = self.cancel.cancelled() => Err((Status::Interrupt, reason.to_string())),
        }
    }
}

/// What steps know while machines run.
pub(super) struct Machines {
    /// As for [`Host`].
    pub(super) params: Params,
    /// The machines.
    pub(super) desk: Arc<Desk>,
    /// Where files that people read are left.
    pub(super) logs: Utf8PathBuf,
}

/// The steps that come before images and machines, as far as the parameters ask for them.
pub(super) fn before(params: &Params) -> Result<Vec<Box<dyn Step<Host>>>, ParamError> {
    let mut steps: Vec<Box<dyn Step<Host>>> = Vec::new();
    if asked(params, "verify_host_dmesg")? {
        steps.push(Box::new(host_log::HostLog::default()));
    }
    steps.push(Box::new(requirements::Requirements));
    if memory::is_asked(params)? {
        steps.push(Box::new(memory::Memory::new(true)));
    }
    if params
        .text(commands::PRE)
        .or(params.text(commands::POST))
        .is_some()
    {
        steps.push(Box::new(commands::Commands));
    }
    Ok(steps)
}

/// The steps that come before upstream's packages do what surrounds a test: what they do not put back by themselves.
pub(super) fn beneath_upstream(params: &Params) -> Result<Vec<Box<dyn Step<Host>>>, ParamError> {
    let mut steps: Vec<Box<dyn Step<Host>>> = Vec::new();
    if libvirt::kind(params).is_some() {
        steps.push(Box::new(libvirt::Libvirt::default()));
    }
    if memory::is_asked(params)? {
        steps.push(Box::new(memory::Memory::new(false)));
    }
    Ok(steps)
}

/// The steps that come once machines run, as far as the parameters ask for them.
pub(super) fn with_machines(params: &Params) -> Result<Vec<Box<dyn Step<Machines>>>, ParamError> {
    let mut steps: Vec<Box<dyn Step<Machines>>> = Vec::new();
    if asked(params, "take_regular_screendumps")? {
        steps.push(Box::new(screens::Screens::default()));
    }
    if asked(params, "store_vm_info")? {
        steps.push(Box::new(vm_info::VmInfo::default()));
    }
    if asked(params, "verify_guest_dmesg")? {
        steps.push(Box::new(guest_log::GuestLog));
    }
    Ok(steps)
}

/// Has a janitor do its duties, where there is one; whether all of them went well.
async fn put_back(janitor: &mut Option<Janitor>) -> bool {
    match janitor.take() {
        Some(janitor) => janitor.finish().await.success(),
        None => true,
    }
}

/// Whether a switch is on.
fn asked(params: &Params, key: &str) -> Result<bool, ParamError> {
    Ok(params.switch(key)?.unwrap_or(false))
}

/// A number of seconds.
fn seconds(params: &Params, key: &str, otherwise: f64) -> Result<Duration, Problem> {
    let number = params.text(key).map_or(Ok(otherwise), str::parse::<f64>);
    match number {
        Ok(number) if number >= 0.0 => Ok(Duration::from_secs_f64(number.min(1e9))),
        _ => Err(error(params.bad(key, "a number of seconds"))),
    }
}

/// Steps that were set up and wait for being cleaned up.
pub(super) struct Around<At> {
    up: Vec<Box<dyn Step<At>>>,
}

impl<At: Sync> Around<At> {
    /// Sets the steps up, in order. The first that fails ends it; those before it are still to be cleaned up.
    pub(super) async fn set_up(steps: Vec<Box<dyn Step<At>>>, at: &At) -> (Self, Result<(), Problem>) {
        let mut around = Self { up: Vec::new() };
        for mut step in steps {
            match step.set_up(at).await {
                Ok(()) => around.up.push(step),
                Err(problem) => return (around, Err(problem)),
            }
        }
        (around, Ok(()))
    }

    /// Cleans up what was set up, last first, and gives all that went wrong.
    pub(super) async fn clean_up(self, at: &At) -> Vec<Problem> {
        let mut problems = Vec::new();
        for mut step in self.up.into_iter().rev() {
            problems.extend(step.clean_up(at).await.err());
        }
        problems
    }
}

/// The parameters that hold after a test: once it has not passed, `KEY_on_error` takes the place of `KEY`.
pub(super) fn afterwards(params: &Params, status: Status) -> Params {
    let mut after = params.clone();
    if status == Status::Pass {
        return after;
    }
    let changes = params
        .iter()
        .filter_map(|(key, value)| Some((key.strip_suffix(ON_ERROR)?, value)));
    changes.for_each(|(key, value)| after.set(key, value));
    after
}

#[cfg(test)]
mod tests;
