//! Puts the rules together with what they need of the host, and variants together with rules.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use vtbuild_cache::Digest;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::recall::{Names, names};
use vtbuild_engine::resolve::FILE;
use vtbuild_engine::rule::{DeclareError, Rule, Rules};
use vtbuild_engine::spec::Spec;
use vtbuild_engine::variant::Variant;
use vtbuild_providers::accel::Accel;
use vtbuild_providers::host::{Interpreters, Runtime};
use vtbuild_providers::process::Launcher;
use vtbuild_providers::qemu::{Answers, Qemu};
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
/// The kinds of actions that tests stand on.
pub const BELOW: [&str; 6] = [
    vtbuild_rules::image::NAME.name,
    vtbuild_rules::state::NAME.name,
    vtbuild_rules::deps::NAME.name,
    vtbuild_rules::deps::TOOLCHAIN.name,
    python_env::NAME.name,
    FILE.name,
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
    /// Finds out what tests depend on beside their variants.
    pub async fn of(
        workspace: &Workspace,
        variants: &[Variant],
        accel: AccelArg,
        runtime: RuntimeArg,
    ) -> Result<Self, Failure> {
        Self::with(workspace, &Traits::of(variants), variants, accel, runtime).await
    }

    /// The same where `variants` are only those of a selection that have to be declared. An accelerator is looked for only
    /// where a variant of the selection has a machine.
    pub async fn with(
        workspace: &Workspace,
        traits: &Traits,
        variants: &[Variant],
        accel: AccelArg,
        runtime: RuntimeArg,
    ) -> Result<Self, Failure> {
        let launcher = Launcher::this_program();
        let memory = workspace.cache.join("probes");
        let emulators = &traits.emulators;
        let tools = Tools::find(&launcher, emulators, &memory).await;
        let first = emulators.iter().find(|name| tools.emulators.contains_key(*name));
        let accel = match (first.filter(|_| traits.machines), accel) {
            (None, _) => None,
            (Some(_), AccelArg::Kvm) => Some(Accel::Kvm),
            (Some(_), AccelArg::Tcg) => Some(Accel::Tcg),
            (Some(binary), AccelArg::Auto) => {
                let answers = tools.answers_of(binary);
                Some(probe(&launcher, binary, answers, &workspace.cache).await?)
            }
        };
        let python = workspace.bundled.python();
        let runtime = runtime.asked();
        // Where the runtime was asked for, nobody has to find one.
        let survey = match runtime {
            Some(_) => Survey::default(),
            None => survey(workspace, variants, &python).await,
        };
        let wanted = runtime.map_or_else(|| survey.needs_packages(), Runtime::needs_packages);
        let packages = if wanted || traits.runtime {
            let interpreter = match &tools.python {
                Some(known) => Ok(known.clone()),
                // It says why there is none.
                None => Interpreter::find(&launcher, &memory).await,
            };
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
            cache: workspace.cache.clone(),
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

    /// The rules, which keep sockets and the like in a folder of that name; and the interpreters that tests are forked from,
    /// which have to be ended when nothing runs any more.
    pub fn rules(&self, sockets: Utf8PathBuf) -> (Rules, Interpreters) {
        let facts = &self.setup.facts;
        let image = ImageRule::new(self.launcher.clone(), facts.recipes.clone(), facts.tools.clone());
        let test = Arc::new(TestRule::new(self.setup.clone(), sockets));
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

    /// The digest of what declaring looks at beside variants and files that are sources.
    pub fn surroundings(&self, programs: &BTreeSet<String>, left_out: &[Utf8PathBuf]) -> Option<Digest> {
        self.setup.surroundings(programs, left_out)
    }

    /// The names of the programs that were looked for while declaring.
    pub fn programs(&self) -> BTreeSet<String> {
        self.setup.programs()
    }

    /// Files beside its sources that an action's declaration has read; nothing where that is not known.
    pub fn looked_into(&self, spec: &Spec) -> Option<Vec<Utf8PathBuf>> {
        self.setup.looked_into(spec)
    }

    /// Whether what is kept of the tests' needs is still what declarations have gone by.
    pub fn is_as_surveyed(&self) -> bool {
        self.setup.facts.survey.is_current()
    }

    /// The graph of the variants and all that they stand on.
    pub fn graph(&self, variants: &[Variant]) -> Result<Graph, Failure> {
        self.titled(variants, titles(&variants.iter().map(names).collect::<Vec<_>>()))
    }

    /// The same with their tests under these titles.
    pub fn titled(&self, variants: &[Variant], titles: Vec<Arc<str>>) -> Result<Graph, Failure> {
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
            return Err(senseless(&errors, variants));
        }
        for (spec, title) in specs.iter_mut().zip(titles) {
            spec.title = title;
        }
        Graph::build(specs.into_iter().map(Arc::new).collect())
            .map_err(|error| Failure::config(error.to_string()))
    }
}

/// What of all selected variants together decides which tools are looked for.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Traits {
    /// The emulators that variants name, and the one of those that name none.
    emulators: BTreeSet<String>,
    /// The other programs that were looked for when they were declared.
    pub programs: BTreeSet<String>,
    /// Whether one of them has a machine.
    machines: bool,
    /// Whether one of them names a runtime.
    runtime: bool,
}

impl Traits {
    /// Those of these variants.
    pub fn of<'v>(variants: impl IntoIterator<Item = &'v Variant>) -> Self {
        let mut traits = Self {
            emulators: [EMULATOR.to_owned()].into(),
            ..Self::default()
        };
        for variant in variants {
            for (name, value) in variant.params.iter() {
                let value = value.trim();
                match &**name {
                    _ if value.is_empty() => {}
                    "vms" => traits.machines = true,
                    "runtime" => traits.runtime = true,
                    "qemu_binary" if !traits.emulators.contains(value) => {
                        traits.emulators.insert(value.to_owned());
                    }
                    _ => {}
                }
            }
        }
        traits
    }

    /// Those of both.
    pub fn and(mut self, other: Self) -> Self {
        self.emulators.extend(other.emulators);
        self.programs.extend(other.programs);
        self.machines |= other.machines;
        self.runtime |= other.runtime;
        self
    }
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

async fn probe(
    launcher: &Launcher,
    binary: &str,
    answers: Option<&Answers>,
    cache: &Utf8Path,
) -> Result<Accel, Failure> {
    let failed = |error: String| Failure::environment(format!("failed to {error}"));
    let qemu = match answers {
        Some(answers) => Qemu::known(Some(binary), None, answers),
        None => Qemu::find(launcher, Some(binary), None).await,
    };
    let qemu = qemu.map_err(|error| failed(error.to_string()))?;
    let found = Accel::find(launcher, &qemu, &cache.join("accel.json")).await;
    found
        .map(|finding| finding.accel)
        .map_err(|error| failed(error.to_string()))
}

/// What is wrong with variants, and how to find out who set the first parameter that is at fault.
fn senseless(errors: &[DeclareError], variants: &[Variant]) -> Failure {
    let mut lines: Vec<String> = errors.iter().take(NAMED).map(ToString::to_string).collect();
    if errors.len() > NAMED {
        lines.push(format!("and {} more", errors.len() - NAMED));
    }
    let at_fault = errors.iter().find_map(|error| {
        let variant = variants.iter().find(|variant| *variant.name == *error.variant)?;
        Some((&variant.test_id, error.param.as_ref()?))
    });
    if let Some((test, param)) = at_fault {
        lines.push(format!(
            "  help: `vtbuild params //{test} -k {param} --with-source` names the statement that sets `{param}`"
        ));
    }
    Failure::config(lines.join("\n"))
}

/// What tests are shown as. Those that share a name (they differ in guest or hardware) are shown by their short names, and if
/// those are the same too, by their full ones.
pub fn titles(names: &[Names]) -> Vec<Arc<str>> {
    let mut titles: Vec<Arc<str>> = names.iter().map(|[shown, ..]| shown.clone()).collect();
    for level in 1..3 {
        let mut seen: HashMap<Arc<str>, usize> = HashMap::new();
        for title in &titles {
            *seen.entry(title.clone()).or_default() += 1;
        }
        for (title, names) in titles.iter_mut().zip(names) {
            if seen[title] > 1 {
                *title = names[level].clone();
            }
        }
    }
    titles
}
