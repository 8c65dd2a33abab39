//! What runs after an edit, and above all what does not. No machine is needed for that: the tests are the sandbox's own.

mod support;

use rustix::process::Signal;
use support::provider::BARE;
use support::{Sandbox, until};

const CFG: &str = "- plain:
    # A comment.
    virt_test_type = qemu libvirt
    type = plain
    vms = \"\"
    images = \"\"
    start_vm = no
    variants:
        - one:
            colour = red
            size = 1
        - two:
            colour = blue
        - three:
            type = greeter
";

/// Reads one of its parameters, and a second one only where the first is red.
const PAINTER: &str = "def run(test, params, env):\n    if params.get('colour') == 'red':\n        params['size']\n    # 'as asked'\n";

const GREETER: &str =
    "from provider_lib import greeting\n\n\ndef run(test, params, env):\n    test.log.info(greeting.TEXT)\n";

/// A workspace of three tests, all of them run once.
fn three() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(CFG);
    sandbox.write("mine/generic/tests/plain.py", PAINTER);
    sandbox.write("mine/generic/tests/greeter.py", GREETER);
    sandbox.write("mine/generic/provider_lib/greeting.py", "TEXT = 'hello'\n");
    assert_eq!(ran(&sandbox), ["one", "three", "two"]);
    sandbox
}

/// What a run of everything runs.
fn ran(sandbox: &Sandbox) -> Vec<String> {
    sandbox.run("//... --progress plain").exit(0).ran()
}

const ALL: &str = "mine/generic/tests/cfg/all.cfg";

/// One edit of a workspace.
type Edit = fn(&Sandbox);

#[test]
fn what_changes_nothing_runs_nothing() {
    let sandbox = three();
    let again = sandbox
        .run("//...")
        .exit(0)
        .says(&["PASS 3 | ERROR 0", "CACHED     : 3 of 3"]);
    assert!(again.ran().is_empty());

    let edits: [(&str, Edit); 4] = [
        ("a comment", |s| {
            s.edit(ALL, "# A comment.", "# Another comment,\n    # of two lines.");
        }),
        ("layout", |s| {
            s.edit(ALL, "colour = red\n", "colour   =   red\n\n\n");
        }),
        ("a touch", |s| {
            s.write(
                "mine/generic/tests/plain.py",
                &s.read("mine/generic/tests/plain.py"),
            );
        }),
        ("another file", |s| s.write("mine/generic/tests/unused.py", "")),
    ];
    for (what, edit) in edits {
        edit(&sandbox);
        assert!(ran(&sandbox).is_empty(), "{what} made something run");
    }
    assert!(sandbox.started().is_empty());
}

#[test]
fn the_order_of_unrelated_blocks_does_not_count() {
    let sandbox = three();
    let (one, two) = (
        "        - one:\n            colour = red\n            size = 1\n",
        "        - two:\n            colour = blue\n",
    );
    sandbox.edit(ALL, &format!("{one}{two}"), &format!("{two}{one}"));
    sandbox.edit(
        ALL,
        "colour = red\n            size = 1",
        "size = 1\n            colour = red",
    );
    let listed = sandbox.run("list //...");
    let place = |name: &str| listed.stdout().find(name).unwrap();
    assert!(
        place("plain.two") < place("plain.one"),
        "the edit has an effect: {}",
        listed.stdout()
    );
    assert!(ran(&sandbox).is_empty());
}

#[test]
fn one_key_of_one_variant_runs_that_test_and_says_why() {
    let sandbox = three();
    sandbox.edit(ALL, "colour = blue", "colour = green");
    sandbox.run("//... --dry-run").exit(0).says(&[
        "run    test mine.plain.two: reads.colour: \"blue\" -> \"green\" (about ",
        "2 would be served from the cache, 1 would run",
    ]);
    let run = sandbox
        .run("//... --explain")
        .exit(0)
        .says(&["mine.plain.two: runs because reads.colour: \"blue\" -> \"green\""]);
    assert_eq!(run.ran(), ["two"]);
    // What it was before is still known.
    sandbox.edit(ALL, "colour = green", "colour = blue");
    assert!(ran(&sandbox).is_empty());
}

