//! `vtbuild bootstrap`: what runs would do by themselves, done beforehand, in the eight steps that people know.

use std::sync::Arc;

use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::plan::PlanOptions;
use vtbuild_providers::requirements::{Need, Requirement, kernel_modules, missing_packages, requirements};
use vtbuild_rules::image::Recipe;

use super::list::guests::{Image, images_of};
use super::{plural, print, providers, visit};
use crate::analysis::Analysis;
use crate::cli::{AccelArg, BootstrapArgs, RuntimeArg, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::wiring::Wiring;
use crate::workspace::Workspace;
use crate::workspace::downloads::{self, SILENCE, download_of};

/// The folders that people put things into: in the workspace, and in its data folder.
const FOLDERS: [&str; 2] = ["test-providers.d", downloads::FOLDER];
const DATA_FOLDERS: [&str; 2] = ["images", "isos"];
/// The files of the configuration set that a workspace may replace.
const SET: [&str; 8] = [
    "tests.cfg",
    "tests-shared.cfg",
    "base.cfg",
    "machines.cfg",
    "guest-hw.cfg",
    "build.cfg",
    "cdkeys.cfg",
    "virtio-win.cfg",
];
/// What is said of an image that is not there and may not be made.
const LEFT_OUT: &str = "not there; --vt-no-downloads leaves it so";
/// Where the docs are, for those who have the sources, and for those who have the program alone.
const DOCS: &str = "README.md and docs/ of the sources; `vtbuild --help`, and --help of every command";

/// Does the eight steps. One that fails does not keep the others from being done.
pub fn bootstrap(args: &BootstrapArgs) -> Result<Exit, Failure> {
    let offline = args.vt_no_downloads;
    let mut workspace = if offline {
        Workspace::open_offline(&args.place)?
    } else {
        Workspace::open(&args.place)?
    };
    if let Some(vt_type) = &args.vt_type {
        workspace.settings.vt_type.clone_from(vt_type);
    }
    let backend = workspace.settings.vt_type.clone();
    let mut report = Report::default();
    report.line(&format!("vtbuild bootstrap for {backend}"))?;
    if args.vt_update_providers && !offline {
        let updated = providers::update(&[], &args.place)?;
        report.worst = worse(report.worst, updated);
        workspace = Workspace::open_offline(&args.place)?;
        workspace.settings.vt_type.clone_from(&backend);
    }
    test_providers(&workspace, &mut report)?;
    let needs = requirements(&backend);
    report.step("Checking the mandatory programs and headers")?;
    report.needs(&needs, Need::Always)?;
    report.step("Checking the recommended programs and headers")?;
    report.needs(&needs, Need::SomeTests)?;
    let packages = missing_packages(&needs);
    if !packages.is_empty() {
        report.line(&format!("to have them: apt-get install {}", packages.join(" ")))?;
    }
    report.step("Verifying directories")?;
    folders(&workspace, &mut report)?;
    report.step("Verifying the configuration set")?;
    let analysis = configuration(workspace, args, &mut report)?;
    report.step("Verifying the guest's image")?;
    guest(analysis.as_ref(), args, &mut report)?;
    modules(&backend, &mut report)?;
    report.step("If you wish, you may take a look at the docs for more info")?;
    report.line(DOCS)?;
    Ok(report.worst)
}

/// What is printed, and the worst of what was found.
struct Report {
    number: u32,
    worst: Exit,
}

impl Default for Report {
    fn default() -> Self {
        let (number, worst) = (0, Exit::Good);
        Self { number, worst }
    }
}

impl Report {
    fn step(&mut self, title: &str) -> Result<(), Failure> {
        self.number += 1;
        print(&format!("\n{} - {title}\n", self.number))
    }

    fn line(&self, text: &str) -> Result<(), Failure> {
        print(&format!("{text}\n"))
    }

    fn failed(&mut self, failure: &Failure) -> Result<(), Failure> {
        self.worst = worse(self.worst, failure.exit);
        self.line(&failure.message)
    }

    fn needs(&mut self, needs: &[Requirement], need: Need) -> Result<(), Failure> {
        for one in needs.iter().filter(|one| one.need == need) {
            let Requirement {
                program,
                package,
                purpose,
                ..
            } = one;
            match &one.found {
                Some(path) => self.line(&format!("{path} OK"))?,
                None => self.line(&format!("{program} MISSING: {purpose}; install {package}"))?,
            }
            if one.found.is_none() && need == Need::Always {
                self.worst = worse(self.worst, Exit::Environment);
            }
        }
        Ok(())
    }
}

/// The first that is not good stays: what follows is often its consequence.
fn worse(before: Exit, now: Exit) -> Exit {
    if before == Exit::Good { now } else { before }
}

fn test_providers(workspace: &Workspace, report: &mut Report) -> Result<(), Failure> {
    report.step("Updating all test providers")?;
    for provider in &workspace.providers {
        let defined = workspace
            .defined
            .iter()
            .find(|it| it.provider.name == provider.name);
        let commit = defined.and_then(|defined| defined.commit.as_ref());
        let at = commit.map(|commit| format!(" at {commit}")).unwrap_or_default();
        report.line(&format!("{} in {}{at} OK", provider.name, provider.root))?;
    }
    for problem in &workspace.problems {
        report.line(&format!("{} LEFT OUT: {problem}", problem.name))?;
        report.worst = worse(report.worst, Exit::Environment);
    }
    Ok(())
}

fn folders(workspace: &Workspace, report: &mut Report) -> Result<(), Failure> {
    let data = workspace.data_dir();
    let own = FOLDERS.iter().map(|name| workspace.root.join(name));
    let folders = own.chain(DATA_FOLDERS.iter().map(|name| data.join(name)));
    for folder in folders.chain([workspace.cache.clone()]) {
        let word = if folder.is_dir() { "OK" } else { "made" };
        match std::fs::create_dir_all(&folder) {
            Ok(()) => report.line(&format!("{folder} {word}"))?,
            Err(error) => {
                report.failed(&Failure::environment(format!("failed to make {folder}: {error}")))?;
            }
        }
    }
    Ok(())
}

/// Which files the configuration consists of, and what the generated ones come to. `None` where it makes no sense.
fn configuration(
    workspace: Workspace,
    args: &BootstrapArgs,
    report: &mut Report,
) -> Result<Option<Analysis>, Failure> {
    let folders = workspace.config_dirs();
    for name in SET {
        let found = folders
            .iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file());
        match found {
            Some(path) if path.starts_with(&workspace.root) => report.line(&format!("{path} OK, yours"))?,
            Some(_) => report.line(&format!("{name} OK, built in"))?,
            None => report.line(&format!("{name} MISSING"))?,
        }
    }
    let guest_os = args
        .vt_guest_os
        .clone()
        .unwrap_or_else(|| workspace.settings.guest_os.clone());
    let mut select = SelectArgs::default();
    select.config.guest_os = Some(guest_os);
    let opened = Analysis::in_workspace(workspace, &select);
    match opened {
        Ok(analysis) => {
            let text = analysis.session.subtests();
            let tests = text
                .lines()
                .filter(|line| line.trim_start().starts_with("provider = "))
                .count();
            let providers = plural(&analysis.workspace.providers.len(), "provider");
            report.line(&format!(
                "subtests.cfg OK, generated at any time: {} of {providers}",
                plural(&tests, "test")
            ))?;
            report.line("guest-os.cfg OK, generated at any time")?;
            Ok(Some(analysis))
        }
        Err(failure) => {
            report.failed(&failure)?;
            Ok(None)
        }
    }
}

