//! `vtbuild params`.

pub mod sources;

use std::fmt::Write;

use serde_json::{Map, Value as Json, json};
use vtbuild_cfg::Variant;
use vtbuild_cfg::provenance::Explanation;
use vtbuild_engine::query::pattern::matches;

use super::cartesian::{Value, sorted, write_repr};
use super::{Output, warn};
use crate::analysis::{Analysis, NARROW, wrong};
use crate::cli::ParamsArgs;
use crate::exit::{Exit, Failure};

/// How many variants are printed unless all are asked for.
const MOST: usize = 20_000;

/// Prints the parameters of variants, sorted by key.
pub fn params(args: &ParamsArgs) -> Result<Exit, Failure> {
    let analysis = Analysis::of(&args.select)?;
    let most = if args.all { usize::MAX } else { MOST };
    let mut out = Output::new();
    let mut none = true;
    for (index, variant) in analysis.stream().enumerate() {
        if index == most {
            out.finish()?;
            warn(&format!(
                "these are the first {most} of {} variants; --all prints them all\n{NARROW}",
                analysis.count()?
            ));
            return Ok(Exit::Good);
        }
        none = false;
        let text = one(
            &analysis,
            args,
            index + 1,
            &variant.map_err(|error| wrong(&error))?,
        )?;
        if !out.write(&text)? {
            return Ok(Exit::Good);
        }
    }
    if none {
        return Err(analysis.nothing());
    }
    out.finish()?;
    Ok(Exit::Good)
}

fn one(analysis: &Analysis, args: &ParamsArgs, at: usize, variant: &Variant) -> Result<String, Failure> {
    let pairs = sorted(variant).map_err(|error| wrong(&error))?;
    let wanted = |key: &str| args.key.is_empty() || args.key.iter().any(|pattern| matches(pattern, key));
    let shown = pairs.into_iter().filter(|(key, _)| wanted(key));
    let explanation = match args.with_source {
        true => Some(Explanation::of(variant).map_err(|error| wrong(&error))?),
        false => None,
    };
    let sources_of = |key: &str| explanation.as_ref().map(|it| sources::of(analysis, it, key));
    let mut text = String::new();
    if args.json {
        let mut params = Map::new();
        for (key, value) in shown {
            params.insert(key.to_owned(), json_entry(&value, sources_of(key)));
        }
        let object = json!({ "id": variant.test_name(), "shortname": variant.shortname(), "name": variant.name(), "params": params });
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{object}");
        return Ok(text);
    }
    let shortname = variant.shortname();
    let name = if args.fullname { variant.name() } else { &shortname };
    let _ = writeln!(text, "dict {at:>4}:  {name}");
    for (key, value) in shown {
        let _ = writeln!(text, "    {key} = {}", plain(&value));
        for source in sources_of(key).into_iter().flatten() {
            text.push_str(&source.text());
        }
    }
    Ok(text)
}

fn plain(value: &Value<'_>) -> String {
    match value {
        Value::Text(value) => (*value).to_owned(),
        value => {
            let mut text = String::new();
            write_repr(value, &mut text);
            text
        }
    }
}

fn json_entry(value: &Value<'_>, sources: Option<Vec<sources::Source>>) -> Json {
    let value = match value {
        Value::Text(text) => json!(text),
        Value::List(items) => json!(items),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(file, labels)| (file.clone(), json!(labels)))
            .collect::<Map<_, _>>()
            .into(),
    };
    match sources {
        None => value,
        Some(sources) => json!({
            "value": value,
            "sources": sources.iter().map(sources::Source::json).collect::<Vec<_>>(),
        }),
    }
}
