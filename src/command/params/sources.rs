//! Where a value came from: the statements that made it.

use std::fmt::Write;

use serde_json::{Value as Json, json};
use vtbuild_cfg::provenance::{Explanation, Statement, Step};

use crate::analysis::Analysis;

/// One statement that changed a key, with its places as they are shown.
pub struct Source {
    step: Step,
    place: String,
    /// The conditions that it stands under, outermost first: place and text.
    under: Vec<(String, String)>,
    /// The filters of its variant.
    filters: Vec<(String, String)>,
}

/// The statements that made the value of `key`, in the order in which they took effect.
pub fn of(analysis: &Analysis, explanation: &Explanation<'_>, key: &str) -> Vec<Source> {
    let placed = |statements: &[Statement]| {
        let placed = |it: &Statement| (analysis.place(it), it.text.clone());
        statements.iter().map(placed).collect()
    };
    let source = |step: Step| Source {
        place: analysis.place(&step.statement),
        under: placed(&step.under),
        filters: placed(&step.filters),
        step,
    };
    explanation.steps(key).into_iter().map(source).collect()
}

impl Source {
    /// Where it stands, and how it reads.
    pub fn line(&self) -> String {
        format!("{}: {}", self.place, self.step.statement.text)
    }

    /// Lines below the key that they explain.
    pub fn text(&self) -> String {
        let Step {
            statement,
            operator,
            before,
            after,
            factor,
            ..
        } = &self.step;
        let (before, after) = (shown(before.as_deref()), shown(after.as_deref()));
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "        {}: {}", self.place, statement.text);
        // What the line of a variant adds to a name, it shows itself.
        if *operator != "-" {
            let _ = writeln!(text, "            {operator}  {before} -> {after}");
        }
        if let Some(factor) = factor {
            let _ = writeln!(text, "            in {factor}");
        }
        for (place, statement) in self.under.iter().chain(&self.filters) {
            let _ = writeln!(text, "            under {place}: {statement}");
        }
        text
    }

    /// The same as JSON.
    pub fn json(&self) -> Json {
        let statement = &self.step.statement;
        let told = |statements: &[(String, String)]| -> Vec<Json> {
            let told = |(place, text): &(String, String)| json!({ "place": place, "statement": text });
            statements.iter().map(told).collect()
        };
        json!({
            "place": self.place,
            "file": &*statement.file,
            "line": statement.line,
            "statement": statement.text,
            "operator": self.step.operator,
            "before": self.step.before,
            "after": self.step.after,
            "under": told(&self.under),
            "filters": told(&self.filters),
            "factor": self.step.factor,
        })
    }
}

fn shown(value: Option<&str>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| format!("\"{value}\""))
}