fn guest(analysis: Option<&Analysis>, args: &BootstrapArgs, report: &mut Report) -> Result<(), Failure> {
    if args.vt_skip_verify_download_assets {
        return report.line("left alone, as asked for");
    }
    let Some(analysis) = analysis else {
        return report.line("nothing is known of guests without a configuration");
    };
    let settings = &analysis.workspace.settings;
    let name = args.vt_guest_os.as_ref().unwrap_or(&settings.guest_os);
    let images = match images_of(analysis, name) {
        Ok(images) => images,
        Err(failure) => return report.failed(&failure),
    };
    for image in &images {
        let made = match &image.recipe {
            _ if image.there => Ok("OK".to_owned()),
            Some(recipe) => build(analysis, recipe, image, args.vt_no_downloads),
            None if args.vt_no_downloads => Ok(LEFT_OUT.to_owned()),
            None => fetch(&analysis.workspace, image, args.place.locked),
        };
        match made {
            Ok(state) => report.line(&format!("{name}: {} {state}", image.file))?,
            Err(failure) => report.failed(&failure)?,
        }
    }
    Ok(())
}

/// Fetches an image that a download defines.
fn fetch(workspace: &Workspace, image: &Image, locked: bool) -> Result<String, Failure> {
    let data = workspace.data_dir();
    let relative = image.file.strip_prefix(&data).unwrap_or(&image.file);
    match download_of(&workspace.root, relative) {
        Some(download) => {
            downloads::get(workspace, &download, SILENCE, locked).map(|_| "downloaded".to_owned())
        }
        None => Err(Failure::environment(format!(
            "{} MISSING: no recipe builds it and no file in {} defines a download of it; put it there",
            image.file,
            downloads::FOLDER
        ))),
    }
}