#[test]
fn only_what_was_read_counts() {
    let sandbox = three();
    let with = |params: &str| {
        sandbox.write(
            "vtbuild.toml",
            &format!("bundled-tests = false\nparams = {{ {params} }}\n"),
        );
    };
    // Nobody asks for it; `size` is asked for where it is red.
    with("weather = \"rain\"");
    assert!(ran(&sandbox).is_empty());
    with("size = \"2\"");
    assert_eq!(ran(&sandbox), ["one"]);
    // Both of its ways are known from now on.
    with("colour = \"white\"");
    assert_eq!(ran(&sandbox), ["one", "two"]);
    with("colour = \"red\", size = \"2\"");
    assert_eq!(ran(&sandbox), ["two"]);
    // What machines are built from counts for everybody whose machines are built from it, and nobody here has any.
    with("mem = \"4096\", colour = \"red\", size = \"2\"");
    assert!(ran(&sandbox).is_empty());
}

#[test]
fn strict_keys_let_every_parameter_count() {
    let sandbox = three();
    let strict = || sandbox.run("//... --progress plain --strict-keys").exit(0).ran();
    assert_eq!(
        strict(),
        ["one", "three", "two"],
        "their records tell only what they read"
    );
    assert!(strict().is_empty());
    sandbox.write(
        "vtbuild.toml",
        "bundled-tests = false\nparams = { weather = \"rain\" }\n",
    );
    sandbox
        .run("//... --dry-run --strict-keys")
        .exit(0)
        .says(&["mine.plain.two: reads.weather: (none) -> \"rain\""]);
    assert_eq!(strict(), ["one", "three", "two"]);
}

#[test]
fn python_runs_those_who_import_it() {
    let sandbox = three();
    sandbox.edit("mine/generic/tests/plain.py", "'as asked'", "'as was asked'");
    assert_eq!(ran(&sandbox), ["one", "two"]);
    sandbox.edit("mine/generic/provider_lib/greeting.py", "hello", "good day");
    assert_eq!(ran(&sandbox), ["three"]);
    // It comes before the one that was imported until now.
    sandbox.write("mine/qemu/provider_lib/greeting.py", "TEXT = 'moin'\n");
    assert_eq!(ran(&sandbox), ["three"]);
}

#[test]
fn a_file_read_at_run_time_counts_too() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!("- plain:\n    type = reader\n{BARE}"));
    let reader = "import importlib\nimport os\n\nfrom virttest import data_dir\n\n\ndef run(test, params, env):\n    importlib.import_module('provider_lib.' + 'late')\n    open(os.path.join(data_dir.get_deps_dir('words'), 'text')).read()\n";
    sandbox.write("mine/generic/tests/reader.py", reader);
    sandbox.write("mine/generic/provider_lib/late.py", "");
    sandbox.write("mine/generic/deps/words/text", "a");
    assert_eq!(ran(&sandbox), ["plain"]);
    assert!(ran(&sandbox).is_empty());
    sandbox.write("mine/generic/deps/words/text", "b");
    let run = sandbox
        .run("//... --explain")
        .exit(0)
        .says(&["mine/generic/deps/words/text changed"]);
    assert_eq!(run.ran(), ["plain"]);
    sandbox.write("mine/generic/provider_lib/late.py", "# An edit.\n");
    assert_eq!(ran(&sandbox), ["plain"]);
}

/// Looks at files of its provider and of the data folder, by whatever way `looks` names.
const LOOKER: &str = r#"import os
import pathlib
import subprocess

from virttest import data_dir

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def run(test, params, env):
    for look in params.objects("looks"):
        way, _, name = look.partition(":")
        path = os.path.join(data_dir.get_data_dir() if way.endswith("data") else HERE, name)
        if way.startswith("read"):
            pathlib.Path(path).read_bytes()
        elif way.startswith("there"):
            os.path.exists(path)
        elif way.startswith("list"):
            os.listdir(path)
        elif way.startswith("command"):
            subprocess.check_call(["cat", path], stdout=subprocess.DEVNULL)
        elif way == "write":
            pathlib.Path(data_dir.get_data_dir(), name).write_text("mine")
            pathlib.Path(data_dir.get_data_dir(), name).read_text()
