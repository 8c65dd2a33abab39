//! People who are let in to a test's machines: instead of its body, or once it has not passed.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use vtbuild_engine::outcome::{Keep, Outcome, Status};
use vtbuild_engine::rule::Job;
use vtbuild_engine::spec::RuleName;
use vtbuild_providers::desk::Desk;

/// The rule of actions that are visited instead of run. Another name than the tests', so that a visit touches no record of
/// theirs.
pub const VISIT: RuleName = RuleName {
    name: "visit",
    version: 1,
};

/// Somebody who looks at machines.
#[async_trait]
pub trait Visitor: Send + Sync {
    /// Is with the machines for as long as it likes. They end afterwards.
    async fn visit(&self, scene: Scene<'_>);
}

/// What a visitor finds.
pub struct Scene<'a> {
    /// The test's name.
    pub test: &'a str,
    /// The machines.
    pub desk: &'a Desk,
    /// The one that a test with a single machine uses (`main_vm`).
    pub main_vm: &'a str,
    /// How the test ended, and why; none where its body was not run.
    pub ended: Option<(Status, &'a str)>,
}

/// When tests are visited.
#[derive(Clone, Default)]
pub enum Visits {
    /// Never.
    #[default]
    Never,
    /// Everything is prepared as for the test; the visit takes the place of its body.
    InsteadOfBody(Arc<dyn Visitor>),
    /// The body has ended with anything but a pass, and the machines are as it left them.
    WhenNotPassed(Arc<dyn Visitor>),
}

impl fmt::Debug for Visits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Never => "Never",
            Self::InsteadOfBody(_) => "InsteadOfBody",
            Self::WhenNotPassed(_) => "WhenNotPassed",
        })
    }
}

/// The verdict on a visit that went as it should: a pass that proves nothing.
pub(super) fn visited() -> Outcome {
    Outcome {
        keep: Keep::Never("a visit is no test".into()),
        ..Outcome::pass()
    }
}

/// Lets a visitor in until it goes, or the run is stopped.
pub(super) async fn receive(visitor: &dyn Visitor, job: &Job, scene: Scene<'_>) {
    tokio::select! {
        () = visitor.visit(scene) => {}
        _ = job.cancel.cancelled() => {}
    }
}
