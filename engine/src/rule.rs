//! The plug: what a new kind of action needs.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use thiserror::Error;

use crate::cancel::Cancel;
use crate::event::Sink;
use crate::outcome::{Artefact, Outcome};
use crate::resolve::Inputs;
use crate::spec::{RuleName, Spec};
use crate::variant::Variant;

/// One kind of action: how a variant becomes it, and how it is carried out.
#[async_trait]
pub trait Rule: Send + Sync {
    /// Name and version.
    fn name(&self) -> RuleName;

    /// Says what action `variant` is. Pure: the same variant gives the same spec, and nothing but the variant and the
    /// rule's own construction is looked at.
    ///
    /// # Errors
    /// The parameter that makes no sense.
    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError>;

    /// Carries an action of this rule out, with nothing but what it declared.
    async fn execute(&self, job: Job) -> Outcome;
}

/// A variant that a rule can make no action of.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("variant `{variant}`: {message}")]
pub struct DeclareError {
    /// The variant's name.
    pub variant: String,
    /// The parameter at fault, where it is one.
    pub param: Option<String>,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl DeclareError {
    /// What is wrong with a variant, but with none of its parameters.
    #[must_use]
    pub fn of(variant: &Variant, message: &str) -> Self {
        Self {
            variant: variant.name.to_string(),
            param: None,
            message: message.to_owned(),
        }
    }
}

/// Everything that an action may touch while it runs.
pub struct Job {
    /// What was declared.
    pub spec: Arc<Spec>,
    /// Inputs by role.
    pub inputs: Inputs,
    /// An empty folder of its own, on the store's file system, removed afterwards.
    pub scratch: Utf8PathBuf,
    /// Where logs that people read are left.
    pub logs: Utf8PathBuf,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Where it says what it is doing.
    pub events: Sink,
    /// Set when it must stop.
    pub cancel: Cancel,
}

impl Job {
    /// The artefacts of `role`.
    ///
    /// # Panics
    /// When the role was not declared as a need: asking for an undeclared input is a bug in the rule.
    #[must_use]
    pub fn input(&self, role: &str) -> &[Artefact] {
        self.inputs.get(role).unwrap_or_else(|| {
            panic!(
                "`{}` asks for the input `{role}`, which it did not declare",
                self.spec.label
            )
        })
    }

    /// The artefact called `name` among those of `role`.
    #[must_use]
    pub fn artefact(&self, role: &str, name: &str) -> Option<&Artefact> {
        self.input(role).iter().find(|artefact| artefact.name == name)
    }
}

/// The rules in force, by name.
#[derive(Clone, Default)]
pub struct Rules {
    rules: BTreeMap<&'static str, Arc<dyn Rule>>,
}

impl Rules {
    /// Adds a rule.
    #[must_use]
    pub fn with(mut self, rule: Arc<dyn Rule>) -> Self {
        self.rules.insert(rule.name().name, rule);
        self
    }

    /// The rule that carries out actions of `name`.
    ///
    /// # Panics
    /// When no such rule was added: the graph holds only specs of rules in force.
    #[must_use]
    pub fn of(&self, name: RuleName) -> &Arc<dyn Rule> {
        self.rules
            .get(name.name)
            .unwrap_or_else(|| panic!("no rule named `{name}` is in force"))
    }
}
