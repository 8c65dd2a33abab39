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
        "run    test mine.pair.two: it has not run before (about 30.00 s?)\n",
        "2 actions: 0 would be served from the cache, 2 would run, 0 may run\n",
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
fn what_waits_tells_what_of_its_own_has_changed() {
    let sandbox = two();
    sandbox.run("//... --progress plain").exit(0).ran();
    sandbox.edit(ALL, "colour = red", "colour = grey");
    sandbox.run("plan //...").exit(0).says(&[
        "run    test mine.pair.one: reads.colour: \"red\" -> \"grey\" (",
        "maybe  test mine.pair.two: what it stands on runs first (",
        "0 would be served from the cache, 1 would run, 1 may run",
    ]);
    let waits = "test mine.pair.two: mine.pair.one runs first; if that comes out as before, it is served\n";
    sandbox.run("why //pair").exit(0).says(&[waits]);

    sandbox.edit(ALL, "colour = blue", "colour = green");
    sandbox.run("plan //...").exit(0).says(&[
        "maybe  test mine.pair.two: what it stands on runs first; reads.colour: \"blue\" -> \"green\" (",
    ]);
    sandbox.run("why //pair").exit(0).says(&[
        "test mine.pair.two: mine.pair.one runs first; 1 field differs since its last run\n    reads.colour: \"blue\" -> \"green\"\n        mine/generic/tests/cfg/all.cfg:10: colour = green\n",
    ]);
    let json = lines(sandbox.run("why //pair --json").exit(0).stdout());
    let two = json.last().unwrap();
    assert_eq!(
        (&two["plan"], &two["changes"][0]["field"]),
        (&"maybe".into(), &"reads.colour".into())
    );
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

/// Commits the whole workspace to a repository in it, which is made if need be.
fn commit(sandbox: &Sandbox, message: &str) {
    let git = |words: &[&str]| {
        let mut command = sandbox.command("git");
        command.args(words);
        sandbox.finish(command).exit(0).stdout();
    };
    git(&["init", "-q", "."]);
    git(&["add", "."]);
    let author = ["-c", "user.name=a", "-c", "user.email=a@b"];
    git(&[&author[..], &["commit", "-q", "-m", message]].concat());
}

const CONFIG: &str = "\
variants:
    - Small:
    - Large:
variants test:
    - boot:
        type = boot
    - migrate:
        type = migrate
        variants:
            - @tcp:
            - unix:
                only Large
no nothing
";

#[test]
fn diff_names_variants_and_keys() {
    let sandbox = Sandbox::new();
    sandbox.write("vtbuild.toml", "guest-os = \"Small\"\nbundled-tests = false\n");
    sandbox.write("qemu/cfg/tests.cfg", CONFIG);
    commit(&sandbox, "first");
    let says = |words: &str, code: i32, stdout: &str| {
        let told = sandbox.run(&format!("diff {words} --variants-only"));
        assert_eq!(told.exit(code).stdout(), stdout, "{words}");
    };
    says(
        "HEAD .",
        0,
        "0 added, 0 removed, 0 changed; 2 variants the same\n",
    );
    sandbox.edit(
        "qemu/cfg/tests.cfg",
        "type = boot",
        "type = start\n        new = 1",
    );
    sandbox.edit("qemu/cfg/tests.cfg", "- migrate:", "- move:");
    let expected = "\
- (test=migrate).tcp.Small
~ (test=boot).Small
    new: nothing -> \"1\"
    type: \"boot\" -> \"start\"
+ (test=move).tcp.Small

1 added, 1 removed, 1 changed; 0 variants the same
";
    says("HEAD .", 1, expected);
    let json = "{\"change\":\"changed\",\"name\":\"(test=boot).Small\",\"keys\":{\"new\":{\"before\":null,\"after\":\"1\"},\"type\":{\"before\":\"boot\",\"after\":\"start\"}}}\n";
    let sum = "{\"variants\":{\"added\":0,\"removed\":0,\"changed\":1,\"same\":0},\"tests\":null}\n";
    says("HEAD . //boot --json", 1, &format!("{json}{sum}"));
    sandbox.edit("qemu/cfg/tests.cfg", "no nothing", "only a...b");
    let broken = sandbox.run("diff . HEAD").exit(3);
    assert!(
        broken.stderr().contains("tests.cfg:14:10: error: too many dots"),
        "{}",
        broken.stderr()
    );
    commit(&sandbox, "second");
    let broken = sandbox.run("diff HEAD~1 HEAD").exit(3);
    let first = "error: HEAD:qemu/cfg/tests.cfg:14:10: error: too many dots between variant names\n";
    assert!(broken.stderr().starts_with(first), "{}", broken.stderr());
    let unknown = sandbox.run("diff nix .").exit(2);
    unknown.complains(&["`nix` is neither a folder, nor a file, nor a revision"]);
    assert!(
        sandbox.scratch().is_empty(),
        "nothing is left: {:?}",
        sandbox.scratch()
    );
}

#[test]
fn diff_tells_what_would_run_because_of_it() {
    let sandbox = two();
    commit(&sandbox, "first");
    let unknown = sandbox.run("diff HEAD .").exit(0);
    unknown.says(&["none of 2 tests would run because of this; 2 without a verdict before and after\n"]);
    sandbox.run("//... --progress plain").exit(0).ran();

    sandbox.edit(ALL, "colour = blue", "colour = blue\n            size = 1");
    let unread = sandbox.run("diff HEAD .").exit(1);
    unread.says(&[
        "    size: nothing -> \"1\"\n",
        "none of 2 tests would run because of this; 2 from the cache\n",
    ]);
    sandbox.edit(ALL, "colour = blue", "colour = green");
    let read = sandbox.run("diff HEAD . --jobs 3").exit(1);
    read.says(&[
        "    colour: \"blue\" -> \"green\"\n",
        "1 of 2 tests would run because of this, about ",
        " with 3 jobs; 1 from the cache\n",
        "    1 test: colour: \"blue\" -> \"green\" (about ",
        "        mine.pair.two\n",
    ]);

    // Files count too, and a provider that is defined by a path into the repository is that of the revision.
    commit(&sandbox, "second");
    let python = "mine/generic/tests/painter.py";
    sandbox.write(python, &format!("{}    # more\n", sandbox.read(python)));
    commit(&sandbox, "third");
    let file = sandbox.run("diff HEAD~1 HEAD").exit(1);
    file.says(&[
        "0 added, 0 removed, 0 changed; 2 variants the same\n",
        "2 of 2 tests would run because of this",
        "    2 tests: mine/generic/tests/painter.py changed (about ",
    ]);

    // What had changed since the last run before that is not of this change.
    sandbox.edit(ALL, "colour = green", "colour = grey");
    commit(&sandbox, "fourth");
    let both = sandbox.run("diff HEAD~1 HEAD").exit(1);
    both.says(&["    1 test: colour: \"green\" -> \"grey\" (about "]);
    let lines = lines(sandbox.run("diff HEAD~3 HEAD~1 //two --json").exit(1).stdout());
    assert_eq!(lines[0]["change"], "changed");
    assert_eq!(
        (&lines[1]["run"], &lines[1]["title"]),
        (&"invalidated".into(), &"mine.pair.two".into())
    );
    assert_eq!(
        (&lines[1]["known"], &lines[2]["tests"]["run"]),
        (&true.into(), &1.into())
    );
    assert!(
        sandbox.scratch().is_empty(),
        "nothing is left: {:?}",
        sandbox.scratch()
    );
}

#[test]
fn diff_is_a_comment_for_a_pull_request() {
    let sandbox = two();
    commit(&sandbox, "first");
    sandbox.run("//... --progress plain").exit(0).ran();
    sandbox.edit(ALL, "colour = blue", "colour = a|b");
    let told = sandbox.run("diff HEAD . --format markdown --jobs 2").exit(1);
    told.says(&[
        "### vtbuild: 1 of 2 tests would run because of this, about ",
        "Variants from `HEAD` to `.`: 0 added, 0 removed, 1 changed; 1 variant the same.\n",
        "| what would run | why | time |\n|---|---|--:|\n| 1 test | `colour: \"blue\" -> \"a\\|b\"` | about ",
        "<details><summary>what would run, by name</summary>\n\n```\ncolour: \"blue\" -> \"a|b\"\n  mine.pair.two  (about ",
        "<details><summary>what differs in 1 variant</summary>\n\n```\n~ ",
        "    colour: \"blue\" -> \"a|b\"\n```\n\n</details>\n",
    ]);
}

/// An emulator that answers questions and starts nothing.
fn emulator(sandbox: &Sandbox, version: &str, machine: &str) {
    let firmware = sandbox.root().join("firmware");
    sandbox.program(
        "qemu-system-x86_64",
        &format!(
            "case \"$*\" in
--version) echo 'QEMU emulator version {version} (of the sandbox)' ;;
'-machine help') echo 'Supported machines are:'; echo 'q35   Standard PC (Q35 + ICH9, 2009) (alias of {machine})' ;;
'-L help') echo {firmware} ;;
*) exit 1 ;;
esac"
        ),
    );
}

