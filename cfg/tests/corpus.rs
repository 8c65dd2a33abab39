//! The conformance corpus: small cases, whole files, and queries over a complete configuration set.

mod support;

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;
use sha2::{Digest, Sha256};
use support::{Disk, corpus, dump, say, stored};
use vtbuild_cfg::{Diagnostic, ExpandOptions, Program};

fn options(json: &Value) -> ExpandOptions {
    let flag = |key: &str| json[key].as_bool().unwrap_or(false);
    ExpandOptions {
        defaults: flag("defaults"),
        expand: strings(&json["expand"]),
        keep_dups: flag("keep_dups"),
        strict: false,
    }
}

fn strings(json: &Value) -> Vec<String> {
    json.as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .map(str::to_owned)
        .collect()
}

fn entries(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = folder.read_dir_utf8().expect("the corpus is readable");
    entries
        .map(|entry| entry.expect("the corpus is readable").into_path())
        .collect()
}

fn with_lines(program: Program, lines: &[String]) -> Result<Program, Vec<Diagnostic>> {
    lines
        .iter()
        .try_fold(program, |program, line| program.with_text("<string>", line))
}

fn first(errors: Vec<Diagnostic>) -> Box<Diagnostic> {
    Box::new(errors.into_iter().next().expect("a failure names an error"))
}

fn expand(
    program: Result<Program, Vec<Diagnostic>>,
    options: &ExpandOptions,
) -> Result<Vec<String>, Box<Diagnostic>> {
    dump(&program.map_err(first)?, options)
}

/// What is wrong with `got`, given the files that say what was expected.
fn compare(
    got: Result<Vec<String>, Box<Diagnostic>>,
    jsonl: &Utf8Path,
    error: &Utf8Path,
    dir: &str,
) -> Option<String> {
    if let Ok(expected) = fs::read_to_string(error) {
        let expected = expected.trim_end().replace("$DIR", dir);
        let got = match got {
            Ok(lines) => return Some(format!("expected {expected}\n     got {} variants", lines.len())),
            Err(error) => error,
        };
        let class = expected.split(':').next().unwrap_or_default().to_owned();
        let ours = got.class.to_string();
        let known = ["ParserError", "LexerError", "MissingIncludeError"].contains(&class.as_str());
        let position = format!("({}:{})", got.location.file, got.location.line);
        let agrees = if known {
            class == ours && expected.contains(&position)
        } else {
            ours == "Error"
        };
        return (!agrees).then(|| format!("expected {expected}\n     got {ours} {position}\n{got}"));
    }
    let expected = fs::read_to_string(jsonl).expect("every case has an expectation");
    match got {
        Ok(lines) if lines.concat() == expected => None,
        Ok(lines) => Some(format!("expected\n{expected}     got\n{}", lines.concat())),
        Err(error) => Some(format!("expected\n{expected}     got {error}")),
    }
}

#[test]
fn cases() {
    let Some(corpus) = corpus() else { return };
    let mut failures = Vec::new();
    let mut count = 0;
    let mut folders = entries(&corpus.join("cases"));
    folders.sort();
    for folder in folders.iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().expect("named");
        count += 1;
        let json: Value =
            serde_json::from_str(&fs::read_to_string(folder.join("options.json")).expect("options"))
                .expect("options are JSON");
        let input = folder.join("input.cfg");
        let path = input.as_path();
        let program = if json["mode"] == "file" {
            Program::load(path, &Disk)
        } else {
            Program::from_text("<string>", &fs::read_to_string(path).expect("input"), &Disk)
        };
        let program = program.and_then(|program| with_lines(program, &strings(&json["lines"])));
        if let Ok(program) = &program {
            let kept = expand(Ok(stored(program)), &options(&json));
            let parsed = expand(Ok(program.clone()), &options(&json));
            // Errors tell places, which a program without its files cannot.
            assert_eq!(kept.is_err(), parsed.is_err(), "case {name}, stored");
            assert!(kept.is_err() || kept.ok() == parsed.ok(), "case {name}, stored");
        }
        let got = expand(program, &options(&json));
        if let Some(why) = compare(
            got,
            &folder.join("expected.jsonl"),
            &folder.join("expected.error"),
            folder.as_str(),
        ) {
            failures.push(format!("--- case {name}: {}\n{why}", json["title"]));
        }
    }
    assert!(count > 400, "only {count} cases found");
    assert!(
        failures.is_empty(),
        "{} of {count} cases differ\n{}",
        failures.len(),
        failures.join("\n")
    );
}

#[test]
fn files() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.join("files");
    let mut failures = Vec::new();
    let mut count = 0;
    for path in entries(&folder) {
        if path.extension() != Some("cfg") {
            continue;
        }
        count += 1;
        let program = Program::load(&path, &Disk);
        let got = expand(program, &ExpandOptions::default());
        let (jsonl, error) = (
            path.with_extension("expected.jsonl"),
            path.with_extension("expected.error"),
        );
        if let Some(why) = compare(got, &jsonl, &error, folder.as_str()) {
            failures.push(format!("--- {path}\n{why}"));
        }
    }
    assert!(count > 5, "only {count} files found");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn queries() {
    let Some(corpus) = corpus() else { return };
    let folder = corpus.join("qemu");
    let table = fs::read_to_string(folder.join("queries.tsv")).expect("queries");
    let mut failures = Vec::new();
    let mut count = 0;
    for line in table.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let [id, cfg, json, lines, variants, sha, ..] = fields[..] else {
            panic!("a query has six fields: {line}")
        };
        count += 1;
        let path = folder.join("cfg").join(cfg);
        let started = std::time::Instant::now();
        // Read back from bytes, as it is after the first process: what is kept must give the answers of what was parsed.
        let program = Program::load(&path, &Disk).map(|program| stored(&program));
        let lines = strings(&serde_json::from_str(lines).expect("lines are JSON"));
        let program = program.and_then(|program| with_lines(program, &lines));
        let got = expand(
            program,
            &options(&serde_json::from_str(json).expect("options are JSON")),
        );
        match got {
            Err(error) => failures.push(format!("{id}: {error}")),
            Ok(dumps) => {
                let mut hash = Sha256::new();
                dumps.iter().for_each(|dump| hash.update(dump.as_bytes()));
                let ours: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
                if ours != sha {
                    failures.push(format!(
                        "{id}: expected {variants} variants, got {} of another hash",
                        dumps.len()
                    ));
                }
            }
        }
        say(&format!("{id}: {:.3} s", started.elapsed().as_secs_f64()));
    }
    assert!(count > 30, "only {count} queries found");
    assert!(
        failures.is_empty(),
        "{} of {count} queries differ\n{}",
        failures.len(),
        failures.join("\n")
    );
}
