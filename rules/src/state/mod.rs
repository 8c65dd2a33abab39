//! The rule of guest states: a guest that is up, as an artefact that tests begin from instead of booting.
//!
//! What comes out is the guest's memory, the layers that it has written on its disks since power-on, and what it has printed on
//! its serial ports. The key is what the machine is wherever its files lie ([`MachineSpec::identity`]), how it is logged in to,
//! what its disks are made of, and QEMU: tests whose machines are equal share a state, whatever else they read.
//!
//! A state is an [aid](vtbuild_engine::spec::Aid): it is in no test's key, and a test whose state cannot be made, or turns out
//! to be no good, boots. The page `docs/guest-states.md` says which tests begin from one.
//!
//! [`MachineSpec::identity`]: vtbuild_providers::machine::MachineSpec::identity

mod archive;
pub(crate) mod declare;
mod disks;
mod make;
mod unpacked;

use std::sync::Arc;

use async_trait::async_trait;
use vtbuild_engine::outcome::Outcome;
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{RuleName, Spec};
use vtbuild_engine::variant::{self, Variant};

use crate::test::TestRule;
use crate::test::images::ImageUse;

pub(crate) use unpacked::Unpacked;

/// The rule's name and version.
pub const NAME: RuleName = RuleName {
    name: "state",
    version: 2,
};
/// The one output: an archive of memory, layers and logs.
pub(crate) const OUTPUT: &str = "state.tar.zst";

/// When tests begin from states.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Policy {
    /// Every test boots its guests.
    Never,
    /// Where a state is in the cache, or several tests of the run share it.
    #[default]
    Auto,
    /// Wherever a state can be made.
    Always,
}

impl Policy {
    /// How many tests must share a state before it is made for them.
    fn worth(self) -> u32 {
        // Making one takes as long as booting twice; two tests and the next run make up for it.
        if self == Self::Always { 1 } else { 2 }
    }
}

/// What a state's action carries for being carried out. All that matters of it is in what was declared.
#[derive(Debug)]
struct StatePayload {
    vm: String,
    /// The parameters of one of the tests. Only those that describe the machine, and how it is logged in to, are looked at.
    listed: Arc<variant::Params>,
    images: Vec<ImageUse>,
}

/// The rule.
pub struct StateRule {
    test: Arc<TestRule>,
}

impl StateRule {
    /// A rule that boots guests as `test` does.
    #[must_use]
    pub fn new(test: Arc<TestRule>) -> Self {
        Self { test }
    }
}

#[async_trait]
impl Rule for StateRule {
    fn name(&self) -> RuleName {
        NAME
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        Err(DeclareError::of(
            variant,
            "no variant is a guest's state; tests begin from one",
        ))
    }

    async fn execute(&self, job: Job) -> Outcome {
        make::execute(&self.test, &job).await
    }
}
