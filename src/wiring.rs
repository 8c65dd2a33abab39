//! Puts the rules together with what they need of the host, and variants together with rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use camino::Utf8Path;
use rayon::prelude::*;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::rule::{DeclareError, Rule, Rules};
use vtbuild_engine::spec::Spec;
use vtbuild_engine::variant::Variant;
use vtbuild_providers::accel::Accel;
use vtbuild_providers::host::{Interpreters, Runtime};
use vtbuild_providers::process::Launcher;
use vtbuild_rules::deps::{DepsRule, ToolchainRule};
use vtbuild_rules::download::{self, DownloadRule};
use vtbuild_rules::image::{self, ImageRule, Recipe};
use vtbuild_rules::python_env::{self, Interpreter, PythonRule};
use vtbuild_rules::state::{Policy, StateRule};
use vtbuild_rules::test::{
    EMULATOR, HostFacts, Runnable, Survey, SurveySetup, TestRule, TestSetup, Tools, Visits,
};

use crate::cli::{AccelArg, RuntimeArg};
use crate::command::warn;
use crate::exit::Failure;
use crate::workspace::{Workspace, downloads};

/// The rule of the actions that people ask for.
pub const WANTED: &str = vtbuild_rules::test::NAME.name;
/// The rule of actions that somebody visits instead of running them.
pub const VISIT: &str = vtbuild_rules::test::VISIT.name;
/// The kinds of actions that rules make.
pub const KINDS: [&str; 8] = [
    vtbuild_rules::download::NAME.name,
    vtbuild_rules::image::NAME.name,
    vtbuild_rules::state::NAME.name,
    WANTED,
    vtbuild_rules::deps::NAME.name,
    vtbuild_rules::deps::TOOLCHAIN.name,
    python_env::NAME.name,
    VISIT,
];
/// How many variants that make no sense are named.
const NAMED: usize = 10;

/// The rules of one command.
pub struct Wiring {
    launcher: Launcher,
    downloads: download::Source,
    setup: TestSetup,
}

impl Wiring {
    /// Finds out what tests depend on beside their variants. An accelerator is looked for only where a variant has a machine.
    pub async fn of(
        workspace: &Workspace,
        variants: &[Variant],
        accel: AccelArg,
        runtime: RuntimeArg,
    ) -> Result<Self, Failure> {
        let launcher = Launcher::this_program();
        let param = |key: &str| {
            let value = |variant: &Variant| {
                let found = variant.params.iter().find(|(name, _)| &**name == key);
                found
                    .map(|(_, value)| value.trim().to_owned())
                    .filter(|value| !value.is_empty())
            };
            variants.iter().find_map(value)
        };
        let memory = workspace.cache.join("probes");
        let emulators = emulators(variants);
        let tools = Tools::find(&launcher, &emulators, &memory).await;
        let first = emulators.iter().find(|name| tools.emulators.contains_key(*name));
        let accel = match (first.filter(|_| param("vms").is_some()), accel) {
            (None, _) => None,
            (Some(_), AccelArg::Kvm) => Some(Accel::Kvm),
            (Some(_), AccelArg::Tcg) => Some(Accel::Tcg),
            (Some(binary), AccelArg::Auto) => Some(probe(&launcher, binary, &workspace.cache).await?),
        };
        let python = workspace.bundled.python();
        let runtime = runtime.asked();
        // Where the runtime was asked for, nobody has to find one.
        let survey = match runtime {
            Some(_) => Survey::default(),
            None => survey(workspace, variants, &python).await,
        };
        let wanted = runtime.map_or_else(|| survey.needs_packages(), Runtime::needs_packages);
        let packages = if wanted || param("runtime").is_some() {
            let interpreter = Interpreter::find(&launcher, &memory).await;
            let interpreter =
                interpreter.map_err(|error| Failure::environment(format!("failed to {error}")))?;
            let host = python.clone();
            Some(python_env::Recipe { interpreter, host })
        } else {
            None
        };
        let facts = HostFacts {
            backend: workspace.settings.vt_type.clone(),
            data_dir: workspace.data_dir(),
            recipes: workspace.recipe_dirs(),
            python: workspace.bundled.python_digest,
            tools: Arc::new(tools),
            accel,
            runtime,
            guest_states: Policy::Never,
            survey: Arc::new(survey),
            packages,
            downloads: Arc::new(downloads::missing(workspace)?),
            hosts: workspace.hosts()?,
        };
        let providers = workspace.providers.clone();
        let setup = TestSetup {
            launcher: launcher.clone(),
            facts,
            providers,
            python,
            trees: workspace.cache.join("trees"),
            states: workspace.cache.join("states"),
            visits: Visits::default(),
        };
        let downloads = downloads::source(workspace, downloads::SILENCE);
        Ok(Self {
            launcher,
            downloads,
            setup,
        })
    }

    /// The same, with guests that begin from saved states as `policy` says.
    pub fn with_guest_states(mut self, policy: Policy) -> Self {
        self.setup.facts.guest_states = policy;
        self
    }

