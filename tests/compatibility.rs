//! The page on compatibility keeps its word: a parameter that it calls supported is read somewhere in the sources.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};

const PAGE: &str = include_str!("../docs/compatibility.md");
/// Where parameters are read: the rules, the machines, and the Python that tests see.
const SOURCES: [&str; 3] = ["rules/src", "providers/src", "providers/python/virttest"];

struct Row {
    step: String,
    params: Vec<String>,
    here: String,
    how: String,
}

fn rows() -> Vec<Row> {
    let cells = |line: &str| -> Vec<String> { line.split('|').map(|cell| cell.trim().to_owned()).collect() };
    let row = |line: &str| {
        let cells = cells(line);
        let [_, step, params, here, how, _] = cells.as_slice() else {
            return None;
        };
        let params = params.split(", ").filter(|param| !param.is_empty());
        let params = params.map(|param| param.trim_matches('`').to_owned()).collect();
        let (step, here, how) = (step.clone(), here.clone(), how.clone());
        let heading = here == "here" || here.starts_with("---");
        (!heading).then_some(Row {
            step,
            params,
            here,
            how,
        })
    };
    PAGE.lines()
        .filter(|line| line.starts_with('|'))
        .filter_map(row)
        .collect()
}

fn sources() -> String {
    let root = Utf8Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = SOURCES
        .iter()
        .flat_map(|folder| walkdir::WalkDir::new(root.join(folder)));
    let texts = files
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| {
            let path = Utf8PathBuf::from_path_buf(entry.into_path()).ok()?;
            ["rs", "py"]
                .contains(&path.extension()?)
                .then(|| fs::read_to_string(path).unwrap())
        });
    texts.collect()
}

/// Whether a parameter's name stands in the sources as a text of its own, or is put together from parts that do.
fn is_read(param: &str, sources: &str) -> bool {
    let whole = |name: &str| sources.contains(&format!("\"{name}\""));
    let part = |name: &str| sources.contains(&format!("{name}\""));
    let pieced = |whose: &str, holder: &str| {
        let (before, after) = param.split_once(whose).unwrap_or_default();
        param.contains(whose) && sources.contains(&format!("\"{before}{{{holder}}}{after}\""))
    };
    let command = param
        .split_once("_command_")
        .is_some_and(|(_, rest)| part(&format!("{{key}}_{rest}")));
    whole(param)
        || pieced("guest", "whose")
        || pieced("host", "whose")
        || command
        || param == "KEY_on_error" && whole("_on_error")
}

#[test]
fn what_is_called_supported_is_read_somewhere() {
    let sources = sources();
    let mut missing = Vec::new();
    let mut looked_at = 0;
    for row in rows().iter().filter(|row| row.here != "no") {
        for param in &row.params {
            looked_at += 1;
            if !is_read(param, &sources) {
                missing.push(format!("{param} ({})", row.step));
            }
        }
    }
    assert!(
        looked_at > 50,
        "only {looked_at} parameters were found on the page"
    );
    assert!(
        missing.is_empty(),
        "the page promises what nothing reads: {missing:#?}"
    );
    assert!(!is_read("no_such_parameter", &sources));
}

#[test]
fn every_row_says_yes_no_or_how_it_differs() {
    let rows = rows();
    assert!(rows.len() > 40, "only {} rows were found", rows.len());
    for row in rows {
        assert!(
            ["yes", "no", "differs"].contains(&row.here.as_str()),
            "{}: {}",
            row.step,
            row.here
        );
        assert!(
            row.here != "differs" || !row.how.is_empty(),
            "{} does not say how it differs",
            row.step
        );
    }
}
