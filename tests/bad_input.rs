//! Mistakes in what people write: each has its exit code and a message that says where it is and what to do.

mod support;

use support::provider::BARE;
use support::{Sandbox, until};

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
fn a_watch_begins_where_something_is_broken_and_goes_on_when_it_is_mended() {
    const ALL: &str = "mine/generic/tests/cfg/all.cfg";
    let sandbox = workspace();
    let good = sandbox.read("vtbuild.toml");
    sandbox.write("vtbuild.toml", "bundled-tests = maybe\n");
    sandbox.edit(ALL, "- plain:", "- plain: a...b");
    let watch = sandbox.start("watch //...");
    let complains = |text: &str| {
        until(60, text, || watch.stderr().contains(text).then_some(()));
    };
    complains("vtbuild.toml:1:17: error: ");
    complains("the watch begins once that is mended");
    sandbox.write("vtbuild.toml", &good);
    complains("all.cfg:1:");
    complains("too many dots");
    assert_eq!(watch.stdout(), "", "nothing is watched yet");
    sandbox.edit(ALL, "a...b", "a....b");
    complains("a....b");
    sandbox.edit(ALL, "- plain: a....b", "- plain:");
    let mut at = watch.says_after(0, "mended: 1 variant selected (");
    at = watch.says_after(at, "watching 1 test, 1 of them not known to pass");

    // From here on it is a watch like any other.
    sandbox.edit(ALL, "type = plain", "type = plain\n    naps = 0.01");
    at = watch.says_after(at, "1 changed");
    at = watch.says_after(at, "(1/1) mine.plain: PASS");
    watch.says_after(at, "RESULTS    : PASS 1 ");
    watch.signal(rustix::process::Signal::INT);
    watch
        .wait()
        .exit(0)
        .complains(&["the watch begins once that is mended"])
        .stdout();

    // What was typed cannot be mended by a save, and somebody may stop to wait.
    sandbox
        .run_args(&["watch", "//...", "--only", "a...b"])
        .exit(2)
        .complains(&["error: "]);
    sandbox.edit(ALL, "- plain:", "- plain: a...b");
    let watch = sandbox.start("watch //...");
    until(60, "the mistake is told", || {
        watch.stderr().contains("once that is mended").then_some(())
    });
    watch.signal(rustix::process::Signal::INT);
    watch.wait().exit(0).complains(&["all.cfg:1:"]);
}

#[test]
fn a_watch_of_files_without_a_workspace_says_what_it_cannot_know() {
    let sandbox = Sandbox::new();
    std::fs::remove_file(sandbox.path("vtbuild.toml")).unwrap_or_default();
    sandbox.write(
        "qemu/cfg/subtests.cfg",
        "variants:\n    - boot:\n        type = boot\n        size = 1\n",
    );
    sandbox.write(TESTS, "include subtests.cfg\n");
    let watch = sandbox.start("watch //boot --guest-os boot");
    let at = watch.says_after(0, "watching 1 variant; Ctrl-C ends it\n");
    sandbox.edit("qemu/cfg/subtests.cfg", "size = 1", "size = 2");
    watch.says_after(at, "    size: \"1\" -> \"2\"\n0 added, 0 removed, 1 changed");
    watch.signal(rustix::process::Signal::INT);
    let ended = watch.wait().exit(0);
    assert_eq!(
        ended
            .stderr()
            .matches("which tests an edit affects is not known")
            .count(),
        1
    );
    assert!(!ended.stdout().contains("affected"));
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
    // The names of the folder that are like the one that is missing.
    sandbox.write(TESTS, "include tests-sharde.cfg\ninclude one\n");
    sandbox.write("qemu/cfg/tests-shared.cfg", "x = 1\n");
    drop(sandbox.run("//plain").exit(3).complains(&[
        "`tests-sharde.cfg`: file does not exist",
        "note: did you mean `tests-shared.cfg`?",
        "note: did you mean `one.cfg`?",
    ]));
    // A link to its own folder gives a file ever new paths.
    std::os::unix::fs::symlink(".", sandbox.path("qemu/cfg/again")).unwrap();
    sandbox.write(TESTS, "include again/tests.cfg\ninclude again/tests.cfg\n");
    drop(sandbox.run("//plain").exit(3).complains(&[
        "`tests.cfg` includes itself, by ever new paths",
        "  included from ",
        "tests.cfg:1\n",
    ]));
}

#[test]
fn settings_that_are_unknown() {
    let sandbox = workspace();
    sandbox.write("vtbuild.toml", "guest = \"JeOS.12\"\n");
    drop(sandbox.run("list //...").exit(3).complains(&[
        "vtbuild.toml:1:1: error: unknown field `guest`",
        "`guest-os`",
        "\n    guest = \"JeOS.12\"\n    ^^^^^\n",
    ]));
}

#[test]
fn a_provider_that_cannot_be_used_does_not_harm_the_others() {
    let sandbox = workspace();
    sandbox.write(
        "test-providers.d/gone.ini",
        "[provider]\nuri: file:///no/such/folder\n",
    );
    let mine = sandbox.read("test-providers.d/mine.ini");
    sandbox.write("test-providers.d/copy of mine.ini", &mine);
    let run = sandbox.run("//plain").exit(0).complains(&[
        "warning: failed to use the test provider",
        "gone.ini",
        "/no/such/folder",
        "copy of mine.ini: `copy of mine` begins the names of tests",
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
