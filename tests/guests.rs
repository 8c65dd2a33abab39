//! The main job with real guests: migrations between two QEMUs, and the same again without any.

mod support;

use serde_json::Value;
use support::{Sandbox, files_below};

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn migrate_over_tcp_then_nothing_then_only_what_an_edit_touched() {
    let sandbox = Sandbox::with_guest();
    sandbox.count_calls();
    let first = sandbox
        .run("//migrate..tcp --jobs 2 --accel tcg")
        .exit(0)
        .says(&["RESULTS    : PASS 3 | ERROR 0"]);
    let names: Vec<String> = first.verdicts().into_iter().map(|verdict| verdict.name).collect();
    for variant in ["default", "with_set_speed", "with_reboot"] {
        let name = format!("type_specific.bundled.migrate.{variant}.tcp");
        assert!(names.contains(&name), "{names:?}");
    }
    let logs = files_below(&sandbox.logs_of("migrate.default.tcp"));
    for part in ["debug.log", "params", "serial", "qmp"] {
        assert!(
            logs.iter().any(|path| path.file_name().unwrap().contains(part)),
            "{part} is not in {logs:?}"
        );
    }
    let calls = sandbox.calls();
    assert!(calls > 6, "two QEMUs a migration: {calls}");

    let again = sandbox
        .run("//migrate..tcp --jobs 2 --accel tcg")
        .exit(0)
        .says(&["CACHED     : 3 of 3"]);
    assert!(again.ran().is_empty());
    assert_eq!(sandbox.calls(), calls, "a run of hits starts no QEMU");
    // One key of one variant.
    let shared = sandbox.cache().join("bundled");
    let set = files_below(&shared)
        .into_iter()
        .find(|path| path.ends_with("qemu/cfg/tests.cfg"))
        .unwrap();
    let text = std::fs::read_to_string(set).unwrap();
    sandbox.write(
        "qemu/cfg/tests.cfg",
        &format!("{text}\nwith_set_speed:\n    mig_speed = 2G\n"),
    );
    let edited = sandbox.run("//migrate..tcp --jobs 2 --accel tcg").exit(0);
    assert!(!edited.verdict("migrate.with_set_speed.tcp").cached);
    assert_eq!(edited.ran(), words(&["tcp"]));
    assert!(sandbox.scratch().is_empty() && sandbox.processes().is_empty());
}

#[test]
fn a_guest_boots_reboots_shuts_down_and_tells_its_uptime() {
    let sandbox = Sandbox::with_guest();
    let run = sandbox
        .run("//boot,reboot,shutdown,uptime --no migrate --jobs 2 --accel tcg")
        .exit(0);
    let mut names: Vec<String> = run.verdicts().into_iter().map(|verdict| verdict.name).collect();
    names.sort();
    assert_eq!(
        names,
        words(&[
            "bundled.boot",
            "bundled.reboot",
            "bundled.shutdown",
            "bundled.uptime"
        ]),
        "{}",
        run.whole()
    );
    assert_eq!(run.ran(), words(&["boot", "reboot", "shutdown", "uptime"]));
    let log = std::fs::read_to_string(sandbox.logs_of("bundled.uptime").join("debug.log")).unwrap();
    assert!(
        log.contains("Guest uptime result is:") && log.contains("load average"),
        "{log}"
    );
}

#[test]
fn migrate_over_unix_exec_and_fd() {
    let sandbox = Sandbox::with_guest();
    let run = sandbox
        .run("//migrate.default -//tcp --jobs 2 --accel tcg")
        .exit(0);
    assert_eq!(run.ran(), words(&["default_exec", "fd", "gzip_exec", "unix"]));
}