"#;

#[test]
fn files_that_a_test_finds_by_itself_count_present_and_absent() {
    let sandbox = Sandbox::new();
    let looks = [
        ("reads", "read:words/text"),
        ("asks", "there:words/later"),
        ("lists", "list:words"),
        ("starts", "command:words/text"),
        ("data", "readdata:isos/disc.iso"),
        ("gone", "theredata:isos/late.iso"),
        ("own", "write:scratch.txt"),
    ];
    let variants = looks.map(|(name, looks)| format!("        - {name}:\n            looks = {looks}\n"));
    sandbox.provide(&format!(
        "- look:\n    type = looker\n{BARE}    variants:\n{}",
        variants.concat()
    ));
    sandbox.write("mine/generic/tests/looker.py", LOOKER);
    sandbox.write("mine/generic/words/text", "one");
    sandbox.write("isos/disc.iso", "one");
    let mut names: Vec<&str> = looks.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    assert_eq!(ran(&sandbox), names);
    assert!(ran(&sandbox).is_empty());

    let edits: [(&str, &str, &[&str]); 6] = [
        ("mine/generic/words/text", "two", &["reads", "starts"]),
        // A program may look for what lies beside a file that it is given.
        ("mine/generic/words/later", "one", &["asks", "lists", "starts"]),
        ("mine/generic/others", "one", &[]),
        ("isos/disc.iso", "two", &["data"]),
        ("isos/late.iso", "one", &["gone"]),
        ("isos/other.iso", "one", &[]),
    ];
    for (file, text, expected) in edits {
        sandbox.write(file, text);
        assert_eq!(ran(&sandbox), expected, "after writing {file}");
        assert!(ran(&sandbox).is_empty(), "twice after writing {file}");
    }
    // What was there is gone: as it was at first, which is still known.
    std::fs::remove_file(sandbox.path("isos/late.iso")).unwrap();
    assert!(ran(&sandbox).is_empty());
    std::fs::remove_file(sandbox.path("mine/generic/words/text")).unwrap();
    let why = sandbox.run("why //...").exit(0);
    let why = why.says(&[
        "look.reads: would run: mine/generic/words/text changed",
        "look.lists: would run: the list of files in mine/generic/words changed",
    ]);
    drop(why);
}

/// Lets a forked child look at a parameter, a file and a module, and gives a script to a shell.
const PARENT: &str = "import importlib
import multiprocessing
import os
import subprocess

HERE = os.path.dirname(os.path.abspath(__file__))


def child(params):
    importlib.import_module('provider_lib.' + 'greeting')
    with open(os.path.join(HERE, '..', 'words', params['word'])):
        pass


def run(test, params, env):
    process = multiprocessing.get_context('fork').Process(target=child, args=(params,))
    process.start()
    process.join()
    if process.exitcode != 0:
        test.fail('the child fell ill')
    subprocess.check_call(['sh', os.path.join(HERE, '..', 'tools', 'main.sh')])
";

#[test]
fn what_the_children_of_a_test_read_counts() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- plain:\n    type = parent\n    word = text\n    colour = red\n{BARE}"
    ));
    sandbox.write("mine/generic/tests/parent.py", PARENT);
    sandbox.write("mine/generic/provider_lib/greeting.py", "TEXT = 'hello'\n");
    sandbox.write("mine/generic/words/text", "one");
    sandbox.write("mine/generic/words/other", "one");
    sandbox.write("mine/generic/tools/main.sh", ". \"$(dirname \"$0\")/more.sh\"\n");
    sandbox.write("mine/generic/tools/more.sh", "true\n");
    assert_eq!(ran(&sandbox), ["plain"]);
    assert!(ran(&sandbox).is_empty());

    let edits: [(&str, bool, Edit); 6] = [
        ("a parameter that nobody reads", false, |sandbox| {
            sandbox.edit(ALL, "colour = red", "colour = blue");
        }),
        ("a file that nobody reads", false, |sandbox| {
            sandbox.write("mine/generic/words/more", "one");
        }),
        ("the child's parameter", true, |sandbox| {
            sandbox.edit(ALL, "word = text", "word = other");
        }),
        ("the child's file", true, |sandbox| {
            sandbox.write("mine/generic/words/other", "two");
        }),
        ("the child's module", true, |sandbox| {
            sandbox.write("mine/generic/provider_lib/greeting.py", "TEXT = 'good day'\n");
        }),
        ("what the script calls", true, |sandbox| {
            sandbox.write("mine/generic/tools/more.sh", ":\n");
        }),
    ];
    for (what, counts, edit) in edits {
        edit(&sandbox);
        assert_eq!(!ran(&sandbox).is_empty(), counts, "after an edit of {what}");
        assert!(ran(&sandbox).is_empty(), "twice after an edit of {what}");
    }
}

