//! `dep`: the order of tests that need each other, and what becomes of them when one fails or is not selected.

mod support;

use support::Sandbox;
use support::provider::BARE;

/// A provider whose one test has these variants.
fn variants(blocks: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n{blocks}"
    ));
    sandbox
}

#[test]
fn a_dependency_comes_first_however_many_jobs_there_are() {
    let sandbox =
        variants("        - z:\n            naps = 0.5\n        - y: z\n        - x: y\n        - a: x\n");
    drop(sandbox.run("//... --jobs 4").exit(0).says(&["PASS 4"]));
    let order: Vec<String> = sandbox
        .started()
        .iter()
        .map(|name| name.replace("mine.plain.", ""))
        .collect();
    assert_eq!(order, ["z", "y", "x", "a"]);
}

#[test]
fn what_needs_a_failed_test_is_skipped_with_its_name() {
    let sandbox = variants(
        "        - one:\n            outcome = fail\n        - two: one\n        - three: two\n        - four:\n",
    );
    let run = sandbox
        .run("//...")
        .exit(1)
        .says(&["PASS 1 | ERROR 0 | FAIL 1 | SKIP 2 |"]);
    for name in ["two", "three"] {
        let verdict = run.verdict(name);
        assert_eq!(
            (verdict.status.as_str(), verdict.reason.as_deref()),
            ("SKIP", Some("`mine.plain.one` did not pass"))
        );
    }
    let tests = sandbox.results()["tests"].as_array().unwrap().clone();
    let cause = |name: &str| tests.iter().find(|test| test["label"] == name).unwrap()["cause"].clone();
    assert_eq!(cause("mine.plain.three"), "mine.plain.one");
    assert_eq!(cause("mine.plain.four"), serde_json::Value::Null);
}

#[test]
fn a_dependency_that_is_not_selected_is_not_needed() {
    let sandbox = variants("        - one:\n            outcome = fail\n        - two: one\n");
    let run = sandbox.run("//two").exit(0).says(&["TESTS      : 1"]);
    assert_eq!(run.ran(), ["two"]);
    assert_eq!(sandbox.run("//... --no one").exit(0).verdicts().len(), 1);
}

#[test]
fn a_cycle_is_printed_whole() {
    let sandbox =
        variants("        - one: three\n        - two: one\n        - three: two\n        - four:\n");
    let cycle = sandbox.run("//...").exit(3).complains(&["one", "two", "three"]);
    assert!(!cycle.stderr().contains("plain.four"), "{}", cycle.stderr());
}

#[test]
fn an_image_that_a_test_keeps_is_what_its_dependant_gets() {
    let sandbox = Sandbox::new();
    let maker = "            type = maker\n            force_create_image = yes\n            remove_image = no\n            remove_image_image1 = no\n";
    let reader = "            type = reader\n";
    sandbox.provide(&format!("- disk:\n    start_vm = no\n    image_size_image1 = 1M\n    variants:\n        - make:\n{maker}        - use: make\n{reader}"));
    sandbox.write(
        "vtbuild.toml",
        "bundled-tests = false\nguest-os = \"LinuxCustom.Mini\"\n",
    );
    sandbox.write(
        "shared/cfg/guest-os/Linux/LinuxCustom/mini.cfg",
        "Mini:\n    image_name = images/mini\n",
    );
    let script = |body: &str| {
        format!(
            "import os\n\nfrom virttest import data_dir, utils_misc\nfrom avocado.utils import process\n\n\ndef run(test, params, env):\n    disk = os.path.join(data_dir.get_data_dir(), 'images', 'mini.qcow2')\n{body}"
        )
    };
    sandbox.write(
        "mine/generic/tests/maker.py",
        &script("    process.run(\"qemu-io -f qcow2 -c 'write -P 0x5a 0 64k' %s\" % disk, shell=True)\n"),
    );
    sandbox.write("mine/generic/tests/reader.py", &script("    process.run(\"qemu-io -f qcow2 -c 'read -P 0x5a 0 64k' %s | grep -v failed\" % disk, shell=True)\n"));
    let run = sandbox.run("//... --accel tcg").exit(0);
    assert_eq!(run.ran(), ["make", "use"]);
    assert!(sandbox.run("//... --accel tcg").exit(0).ran().is_empty());
    // Without the test that makes it there is no such image.
    let alone = sandbox.run("//use --accel tcg").exit(1);
    assert!(
        alone.verdict("use").reason.unwrap().contains("images/mini.qcow2"),
        "{}",
        alone.whole()
    );
}