#[test]
fn a_guest_of_one_s_own() {
    let sandbox = Sandbox::with_guest();
    sandbox.copy_disk("images/foo-linux.qcow2");
    let before = std::fs::metadata(sandbox.path("images/foo-linux.qcow2"))
        .unwrap()
        .modified()
        .unwrap();
    sandbox.write(
        "shared/cfg/guest-os/Linux/LinuxCustom/foo.cfg",
        "FooLinux:\n    image_name = images/foo-linux\n",
    );
    let run = sandbox
        .run("//migrate.default.tcp --guest-os LinuxCustom.FooLinux --accel tcg")
        .exit(0);
    assert_eq!(run.ran(), words(&["tcp"]));
    let after = std::fs::metadata(sandbox.path("images/foo-linux.qcow2"))
        .unwrap()
        .modified()
        .unwrap();
    assert_eq!(before, after, "a person's image is not written to");
    let served = || {
        let run = sandbox.run("//migrate.default.tcp --guest-os LinuxCustom.FooLinux --accel tcg");
        run.exit(0).ran().is_empty()
    };
    assert!(served());

    // An audit runs it again. It comes out as it is recorded, and is served as before.
    let audit = sandbox
        .run("//migrate.default.tcp --guest-os LinuxCustom.FooLinux --accel tcg --audit 100%")
        .exit(0)
        .says(&[
            "100% of what would be served, 1 action runs again (--seed ",
            "AUDITED    : 1 came out as recorded, 0 did not",
        ]);
    assert_eq!(audit.ran(), words(&["tcp"]));
    assert!(served());
}

/// What is told of the machine of a test.
fn machine(sandbox: &Sandbox, test: &str) -> Value {
    let text = std::fs::read_to_string(sandbox.logs_of(test).join("machines.json")).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    told["machines"]["vm1"].clone()
}

/// How the machine of a test began, and why.
fn began(sandbox: &Sandbox, test: &str) -> (String, String) {
    let text = std::fs::read_to_string(sandbox.logs_of(test).join("machines.json")).unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    assert!(told["first_answer_seconds"].as_f64().is_some() || test.ends_with("qmp_basic"));
    let word = |key: &str| {
        told["machines"]["vm1"][key]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (word("began"), word("why"))
}

/// A second disk, blank, which each test makes, and which is looked at afterwards if anybody has written to it.
const BLANK: &str = r#"
[params]
images = "image1 stg"
image_name_stg = "images/stg"
image_size_stg = "64M"
force_create_image_stg = "yes"
check_image_stg = "yes"
"#;

#[test]
fn tests_share_a_guest_that_is_up_and_boot_where_its_state_is_no_good() {
    const BOTH: &str = "//uptime,qmp_basic --accel tcg --jobs 1 --force --progress plain";
    let sandbox = Sandbox::with_guest();
    sandbox.write("vtbuild.toml", BLANK);
    let first = sandbox.run(BOTH).exit(0);
    assert_eq!(first.ran(), words(&["qmp_basic", "uptime"]), "{}", first.whole());
    let states = first.stdout().lines().filter(|line| line.starts_with("state "));
    assert_eq!(states.count(), 2, "one is begun and passes: {}", first.whole());
    for test in ["bundled.uptime", "bundled.qmp_basic"] {
        assert_eq!(began(&sandbox, test).0, "state");
        assert!(
            machine(&sandbox, test)["entered_by"]
                .as_str()
                .unwrap()
                .contains("shell that waited")
        );
    }
    let log = std::fs::read_to_string(sandbox.logs_of("bundled.uptime").join("serial-serial0-vm1.log"));
    assert!(log.unwrap().contains("login:"), "what the guest printed is there");

    let shell = sandbox.run("shell //uptime --accel tcg").exit(0);
    assert!(shell.stderr().contains("# resuming vm1"), "{}", shell.whole());

    // The state at hand is not what it was.
    let damaged = files_below(&sandbox.cache().join("states"));
    let memory = damaged.iter().find(|path| path.ends_with("memory")).unwrap();
    let size = std::fs::metadata(memory).unwrap().len();
    std::fs::remove_file(memory).unwrap();
    std::fs::File::create(memory).unwrap().set_len(size).unwrap();
    let second = sandbox.run(BOTH).exit(0);
    assert_eq!(second.ran(), words(&["qmp_basic", "uptime"]));
    let (how, why) = began(&sandbox, "bundled.qmp_basic");
    assert!(how == "boot" && why.contains("failed to"), "{how}: {why}");
    assert!(second.stdout().contains("did not come up from its state"));
    assert!(second.stderr().contains("was no good"), "{}", second.whole());
    let plan = sandbox.run("plan //uptime,qmp_basic --accel tcg --force").exit(0);
    let state = plan
        .stdout()
        .lines()
        .find(|line| line.contains(" state vm1 on jeos-12"));
    let state = state.unwrap_or_else(|| panic!("{}", plan.whole()));
    assert!(state.contains("its last verdict was FAIL"), "{state}");
    assert!(sandbox.scratch().is_empty() && sandbox.processes().is_empty());
}
