//! The commands that run no test, and what becomes of the cache.

mod support;

use support::Sandbox;
use support::provider::BARE;

#[test]
fn list_names_variants_and_the_filters_that_nobody_typed() {
    let sandbox = Sandbox::new();
    let list = sandbox.run("list //migrate..tcp").exit(0);
    let (heading, rest): (Vec<&str>, Vec<&str>) =
        list.stdout().lines().partition(|line| line.starts_with('#'));
    for filter in [
        "# only qemu_quick  (",
        "# only JeOS.12  (guest-os in vtbuild.toml)",
        "# only migrate..tcp  (the target)",
    ] {
        assert!(
            heading.iter().any(|line| line.starts_with(filter)),
            "{filter} in {heading:?}"
        );
    }
    assert_eq!(
        rest,
        [
            "type_specific.bundled.migrate.default.tcp",
            "type_specific.bundled.migrate.with_set_speed.tcp",
            "type_specific.bundled.migrate.with_reboot.tcp",
            "",
            "3 variants",
        ]
    );
    assert_eq!(sandbox.run("list //migrate..tcp --count").exit(0).stdout(), "3\n");
    let json = sandbox.run("list //selftest.second --json").exit(0).json();
    assert_eq!(json["id"], "bundled.selftest.second");
    assert!(json["dep"][0].as_str().unwrap().ends_with(".first"), "{json}");
    let subtracted = sandbox
        .run("list //migrate..tcp -//default --only with_reboot")
        .exit(0);
    assert!(
        subtracted.stdout().ends_with("with_reboot.tcp\n\n1 variant\n"),
        "{}",
        subtracted.stdout()
    );
}

#[test]
fn params_shows_what_a_test_would_get() {
    let sandbox = Sandbox::new();
    let one = sandbox
        .run("params //migrate.default.tcp -k migration_protocol")
        .exit(0);
    assert!(
        one.stdout().ends_with("    migration_protocol = tcp\n"),
        "{}",
        one.stdout()
    );
    let set = sandbox
        .run("params //migrate.default.tcp -p mem=777 --json -k mem")
        .exit(0)
        .json();
    assert_eq!(set["params"]["mem"], "777");
    assert!(set["name"].as_str().unwrap().contains("migrate"));
}

#[test]
fn the_graph_is_drawn_in_each_format() {
    let sandbox = Sandbox::new();
    let target = "//selftest.second,selftest.first,boot";
    let json = sandbox
        .run(&format!("graph {target} --format json"))
        .exit(0)
        .json();
    let nodes = json["nodes"].as_array().unwrap();
    let id = |title: &str| {
        nodes
            .iter()
            .find(|node| node["title"] == title)
            .unwrap_or_else(|| panic!("{title}"))["id"]
            .clone()
    };
    let edges = json["edges"].as_array().unwrap();
    let edge = |from: &str, to: &str| {
        edges
            .iter()
            .find(|edge| edge["from"] == id(from) && edge["to"] == id(to))
            .unwrap()
    };
    assert_eq!(
        edge("bundled.selftest.first", "bundled.selftest.second")["kind"],
        "after"
    );
    assert_eq!(edge("jeos-12", "bundled.boot")["role"], "image1 of vm1");
    assert_eq!((nodes.len(), edges.len()), (4, 2));

    let dot = sandbox.run(&format!("graph {target}")).exit(0);
    let dot = dot.stdout();
    assert!(dot.starts_with("digraph vtbuild {\n") && dot.ends_with("}\n"));
    assert_eq!(
        (dot.matches(" -> ").count(), dot.matches("[label=").count()),
        (2, 5)
    );

    let mermaid = sandbox.run(&format!("graph {target} --format mermaid")).exit(0);
    let mermaid = mermaid.stdout();
    assert!(mermaid.starts_with("flowchart LR\n"), "{mermaid}");
    assert!(
        mermaid.contains("-->|\"image1 of vm1\"|") && mermaid.contains("-.->"),
        "{mermaid}"
    );
    let graphml = sandbox.run(&format!("graph {target} --format graphml")).exit(0);
    let count = |what: &str| graphml.stdout().matches(what).count();
    assert_eq!((count("<node "), count("<edge "), count("</graphml>")), (4, 2, 1));

    drop(
        sandbox
            .run(&format!("graph {target} --format svg -o graph.svg"))
            .exit(0),
    );
    let svg = sandbox.read("graph.svg");
    assert!(
        svg.contains("<svg") && svg.trim_end().ends_with("</svg>") && svg.contains("bundled.boot"),
        "{svg}"
    );
}

#[test]
fn clean_removes_jobs_and_nothing_else() {
    let sandbox = Sandbox::new();
    drop(sandbox.run("//selftest.pass").exit(0).says(&["PASS 1"]));
    sandbox.write("job-results/notes", "mine");
    sandbox.write("job-results/job-notes/text", "mine");
    drop(
        sandbox
            .run("clean --dry-run")
            .exit(0)
            .says(&["would remove ", "/latest\n"]),
    );
    assert!(sandbox.path("job-results/latest/job.log").is_file());
    drop(
        sandbox
            .run("clean")
            .exit(0)
            .says(&["removed 2 folders; the cache stays"]),
    );
    let left = support::files_below(&sandbox.path("job-results"));
    assert_eq!(
        left,
        [
            sandbox.path("job-results/job-notes/text"),
            sandbox.path("job-results/notes")
        ]
    );
    assert!(
        sandbox.run("//selftest.pass").exit(0).ran().is_empty(),
        "the cache stays"
    );
}

