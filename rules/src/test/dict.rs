//! A test's parameters as its Python is given them, and as people read them.

use serde_json::{Map, Value};
use vtbuild_providers::params::Params;

use super::TestPayload;

/// The dict as tests know it: strings, `dep` as a list, the two maps.
pub(super) fn of(payload: &TestPayload) -> Map<String, Value> {
    let map = |pairs: &[(String, String)]| -> Value {
        pairs
            .iter()
            .map(|(key, value)| (key.clone(), Value::from(value.as_str())))
            .collect::<Map<_, _>>()
            .into()
    };
    let mut dict: Map<String, Value> = payload
        .params
        .iter()
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    dict.insert(
        "dep".into(),
        payload.dep.iter().map(|dep| Value::from(&**dep)).collect(),
    );
    dict.insert("_name_map_file".into(), map(&payload.name_map));
    dict.insert("_short_name_map_file".into(), map(&payload.short_name_map));
    dict
}

/// All parameters, a line each, sorted: what people read beside a log.
pub(super) fn listing(params: &Params) -> String {
    let mut lines: Vec<String> = params
        .iter()
        .map(|(key, value)| format!("{key} = {value}\n"))
        .collect();
    lines.sort_unstable();
    lines.concat()
}
