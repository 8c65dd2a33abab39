//! The test rule: a variant's machines on throw-away overlays, its Python in a host process, its verdict.
//!
//! A test sees a data folder of its own. In it each image of its machines is a file that it may write to: an overlay on the
//! immutable original, or a fresh image where the parameters ask for one. All of it goes with the test; an image that the
//! parameters ask to create and to keep (`force_create_image = yes`, `remove_image = no`) is passed on to the tests that
//! depend on this one.

pub(crate) mod around;
pub(crate) mod declare;
mod dict;
pub(crate) mod execute;
pub(crate) mod folder;
pub(crate) mod images;
mod machines;
pub(crate) mod modules;
mod needs;
mod probes;
mod reads;
mod remains;
mod runnable;
mod runtime;
mod surroundings;
mod tools;
mod visit;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use tokio::sync::Mutex;
use vtbuild_engine::outcome::Outcome;
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{RuleName, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::host::Interpreters;
use vtbuild_providers::image::{QemuImg, Templates};
use vtbuild_providers::machine::Launch;
use vtbuild_providers::params::Params;
use vtbuild_providers::process::Launcher;
use vtbuild_providers::provider::TestProvider;
use vtbuild_providers::qemu::{Qemu, QemuError};

pub use around::host_fact;
pub use declare::HostFacts;
pub use needs::{Needs, Survey, SurveyError, SurveySetup};
pub use reads::DATA_ROOT;
pub use runnable::{Lack, Runnable};
pub use runtime::AUTO;
pub use tools::{EMULATOR, Tools};
pub use visit::{Scene, VISIT, Visitor, Visits};

use crate::deps::DepsUse;
use crate::state;
use modules::{Known, Modules};

/// The rule's name and version.
pub const NAME: RuleName = RuleName {
    name: "test",
    version: 3,
};

/// What the test rule works with.
#[derive(Clone)]
pub struct TestSetup {
    /// Starts processes.
    pub launcher: Launcher,
    /// What results depend on beside the variant.
    pub facts: HostFacts,
    /// Where tests come from.
    pub providers: Vec<TestProvider>,
    /// The folder from which Python imports the test host.
    pub python: Utf8PathBuf,
    /// Where archives of packages are unpacked.
    pub trees: Utf8PathBuf,
    /// Where states of guests are unpacked.
    pub states: Utf8PathBuf,
    /// Who is let in to the machines, and when.
    pub visits: Visits,
}

/// The test rule.
pub struct TestRule {
    setup: TestSetup,
    sockets: Utf8PathBuf,
    interpreters: Interpreters,
    /// Empty overlays on the images of tests.
    overlays: Templates,
    /// Modules that were looked for. Those of a rule that declares are those of one moment.
    modules: Known,
    /// Installations of QEMU by the names that parameters give them. Looked for once.
    qemus: Mutex<HashMap<QemuNames, Qemu>>,
    /// States of guests that were declared so far.
    states: state::declare::Known,
}

/// `qemu_binary` and `qemu_img_binary`.
type QemuNames = (Option<String>, Option<String>);

impl TestRule {
    /// A rule that keeps machines' sockets below `sockets`: a short path.
    #[must_use]
    pub fn new(setup: TestSetup, sockets: Utf8PathBuf) -> Self {
        Self {
            interpreters: Interpreters::new(setup.launcher.clone(), sockets.clone()),
            overlays: Templates::new(sockets.join("overlays")),
            setup,
            sockets,
            modules: Known::default(),
            qemus: Mutex::default(),
            states: state::declare::Known::default(),
        }
    }

    /// What tests are forked from. Somebody has to end them when the last test has ended.
    #[must_use]
    pub fn interpreters(&self) -> Interpreters {
        self.interpreters.clone()
    }

    /// What makes the images of the machines that `launch` starts.
    pub(crate) fn img(&self, launch: &Launch) -> QemuImg {
        QemuImg::new(&launch.launcher, &launch.qemu).with_templates(&self.overlays)
    }

    /// What it works with.
    pub(crate) fn setup(&self) -> &TestSetup {
        &self.setup
    }

    /// The rule that actions of this one belong to.
    fn rule(&self) -> RuleName {
        match self.setup.visits {
            Visits::InsteadOfBody(_) => VISIT,
            Visits::Never | Visits::WhenNotPassed(_) => NAME,
        }
    }

    /// Which way a variant's test would be run, and what it would miss on this host.
    #[must_use]
    pub fn runnable(&self, variant: &Variant) -> Runnable {
        runnable::look(variant, &self.setup)
    }

    async fn qemu(&self, params: &Params) -> Result<Qemu, QemuError> {
        let name = |key: &str| params.text(key).map(str::to_owned);
        let names = (name("qemu_binary"), name("qemu_img_binary"));
        let mut known = self.qemus.lock().await;
        if let Some(qemu) = known.get(&names) {
            return Ok(qemu.clone());
        }
        let (binary, img) = (names.0.as_deref(), names.1.as_deref());
        // Looked at for keys already; one that did not answer then says here why.
        let qemu = match self.setup.facts.tools.answers(params) {
            Some(answers) => Qemu::known(binary, img, answers)?,
            None => Qemu::find(&self.setup.launcher, binary, img).await?,
        };
        known.insert(names, qemu.clone());
        Ok(qemu)
    }
}

#[async_trait]
impl Rule for TestRule {
    fn name(&self) -> RuleName {
        self.rule()
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        let mut spec = declare::declare(variant, &self.setup, &self.modules, &self.states)?;
        spec.rule = self.rule();
        Ok(spec)
    }

    async fn execute(&self, job: Job) -> Outcome {
        execute::execute(self, job).await
    }
}

/// What a test's action carries for being carried out. All of it follows from the variant and from its sources.
#[derive(Clone, Debug)]
struct TestPayload {
    name: Arc<str>,
    shortname: Arc<str>,
    dep: Vec<Arc<str>>,
    name_map: Vec<(String, String)>,
    short_name_map: Vec<(String, String)>,
    listed: Arc<vtbuild_engine::variant::Params>,
    /// The same as a map. Empty until the test runs: thousands are declared, and a few run at a time.
    params: Params,
    modules: Arc<Modules>,
    images: Vec<images::ImageUse>,
    choice: runtime::Choice,
    deps_builds: Vec<DepsUse>,
    /// Why machines boot that do not begin from a state, by name.
    boots: Vec<(String, String)>,
}

impl TestPayload {
    fn new(variant: &Variant, modules: Arc<Modules>) -> Self {
        Self {
            name: variant.name.clone(),
            shortname: variant.shortname.clone(),
            dep: variant.dep.clone(),
            name_map: variant.name_map.clone(),
            short_name_map: variant.short_name_map.clone(),
            listed: variant.params.clone(),
            params: Params::new(),
            modules,
            images: Vec::new(),
            choice: runtime::Choice::OWN,
            deps_builds: Vec::new(),
            boots: Vec::new(),
        }
    }

    /// The same for a test that runs: whatever is asked of its parameters from here on belongs to what it read.
    fn running(&self) -> Self {
        Self {
            params: params_of(&self.listed).recording(),
            ..self.clone()
        }
    }
}

/// The parameters of a variant as a map.
pub(crate) fn params_of(listed: &vtbuild_engine::variant::Params) -> Params {
    with_machines_of_migrations(listed.iter().cloned().collect())
}

/// The machines of `migrate_vms` are machines of the test as those of `vms` are.
fn with_machines_of_migrations(mut params: Params) -> Params {
    let mut vms = params.objects("vms");
    let listed = vms.len();
    for vm in params.objects("migrate_vms") {
        if !vms.contains(&vm) {
            vms.push(vm);
        }
    }
    if vms.len() > listed {
        let vms = vms.join(" ");
        params.set("vms", vms);
    }
    params
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_of_migrations_are_added_once() {
        let vms = |entries: &[(&str, &str)]| {
            let params = with_machines_of_migrations(entries.iter().copied().collect());
            params.text("vms").map(str::to_owned)
        };
        let both = [("vms", "vm1 vm2"), ("migrate_vms", "vm2 vm3 vm3")];
        assert_eq!(vms(&both).as_deref(), Some("vm1 vm2 vm3"));
        assert_eq!(vms(&[("migrate_vms", "vm3")]).as_deref(), Some("vm3"));
        assert_eq!(
            vms(&[("vms", " vm1"), ("migrate_vms", "")]).as_deref(),
            Some("vm1")
        );
        assert_eq!(vms(&[]), None);
    }
}
