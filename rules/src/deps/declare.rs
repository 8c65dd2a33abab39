//! From a variant's parameters to the builds that it asks for.

use std::sync::Arc;

use camino::{Utf8Component, Utf8Path, Utf8PathBuf};
use vtbuild_cache::Digest;
use vtbuild_engine::rule::DeclareError;
use vtbuild_engine::spec::{Claim, Declared, Need, SourceFile, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::build::{Kind, SourceTree};
use vtbuild_providers::image::ImageSpec;
use vtbuild_providers::machine::MachineSpec;
use vtbuild_providers::params::{ParamError, Params};
use vtbuild_providers::provider::TestProvider;

use super::{DepsPayload, NAME, Place};
use crate::test::declare::{boot_files, name_in};
use crate::test::images::{ImageUse, Origin, need};
use crate::test::modules::Known;
use crate::test::{HostFacts, params_of};

/// The machine that builds, its disk and its network card, as objects; and the object that holds their own parameters.
pub(super) const BUILDER: &str = "builder";
const DISK: &str = "disk";
const CARD: &str = "nic";
const OWN: &str = "deps_build";
/// The role of the disk, and that of a host's toolchain.
const DISK_ROLE: &str = "disk of builder";
const TOOLCHAIN_ROLE: &str = "toolchain";
/// The least memory that a compiler gets, in MiB.
const LEAST_MEMORY: u64 = 512;
/// Seconds that a build may take where nobody says.
const PATIENCE: u64 = 1800;

/// One build that a test asks for.
#[derive(Clone, Debug)]
pub(crate) struct DepsUse {
    /// Its name in `deps_build`.
    pub(crate) app: String,
    /// Its part in the test.
    pub(crate) role: Arc<str>,
    /// The folder of sources.
    pub(crate) source: Utf8PathBuf,
    /// Words for `make`.
    pub(crate) flags: Vec<String>,
    /// Whether the test gets the sources beside what was built of them.
    pub(crate) with_source: bool,
    /// The files of the sources, where the test gets them; and what else is true of the build that the test can see.
    pub(crate) sources: Vec<SourceFile>,
    shape: Vec<Declared>,
    /// The action that builds it.
    pub(super) spec: Arc<Spec>,
}

impl DepsUse {
    /// What the test needs of it.
    pub(crate) fn need(&self) -> Need {
        Need {
            role: self.role.clone(),
            made: None,
            otherwise: Some(self.spec.clone()),
        }
    }

    /// What enters the test's key beside what was built: what a test that asks `remote_build` about it is told.
    pub(crate) fn declared(&self) -> Vec<Declared> {
        self.shape.clone()
    }
}

/// What is wrong, and with which parameter.
type Wrong = (&'static str, String);

fn param(error: &ParamError) -> Wrong {
    (OWN, error.to_string())
}

/// The builds that `variant` asks for, whichever provider its test is from.
pub(super) fn uses_of(
    variant: &Variant,
    facts: &HostFacts,
    providers: &[TestProvider],
) -> Result<Vec<DepsUse>, DeclareError> {
    let params = params_of(&variant.params);
    let named = params.text("provider").map(str::to_owned);
    let chosen = providers
        .iter()
        .filter(|provider| named.as_ref().is_none_or(|name| *name == provider.name));
    uses(variant, &params, facts, &chosen.collect::<Vec<_>>())
}

/// The builds that `variant` asks for. Their sources are in the `deps` folders of `providers`. Of `params`, which may record
/// what is asked of them, nothing but the names of the builds is read: all else enters the builds' own keys.
///
/// # Errors
/// The parameter that makes no sense.
pub(crate) fn uses(
    variant: &Variant,
    params: &Params,
    facts: &HostFacts,
    providers: &[&TestProvider],
) -> Result<Vec<DepsUse>, DeclareError> {
    let apps = params.objects(OWN);
    if apps.is_empty() {
        return Ok(Vec::new());
    }
    let params = params_of(&variant.params);
    apps.into_iter()
        .map(|app| one(app, variant, &params, facts, providers))
        .collect::<Result<_, _>>()
        .map_err(|(param, message)| DeclareError {
            variant: variant.name.to_string(),
            param: Some(param.to_owned()),
            message,
        })
}

fn one(
    app: &str,
    variant: &Variant,
    params: &Params,
    facts: &HostFacts,
    providers: &[&TestProvider],
) -> Result<DepsUse, Wrong> {
    let view = params.object(app);
    let (name, source) = find(app, &view, facts, providers)?;
    let flags = words(&view, "deps_build_make_flags")?;
    let output = words(&view, "deps_build_output")?;
    let tree = SourceTree::scan(&source).map_err(|error| format!("failed to {error}"));
    let (sources, shape) = known_as(&name, tree.as_ref().ok());
    let architecture = view.text("vm_arch_name").map(str::to_owned);
    let host = view.text("deps_build_host").filter(|host| *host != "guest");
    let mut declared = vec![
        entry("architecture", architecture.as_deref()),
        entry("make flags", Some(&flags.join("\n"))),
        entry("output", Some(&output.join("\n"))),
    ];
    declared.extend(shape.iter().cloned());
    let with_source = view
        .switch("deps_build_with_source")
        .map_err(|error| param(&error))?
        .unwrap_or(false);
    let told = format!(
        "{name}{}\n{}",
        if with_source { " with its sources" } else { "" },
        flags.join("\n")
    );
    let made = match host {
        Some(host) => on_host(host, facts)?,
        None => in_guest(app, params, variant, facts)?,
    };
    declared.extend(made.declared);
    declared.sort();
    let mut all: Vec<SourceFile> = sources.iter().cloned().chain(made.sources).collect();
    all.sort();
    all.dedup();
    let mut spec = Spec::new(NAME, label(&name, &flags, &made.label));
    spec.title = Arc::from(app);
    spec.declared = declared.into();
    spec.sources = all.into();
    spec.needs = Box::new([made.need]);
    spec.after = made.after;
    spec.claim = made.claim;
    spec.payload = Arc::new(DepsPayload {
        id: id(app, &spec.label, facts),
        source: source.clone(),
        tree,
        flags: flags.clone(),
        output,
        place: made.place,
        architecture,
        patience: view
            .number("deps_build_timeout")
            .map_err(|error| param(&error))?
            .unwrap_or(PATIENCE),
    });
    let role = format!("deps {app}");
    let mut seen = vec![entry(&role, Some(&told))];
    seen.extend(shape.into_iter().filter(|_| with_source));
    Ok(DepsUse {
        app: app.to_owned(),
        role: Arc::from(role),
        source,
        flags,
        with_source,
        sources: if with_source { sources } else { Vec::new() },
        shape: seen,
        spec: Arc::new(spec),
    })
}

/// The folder's name that is the same on every machine, and where it is.
fn find(
    app: &str,
    view: &Params,
    facts: &HostFacts,
    providers: &[&TestProvider],
) -> Result<(String, Utf8PathBuf), Wrong> {
    let wanted = Utf8Path::new(view.text("deps_build_source").unwrap_or(app));
    let inside = |part| matches!(part, Utf8Component::Normal(_));
    if app.contains('/') || !wanted.components().all(inside) {
        let message = format!(
            "`{app}` is no plain name of a folder below `deps`; set `deps_build_source_NAME = FOLDER/…`"
        );
        return Err((OWN, message));
    }
    let folders = |provider: &TestProvider| provider.deps_dirs(&facts.backend);
    let found = providers.iter().find_map(|provider| {
        let folder = folders(provider)
            .into_iter()
            .map(|deps| deps.join(wanted))
            .find(|path| path.is_dir())?;
        Some((name_in(provider, &folder), folder))
    });
    found.ok_or_else(|| {
        let all: Vec<String> = providers
            .iter()
            .flat_map(|provider| folders(provider))
            .map(Utf8PathBuf::into_string)
            .collect();
        let all = if all.is_empty() {
            "none".to_owned()
        } else {
            all.join(", ")
        };
        (
            OWN,
            format!("there is no folder {wanted} in the deps folders of the test's provider ({all})"),
        )
    })
}

fn words(view: &Params, key: &'static str) -> Result<Vec<String>, Wrong> {
    let text = view.get(key).unwrap_or_default();
    shell_words::split(text).map_err(|_| (key, format!("`{key} = {text}` has a quote that is never closed")))
}

fn entry(name: &str, value: Option<&str>) -> Declared {
    (Arc::from(name), value.map(Arc::from))
}

/// The files of a tree by names that are the same on every machine, and what files do not tell: which of them can be run,
/// what links say, which folders there are.
fn known_as(name: &str, tree: Option<&SourceTree>) -> (Vec<SourceFile>, Vec<Declared>) {
    let (mut files, mut shape) = (Vec::new(), Vec::new());
    let Some(tree) = tree else {
        return (files, shape);
    };
    for item in &tree.entries {
        let known = format!("{name}/{}", item.path);
        let what = match &item.kind {
            Kind::Folder => Some("folder".to_owned()),
            Kind::Link(to) => Some(format!("link to {to}")),
            Kind::File { executable } => executable.then(|| "program".to_owned()),
        };
        shape.extend(what.map(|what| entry(&known, Some(&what))));
        if matches!(item.kind, Kind::File { .. }) {
            files.push(SourceFile::new(known, &tree.root.join(&item.path)));
        }
    }
    (files, shape)
}

fn label(name: &str, flags: &[String], place: &str) -> String {
    let flags = if flags.is_empty() {
        String::new()
    } else {
        format!(" {}", flags.join(" "))
    };
    format!("{name}{flags} {place}")
}

/// The folder's name on the machine that builds: the same in each run of this workspace, another one in any other.
fn id(app: &str, label: &str, facts: &HostFacts) -> String {
    let digest = Digest::of(format!("{}\n{label}", facts.data_dir).as_bytes());
    let plain = app
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || "-_".contains(*letter));
    format!("{}-{}", plain.collect::<String>(), digest.short())
}

/// What follows from where a build runs.
struct Made {
    label: String,
    declared: Vec<Declared>,
    sources: Vec<SourceFile>,
    need: Need,
    after: Box<[Arc<str>]>,
    claim: Claim,
    place: Place,
}

fn on_host(name: &str, facts: &HostFacts) -> Result<Made, Wrong> {
    let host = facts.hosts.get(name).ok_or_else(|| {
        let known: Vec<&str> = facts.hosts.keys().map(String::as_str).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        let message = format!(
            "there is no host `{name}`; describe it in vtbuild.toml under [hosts.{name}] (there: {known}), or write `guest`"
        );
        ("deps_build_host", message)
    })?;
    Ok(Made {
        label: format!("on the host {name}"),
        declared: vec![host.declared()],
        sources: Vec::new(),
        need: Need {
            role: Arc::from(TOOLCHAIN_ROLE),
            made: None,
            otherwise: Some(Arc::new(host.spec())),
        },
        after: Box::default(),
        claim: Claim {
            memory_mib: 64,
            vcpus: 0,
        },
        place: Place::Host(host.clone()),
    })
}

fn in_guest(app: &str, params: &Params, variant: &Variant, facts: &HostFacts) -> Result<Made, Wrong> {
    let builder = builder(app, params)?;
    let spec = ImageSpec::from_params(DISK, &builder, Utf8Path::new("")).map_err(|error| param(&error))?;
    let image = ImageUse {
        role: Arc::from(DISK_ROLE),
        vm: Some(BUILDER.to_owned()),
        spec,
        origin: Origin::Input,
        published: false,
        check: false,
        may_leak: false,
    };
    let need = need(&image, &builder, facts, &Known::default())
        .map_err(|message| ("image_recipe", message))?
        .expect("an image that is an input is needed");
    let machine =
        MachineSpec::from_params(BUILDER, &builder, Utf8Path::new("")).map_err(|error| param(&error))?;
    let read = [
        "cpu_model",
        "cpu_model_flags",
        "image_format",
        "kernel_params",
        "qemu_binary",
        "username",
    ];
    Ok(Made {
        label: format!("in {}", image.spec.file),
        declared: read.iter().map(|key| entry(key, builder.text(key))).collect(),
        sources: boot_files(&builder, facts),
        need,
        // One of these may make the disk.
        after: variant.dep.iter().cloned().collect(),
        claim: Claim {
            memory_mib: 64 + u32::try_from(machine.mem_mib).unwrap_or(u32::MAX / 4),
            vcpus: machine.smp.cpus,
        },
        place: Place::Guest(Box::new(builder), Box::new(image)),
    })
}

/// The parameters of the machine that builds: those of the test's main machine and its first disk and network card, with
/// what is said for the object `deps_build` and for the app; and no other device.
fn builder(app: &str, params: &Params) -> Result<Params, Wrong> {
    let vms = params.objects("vms");
    let main = params.text("main_vm").filter(|main| vms.contains(main));
    let vm = main.or_else(|| vms.first().copied()).ok_or_else(|| {
        let message = "the test has no machine (`vms`) whose guest could build it; set `deps_build_host` to a host of vtbuild.toml";
        (OWN, message.to_owned())
    })?;
    let mut view = params.object(vm);
    for list in ["images", "nics"] {
        let first = view.objects(list).first().map(|name| (*name).to_owned());
        view = view.object(&first.unwrap_or_default());
    }
    let mut view = view.object(OWN).object(app);
    if view.text("os_type").is_some_and(|kind| kind != "linux") {
        let message =
            "builds need a guest with a POSIX shell; set `deps_build_host` to a host of vtbuild.toml";
        return Err((OWN, message.to_owned()));
    }
    if view.text("image_chain").is_some() {
        let message = "it cannot build on a disk with an `image_chain`; set `image_chain_deps_build = \"\"`, and `image_name_deps_build` to a disk that stands alone";
        return Err((OWN, message.to_owned()));
    }
    let memory = view.size("mem", 1 << 20).map_err(|error| param(&error))?;
    let memory = memory.map_or(LEAST_MEMORY, |bytes| (bytes >> 20).max(LEAST_MEMORY));
    let port = view.text("shell_port").unwrap_or("22").to_owned();
    for (key, value) in [
        ("vms", BUILDER),
        ("images", DISK),
        ("nics", CARD),
        ("nettype", "user"),
        ("redirs", "remote_shell"),
        ("guest_port_remote_shell", &port),
        ("cdroms", ""),
        ("monitors", "qmp"),
        ("extra_params", ""),
        ("paused_after_start_vm", "no"),
        ("mem", &memory.to_string()),
    ] {
        view.set(key, value);
    }
    Ok(view)
}
