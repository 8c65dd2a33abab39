//! Making a state: the guest boots on overlays, becomes quiet, and is saved.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};
use vtbuild_engine::outcome::{Outcome, Produced};
use vtbuild_engine::rule::Job;
use vtbuild_providers::desk::{Desk, DeskSetup, ResumeError, StartError};
use vtbuild_providers::machine::{MachineError, MachineSpec};
use vtbuild_providers::params::Params;

use super::archive::{self, DESCRIPTION, Description, Layer, MEMORY};
use super::declare::{LOGIN, TOOLS};
use super::{OUTPUT, StatePayload};
use crate::test::around::kernel_params;
use crate::test::execute::{Stopped, error, launch, unless_cancelled};
use crate::test::folder::{Covered, DataFolder};
use crate::test::{TestRule, params_of};

/// Parameters that say how long something may take: they decide nothing else, and are in no key.
const PATIENCE: [&str; 1] = ["login_timeout"];

/// Makes the state that `job` is about.
pub(super) async fn execute(test: &TestRule, job: &Job) -> Outcome {
    let payload = job
        .spec
        .payload
        .downcast_ref::<StatePayload>()
        .expect("a state action carries its payload");
    let done = unless_cancelled(job, attempt(test, job, payload)).await;
    done.unwrap_or_else(|(status, reason)| Outcome::ended(status, reason))
}

/// The parameters that what was declared follows from, and no others: nothing else can matter then.
fn limited(payload: &StatePayload) -> Result<Params, Stopped> {
    let all = params_of(&payload.listed).recording();
    let view = kernel_params::adjusted(&payload.vm, all.object(&payload.vm))?;
    MachineSpec::from_params(&payload.vm, &view, Utf8Path::new("")).map_err(error)?;
    for key in LOGIN.iter().chain(&TOOLS).chain(&PATIENCE) {
        let _ = (view.get(key), all.get(key));
    }
    // Which accelerator it is, the command line says.
    let _ = vtbuild_providers::accel::Accel::from_params(&all).map_err(error)?;
    let reads = all.reads().keys;
    Ok(all.iter().filter(|(key, _)| reads.contains(*key)).collect())
}

async fn attempt(test: &TestRule, job: &Job, payload: &StatePayload) -> Result<Outcome, Stopped> {
    let params = limited(payload)?;
    let vm = payload.vm.as_str();
    let launch = launch(test, job, &params, "g").await?;
    let img = test.img(&launch);
    let facts = &test.setup().facts;
    let folder = DataFolder::make(job, &job.scratch, facts, img, &payload.images, Vec::new())
        .await
        .map_err(error)?;
    let desk = Desk::new(DeskSetup {
        params: params.clone(),
        launch,
        data_dir: folder.path().to_owned(),
        log_dir: job.logs.clone(),
        images: folder.clone(),
    });
    job.events.step(format!("booting {vm}"));
    let begun = Instant::now();
    let view = kernel_params::adjusted(vm, params.object(vm))?;
    desk.create_vm_to_save(vm, view).await.map_err(error)?;
    let memory = job.scratch.join(MEMORY);
    let standing = match desk.save_vm(vm, &memory).await {
        Ok(standing) => standing,
        Err(ResumeError::Start(StartError::Machine(MachineError::Monitor { source, .. }))) => {
            // The same machine would be refused again.
            desk.shutdown_all(false).await;
            return Ok(cannot_be_saved(job, &source.to_string()));
        }
        Err(problem) => {
            desk.shutdown_all(false).await;
            return Err(error(problem));
        }
    };
    let up = begun.elapsed().as_secs_f64();
    let layers = match layers(payload, &folder).await? {
        Layers::Of(layers) => layers,
        Layers::Lost(image) => {
            let reason = format!("its guest writes to the blank image {image} before anybody logs in");
            return Ok(cannot_be_saved(job, &reason));
        }
    };
    job.events.step("packing the state");
    let members = members(job, payload, layers, &memory, standing)?;
    let packed = job.scratch.join(OUTPUT);
    let (files, to) = (members.clone(), packed.clone());
    let packing = tokio::task::spawn_blocking(move || archive::pack(&files, &to)).await;
    packing
        .map_err(error)?
        .map_err(|source| error(format!("write {packed}: {source}")))?;
    let evidence = evidence(&members, &packed, up);
    let path = packed;
    Ok(Outcome {
        outputs: vec![Produced {
            name: OUTPUT.to_owned(),
            path,
        }],
        evidence,
        ..Outcome::pass()
    })
}

