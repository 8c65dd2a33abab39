//! Mistakes in what people write: each has its exit code and a message that says where it is and what to do.

mod support;

use support::Sandbox;
use support::provider::BARE;

/// A workspace with one good test.
fn workspace() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!("- plain:\n    type = plain\n{BARE}"));
    sandbox
}

const TESTS: &str = "qemu/cfg/tests.cfg";

#[test]
fn a_target_that_selects_nothing_names_its_filters_and_the_nearest_labels() {
    let sandbox = Sandbox::new();
    let wrong = sandbox.run("//migrte..tcp").exit(4);
    drop(wrong.complains(&[
        "error: nothing is selected",
        "only migrte..tcp  (from the target)",
        "`migrte`",
        "migrate",
    ]));
    // All labels are known, and no variant has them together.
    drop(
        sandbox
            .run("//boot..tcp")
            .exit(4)
            .complains(&["nothing is selected", "only boot..tcp"]),
    );
}

#[test]
fn a_command_line_that_makes_no_sense() {
    let sandbox = workspace();
    let cases = [
        ("plain", "targets start with //: write //plain"),
        ("", "name what to run: `vtbuild //migrate..tcp`"),
        ("//", "names nothing; `//...` means everything"),
        ("//plain -p colour", "write --param KEY=VALUE"),
        ("//plain -C nowhere", "the workspace nowhere is not a folder"),
        ("//plain --no-such-option", "--no-such-option"),
    ];
    for (words, message) in cases {
        drop(sandbox.run(words).exit(2).complains(&[message]));
    }
}

#[test]
fn a_syntax_error_is_shown_where_it_is() {
    let sandbox = workspace();
    sandbox.write(TESTS, "include tests-shared.cfg\n\nonly plain\n    only ..\n");
    let run = sandbox.run("//plain").exit(3);
    drop(run.complains(&[
        "qemu/cfg/tests.cfg:4:",
        ": error: ",
        "    only ..\n",
        "^",
        "help: ",
    ]));
}

#[test]
fn a_provider_s_syntax_error_is_shown_in_the_provider_s_own_file() {
    let sandbox = Sandbox::new();
    sandbox.provide("- plain:\n    type = plain\n    only ..\n");
    let run = sandbox.run("list").exit(3);
    drop(run.complains(&[
        "mine/generic/tests/cfg/all.cfg:3:10: error: ",
        "    only ..\n",
        "^",
        "help: ",
    ]));
}

#[test]
fn includes_that_are_missing_or_go_round() {
    let sandbox = workspace();
    sandbox.write(TESTS, "include tests-shared.cfg\ninclude nowhere.cfg\n");
    drop(
        sandbox
            .run("//plain")
            .exit(3)
            .complains(&["tests.cfg:2:", "nowhere.cfg"]),
    );
    sandbox.write(TESTS, "include one.cfg\n");
    sandbox.write("qemu/cfg/one.cfg", "include two.cfg\n");
    sandbox.write("qemu/cfg/two.cfg", "include one.cfg\n");
    drop(sandbox.run("//plain").exit(3).complains(&["one.cfg", "two.cfg"]));
}

#[test]
fn settings_that_are_unknown() {
    let sandbox = workspace();
    sandbox.write("vtbuild.toml", "guest = \"JeOS.12\"\n");
    drop(sandbox.run("list //...").exit(3).complains(&[
        "vtbuild.toml makes no sense",
        "unknown field `guest`",
        "`guest-os`",
    ]));
}

#[test]
fn a_provider_that_cannot_be_used_does_not_harm_the_others() {
    let sandbox = workspace();
    sandbox.write(
        "test-providers.d/gone.ini",
        "[provider]\nuri: file:///no/such/folder\n",
    );
    let run = sandbox.run("//plain").exit(0).complains(&[
        "warning: failed to use the test provider",
        "gone.ini",
        "/no/such/folder",
    ]);
    assert_eq!(run.ran(), ["plain"]);
}

#[test]
fn a_test_module_that_is_not_there() {
    let sandbox = workspace();
    let run = sandbox.run("//plain -p type=nothing").exit(1);
    let verdict = run.verdict("plain");
    assert_eq!(verdict.status, "ERROR");
    assert!(
        verdict
            .reason
            .unwrap()
            .contains("there is no test module nothing.py")
    );
}

#[test]
fn an_image_or_a_recipe_that_is_not_there() {
    let sandbox = Sandbox::new();
    sandbox.write(
        "shared/cfg/guest-os/Linux/LinuxCustom/foo.cfg",
        "FooLinux:\n    image_name = images/foo-linux\n",
    );
    let run = sandbox
        .run("//boot --guest-os LinuxCustom.FooLinux --accel tcg")
        .exit(1);
    let run = run.says(&["missing image", "images/foo-linux.qcow2", "put the file there"]);
    assert_eq!(run.verdict("boot").status, "SKIP");
    let unknown = sandbox.run("//boot -p image_recipe=jeos-99 --accel tcg").exit(3);
    drop(unknown.complains(&["the recipe `jeos-99`", "there are: jeos-12"]));
}