/// Builds an image from its recipe, unless the cache has it. Most recipes install packages: `offline` builds nothing.
fn build(analysis: &Analysis, recipe: &str, image: &Image, offline: bool) -> Result<String, Failure> {
    let workspace = &analysis.workspace;
    let failed = |error: String| Failure::environment(format!("failed to {error}"));
    let recipe =
        Recipe::named(recipe, &workspace.recipe_dirs()).map_err(|error| failed(error.to_string()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let wiring = runtime.block_on(Wiring::of(workspace, &[], AccelArg::Auto, RuntimeArg::Own))?;
    let spec = Arc::new(wiring.image(&recipe, image.size.as_deref()));
    let graph = Graph::build(vec![spec]).map_err(|error| Failure::config(error.to_string()))?;
    let execution = visit::aside(workspace, wiring, Arc::new(graph), PlanOptions::default())?;
    let known = execution.plan.hits() + execution.plan.idle() == execution.graph.len();
    if offline && !known {
        return Ok(LEFT_OUT.to_owned());
    }
    let summary = runtime.block_on(execution.carry_out())?;
    let ended = summary.wanted.iter().chain(&summary.broken);
    match ended.into_iter().find(|it| it.status != Status::Pass) {
        Some(broken) => Err(Failure::environment(format!(
            "the recipe {} failed: {}",
            recipe.name,
            broken.reason.as_deref().unwrap_or("no reason given")
        ))),
        None if known => Ok(format!("OK, the cache has it (recipe {})", recipe.name)),
        None => Ok(format!("built by the recipe {}", recipe.name)),
    }
}

fn modules(backend: &str, report: &mut Report) -> Result<(), Failure> {
    let modules = kernel_modules(backend);
    let names: Vec<&str> = modules.iter().map(|module| module.name).collect();
    if names.is_empty() {
        return report.step(&format!("Checking for modules: none are needed for {backend}"));
    }
    report.step(&format!("Checking for modules {}", names.join(", ")))?;
    for module in &modules {
        let name = module.name;
        report.line(&if module.there {
            format!("Module {name} loaded")
        } else {
            format!("Module {name} is not loaded; `modprobe {name}` does that, and everything works slower without it")
        })?;
    }
    Ok(())
}
