//! What is said of a run before it and after it: `plan`, `why`, `log`.

mod support;

use serde_json::Value;
use support::Sandbox;
use support::provider::BARE;

/// Two tests, the second after the first, each of which asks for one of its parameters.
fn two() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- pair:\n    type = painter\n{BARE}    variants:\n        - one:\n            colour = red\n        - two: one\n            colour = blue\n"
    ));
    sandbox.write(
        "mine/generic/tests/painter.py",
        "def run(test, params, env):\n    params['colour']\n",
    );
    sandbox
}

const ALL: &str = "mine/generic/tests/cfg/all.cfg";

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn a_plan_tells_hits_misses_and_time_and_runs_nothing() {
    let sandbox = two();
    sandbox.run("plan //...").exit(0).says(&[
        "run    test mine.pair.one: it has not run before (about 30.00 s?)\n",
        "maybe  test mine.pair.two: what it stands on runs first (about 30.00 s?)\n",
        "2 actions: 0 would be served from the cache, 1 would run, 1 may run\n",
        "the longest chain is mine.pair.one -> mine.pair.two",
    ]);
    assert!(
        sandbox.run("//... --progress plain").exit(0).ran().len() == 2,
        "the plan ran nothing"
    );

    sandbox.edit(ALL, "colour = blue", "colour = green");
    sandbox.run("plan //...").exit(0).says(&[
        "hit    test mine.pair.one\n",
        "run    test mine.pair.two: reads.colour: \"blue\" -> \"green\" (about 0.",
        "2 actions: 1 would be served from the cache, 1 would run, 0 may run\n",
    ]);
    let json = lines(sandbox.run("plan //... --json --jobs 3").exit(0).stdout());
    assert_eq!(
        (json[0]["plan"].as_str(), json[1]["plan"].as_str()),
        (Some("hit"), Some("run"))
    );
    assert_eq!(
        (json[1]["known"].as_bool(), json[2]["jobs"].as_u64()),
        (Some(true), Some(3))
    );
    assert_eq!(json[2]["seconds"], json[1]["seconds"]);
}

#[test]
fn why_names_the_field_both_values_and_the_statement() {
    let sandbox = two();
    sandbox
        .run("why //pair.one")
        .exit(0)
        .says(&["test mine.pair.one: would run: it has not run before"]);
    sandbox.run("//... --progress plain").exit(0).ran();
    sandbox.run("why //pair.one").exit(0).says(&[
        "test mine.pair.one: is served from the run of 2",
        "beyond its key that had read ",
        " parameters and 0 files",
    ]);
    sandbox.edit(ALL, "colour = blue", "colour = green");
    sandbox.run("why //pair").exit(0).says(&[
        "test mine.pair.two: would run: 1 field differs since its last run\n    reads.colour: \"blue\" -> \"green\"\n        mine/generic/tests/cfg/all.cfg:10: colour = green\n",
    ]);
    let json = lines(sandbox.run("why //pair.two --json --key").exit(0).stdout());
    assert_eq!(json[0]["changes"][0]["field"], "reads.colour");
    let key = json[0]["key"].as_object().unwrap();
    for field in ["rule", "label", "params.type"] {
        assert!(key.contains_key(field), "{field} is not in {key:?}");
    }
}

#[test]
fn why_tells_a_verdict_and_what_changed_since_it() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!("- bad:\n    type = plain\n    outcome = fail\n{BARE}"));
    sandbox.run("//... --progress plain").exit(1).says(&["FAIL 1"]);
    sandbox
        .run("why //bad")
        .exit(0)
        .says(&["test mine.bad: would run: its last verdict was FAIL\n"]);
    sandbox.edit(ALL, "outcome = fail", "outcome = pass");
    sandbox
        .run("why //bad")
        .exit(0)
        .says(&["    reads.outcome: \"fail\" -> \"pass\"\n"]);
}

#[test]
fn the_log_of_a_job_names_its_critical_path_and_what_was_saved() {
    let sandbox = two();
    sandbox
        .run("log")
        .exit(2)
        .complains(&["events.jsonl", "job folder"]);
    sandbox.run("//... --progress plain").exit(0).ran();
    let profile = sandbox.path("trace.json");
    sandbox.run(&format!("log --profile {profile}")).exit(0).says(&[
        "2 actions: PASS 2\n",
        "2 ran in ",
        "test mine.pair.two: PASS (ran because it had not run before)",
    ]);
    let trace: Value = serde_json::from_str(&sandbox.read("trace.json")).unwrap();
    let names: Vec<&str> = trace["traceEvents"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["cat"] == "test")
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["mine.pair.one", "mine.pair.two"]);
    let log = sandbox.run("log --json").exit(0).json();
    assert_eq!(
        log["critical_path"],
        serde_json::json!(["mine.pair.one", "mine.pair.two"])
    );

    sandbox.run("//... --progress plain").exit(0).ran();
    let log = sandbox
        .run("log")
        .exit(0)
        .says(&["0 ran in ", "; 2 came from the cache, which saved "]);
    assert!(!log.stdout().contains("critical path"));
}
