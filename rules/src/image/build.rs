//! Carrying an image action out.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use vtbuild_engine::outcome::{Keep, Outcome, Produced, Status};
use vtbuild_engine::rule::Job;
use vtbuild_providers::process::{Command, Exit, Launcher};

use super::recipe::{DISK, Recipe};
use crate::steps;

/// How long checking a finished disk may take.
const CHECK: Duration = Duration::from_secs(120);
/// Builds the recipe of `job`.
pub(super) async fn build(launcher: &Launcher, job: &Job) -> Outcome {
    match attempt(launcher, job).await {
        Ok(outcome) => outcome,
        Err(reason) => Outcome::ended(Status::Error, reason),
    }
}

async fn attempt(launcher: &Launcher, job: &Job) -> Result<Outcome, String> {
    let recipe = job
        .spec
        .payload
        .downcast_ref::<Recipe>()
        .expect("an image action carries its recipe");
    let missing = recipe.missing();
    if !missing.is_empty() {
        return Err(lacking(&missing));
    }
    let (out, work) = (job.scratch.join("out"), job.scratch.join("work"));
    for folder in [&out, &work] {
        std::fs::create_dir_all(folder).map_err(|error| format!("failed to make {folder}: {error}"))?;
    }
    let log = job.logs.join("build.log");
    let exit = run(launcher, job, recipe, &out, &work, &log).await?;
    if !exit.success() {
        return Err(format!(
            "the recipe `{}` failed: {}; the whole log is {log}",
            recipe.name,
            steps::last_lines(&log)
        ));
    }
    let outputs = outputs(recipe, &out)?;
    check(launcher, &out.join(recipe.disk())).await?;
    let evidence = json!({ "recipe": recipe.name, "outputs": recipe.outputs });
    Ok(Outcome {
        outputs,
        keep: Keep::Store,
        evidence,
        ..Outcome::pass()
    })
}

fn lacking(missing: &[(String, String)]) -> String {
    let what: Vec<&str> = missing.iter().map(|(_, what)| what.as_str()).collect();
    let mut packages: Vec<&str> = missing.iter().map(|(package, _)| package.as_str()).collect();
    packages.sort_unstable();
    packages.dedup();
    format!(
        "this host lacks {} for building the image; run: apt-get install {}",
        what.join(", "),
        packages.join(" ")
    )
}

/// Runs the recipe's program, passing on what it says it is doing.
async fn run(
    launcher: &Launcher,
    job: &Job,
    recipe: &Recipe,
    out: &Utf8Path,
    work: &Utf8Path,
    log: &Utf8Path,
) -> Result<Exit, String> {
    let size = job.spec.read("image_size").unwrap_or(&recipe.image_size);
    let folder = recipe
        .laid_out(&job.scratch.join("recipe"))
        .map_err(|error| format!("lay out the recipe `{}`: {error}", recipe.name))?;
    let command = Command::new(folder.join("build").as_std_path())
        .dir(work)
        .env("RECIPE_DIR", folder.as_str())
        .env("OUT", out.as_str())
        .env("SOURCE_DATE_EPOCH", recipe.source_date_epoch.to_string())
        .env("IMAGE_SIZE", size);
    steps::run(launcher, job, command, &[], log).await
}

/// The outputs under the names by which tests ask for them: the disk by its role, all others by file name.
fn outputs(recipe: &Recipe, out: &Utf8Path) -> Result<Vec<Produced>, String> {
    let one = |(file, role): (&String, &String)| {
        let path: Utf8PathBuf = out.join(file);
        if !path.is_file() {
            return Err(format!(
                "the recipe `{}` ended well but made no {file}",
                recipe.name
            ));
        }
        let name = if role == DISK {
            DISK.to_owned()
        } else {
            file.clone()
        };
        Ok(Produced { name, path })
    };
    recipe.outputs.iter().map(one).collect()
}

/// A finished disk is looked through once, before anybody stands on it.
async fn check(launcher: &Launcher, disk: &Utf8Path) -> Result<(), String> {
    let command = Command::new("qemu-img").args(["check", "-q", disk.as_str()]);
    let output = launcher
        .output(command, CHECK)
        .await
        .map_err(|error| format!("failed to {error}"))?;
    if output.exit.success() {
        return Ok(());
    }
    Err(format!(
        "the disk that was built is damaged: {}",
        output.stderr.trim()
    ))
}
