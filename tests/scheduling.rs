//! The options that say how tests are run.

mod support;

use std::time::{Duration, Instant};

use support::Sandbox;
use support::provider::BARE;

fn variants(blocks: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n{blocks}"
    ));
    sandbox
}

/// Fails until it has been called as often as `good_call` says.
const FLAKY: &str = "def run(test, params, env):\n    with open(params['tally'], 'a+') as tally:\n        tally.write('x')\n        tally.seek(0)\n        calls = len(tally.read())\n    if calls < int(params['good_call']):\n        test.fail('call %d' % calls)\n";

fn flaky(good_call: u32) -> Sandbox {
    let sandbox = Sandbox::new();
    let tally = sandbox.root().join("tally");
    sandbox.provide(&format!(
        "- plain:\n    type = flaky\n    tally = {tally}\n    good_call = {good_call}\n{BARE}"
    ));
    sandbox.write("mine/generic/tests/flaky.py", FLAKY);
    sandbox
}

fn tally(sandbox: &Sandbox) -> usize {
    std::fs::read_to_string(sandbox.root().join("tally")).map_or(0, |text| text.len())
}

#[test]
fn jobs_run_at_once_up_to_the_number_asked_for() {
    let sandbox =
        variants("        - one:\n            naps = 1.5\n        - two:\n            naps = 1.5\n");
    // Which of the two is begun before the other one ends.
    let overlap = |jobs: &str| {
        drop(
            sandbox
                .run(&format!("//... --force --jobs {jobs}"))
                .exit(0)
                .says(&["PASS 2"]),
        );
        let kinds: Vec<String> = sandbox
            .events()
            .iter()
            .map(|e| e["event"].as_str().unwrap().to_owned())
            .collect();
        let steps: Vec<&str> = kinds
            .iter()
            .map(String::as_str)
            .filter(|k| ["started", "finished"].contains(k))
            .collect();
        steps == ["started", "started", "finished", "finished"]
    };
    assert!(overlap("2"));
    assert!(!overlap("1"));
}

#[test]
fn fail_fast_starts_nothing_after_a_failure() {
    let sandbox = variants("        - a:\n            outcome = fail\n        - b:\n        - c:\n");
    let run = sandbox
        .run("//... --jobs 1 --fail-fast")
        .exit(1)
        .says(&["FAIL 1 | SKIP 2", "--fail-fast"]);
    assert_eq!(sandbox.started(), ["mine.plain.a"]);
    assert_eq!(run.verdict("plain.b").status, "SKIP");
    drop(
        sandbox
            .run("//... --jobs 1")
            .exit(1)
            .says(&["PASS 2 | ERROR 0 | FAIL 1 | SKIP 0"]),
    );
}

#[test]
fn retries_try_again_and_do_not_trust_what_passes_then() {
    let sandbox = flaky(3);
    let run = sandbox
        .run("//... --retries 2")
        .exit(0)
        .says(&["FAIL on try 2, trying again: call 2", "(try 3)"]);
    assert_eq!(
        (run.verdict("plain").status.as_str(), tally(&sandbox)),
        ("PASS", 3)
    );
    assert!(!sandbox.run("//...").exit(0).verdict("plain").cached);
    let sandbox = flaky(3);
    drop(
        sandbox
            .run("//... --retries 1")
            .exit(1)
            .says(&["FAIL 1", "call 2"]),
    );
    assert_eq!(tally(&sandbox), 2);
}

#[test]
fn runs_and_force_run_what_is_known() {
    let sandbox = flaky(1);
    drop(sandbox.run("//...").exit(0).says(&["PASS 1"]));
    assert!(sandbox.run("//...").exit(0).verdict("plain").cached);
    let runs = sandbox
        .run("//... --runs 3")
        .exit(0)
        .says(&["TESTS      : 3", "(3/3)", "PASS 3"]);
    assert_eq!((runs.verdicts().len(), tally(&sandbox)), (3, 4));
    assert!(!sandbox.run("//... --force").exit(0).verdict("plain").cached);
    assert_eq!(tally(&sandbox), 5);
}

#[test]
fn a_test_over_its_time_is_stopped_and_the_others_go_on() {
    let sandbox = variants("        - slow:\n            naps = 600\n        - quick:\n");
    let began = Instant::now();
    let run = sandbox.run("//... --timeout 20 --jobs 2").exit(1);
    assert!(began.elapsed() < Duration::from_secs(300));
    let slow = run.verdict("slow");
    assert_eq!(slow.status, "INTERRUPT");
    assert!(slow.reason.unwrap().contains("limit of 20 s (--timeout)"));
    assert_eq!(run.verdict("quick").status, "PASS");
    assert!(sandbox.processes().is_empty(), "{:?}", sandbox.processes());
}

#[test]
fn a_dry_run_says_what_would_run_and_runs_nothing() {
    let sandbox = flaky(1);
    let dry = sandbox
        .run("//... --dry-run")
        .exit(0)
        .says(&["run    test mine.plain: it has not run before", "1 would run"]);
    drop(dry);
    assert_eq!(tally(&sandbox), 0);
    assert!(!sandbox.path("job-results").exists());
    drop(sandbox.run("//...").exit(0).says(&["PASS 1"]));
    drop(
        sandbox
            .run("//... --dry-run")
            .exit(0)
            .says(&["1 actions: 1 would be served from the cache, 0 would run"]),
    );
    drop(
        sandbox
            .run("//... --dry-run --force")
            .exit(0)
            .says(&["it was asked to run again"]),
    );
}
