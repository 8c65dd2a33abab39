//! How a test's machines begin: from a saved state where there is one that is any good, else at their firmware.

use std::time::Instant;

use camino::Utf8Path;
use serde_json::{Map, Value, json};
use vtbuild_engine::outcome::{Distrust, Outcome, Status};
use vtbuild_engine::rule::Job;
use vtbuild_engine::spec::Aid;
use vtbuild_providers::desk::{Desk, FirstSession, Saved};
use vtbuild_providers::machine::Launch;
use vtbuild_providers::params::Params;

use super::around::kernel_params;
use super::execute::{Stopped, error};
use super::folder::DataFolder;
use super::images::ImageUse;
use super::{TestPayload, TestRule};
use crate::state::declare::role;
use crate::state::{OUTPUT, Unpacked};

/// The file among a test's logs that tells how its machines began.
const LOG: &str = "machines.json";

/// What machines are started with.
pub(super) struct Stage<'a> {
    pub(super) rule: &'a TestRule,
    pub(super) job: &'a Job,
    pub(super) payload: &'a TestPayload,
    pub(super) launch: &'a Launch,
    pub(super) folder: &'a DataFolder,
    pub(super) desk: &'a Desk,
}

/// How machines began.
#[derive(Default)]
pub(super) struct Begun {
    machines: Map<String, Value>,
    distrusted: Vec<Distrust>,
}

impl Begun {
    /// Keeps it with an outcome and among the logs, and how long after `since` a guest first answered the test.
    pub(super) fn note(
        self,
        outcome: &mut Outcome,
        logs: &Utf8Path,
        answer: Option<Instant>,
        since: Instant,
    ) {
        if !self.machines.is_empty() {
            let answer = answer.map(|answer| answer.duration_since(since).as_secs_f64());
            let told = json!({ "machines": self.machines, "first_answer_seconds": answer });
            // For people; nothing hangs on it.
            let _ = std::fs::write(logs.join(LOG), format!("{told:#}\n"));
            if let Value::Object(evidence) = &mut outcome.evidence {
                evidence.insert("beginning".into(), told);
            }
        }
        outcome.distrusted.extend(self.distrusted);
    }
}

/// The machines that a state was made for; none where somebody else starts them.
pub(super) fn resumed(by_upstream: bool, job: &Job, params: &Params) -> Vec<String> {
    let has_one = |vm: &&str| {
        let role = role(vm);
        job.spec.aids.iter().any(|aid| aid.role == role) && job.artefact(&role, OUTPUT).is_some()
    };
    let vms = params.objects("vms").into_iter();
    let vms = vms.filter(|vm| !by_upstream && has_one(vm));
    vms.map(str::to_owned).collect()
}

/// Starts all machines that the test wants started, and makes the others known.
pub(super) async fn start_all(stage: &Stage<'_>, begun: &mut Begun) -> Result<(), Stopped> {
    for vm in stage.payload.params.objects("vms") {
        let view = kernel_params::adjusted(vm, stage.payload.params.object(vm))?;
        if view.switch("start_vm").map_err(error)? != Some(true) {
            stage.desk.register_vm(vm, view);
            continue;
        }
        tokio::select! {
            started = stage.start(vm, view, begun) => started?,
            reason = stage.job.cancel.cancelled() => return Err((Status::Interrupt, reason.to_string())),
        }
    }
    Ok(())
}

impl Stage<'_> {
    async fn start(&self, vm: &str, view: Params, begun: &mut Begun) -> Result<(), Stopped> {
        let since = Instant::now();
        let (resumed, why) = match self.state(vm).await {
            Ok(state) => self.resume(vm, view.clone(), state, begun).await?,
            Err(Lack::Reason(reason)) => (None, Some(reason)),
            Err(Lack::Damaged(reason)) => (None, Some(self.distrust(vm, &reason, begun))),
        };
        if resumed.is_none() {
            let images = &self.payload.images;
            self.folder.cover_the_rest(vm, images).await.map_err(error)?;
            self.job.events.step(format!("starting {vm}"));
            self.desk.create_vm(vm, view).await.map_err(error)?;
        }
        let how = if resumed.is_some() { "state" } else { "boot" };
        let session = resumed.map(|session| match session {
            FirstSession::Standing => "the shell that waited in it",
            FirstSession::Login => "ssh",
        });
        let seconds = since.elapsed().as_secs_f64();
        let told = json!({ "began": how, "why": why, "entered_by": session, "seconds": seconds });
        begun.machines.insert(vm.to_owned(), told);
        Ok(())
    }

    /// The machine's state, at hand; or why there is none.
    async fn state(&self, vm: &str) -> Result<Unpacked, Lack> {
        let role = role(vm);
        let is_its = |aid: &&Aid| aid.role == role;
        if self.job.spec.aids.iter().find(is_its).is_none() {
            let boots = self.payload.boots.iter().find(|(name, _)| name == vm);
            let reason = boots.map_or("guest states are switched off", |(_, reason)| reason);
            return Err(Lack::Reason(reason.to_owned()));
        }
        let archive = self.job.artefact(&role, OUTPUT);
        let archive = archive.ok_or_else(|| Lack::Reason("no state of it was made".into()))?;
        self.job.events.step(format!("resuming {vm}"));
        Unpacked::of(archive, &self.rule.setup.states)
            .await
            .map_err(Lack::Damaged)
    }

    /// How the machine was entered where it began from the state; and if it did not, why. Nothing of the attempt is left then.
    async fn resume(
        &self,
        vm: &str,
        view: Params,
        state: Unpacked,
        begun: &mut Begun,
    ) -> Result<(Option<FirstSession>, Option<String>), Stopped> {
        let of_vm = |image: &&ImageUse| image.vm.as_deref() == Some(vm) && state.covers(&image.spec.name);
        let images: Vec<&ImageUse> = self.payload.images.iter().filter(of_vm).collect();
        let logs = &self.launch.log_dir;
        let done = match state.lay_out(self.folder, &images, logs).await {
            Ok(()) => {
                let memory = state.memory();
                let saved = Saved {
                    memory: &memory,
                    standing: state.standing(),
                };
                let resumed = self.desk.resume_vm(vm, view, saved).await;
                resumed.map_err(|error| error.to_string())
            }
            Err(reason) => Err(reason),
        };
        let reason = match done {
            Ok(session) => return Ok((Some(session), None)),
            Err(reason) => reason,
        };
        state.undo(self.folder, &images, logs).await.map_err(error)?;
        Ok((None, Some(self.distrust(vm, &reason, begun))))
    }

    /// Marks a machine's state as no good. The reason, in one line.
    fn distrust(&self, vm: &str, reason: &str, begun: &mut Begun) -> String {
        let reason = reason.lines().next().unwrap_or_default();
        let reason = format!("failed to {reason}");
        self.job.events.notice(format!(
            "`{}`: {vm} did not come up from its state and boots: {reason}",
            self.job.spec.title
        ));
        begun.distrusted.push(Distrust {
            role: role(vm),
            reason: reason.clone(),
        });
        reason
    }
}

/// Why a machine has no state to begin from.
enum Lack {
    /// There is a reason for that.
    Reason(String),
    /// There is one that is no good.
    Damaged(String),
}