#[test]
fn what_is_asked_of_the_host_counts() {
    let sandbox = Sandbox::new();
    sandbox.program("of-the-sandbox", "");
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n        - needs:\n            cmds_installed_host = of-the-sandbox\n        - apart:\n"
    ));
    assert_eq!(ran(&sandbox), ["apart", "needs"]);
    assert!(ran(&sandbox).is_empty());
    std::fs::remove_file(sandbox.root().join("bin/of-the-sandbox")).unwrap();
    sandbox
        .run("why //needs")
        .exit(0)
        .says(&["plain.needs: would run: the host's program of-the-sandbox changed"]);
    sandbox
        .run("//needs --progress plain")
        .exit(0)
        .says(&["needs: SKIP", "SKIP 1"]);
    // What was skipped is looked at again, and the pass from before holds once the program is back.
    sandbox.program("of-the-sandbox", "");
    assert!(ran(&sandbox).is_empty());
}

/// Ends as a file says that nobody can see it read.
const FLIPPING: &str = "import os\n\n\ndef run(test, params, env):\n    if os.system('grep -q bad < ' + params['coin']) == 0:\n        test.fail('tails')\n";

#[test]
fn an_audit_finds_what_is_not_determined_and_it_is_served_no_more() {
    let sandbox = Sandbox::new();
    let coin = sandbox.root().join("coin");
    sandbox.provide(&format!(
        "- coin:\n    type = coin\n    coin = {coin}\n{BARE}- plain:\n    type = plain\n{BARE}    variants:\n        - one:\n        - two:\n        - three:\n"
    ));
    sandbox.write("mine/generic/tests/coin.py", FLIPPING);
    std::fs::write(&coin, "good").unwrap();
    assert_eq!(ran(&sandbox), ["coin", "one", "three", "two"]);

    // A share of four, and the same share again.
    let chosen = |seed: &str| {
        let words = format!("//... --progress plain --audit 50% --seed {seed}");
        let run = sandbox.run(&words).exit(0);
        let run = run.says(&[
            &format!("AUDIT      : 50% of what would be served, 2 actions run again (--seed {seed} chooses the same)"),
            "AUDITED    : 2 came out as recorded, 0 did not",
        ]);
        run.ran()
    };
    let first = chosen("1");
    assert_eq!((first.len(), chosen("1")), (2, first.clone()));
    assert!(
        (2..20).any(|seed| chosen(&seed.to_string()) != first),
        "another seed chooses others"
    );
    sandbox
        .run("log")
        .exit(0)
        .says(&["2 runs for an audit; all came out as recorded"]);
    assert!(ran(&sandbox).is_empty());

    std::fs::write(&coin, "bad").unwrap();
    assert!(ran(&sandbox).is_empty(), "nobody knows of the coin");
    let audit = sandbox.run("//... --progress plain --audit 100%").exit(1);
    let audit = audit.says(&[
        "4 actions run again (--seed ",
        "`mine.coin` is non-deterministic: PASS is recorded, and now it came to FAIL",
        "AUDITED    : 3 came out as recorded, 1 did not",
        "`vtbuild cache unmark NAME`",
    ]);
    drop(audit);
    sandbox
        .run("log")
        .exit(0)
        .says(&["1 did not come out as recorded: mine.coin"]);

    // Neither served nor stored, whatever it comes to, and everybody says so.
    std::fs::write(&coin, "good").unwrap();
    for _ in 0..2 {
        let run = sandbox.run("//... --progress plain").exit(0);
        let run = run.says(&["`mine.coin` is not cached: it is marked as non-deterministic"]);
        assert_eq!(run.ran(), ["coin"]);
    }
    let why = "it is marked as non-deterministic (PASS was recorded, and it came to FAIL)";
    for words in ["plan //...", "why //..."] {
        sandbox.run(words).exit(0).says(&[why]);
    }
    sandbox
        .run("list //...")
        .exit(0)
        .says(&["mine.coin  (marked as non-deterministic)\n"]);
    sandbox
        .run("cache marks")
        .exit(0)
        .says(&["coin: PASS was recorded, then it came to FAIL ("]);
    sandbox
        .run("cache unmark nobody")
        .exit(2)
        .complains(&["nothing that is marked is called nobody"]);
    sandbox
        .run("cache unmark mine.coin")
        .exit(0)
        .says(&["1 mark taken away"]);
    sandbox.run("cache marks").exit(0).says(&["nothing is marked"]);
    assert_eq!(ran(&sandbox), ["coin"]);
    assert!(ran(&sandbox).is_empty());
}