#[test]
fn the_cache_is_looked_at_checked_and_made_smaller() {
    let sandbox = Sandbox::new();
    drop(
        sandbox
            .run("//selftest.pass,selftest.first")
            .exit(0)
            .says(&["PASS 2"]),
    );
    let stat = sandbox.run("cache stat --json").exit(0).json();
    assert_eq!(stat["records"], 2);
    drop(sandbox.run("cache stat").exit(0).says(&[
        "RECORDS    : 2\n",
        "CACHE      : ",
        "files of this program",
    ]));
    drop(sandbox.run("cache verify").exit(0).says(&["0 are not\n"]));
    drop(
        sandbox
            .run("cache gc --max-size 1G")
            .exit(0)
            .says(&["collected 0 things"]),
    );
    drop(
        sandbox
            .run("cache gc --max-size much")
            .exit(2)
            .complains(&["--max-size much is no size; write it like 500M"]),
    );
}

/// Makes the records of all tests of a plan look as if they had been made long ago.
fn age(sandbox: &Sandbox, words: &str) {
    let plan = sandbox.run(&format!("plan {words} --json")).exit(0);
    let store = vtbuild_cache::Store::open(&sandbox.cache()).unwrap();
    let keys: Vec<vtbuild_cache::Digest> = plan
        .stdout()
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|told| told["plan"] == "hit" && told["rule"] == "test")
        .map(|told| told["key"].as_str().unwrap().parse().unwrap())
        .collect();
    assert!(!keys.is_empty(), "{}", plan.stdout());
    for key in keys {
        let mut record = store.lookup(&key).unwrap().unwrap();
        record.finished_unix_ms = 1_600_000_000_000;
        store.publish(&record, store.reserve(&key).unwrap()).unwrap();
    }
    store.release().unwrap();
}

#[test]
fn a_run_makes_the_cache_smaller_and_keeps_what_it_needs() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n        - one:\n            naps = 0\n        - two:\n        - three:\n"
    ));
    let runs = |words: &str| {
        sandbox
            .run(&format!("{words} --progress plain --cache-size 1K"))
            .exit(0)
    };
    assert_eq!(runs("//...").ran(), ["one", "three", "two"]);
    age(&sandbox, "//...");

    // Nobody needs `three` now; `two` is served, however old it is.
    sandbox.edit("mine/generic/tests/cfg/all.cfg", "naps = 0", "naps = 0.01");
    let run = runs("//one,two");
    let run = run.complains(&[
        "cache: collected 1 thing (",
        "to make again)",
        "1.00 KiB are occupied",
    ]);
    assert_eq!(run.ran(), ["one"]);
    runs("//one,two").says(&["CACHED     : 2 of 2"]);

    // Who needs again what went is told that the cache is too small.
    let run = runs("//three");
    let run = run.complains(&[
        "warning: the cache is too small: 1 result that it had collected took ",
        "(subtest=plain).three.i440fx (",
        "its limit is 1.00 KiB; ",
        "--cache-size ",
    ]);
    assert_eq!(run.ran(), ["three"]);
    drop(
        sandbox
            .run("cache stat")
            .exit(0)
            .says(&["3 verdict without files, "]),
    );
}

/// How many blobs and records a process keeps from being collected.
fn kept(sandbox: &Sandbox) -> Vec<u64> {
    let lists = support::files_below(&sandbox.cache().join("tmp"));
    let lists = lists.into_iter().filter(|path| path.file_name() == Some("pins"));
    lists.map(|path| path.metadata().unwrap().len() / 32).collect()
}

#[test]
fn a_watch_keeps_only_what_it_needs_now() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n        - one:\n        - two:\n        - three:\n"
    ));
    drop(sandbox.run("//...").exit(0).says(&["PASS 3"]));
    let watch = sandbox.start("watch //...");
    let at = watch.says_after(0, "watching 3 tests, all of them known to pass");
    assert_eq!(kept(&sandbox), [3]);
    sandbox.edit("mine/generic/tests/cfg/all.cfg", "        - two:\n", "");
    let at = watch.says_after(at, "0 added, 1 removed, 0 changed");
    watch.says_after(at, "no test is affected");
    assert_eq!(kept(&sandbox), [2], "what went is kept no longer");
    watch.signal(rustix::process::Signal::INT);
    watch.wait().exit(0).stdout();
}

#[test]
fn doctor_names_what_is_missing_and_the_command_that_mends_it() {
    let sandbox = Sandbox::new();
    // A host with nothing but a shell.
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
    command.arg("doctor").env("PATH", sandbox.root().join("bin"));
    let bare = sandbox.finish(command).exit(5);
    let bare = bare.says(&[
        "MISSING  qemu-system-x86_64",
        "MISSING  python3",
        "warning  gzip",
        "to mend it: apt-get install ",
        "qemu-system-x86",
    ]);
    drop(bare);
}

#[test]
fn help_tells_the_exit_codes_and_shells_get_completions() {
    let sandbox = Sandbox::new();
    let help = sandbox.run("--help").exit(0).says(&[
        "Exit codes:",
        "    4  the target selects nothing",
        "  130  interrupted",
        "//migrate..tcp",
    ]);
    drop(help);
    drop(sandbox.run("-h").exit(0).says(&["Exit codes:"]));
    for (shell, mark) in [
        ("bash", "complete -F _vtbuild"),
        ("zsh", "#compdef vtbuild"),
        ("fish", "complete -c vtbuild"),
    ] {
        drop(
            sandbox
                .run(&format!("completions {shell}"))
                .exit(0)
                .says(&[mark, "doctor"]),
        );
    }
}
