//! What is known of a test before it runs: which way it would be run, and what it would miss on this host.

use std::sync::Arc;

use camino::Utf8Path;
use serde::Serialize;
use vtbuild_engine::resolve::FILE;
use vtbuild_engine::spec::Spec;
use vtbuild_engine::variant::Variant;
use vtbuild_providers::params::Params;
use vtbuild_providers::qemu::find_program;

use super::around::libvirt;
use super::images::{self, Origin};
use super::modules::{Known, Modules};
use super::runtime::{self, Choice};
use super::{TestSetup, params_of};

/// One thing that a test lacks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(tag = "kind", content = "name", rename_all = "snake_case")]
pub enum Lack {
    /// A module of the parameter `type` that is in no provider.
    Module(String),
    /// A module that Python can read and that has a `run`: where it is, and what is wrong with it.
    Sound(String),
    /// A name that the chosen runtime does not have.
    Name(String),
    /// A Python package that is nowhere on this host.
    Python(String),
    /// A program of the host.
    Program(String),
    /// The rights of root.
    Root,
    /// The file of an image.
    Image(String),
    /// A parameter that makes no sense.
    Parameter(String),
}

impl std::fmt::Display for Lack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Module(name) => write!(f, "the test module {name}.py"),
            Self::Sound(reason) => write!(f, "a module that can be run: {reason}"),
            Self::Name(name) => write!(f, "{name} in this runtime"),
            Self::Python(name) => write!(f, "the Python package {name}"),
            Self::Program(name) => write!(f, "the program {name}"),
            Self::Root => f.write_str("the rights of root"),
            Self::Image(path) => write!(f, "the image {path}"),
            Self::Parameter(message) => f.write_str(message),
        }
    }
}

/// How a test would be run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Runnable {
    /// The word of the runtime; none where nothing can be said of the test.
    pub runtime: Option<&'static str>,
    /// What it lacks, sorted.
    pub lacks: Vec<Lack>,
}

/// Looks at `variant` without running anything.
pub(super) fn look(variant: &Variant, setup: &TestSetup) -> Runnable {
    let params = params_of(&variant.params);
    let modules = Modules::of(&params, &setup.facts, &setup.providers);
    let missing = modules.missing.iter().cloned();
    let mut lacks: Vec<Lack> = missing.map(Lack::Module).collect();
    let needs = setup.facts.survey.needs(modules.files());
    let only = runtime::only(&params, &params);
    let needed = || only.unwrap_or_else(|| needs.runtime());
    let runtime = match Choice::of(variant, &params, setup.facts.runtime, needed) {
        Ok(choice) => Some(choice.first),
        Err(error) => {
            lacks.push(Lack::Parameter(error.message));
            None
        }
    };
    if let Some(runtime) = runtime {
        lacks.extend(needs.missing_in(runtime).iter().cloned().map(Lack::Name));
    }
    lacks.extend(needs.broken.iter().cloned().map(Lack::Sound));
    lacks.extend(needs.python.iter().cloned().map(Lack::Python));
    lacks.extend(host(&params));
    lacks.extend(images_of(&params, setup));
    lacks.sort();
    lacks.dedup();
    let known = lacks
        .iter()
        .all(|lack| !matches!(lack, Lack::Module(_) | Lack::Sound(_)));
    Runnable {
        runtime: runtime
            .filter(|_| known)
            .map(vtbuild_providers::host::Runtime::name),
        lacks,
    }
}

/// Programs, and the rights to use them.
fn host(params: &Params) -> Vec<Lack> {
    let emulator = params
        .objects("vms")
        .first()
        .and_then(|_| params.text("qemu_binary"));
    let virsh = libvirt::kind(params).map(|_| libvirt::VIRSH);
    let named = params.objects("cmds_installed_host").into_iter();
    let programs = named.chain(emulator).chain(virsh);
    let mut lacks: Vec<Lack> = programs
        .filter(|program| find_program(program).is_none())
        .map(|program| Lack::Program(program.to_owned()))
        .collect();
    let root = params.switch("requires_root").ok().flatten() == Some(true);
    if root && !rustix::process::geteuid().is_root() {
        lacks.push(Lack::Root);
    }
    lacks
}

/// Images that a person has to bring.
fn images_of(params: &Params, setup: &TestSetup) -> Vec<Lack> {
    let images = match images::all(params) {
        Ok(images) => images,
        Err(error) => return vec![Lack::Parameter(error.to_string())],
    };
    let missing = |image: &images::ImageUse| {
        let need = match images::need(image, params, &setup.facts, &Known::default()) {
            Ok(need) => need?,
            Err(message) => return Some(Lack::Parameter(message)),
        };
        // What a download brings, a run fetches by itself.
        let brought = |spec: &Arc<Spec>| !spec.needs.is_empty();
        let spec = need
            .otherwise
            .filter(|spec| spec.rule == FILE && !brought(spec))?;
        let absent = |path: &Utf8Path| !path.exists();
        let source = spec.sources.iter().find(|source| absent(&source.path))?;
        Some(Lack::Image(source.path.to_string()))
    };
    images
        .iter()
        .filter(|image| image.origin == Origin::Input)
        .filter_map(missing)
        .collect()
}
