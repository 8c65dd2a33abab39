//! Which way a test's Python is run: what was asked for, and what follows from what the test uses.

use vtbuild_engine::rule::DeclareError;
use vtbuild_engine::variant::Variant;
use vtbuild_providers::host::Runtime;
use vtbuild_providers::params::Params;

use super::around::libvirt;
use super::images;

/// The parameter by which a provider or a variant chooses.
const PARAM: &str = "runtime";
/// The word that leaves the choice to us.
pub const AUTO: &str = "auto";

/// The way in which a test is going to be run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    /// The runtime that is tried first.
    pub(super) first: Runtime,
    /// Whether it was chosen by us: then another one is tried where a name turns out to be missing.
    pub(super) ours: bool,
}

/// The one runtime that can start the machines of a test, where not all can. `plain` are its parameters where what is read of
/// them is in the key otherwise, as what kind of machines libvirt's are is; `params` the same, recording.
pub(super) fn only(plain: &Params, params: &Params) -> Option<Runtime> {
    libvirt::runtime(plain).or_else(|| images::runtime(params))
}

impl Choice {
    /// Our own package, before anything is known.
    pub(super) const OWN: Self = Self {
        first: Runtime::Own,
        ours: true,
    };

    /// What `variant` is to be run by. An order for the whole run (`asked`) comes before the variant's own parameter, and both
    /// before what the test seems to need, which is asked for only then.
    pub(super) fn of(
        variant: &Variant,
        params: &Params,
        asked: Option<Runtime>,
        needed: impl FnOnce() -> Runtime,
    ) -> Result<Self, DeclareError> {
        let named = match (asked, params.text(PARAM)) {
            (Some(runtime), _) => Some(runtime),
            (None, None | Some(AUTO)) => None,
            (None, Some(word)) => {
                let known = Runtime::named(word).ok_or_else(|| DeclareError {
                    variant: variant.name.to_string(),
                    param: Some(PARAM.into()),
                    message: format!("`runtime = {word}` is none of auto, own, layered and upstream"),
                });
                Some(known?)
            }
        };
        Ok(Self {
            first: named.unwrap_or_else(needed),
            ours: named.is_none(),
        })
    }

    /// What enters the key. What follows from the test's files and our package is in it already.
    pub(super) fn word(self) -> &'static str {
        if self.ours { AUTO } else { self.first.name() }
    }

    /// Whether upstream's packages must be there before the test starts.
    pub(super) fn needs_packages(self) -> bool {
        self.first.needs_packages()
    }

    /// The runtimes to be tried, one after the other.
    pub(super) fn order(self) -> Vec<Runtime> {
        match (self.ours, self.first) {
            (true, Runtime::Layered) => vec![Runtime::Layered, Runtime::Upstream],
            (_, first) => vec![first],
        }
    }
}
