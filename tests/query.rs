//! `vtbuild query`, on the built-in tests. Exact outputs.

mod support;

use support::Sandbox;

#[track_caller]
fn answers(sandbox: &Sandbox, expression: &str, expected: &str) {
    let asked = sandbox.run_args(&["query", expression]).exit(0);
    assert_eq!(asked.stdout(), expected, "{expression}");
}

#[test]
fn who_stands_on_an_image_and_what_a_test_stands_on() {
    let sandbox = Sandbox::new();
    let both = "image jeos-12\ntest bundled.boot\n";
    answers(&sandbox, "rdeps(\"//boot,selftest.pass\", image(jeos))", both);
    answers(&sandbox, "deps(//boot)", both);
    answers(&sandbox, "somepath(//boot, image(*))", both);
    answers(
        &sandbox,
        "kind(image, deps(//boot + //reboot))",
        "image jeos-12\n",
    );
    let order = "test bundled.selftest.first\ntest bundled.selftest.second\n";
    answers(&sandbox, "allpaths(//selftest.second, //selftest.first)", order);
    answers(
        &sandbox,
        "deps(//selftest.second + //selftest.first, 0) - //selftest.second",
        "test bundled.selftest.first\n",
    );
    answers(
        &sandbox,
        "attr(type, boot, //boot + //selftest.pass)",
        "test bundled.boot\n",
    );
    answers(&sandbox, "allpaths(//selftest.pass, image(*))", "");
    answers(&sandbox, "deps(//boot) ^ image(12)", "image jeos-12\n");
}

#[test]
fn answers_are_written_for_other_programs() {
    let sandbox = Sandbox::new();
    let json = sandbox
        .run_args(&["query", "deps(//boot)", "--output", "json"])
        .exit(0)
        .json();
    assert_eq!(
        (
            json["nodes"].as_array().unwrap().len(),
            json["edges"].as_array().unwrap().len()
        ),
        (2, 1)
    );
    let part = sandbox
        .run_args(&["query", "deps(//boot) - image(*)", "--output", "dot"])
        .exit(0);
    assert!(
        !part.stdout().contains(" -> "),
        "no edge leads out of the answer: {}",
        part.stdout()
    );
    assert!(
        part.stdout().contains("label=\"test: bundled.boot\""),
        "{}",
        part.stdout()
    );
}

#[test]
fn mistakes_are_shown_where_they_are() {
    let sandbox = Sandbox::new();
    let wrong = sandbox.run_args(&["query", "rdeps(//..., imge(jeos))"]).exit(2);
    let expected = "\
error: there is no such function and no such kind
    rdeps(//..., imge(jeos))
                 ^^^^
  help: there are deps, rdeps, somepath, allpaths, kind, attr, and the kinds download, image, state, test, deps, toolchain, python, visit, file
";
    assert_eq!(wrong.stderr(), expected);
    let nothing = sandbox.run_args(&["query", "deps(//bot)"]).exit(4);
    nothing.complains(&[
        "nothing is selected",
        "no variant is called `bot`; did you mean `boot`?",
    ]);
}