#[test]
fn tools_of_the_host_are_in_the_key_and_told_in_words() {
    let sandbox = Sandbox::new();
    sandbox.provide("- machine:\n    type = plain\n    images = \"\"\n    nics = nic1\n    start_vm = no\n    machine_type = q35\n    cpu_model = host\n- bare:\n    type = plain\n    vms = \"\"\n    images = \"\"\n    start_vm = no\n");
    let firmware = |name: &str, text: &str| {
        let folder = sandbox.root().join("firmware");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
    };
    emulator(&sandbox, "10.0.2", "pc-q35-10.0");
    for name in ["bios-256k.bin", "efi-virtio.rom", "vgabios-qxl.bin"] {
        firmware(name, "one");
    }
    let run = || sandbox.run("//... --accel tcg --progress plain").exit(0).ran();
    let why = || sandbox.run("why //... --accel tcg").exit(0).stdout().to_owned();
    assert_eq!(run(), ["bare", "machine"]);
    assert!(run().is_empty());
    sandbox.run("why //machine --accel tcg --key").exit(0).says(&[
        "    host.QEMU = \"10.0.2 (of the sandbox)\"\n",
        "    host.accelerator = \"tcg\"\n",
        "    host.machine type of vm1 = \"pc-q35-10.0\"\n",
        "    host.Python = \"cpython-",
        "    host.Python test host = \"",
    ]);

    // A ROM that no machine here loads counts for nobody.
    firmware("vgabios-qxl.bin", "two");
    assert!(run().is_empty());
    firmware("efi-virtio.rom", "two");
    let told = why();
    assert!(
        told.contains("    host.\"firmware efi-virtio.rom\": blake3:"),
        "{told}"
    );
    assert!(
        told.contains("test mine.machine: would run: 1 field differs"),
        "{told}"
    );
    assert_eq!(run(), ["machine"]);
    // That of a card that a test may plug in counts for every machine.
    firmware("efi-vmxnet3.rom", "one");
    let told = why();
    assert!(told.contains("    host.\"firmware efi-vmxnet3.rom\": "), "{told}");
    assert_eq!(run(), ["machine"]);

    emulator(&sandbox, "10.1.0", "pc-q35-10.1");
    let told = why();
    for line in [
        "    host.QEMU: \"10.0.2 (of the sandbox)\" -> \"10.1.0 (of the sandbox)\"\n",
        "    host.machine type of vm1: \"pc-q35-10.0\" -> \"pc-q35-10.1\"\n",
        "    host.emulator: blake3:",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(run(), ["bare", "machine"]);

    // Under KVM the host's kernel and processor reach the guest.
    let told = sandbox.run("why //... --accel kvm").exit(0).stdout().to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    for line in [
        "    host.accelerator: \"tcg\" -> \"kvm\"\n".to_owned(),
        format!("    host.kernel: (none) -> {:?}\n", kernel.trim()),
        "    host.processor: (none) -> \"".to_owned(),
        "    host.processor flags: (none) -> \"".to_owned(),
    ] {
        assert!(told.contains(&line), "{line}: {told}");
    }
    assert!(told.contains("test mine.bare: is served"), "{told}");
}

#[test]
fn an_image_is_made_by_a_tool_of_the_host() {
    let sandbox = Sandbox::new();
    let why = sandbox.run("why //boot --accel tcg --key").exit(0);
    let (_, image) = why.stdout().split_once("image jeos-12: would run").unwrap();
    let (image, _) = image.split_once("\ntest ").unwrap();
    assert!(image.contains("    host.qemu-img = blake3:"), "{image}");
}