/// A state without content: it is known that there is none.
fn cannot_be_saved(job: &Job, reason: &str) -> Outcome {
    job.events.notice(format!(
        "`{}` cannot be saved, its tests boot: {reason}",
        job.spec.title
    ));
    Outcome {
        evidence: json!({ "cannot be saved": reason }),
        ..Outcome::pass()
    }
}

/// What a guest that has come up has written on its disks.
enum Layers {
    /// By the names of their images. Blank images that are blank still have none: each test makes its own.
    Of(BTreeMap<String, Covered>),
    /// This blank image is none any more, and a test would make it anew.
    Lost(String),
}

async fn layers(payload: &StatePayload, folder: &DataFolder) -> Result<Layers, Stopped> {
    let mut layers = BTreeMap::new();
    for image in &payload.images {
        let name = &image.spec.name;
        if let Some(layer) = folder.layer(image).await {
            layers.insert(name.clone(), layer);
            continue;
        }
        let left = folder.left(image).await;
        let left = left.ok_or_else(|| error(format!("find the image {name} of the guest")))?;
        if !DataFolder::is_untouched(&left) {
            return Ok(Layers::Lost(name.clone()));
        }
    }
    Ok(Layers::Of(layers))
}

/// The files of a state with their names in the archive.
fn members(
    job: &Job,
    payload: &StatePayload,
    layers: BTreeMap<String, Covered>,
    memory: &Utf8Path,
    standing: Option<String>,
) -> Result<Vec<(String, Utf8PathBuf)>, Stopped> {
    let mut description = Description {
        standing,
        ..Description::default()
    };
    let mut members = vec![(MEMORY.to_owned(), memory.to_owned())];
    for (name, Covered { file: path, base, .. }) in layers {
        let file = format!("disk-{name}.qcow2");
        members.push((file.clone(), path));
        description.layers.insert(name, Layer { file, base });
    }
    let ending = format!("-{}.log", payload.vm);
    for entry in job.logs.read_dir_utf8().map_err(error)?.flatten() {
        let name = entry.file_name();
        if name.starts_with("serial-") && name.ends_with(&ending) {
            description.logs.push(name.to_owned());
            members.push((name.to_owned(), entry.path().to_owned()));
        }
    }
    description.logs.sort();
    let path = job.scratch.join(DESCRIPTION);
    let text = serde_json::to_vec(&description).map_err(error)?;
    std::fs::write(&path, text).map_err(|source| error(format!("write {path}: {source}")))?;
    members.push((DESCRIPTION.to_owned(), path));
    Ok(members)
}

/// How large it is, and how long its guest took.
fn evidence(members: &[(String, Utf8PathBuf)], packed: &Utf8Path, seconds: f64) -> Value {
    let size = |path: &Utf8Path| path.metadata().map_or(0, |metadata| metadata.len());
    let on_disk = |path: &Utf8Path| path.metadata().map_or(0, |metadata| metadata.blocks() * 512);
    let sizes: serde_json::Map<String, Value> = members
        .iter()
        .map(|(name, path)| {
            (
                name.clone(),
                json!({ "bytes": size(path), "on_disk": on_disk(path) }),
            )
        })
        .collect();
    json!({ "members": sizes, "packed": size(packed), "seconds_to_saved": seconds })
}