#[test]
fn what_was_finished_before_a_kill_is_not_done_again() {
    let sandbox = Sandbox::new();
    let gate = sandbox.root().join("gate");
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n        - one:\n        - two: one\n            type = gate\n            gate = {gate}\n"
    ));
    let wait = "import os\nimport time\n\n\ndef run(test, params, env):\n    while not os.path.exists(params['gate']):\n        time.sleep(0.02)\n";
    sandbox.write("mine/generic/tests/gate.py", wait);
    let running = sandbox.start("//... --progress plain");
    until(60, "the second test runs", || {
        running.stdout().contains("plain.one: PASS").then_some(())
    });
    until(60, "the second test has started", || {
        let log = sandbox.latest().join("events.jsonl");
        let text = std::fs::read_to_string(log).unwrap_or_default();
        text.lines()
            .any(|line| line.contains("\"started\"") && line.contains("plain.two"))
            .then_some(())
    });
    running.signal(Signal::KILL);
    drop(running.wait().says(&["plain.one: PASS"]));
    until(60, "nothing runs any more", || {
        sandbox.processes().is_empty().then_some(())
    });
    until(60, "no scratch is left", || {
        sandbox.scratch().is_empty().then_some(())
    });
    std::fs::write(&gate, "").unwrap();
    assert_eq!(ran(&sandbox), ["two"]);
}

#[test]
fn a_watch_tells_what_a_save_changes_and_runs_what_it_affects() {
    let sandbox = three();
    let watch = sandbox.start("watch //...");
    let mut at = watch.says_after(0, "watching 3 tests, all of them known to pass; Ctrl-C ends it\n");

    sandbox.edit(ALL, "colour = red", "colour = green");
    at = watch.says_after(at, "one.i440fx\n    colour: \"red\" -> \"green\"\n");
    at = watch.says_after(at, "0 added, 0 removed, 1 changed; 2 variants the same (");
    at = watch.says_after(at, "1 test affected, about ");
    at = watch.says_after(at, "(1/1) mine.plain.one: PASS");
    at = watch.says_after(at, "RESULTS    : PASS 1 ");

    // What nobody reads affects nothing; a mistake is told, and changes nothing.
    sandbox.edit(ALL, "size = 1", "size = 2");
    at = watch.says_after(at, "    size: \"1\" -> \"2\"\n");
    at = watch.says_after(at, "no test is affected\n");
    sandbox.edit(ALL, "- two:", "- two: a...b");
    until(60, "a mistake is told", || {
        watch.stderr().contains("too many dots").then_some(())
    });
    sandbox.edit(ALL, "- two: a...b", "- two:");
    at = watch.says_after(at, "0 added, 0 removed, 0 changed; 3 variants the same (");

    // Files count as well, and so does what is new.
    sandbox.write("mine/generic/provider_lib/greeting.py", "TEXT = 'good day'\n");
    at = watch.says_after(at, "the variants are the same (");
    at = watch.says_after(at, "(1/1) mine.plain.three: PASS");
    at = watch.says_after(at, "RESULTS    : PASS 1 ");
    sandbox.write("mine/generic/tests/cfg/more/more.cfg", "- more:\n    virt_test_type = qemu\n    type = plain\n    vms = \"\"\n    images = \"\"\n    start_vm = no\n");
    at = watch.says_after(at, "1 added, 0 removed, 0 changed; 3 variants the same (");
    at = watch.says_after(at, "(1/1) mine.more: PASS");
    watch.says_after(at, "RESULTS    : PASS 1 ");

    watch.signal(Signal::INT);
    let ended = watch.wait().exit(0);
    ended.stdout();
    ended.complains(&["the variants stay as they were until that is mended"]);
    assert_eq!(sandbox.processes(), Vec::<String>::new());
}