    /// The same, with visits to the machines of tests.
    pub fn with_visits(mut self, visits: Visits) -> Self {
        self.setup.visits = visits;
        self
    }

    /// Which way a variant's test would be run, and what it would miss on this host.
    pub fn runnable(&self, variant: &Variant) -> Runnable {
        TestRule::new(self.setup.clone(), "".into()).runnable(variant)
    }

    /// The rules, which keep sockets and the like below `scratch`; and the interpreters that tests are forked from, which have
    /// to be ended when nothing runs any more.
    pub fn rules(&self, scratch: &Utf8Path) -> (Rules, Interpreters) {
        let facts = &self.setup.facts;
        let image = ImageRule::new(self.launcher.clone(), facts.recipes.clone(), facts.tools.clone());
        let test = Arc::new(TestRule::new(self.setup.clone(), scratch.join("s")));
        let python = PythonRule::new(self.launcher.clone());
        let interpreters = test.interpreters();
        let rules = Rules::default()
            .with(Arc::new(DownloadRule::new(self.downloads.clone())))
            .with(Arc::new(image))
            .with(Arc::new(python))
            .with(Arc::new(DepsRule::new(test.clone())))
            .with(Arc::new(ToolchainRule))
            .with(Arc::new(StateRule::new(test.clone())))
            .with(test);
        (rules, interpreters)
    }

    /// The action that builds an image of this size, or of the recipe's own.
    pub fn image(&self, recipe: &Recipe, size: Option<&str>) -> Spec {
        image::spec(recipe, size, &self.setup.facts.tools)
    }

    /// The graph of the variants and all that they stand on.
    pub fn graph(&self, variants: &[Variant]) -> Result<Graph, Failure> {
        let rule = TestRule::new(self.setup.clone(), "".into());
        let declared: Vec<_> = variants.par_iter().map(|variant| rule.declare(variant)).collect();
        let mut specs = Vec::with_capacity(variants.len());
        let mut errors = Vec::new();
        for declared in declared {
            match declared {
                Ok(spec) => specs.push(spec),
                Err(error) => errors.push(error),
            }
        }
        if !errors.is_empty() {
            return Err(senseless(&errors));
        }
        tell_apart(&mut specs, variants);
        Graph::build(specs.into_iter().map(Arc::new).collect())
            .map_err(|error| Failure::config(error.to_string()))
    }
}

/// The emulators that variants name, and the one of those that name none.
fn emulators(variants: &[Variant]) -> BTreeSet<String> {
    let mut names: BTreeSet<&str> = [EMULATOR].into();
    for variant in variants {
        let named = variant.params.iter().filter(|(name, _)| &**name == "qemu_binary");
        names.extend(named.map(|(_, value)| value.trim()));
    }
    names.remove("");
    names.into_iter().map(str::to_owned).collect()
}

/// What the tests' modules need. Without it each test is run by our own package, and says itself what is missing.
async fn survey(workspace: &Workspace, variants: &[Variant], python: &Utf8Path) -> Survey {
    let setup = SurveySetup {
        providers: &workspace.providers,
        backend: &workspace.settings.vt_type,
        python,
        python_digest: workspace.bundled.python_digest,
        memory: &workspace.cache.join("needs"),
    };
    match Survey::of(variants, &setup).await {
        Ok(survey) => survey,
        Err(error) => {
            warn(&format!("failed to {error}"));
            Survey::default()
        }
    }
}

async fn probe(launcher: &Launcher, binary: &str, cache: &Utf8Path) -> Result<Accel, Failure> {
    let failed = |error: String| Failure::environment(format!("failed to {error}"));
    let qemu = vtbuild_providers::qemu::Qemu::find(launcher, Some(binary), None)
        .await
        .map_err(|error| failed(error.to_string()))?;
    let found = Accel::find(launcher, &qemu, &cache.join("accel.json")).await;
    found
        .map(|finding| finding.accel)
        .map_err(|error| failed(error.to_string()))
}

fn senseless(errors: &[DeclareError]) -> Failure {
    let mut lines: Vec<String> = errors.iter().take(NAMED).map(ToString::to_string).collect();
    if errors.len() > NAMED {
        lines.push(format!("and {} more", errors.len() - NAMED));
    }
    Failure::config(lines.join("\n"))
}

/// Tests that share a name (they differ in guest or hardware) are shown by their short names, and if those are the same
/// too, by their full ones.
fn tell_apart(specs: &mut [Spec], variants: &[Variant]) {
    let levels: [fn(&Variant) -> &Arc<str>; 2] = [|variant| &variant.shortname, |variant| &variant.name];
    for name in levels {
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        for spec in specs.iter() {
            *seen.entry(spec.title.clone()).or_default() += 1;
        }
        for (spec, variant) in specs.iter_mut().zip(variants) {
            if seen[&spec.title] > 1 {
                spec.title = name(variant).clone();
            }
        }
    }
}
