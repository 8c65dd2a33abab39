//! From a variant to the spec of its test: what it reads, what it needs, what it takes from the host.

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::Digest;
use vtbuild_engine::observe::Offered;
use vtbuild_engine::rule::DeclareError;
use vtbuild_engine::spec::{Claim, Declared, Host, Need, SourceFile, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::accel::Accel;
use vtbuild_providers::host::Runtime;
use vtbuild_providers::machine::MachineSpec;
use vtbuild_providers::machine::spec::Device;
use vtbuild_providers::params::{ParamError, Params};
use vtbuild_providers::provider::TestProvider;

use super::around::libvirt;
use super::images;
use super::modules::{Known, Modules};
use super::needs::Survey;
use super::reads::is_parameter;
use super::runtime::{self, Choice};
use super::tools::{Facts, Tools};
use super::{NAME, TestPayload, TestSetup, params_of};
use crate::deps::{self, BuildHost};
use crate::download::Missing;
use crate::python_env;
use crate::state::declare::Asker;
use crate::state::{self, Policy};

/// What a test's result depends on beside its variant, the same for all tests of a run.
#[derive(Clone, Debug)]
pub struct HostFacts {
    /// The backend: `qemu`.
    pub backend: String,
    /// The folder that image names are relative to.
    pub data_dir: Utf8PathBuf,
    /// The cache. Wherever it lies, it is no test data.
    pub cache: Utf8PathBuf,
    /// The folders of image recipes, first to last.
    pub recipes: Vec<Utf8PathBuf>,
    /// The content of the Python test host.
    pub python: Digest,
    /// The emulators and what else of this host counts.
    pub tools: Arc<Tools>,
    /// How guests run.
    pub accel: Option<Accel>,
    /// The runtime that all tests are run by, where one was asked for.
    pub runtime: Option<Runtime>,
    /// What the tests' modules need.
    pub survey: Arc<Survey>,
    /// What upstream's packages are made from, where a test may need them.
    pub packages: Option<python_env::Recipe>,
    /// When tests begin from the states of guests.
    pub guest_states: Policy,
    /// Downloads whose files are missing.
    pub downloads: Arc<Missing>,
    /// Hosts that build what tests need, by name.
    pub hosts: BTreeMap<String, Arc<BuildHost>>,
}

/// The role of upstream's packages among a test's inputs.
pub(super) const PACKAGES_ROLE: &str = "upstream packages";

/// Declares the test of `variant`.
pub(super) fn declare(
    variant: &Variant,
    setup: &TestSetup,
    known: &Known,
    states: &state::declare::Known,
) -> Result<Spec, DeclareError> {
    let (facts, providers) = (&setup.facts, setup.providers.as_slice());
    let plain = params_of(&variant.params);
    let params = plain.recording();
    let wrong = |error: ParamError| DeclareError {
        variant: variant.name.to_string(),
        param: Some(error.key.clone()),
        message: error.to_string(),
    };
    let modules = known.modules(&params, facts, providers);
    let mut payload = TestPayload::new(variant, modules.clone());
    let mut sources = modules.sources.clone();
    let only = || runtime::only(&plain, &params);
    let needed = || only().unwrap_or_else(|| facts.survey.needs(modules.files()).runtime());
    let choice = Choice::of(variant, &params, facts.runtime, needed)?;
    payload.choice = choice;
    let (machines, claim) = machines(&params).map_err(wrong)?;
    payload.images = images::all(&params).map_err(wrong)?;
    let mut needs = packages(choice, facts, variant)?;
    for image in &payload.images {
        needs.extend(
            images::need(image, &params, facts, known).map_err(|message| DeclareError {
                variant: variant.name.to_string(),
                param: Some("image_recipe".into()),
                message,
            })?,
        );
    }
    payload.deps_builds = deps::uses(variant, &params, facts, &home(&modules, providers))?;
    let mut built = Vec::new();
    for build in &payload.deps_builds {
        needs.push(build.need());
        built.extend(build.declared());
        sources.extend(build.sources.iter().cloned());
    }
    sources.extend(boot_files(&params, facts));
    sources.extend(machines.iter().flat_map(|machine| media(machine, facts)));
    sources.sort();
    sources.dedup();
    let mut spec = Spec::new(NAME, variant.name.clone());
    spec.title = variant.test_id.clone();
    spec.variant = variant.name.clone();
    spec.declared = declared(&params, built).into();
    spec.host = host(&plain, &machines, facts, choice);
    spec.offered = Arc::new(Offered::of(&variant.params, |name| !is_parameter(name)));
    spec.sources = sources.into();
    spec.needs = needs.into();
    spec.after = variant.dep.iter().cloned().collect();
    spec.makes = payload
        .images
        .iter()
        .filter(|image| image.published)
        .map(|i| images::output_name(&i.spec))
        .collect();
    spec.claim = claim;
    let asker = Asker {
        variant,
        params: &plain,
        facts,
        images: &payload.images,
        ours: choice.first != Runtime::Upstream,
        known: states,
        recipes: known,
    };
    let (aids, boots) = asker.beginnings(&machines);
    spec.aids = aids.into();
    spec.remarks = boots
        .iter()
        .map(|(vm, reason)| Arc::from(format!("{vm} boots: {reason}")))
        .collect();
    payload.boots = boots;
    spec.payload = Arc::new(payload);
    Ok(spec)
}

/// The test's machines, and what it takes from the host.
fn machines(params: &Params) -> Result<(Vec<MachineSpec>, Claim), ParamError> {
    let mut claim = Claim {
        memory_mib: 64,
        vcpus: 0,
    };
    let mut machines = Vec::new();
    for vm in params.objects("vms") {
        let view = params.object(vm);
        let machine = MachineSpec::from_params(vm, &view, Utf8Path::new(""))?;
        claim.memory_mib += u32::try_from(machine.mem_mib).unwrap_or(u32::MAX / 4);
        claim.vcpus += machine.smp.cpus;
        machines.push(machine);
    }
    if migrates(params) {
        // The source and the destination are on this host at the same time.
        claim = Claim {
            memory_mib: claim.memory_mib.saturating_mul(2),
            vcpus: claim.vcpus * 2,
        };
    }
    Ok((machines, claim))
}

/// What was asked of the parameters so far, sorted by key.
fn declared(params: &Params, built: Vec<Declared>) -> Vec<Declared> {
    let reads = params.reads();
    let value = |key: &String| params.get(key).map(Arc::from);
    let mut declared: Vec<Declared> = reads
        .keys
        .iter()
        .filter(|key| is_parameter(key))
        .map(|key| (Arc::from(key.as_str()), value(key)))
        .collect();
    declared.extend(built);
    declared.sort();
    declared
}

/// What of the host the test depends on.
fn host(plain: &Params, machines: &[MachineSpec], facts: &HostFacts, choice: Choice) -> Arc<Host> {
    // Parameters that make no sense are told when a machine starts.
    let wanted = Accel::from_params(plain).unwrap_or_default();
    let mut more = vec![
        ("Python test host", facts.python.to_string()),
        ("runtime", choice.word().to_owned()),
    ];
    let mut programs: &[&str] = &[];
    if let Some(kind) = libvirt::kind(plain) {
        more.push(("kind of machines", kind.to_owned()));
        programs = &libvirt::PROGRAMS;
    }
    facts.tools.host(&Facts {
        params: plain,
        machines,
        accel: wanted.or(facts.accel),
        more,
        programs,
    })
}

/// The provider that the test's module is from; all that it may be from where there is none.
fn home<'p>(modules: &Modules, providers: &'p [TestProvider]) -> Vec<&'p TestProvider> {
    let root = modules.provider.as_ref();
    let is_home = |provider: &&TestProvider| root.is_none_or(|(name, _)| *name == provider.name);
    providers.iter().filter(is_home).collect()
}