/// Waits until there is a file of the name that it is told.
const GATE: &str = "import os\nimport time\n\n\ndef run(test, params, env):\n    test.log.info('waits')\n    while not os.path.exists(params['gate']):\n        time.sleep(0.05)\n";

#[test]
fn an_edit_during_a_run_stops_what_it_affects_and_lets_all_else_wait() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- gate:\n{BARE}    variants:\n        - one:\n            type = gate\n            gate = {0}/a\n        - two:\n            type = plain\n            naps = 0\n",
        sandbox.root()
    ));
    sandbox.write("mine/generic/tests/gate.py", GATE);
    let watch = sandbox.start("watch //... --jobs 1");
    let mut at = watch.says_after(0, "watching 2 tests, 2 of them not known to pass");
    let runs = |name: &str| {
        let name = name.to_owned();
        move |sandbox: &Sandbox| {
            let latest = sandbox.path("job-results/latest");
            let events = std::fs::read_to_string(latest.join("events.jsonl")).unwrap_or_default();
            let line = format!("\"event\":\"started\",\"label\":\"{name}\"");
            events.contains(&line).then_some(())
        }
    };
    sandbox.edit(ALL, "/a\n", "/b\n");
    at = watch.says_after(at, "1 test affected");
    until(60, "the first run", || runs("mine.gate.one")(&sandbox));

    // It does not affect what runs: it waits, and the run goes on.
    sandbox.edit(ALL, "naps = 0", "naps = 0.01");
    at = watch.says_after(at, "1 test affected, about 30 s\n    mine.gate.two\n");
    assert!(!watch.stdout().contains("stopping"), "{}", watch.stdout());

    // It does: the run is stopped, and everything starts again.
    std::fs::write(sandbox.root().join("c"), "").unwrap();
    sandbox.edit(ALL, "/b\n", "/c\n");
    at = watch.says_after(at, "stopping: an edit affects it\n");
    at = watch.says_after(at, "TESTS      : 2\n");
    watch.says_after(at, "RESULTS    : PASS 2 ");

    // A watch that is ended takes its run along.
    sandbox.edit(ALL, "/c\n", "/d\n");
    until(60, "another run", || {
        let done = sandbox.path("job-results/latest/results.json").exists();
        runs("mine.gate.one")(&sandbox).filter(|()| !done)
    });
    watch.signal(Signal::INT);
    watch.wait().exit(130).stdout();
    until(60, "nothing is left", || {
        sandbox.processes().is_empty().then_some(())
    });
    assert!(sandbox.scratch().is_empty(), "{:?}", sandbox.scratch());
}

#[test]
fn a_watch_that_only_shows_runs_nothing() {
    let sandbox = three();
    let jobs = sandbox.latest();
    let watch = sandbox.start("watch //... --no-run");
    let at = watch.says_after(0, "watching 3 tests");
    sandbox.edit(ALL, "colour = red", "colour = green");
    let at = watch.says_after(at, "1 test affected");
    watch.says_after(at, "    mine.plain.one\n");
    sandbox.edit(ALL, "colour = green", "colour = red");
    watch.says_after(at, "no test is affected\n");
    watch.signal(Signal::TERM);
    watch.wait().exit(0).stdout();
    assert_eq!(sandbox.latest(), jobs, "no job was made");
}
