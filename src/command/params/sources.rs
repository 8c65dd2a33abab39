//! Where a value came from: the statements that made it.

use std::fmt::Write;

use serde_json::{Value as Json, json};
use vtbuild_cfg::Variant;
use vtbuild_cfg::provenance::{Step, explain};

use crate::analysis::{Analysis, wrong};
use crate::exit::Failure;

/// One statement that changed a key, with its places as they are shown.
pub struct Source {
    step: Step,
    place: String,
    /// The conditions that it stands under, outermost first: place and text.
    under: Vec<(String, String)>,
}

/// The statements that made the value of `key`, in the order in which they took effect.
pub fn of(analysis: &Analysis, variant: &Variant, key: &str) -> Result<Vec<Source>, Failure> {
    let steps = explain(variant, key).map_err(|error| wrong(&error))?;
    let source = |step: Step| Source {
        place: analysis.place(&step.statement),
        under: step
            .under
            .iter()
            .map(|condition| (analysis.place(condition), condition.text.clone()))
            .collect(),
        step,
    };
    Ok(steps.into_iter().map(source).collect())
}

impl Source {
    /// Lines below the key that they explain.
    pub fn text(&self) -> String {
        let Step {
            statement,
            operator,
            before,
            after,
            ..
        } = &self.step;
        let (before, after) = (shown(before.as_deref()), shown(after.as_deref()));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "        {}: {}", self.place, statement.text);
        let _ = writeln!(text, "            {operator}  {before} -> {after}");
        for (place, condition) in &self.under {
            let _ = writeln!(text, "            under {place}: {condition}");
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> Json {
        let statement = &self.step.statement;
        let under = self
            .under
            .iter()
            .map(|(place, text)| json!({ "place": place, "statement": text }));
        json!({
            "place": self.place,
            "file": &*statement.file,
            "line": statement.line,
            "statement": statement.text,
            "operator": self.step.operator,
            "before": self.step.before,
            "after": self.step.after,
            "under": under.collect::<Vec<_>>(),
        })
    }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""))
}
