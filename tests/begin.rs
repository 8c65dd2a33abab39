//! Beginning with tests of one's own: `new`, what `lint` says about their Python, and what `shell` and pauses ask for.

mod support;

use support::Sandbox;

const RUFF: &str = r#"case "$*" in *--isolated*--select*) ;; *) exit 9;; esac
for folder; do :; done
cat <<END
[{"code": "F821", "filename": "$folder/generic/tests/one.py", "location": {"row": 3, "column": 5}, "message": "Undefined name \`x\`"}]
END
exit 1"#;

#[test]
fn a_provider_and_a_test_of_one_s_own_are_there_at_once() {
    let sandbox = Sandbox::new();
    sandbox.run("new provider ours --name our-tests").exit(0).says(&[
        "made test-providers.d/our-tests.ini\n",
        "made ours/README.md\n",
        "made ours/generic/tests/cfg\n",
    ]);
    sandbox
        .run("list //our-tests")
        .exit(4)
        .complains(&["no variant is called `our-tests`"]);
    sandbox
        .run("new test one")
        .exit(0)
        .says(&["next: vtbuild //our-tests.one\n"]);
    sandbox.run("list //our-tests").exit(0).says(&["our-tests.one\n"]);
    sandbox.run("lint").exit(0).says(&["nothing to complain about\n"]);
}

#[test]
fn what_is_there_is_not_overwritten() {
    let sandbox = Sandbox::new();
    sandbox
        .run("new test one")
        .exit(2)
        .complains(&["`vtbuild new provider`"]);
    drop(sandbox.run("new provider").exit(0).says(&["made"]));
    sandbox
        .run("new provider")
        .exit(2)
        .complains(&["there is a ", "mine.ini already"]);
    drop(sandbox.run("new test one").exit(0).says(&["made"]));
    sandbox.write("mine/generic/tests/one.py", "changed\n");
    sandbox.run("new test one").exit(2).complains(&["one.py already"]);
    assert_eq!(sandbox.read("mine/generic/tests/one.py"), "changed\n");
}

#[test]
fn names_that_cannot_work_are_refused() {
    let sandbox = Sandbox::new();
    sandbox
        .run("new provider a.b")
        .exit(2)
        .complains(&["`a.b` cannot be a provider's name", "--name"]);
    let next = [
        "next: vtbuild new test uptime\n",
        "next: vtbuild new test uptime --provider two\n",
    ];
    drop(sandbox.run("new provider one").exit(0).says(&[next[0]]));
    drop(sandbox.run("new provider two").exit(0).says(&[next[1]]));
    sandbox
        .run("new test 1st --provider one")
        .exit(2)
        .complains(&["`1st` cannot be a test's name"]);
    sandbox
        .run("new test first")
        .exit(2)
        .complains(&["--provider: one, two"]);
    sandbox
        .run("new test first --provider three")
        .exit(2)
        .complains(&["no test provider three here", "one, two"]);
    sandbox
        .run("new test first --provider two --backend qemu")
        .exit(2)
        .complains(&["section [qemu] of its definition file"]);
    assert!(!sandbox.path("two/generic/tests/first.py").exists());
}

#[test]
fn lint_hands_a_provider_s_python_to_ruff() {
    let sandbox = Sandbox::new();
    drop(sandbox.run("new provider").exit(0).says(&["made"]));
    drop(sandbox.run("new test one").exit(0).says(&["made"]));
    sandbox.program("ruff", RUFF);
    sandbox.run("lint").exit(1).says(&[
        "mine/generic/tests/one.py:3:5: warning[python]: Undefined name `x` (ruff F821)\n",
        "\n1 warning\n",
    ]);
    let json = sandbox.run("lint --json").exit(1).json();
    assert_eq!((&json["code"], &json["line"]), (&"python".into(), &3.into()));
    sandbox.program("ruff", "echo 'out of order' >&2; exit 2");
    sandbox
        .run("lint")
        .exit(0)
        .says(&["note: Python files were not looked at", "out of order"]);
}

#[test]
fn a_shell_is_for_the_machine_of_one_test() {
    let sandbox = Sandbox::new();
    sandbox
        .run("shell //boot,uptime")
        .exit(2)
        .complains(&["selects more", "bundled.boot", "bundled.uptime"]);
    sandbox
        .run("shell //selftest.pass")
        .exit(2)
        .complains(&["has no machine"]);
    sandbox
        .run("shell //uptime --vm vm7")
        .exit(2)
        .complains(&["no machine vm7 (vms = vm1)"]);
    sandbox
        .run("shell //uptime --qmp --serial")
        .exit(2)
        .complains(&["cannot be used with"]);
}

#[test]
fn a_pause_needs_somebody_at_the_keyboard() {
    let sandbox = Sandbox::new();
    sandbox
        .run("//selftest.fail --pause-on-fail")
        .exit(2)
        .complains(&["--pause-on-fail waits for Enter"]);
    assert!(!sandbox.path("job-results").exists());
}
