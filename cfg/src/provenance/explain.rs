//! The statements that made the value of one key.

use super::Statement;
use crate::apply::Watch;
use crate::diagnostic::Diagnostic;
use crate::graph::Graph;
use crate::variant::Variant;

/// One statement that changed a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The statement.
    pub statement: Statement,
    /// `=`, `+=`, `<=`, `~=`, `?=`, `?+=`, `?<=`, `del`, or the bound that set it: `_min`, `_max`, `_fixed`.
    pub operator: &'static str,
    /// The value before, if the key was there.
    pub before: Option<String>,
    /// The value after, if the key is there.
    pub after: Option<String>,
    /// The conditions that it stands under, outermost first.
    pub under: Vec<Statement>,
}

/// Every statement that changed `key` on the way to its value in `variant`, in order of application.
///
/// Of a joined variant only the last factor is told.
///
/// # Errors
/// The variant's parameters cannot be computed.
pub fn explain(variant: &Variant, key: &str) -> Result<Vec<Step>, Box<Diagnostic>> {
    let mut watch = KeyWatch {
        graph: variant.graph(),
        key,
        open: Vec::new(),
        steps: Vec::new(),
    };
    variant.watch(&mut watch)?;
    Ok(watch.steps)
}

struct KeyWatch<'a> {
    graph: &'a Graph,
    key: &'a str,
    /// Conditions entered, with the statements that they span.
    open: Vec<(u32, u32)>,
    steps: Vec<Step>,
}

impl Watch for KeyWatch<'_> {
    fn changed(
        &mut self,
        stmt: u32,
        key: &str,
        operator: &'static str,
        before: Option<&str>,
        after: Option<&str>,
    ) {
        if key != self.key {
            return;
        }
        let under = self
            .open
            .iter()
            .filter(|(start, end)| (*start..*end).contains(&stmt));
        let step = Step {
            statement: Statement::of(self.graph, stmt),
            operator,
            before: before.map(str::to_owned),
            after: after.map(str::to_owned),
            under: under
                .map(|(start, _)| Statement::of(self.graph, *start))
                .collect(),
        };
        self.steps.push(step);
    }

    fn entered(&mut self, stmt: u32, end: u32) {
        self.open.retain(|(start, end)| (*start..*end).contains(&stmt));
        self.open.push((stmt, end));
    }
}
