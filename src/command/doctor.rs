//! `vtbuild doctor`: what this host lacks, and the command that mends it.

use std::collections::BTreeSet;
use std::fmt::Write;

use vtbuild_providers::accel::Accel;
use vtbuild_providers::requirements::{Need, Requirement, requirements};
use vtbuild_rules::image::Recipe;

use super::print;
use crate::cli::DoctorArgs;
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;

/// The oldest QEMU that everything works with.
const OLDEST_QEMU: u32 = 8;

/// Looks at the host.
pub fn doctor(args: &DoctorArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open_offline(&args.place)?;
    let mut report = Report::default();
    for requirement in requirements(&workspace.settings.vt_type) {
        report.program(&requirement);
    }
    recipes(&workspace, &mut report);
    accelerator(&workspace, &mut report)?;
    match vtbuild_cache::Store::open(&workspace.cache) {
        Ok(store) => {
            report.good("cache", store.dir().as_str());
            store
                .notices()
                .iter()
                .for_each(|notice| report.bad("cache", &notice.to_string(), false));
        }
        Err(error) => report.bad("cache", &format!("failed to {error}"), true),
    }
    for provider in &workspace.providers {
        report.good(
            "test provider",
            &format!("{} in {}", provider.name, provider.root),
        );
    }
    workspace
        .problems
        .iter()
        .for_each(|problem| report.bad("test provider", &problem.to_string(), false));
    print(&report.finish())?;
    Ok(if report.broken {
        Exit::Environment
    } else {
        Exit::Good
    })
}

#[derive(Default)]
struct Report {
    text: String,
    packages: BTreeSet<String>,
    broken: bool,
}

impl Report {
    fn good(&mut self, what: &str, found: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "ok       {what:<20} {found}");
    }

    fn bad(&mut self, what: &str, problem: &str, breaks: bool) {
        let word = if breaks { "MISSING" } else { "warning" };
        let _ = writeln!(self.text, "{word:<8} {what:<20} {problem}");
        self.broken |= breaks;
    }

    fn program(&mut self, requirement: &Requirement) {
        let Requirement {
            program,
            package,
            purpose,
            need,
            found,
        } = requirement;
        if let Some(path) = found {
            self.good(program, path.as_str());
            return;
        }
        self.bad(
            program,
            &format!("{purpose} (package {package})"),
            *need == Need::Always,
        );
        self.packages.insert((*package).to_owned());
    }

    fn finish(&self) -> String {
        let mut text = self.text.clone();
        if !self.packages.is_empty() {
            let packages: Vec<&str> = self.packages.iter().map(String::as_str).collect();
            let _ = writeln!(text, "\nto mend it: apt-get install {}", packages.join(" "));
        }
        text
    }
}

/// Guests that can be built and what the host lacks for each.
fn recipes(workspace: &Workspace, report: &mut Report) {
    let folders = workspace.recipe_dirs();
    for name in Recipe::names(&folders) {
        let recipe = match Recipe::named(&name, &folders) {
            Ok(recipe) => recipe,
            Err(error) => {
                report.bad("guest recipe", &format!("failed to {error}"), false);
                continue;
            }
        };
        let missing = recipe.missing();
        if missing.is_empty() {
            report.good("guest recipe", &name);
            continue;
        }
        let what: Vec<&str> = missing.iter().map(|(_, what)| what.as_str()).collect();
        report.bad(
            "guest recipe",
            &format!("{name} cannot be built here: no {}", what.join(", ")),
            true,
        );
        report
            .packages
            .extend(missing.into_iter().map(|(package, _)| package));
    }
}

/// The emulator's version, and how guests run here: found out by booting one.
fn accelerator(workspace: &Workspace, report: &mut Report) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let launcher = vtbuild_providers::process::Launcher::this_program();
    runtime.block_on(async {
        let qemu = match vtbuild_providers::qemu::Qemu::find(&launcher, None, None).await {
            Ok(qemu) => qemu,
            Err(error) => {
                report.bad("QEMU", &format!("failed to {error}"), true);
                return;
            }
        };
        if qemu.version.major < OLDEST_QEMU {
            let problem = format!(
                "version {} is older than {OLDEST_QEMU}: on Debian 12 take it from bookworm-backports",
                qemu.version
            );
            report.bad("QEMU", &problem, false);
        } else {
            report.good("QEMU", &format!("version {}", qemu.version));
        }
        match Accel::find(&launcher, &qemu, &workspace.cache.join("accel.json")).await {
            Ok(finding) => report.good("accelerator", &format!("{}: {}", finding.accel, finding.reason)),
            Err(error) => report.bad("accelerator", &format!("failed to {error}"), true),
        }
    });
    Ok(())
}