/// Upstream's packages, for a test that is run over them or by them.
fn packages(choice: Choice, facts: &HostFacts, variant: &Variant) -> Result<Vec<Need>, DeclareError> {
    if !choice.needs_packages() {
        return Ok(Vec::new());
    }
    let recipe = facts.packages.as_ref().ok_or_else(|| DeclareError {
        variant: variant.name.to_string(),
        param: None,
        message: format!("the runtime `{}` needs python3 on this host", choice.first),
    })?;
    Ok(vec![Need {
        role: Arc::from(PACKAGES_ROLE),
        made: None,
        otherwise: Some(Arc::new(python_env::spec(recipe))),
    }])
}

/// The name of a provider's file that is the same on every machine.
pub(crate) fn name_in(provider: &TestProvider, file: &Utf8Path) -> String {
    match file.strip_prefix(&provider.root) {
        Ok(inside) => format!("{}/{inside}", provider.name),
        Err(_) => file.to_string(),
    }
}

/// Whether the test moves its machine to a second QEMU on this host.
fn migrates(params: &Params) -> bool {
    params.text("mig_protocol").is_some()
        || params
            .objects("type")
            .iter()
            .any(|kind| kind.starts_with("migrat"))
}

/// Kernels and the like that a person put into the data folder; those of a recipe come with its disk.
pub(crate) fn boot_files(params: &Params, facts: &HostFacts) -> Vec<SourceFile> {
    let mut files = Vec::new();
    for vm in params.objects("vms") {
        let view = params.object(vm);
        let from_recipe = |name: &&str| view.object(name).text("image_recipe").is_some();
        if view.objects("images").iter().any(from_recipe) {
            continue;
        }
        for name in ["kernel", "initrd", "bios_path"]
            .into_iter()
            .filter_map(|key| view.text(key))
        {
            files.push(SourceFile::new(name, &facts.data_dir.join(name)));
        }
    }
    files
}

/// What is in the CD drives of a machine.
fn media(machine: &MachineSpec, facts: &HostFacts) -> Vec<SourceFile> {
    let file = |device: &Device| match device {
        Device::Cdrom(cdrom) => cdrom.file.clone(),
        _ => None,
    };
    let files = machine.devices.iter().filter_map(file);
    files
        .map(|file| SourceFile::new(file.as_str(), &facts.data_dir.join(&file)))
        .collect()
}
