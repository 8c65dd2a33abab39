//! The deps rule: a folder of sources beside a test goes in, what `make` produced of it comes out.
//!
//! | enters the key | why |
//! |---|---|
//! | every file of the folder; which can be run, what links say, which folders there are | what is built |
//! | the words that `make` is told, the patterns of the output | how |
//! | the disk of the guest that builds it, its processor, who logs in | with what: the compiler is on that disk |
//! | or the host's address, and what its toolchain says of itself (an action of its own, in each run) | the same, where nobody has the disk's digest |
//! | the architecture of the test's guest | for whom |
//!
//! Not in it: memory, processors, buses and network cards of the machine that builds. So tests that differ in hardware alone
//! share one build, and it runs on the hardware of the first of them.
//!
//! A guest builds on a throw-away overlay and is killed afterwards. On a host that a person names, the sources stay
//! mirrored below `~/.cache/vtbuild/deps`, so that next time only what changed travels.

mod declare;
mod execute;
mod host;
mod unpacked;

use std::sync::Arc;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use vtbuild_engine::outcome::Outcome;
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{RuleName, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::build::SourceTree;
use vtbuild_providers::params::Params;

pub use host::{BuildHost, TOOLCHAIN, ToolchainRule};

pub(crate) use declare::{DepsUse, uses};
use execute::OUTPUT;
pub(crate) use unpacked::unpacked;

use crate::test::TestRule;
use crate::test::images::ImageUse;

/// The rule's name and version.
pub const NAME: RuleName = RuleName {
    name: "deps",
    version: 1,
};

/// The deps rule. It boots guests as the test rule does.
pub struct DepsRule {
    test: Arc<TestRule>,
}

impl DepsRule {
    /// A rule that boots guests with what `test` has.
    #[must_use]
    pub fn new(test: Arc<TestRule>) -> Self {
        Self { test }
    }
}

#[async_trait]
impl Rule for DepsRule {
    fn name(&self) -> RuleName {
        NAME
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        let setup = self.test.setup();
        let uses = declare::uses_of(variant, &setup.facts, &setup.providers)?;
        let first = uses.into_iter().next().ok_or_else(|| DeclareError {
            variant: variant.name.to_string(),
            param: Some("deps_build".into()),
            message: "it names nothing in `deps_build`".into(),
        })?;
        Ok((*first.spec).clone())
    }

    async fn execute(&self, job: Job) -> Outcome {
        execute::execute(&self.test, &job).await
    }
}

/// What a deps action carries for being carried out. All of it follows from what it declares.
#[derive(Clone, Debug)]
struct DepsPayload {
    /// The folder of sources, and what was in it when the action was declared; or why it cannot be built.
    source: Utf8PathBuf,
    tree: Result<SourceTree, String>,
    flags: Vec<String>,
    output: Vec<String>,
    /// The folder's name on the machine that builds.
    id: String,
    place: Place,
    /// The architecture that the programs are for, where it is known.
    architecture: Option<String>,
    /// Seconds that the build may take.
    patience: u64,
}

/// Where a build runs.
#[derive(Clone, Debug)]
enum Place {
    /// In a guest: the parameters of the machine, and its disk.
    Guest(Box<Params>, Box<ImageUse>),
    /// On a host that a person names.
    Host(Arc<BuildHost>),
}
