//! What a run says of each test: on the terminal, in the job's folder, to other programs.

mod support;

use quick_junit::{NonSuccessKind, Report, TestCaseStatus};
use support::{Sandbox, files_below};

/// How each self test ends, and why.
const ENDS: [(&str, &str, Option<&str>); 7] = [
    ("pass", "PASS", None),
    ("fail", "FAIL", Some("the self test was told to end so")),
    ("error", "ERROR", Some("the self test was told to end so")),
    ("warn", "WARN", Some("the self test was told to end so")),
    ("skip", "SKIP", Some("the self test was told to end so")),
    ("cancel", "CANCEL", Some("the self test was told to end so")),
    (
        "crash",
        "ERROR",
        Some("ZeroDivisionError: the self test was told to end so"),
    ),
];

const TARGETS: &str =
    "//selftest.pass,selftest.fail,selftest.error,selftest.warn,selftest.skip,selftest.cancel,selftest.crash";

/// All self tests that need no other, run once.
fn all() -> (Sandbox, support::Output) {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&format!("{TARGETS} --jobs 2"));
    (sandbox, run.exit(1))
}

#[test]
fn every_way_to_end_has_its_word_and_its_reason() {
    let (_sandbox, run) = all();
    for (name, status, reason) in ENDS {
        let verdict = run.verdict(&format!("selftest.{name}"));
        assert_eq!(
            (verdict.status.as_str(), verdict.reason.as_deref()),
            (status, reason),
            "{name}"
        );
    }
    assert!(
        run.stdout()
            .contains("RESULTS    : PASS 1 | ERROR 2 | FAIL 1 | SKIP 1 | WARN 1 | INTERRUPT 0 | CANCEL 1\n")
    );
}

#[test]
fn the_summary_has_the_field_s_shape() {
    let sandbox = Sandbox::new();
    drop(
        sandbox
            .run("//selftest.first --jobs 1")
            .exit(0)
            .says(&["(1/1) bundled.selftest.first: PASS ("]),
    );
    let run = sandbox.run("//selftest.first,selftest.second --jobs 1").exit(0);
    let lines: Vec<&str> = run.stdout().lines().collect();
    assert_eq!(lines.len(), 8, "{}", run.stdout());
    let id = lines[0].strip_prefix("JOB ID     : ").unwrap();
    assert!(
        id.len() == 40 && id.chars().all(|c| c.is_ascii_hexdigit()),
        "{id}"
    );
    let log = lines[1].strip_prefix("JOB LOG    : ").unwrap();
    assert!(
        log.ends_with(&format!("-{}/job.log", &id[..7])) && std::path::Path::new(log).is_file(),
        "{log}"
    );
    assert_eq!(lines[2], "TESTS      : 2");
    assert_eq!(
        shape(lines[3]),
        "(#/#) bundled.selftest.first: PASS (#.# s) (cached)"
    );
    assert_eq!(shape(lines[4]), "(#/#) bundled.selftest.second: PASS (#.# s)");
    assert_eq!(
        lines[5],
        "RESULTS    : PASS 2 | ERROR 0 | FAIL 0 | SKIP 0 | WARN 0 | INTERRUPT 0"
    );
    assert_eq!(shape(lines[6]), "TIME       : #.# s");
    assert_eq!(lines[7], "CACHED     : 1 of 2");
}

/// The line with every number written `#`.
fn shape(line: &str) -> String {
    let mut shape = String::new();
    for c in line.chars() {
        if !c.is_ascii_digit() {
            shape.push(c);
        } else if !shape.ends_with('#') {
            shape.push('#');
        }
    }
    shape
}

#[test]
fn each_test_has_a_folder_with_its_logs() {
    let (sandbox, run) = all();
    drop(run.says(&["TESTS      : 7"]));
    assert_eq!(
        sandbox
            .latest()
            .join("test-results")
            .read_dir_utf8()
            .unwrap()
            .count(),
        7
    );
    let crash = sandbox.logs_of("selftest.crash");
    let log = std::fs::read_to_string(crash.join("debug.log")).unwrap();
    for text in [
        "Traceback (most recent call last)",
        "raise ZeroDivisionError(reason)",
        "ending with crash",
    ] {
        assert!(log.contains(text), "{text:?} is missing from {log}");
    }
    let params = std::fs::read_to_string(crash.join("params")).unwrap();
    assert!(params.lines().any(|line| line == "outcome = crash"), "{params}");
    let job = std::fs::read_to_string(sandbox.latest().join("job.log")).unwrap();
    assert!(job.contains("bundled.selftest.crash: ERROR"), "{job}");
}

#[test]
fn other_programs_read_the_same() {
    let (sandbox, run) = all();
    drop(run.says(&["JOB ID"]));
    let results = sandbox.results();
    assert_eq!(
        (results["total"].as_u64(), results["cached"].as_u64()),
        (Some(7), Some(0))
    );
    let events = sandbox.events();
    assert_eq!(events[0]["event"], "planned");
    let xml = std::fs::read_to_string(sandbox.latest().join("results.xml")).unwrap();
    let report = Report::deserialize_from_str(&xml).unwrap();
    let suite = &report.test_suites[0];
    assert_eq!(
        (report.tests, suite.failures, suite.errors, suite.skipped),
        (7, 1, 2, 2)
    );
    for (name, status, reason) in ENDS {
        let label = format!("bundled.selftest.{name}");
        let of = |list: &[serde_json::Value]| {
            list.iter()
                .find(|t| t["label"] == *label && !t["status"].is_null())
                .unwrap()
                .clone()
        };
        let found = of(results["tests"].as_array().unwrap());
        assert_eq!(
            (found["status"].as_str(), found["reason"].as_str()),
            (Some(status), reason),
            "{label}"
        );
        let logs = sandbox.latest().join(found["logs"].as_str().unwrap());
        assert!(logs.join("debug.log").is_file(), "{logs}");
        assert_eq!(of(&events)["status"], status);
        let case = suite
            .test_cases
            .iter()
            .find(|case| case.name.as_str() == label)
            .unwrap();
        let expected = match status {
            "FAIL" => Some(NonSuccessKind::Failure),
            "ERROR" => Some(NonSuccessKind::Error),
            _ => None,
        };
        let kind = match &case.status {
            TestCaseStatus::NonSuccess { kind, message, .. } => {
                assert_eq!(message.as_deref(), reason);
                Some(*kind)
            }
            _ => None,
        };
        assert_eq!(kind, expected, "{label}");
    }
}

#[test]
fn only_passes_are_served_again() {
    let (sandbox, run) = all();
    drop(run.says(&["JOB ID"]));
    let first = sandbox.latest();
    let again = sandbox.run(TARGETS).exit(1);
    let cached: Vec<String> = again
        .verdicts()
        .into_iter()
        .filter(|v| v.cached)
        .map(|v| v.name)
        .collect();
    assert_eq!(cached, ["bundled.selftest.pass"]);
    assert_ne!(sandbox.latest(), first, "`latest` points at the newest job");
    assert!(
        files_below(&first)
            .iter()
            .any(|path| path.ends_with("results.json")),
        "the older job stays"
    );
    assert!(sandbox.scratch().is_empty());
}
