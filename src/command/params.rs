//! `vtbuild params`.

use std::fmt::Write;

use serde_json::{Map, Value};
use vtbuild_engine::variant::Variant;

use super::print;
use crate::analysis::Analysis;
use crate::cli::ParamsArgs;
use crate::exit::{Exit, Failure};

/// Prints the parameters of variants, sorted by key.
pub fn params(args: &ParamsArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let mut text = String::new();
    for (at, variant) in (1..).zip(&analysis.variants(None)?) {
        let wanted =
            |key: &str| args.key.is_empty() || args.key.iter().any(|part| key.contains(part.as_str()));
        let mut shown: Vec<(&str, &str)> = variant
            .params
            .iter()
            .map(|(key, value)| (&**key, &**value))
            .filter(|(key, _)| wanted(key))
            .collect();
        shown.sort_unstable();
        if args.json {
            json(&mut text, variant, &shown);
        } else {
            listing(&mut text, at, variant, &shown);
        }
    }
    print(&text)?;
    Ok(Exit::Good)
}

fn json(text: &mut String, variant: &Variant, shown: &[(&str, &str)]) {
    let params: Map<String, Value> = shown
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).into()))
        .collect();
    let object = serde_json::json!({ "id": variant.test_id, "name": variant.name, "params": params });
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{object}");
}

fn listing(text: &mut String, at: usize, variant: &Variant, shown: &[(&str, &str)]) {
    let _ = writeln!(text, "dict {at:4}:  {}", variant.shortname);
    for (key, value) in shown {
        let _ = writeln!(text, "    {key} = {value}");
    }
}
