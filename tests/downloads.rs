//! Downloads from a server that misbehaves in every way that servers do.

mod support;

use std::time::Duration;

use sha2::{Digest, Sha256};
use support::server::{Answer, Server};
use support::{Sandbox, until};

/// Bytes that no two places of which are alike.
fn body() -> Vec<u8> {
    (0_u32..8192)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Defines the download `it`, to `images/it.bin`.
fn define(sandbox: &Sandbox, url: &str, more: &str) {
    let text = format!("[it]\ntitle = It\nurl = {url}\ndestination = images/it.bin\n{more}\n");
    sandbox.write("shared/downloads/it.ini", &text);
}

fn pinned() -> String {
    format!("sha256 = {}", sha256(&body()))
}

/// Fetches `it`; gives both streams.
#[track_caller]
fn get(sandbox: &Sandbox, more: &str, code: i32) -> (String, String) {
    let output = sandbox.run(&format!("download get it {more}")).exit(code);
    (output.stdout().to_owned(), output.stderr().to_owned())
}

#[track_caller]
fn arrived(sandbox: &Sandbox) {
    let found = std::fs::read(sandbox.path("images/it.bin")).unwrap();
    assert_eq!(sha256(&found), sha256(&body()));
    let beside = sandbox.path("images").read_dir_utf8().unwrap().flatten();
    let names: Vec<_> = beside.map(|entry| entry.file_name().to_owned()).collect();
    assert_eq!(names, ["it.bin"], "nothing half-done is left");
}

#[test]
fn a_file_is_fetched_once_and_locked() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |_, _| Answer::Well);
    define(&sandbox, &server.url("it"), &pinned());
    sandbox
        .run("download list")
        .says(&["it ", "missing", "images/it.bin", "(It)"]);
    get(&sandbox, "--locked", 3);
    get(&sandbox, "", 0);
    arrived(&sandbox);
    let (stdout, stderr) = get(&sandbox, "--locked", 0);
    let path = sandbox.path("images/it.bin");
    assert!(stdout.starts_with(&format!("it: {path} ")), "{stdout}");
    assert!(
        stdout.contains(&sha256(&body())) && stderr.is_empty(),
        "{stdout}{stderr}"
    );
    assert_eq!(server.seen().len(), 1);
    assert!(sandbox.read("vtbuild.lock").contains(&sha256(&body())));
    sandbox.run("download list").says(&["there"]);
    sandbox.run("download verify").says(&["it: ok"]);
    sandbox.write("images/it.bin", "something else");
    sandbox
        .run("download verify")
        .exit(1)
        .says(&["it: WRONG"])
        .complains(&["vtbuild.lock has"]);
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(stderr.contains("remove it"), "{stderr}");
}

#[test]
fn a_connection_that_is_cut_goes_on_where_it_ended() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |_, _| Answer::Cut(10_000));
    define(&sandbox, &server.url("it"), &pinned());
    get(&sandbox, "", 0);
    arrived(&sandbox);
    let starts: Vec<_> = server.seen().into_iter().map(|(_, from)| from).collect();
    assert_eq!(starts, [None, Some(10_000), Some(20_000), Some(30_000)]);
}

#[test]
fn the_next_run_goes_on_too() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |_, before| match before {
        0 => Answer::Cut(12_345),
        1..=3 => Answer::Status(503),
        _ => Answer::Well,
    });
    define(&sandbox, &server.url("it"), &pinned());
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(stderr.contains("503") && stderr.contains("it.ini:1"), "{stderr}");
    sandbox.run("download list").says(&["partial"]);
    assert!(!sandbox.path("images/it.bin").exists());
    get(&sandbox, "", 0);
    arrived(&sandbox);
    assert_eq!(server.seen().last().unwrap().1, Some(12_345));
}

#[test]
fn a_server_that_cannot_go_on_is_asked_for_all() {
    let sandbox = Sandbox::new();
    let server = Server::first_then(body(), Answer::Cut(9_999), Answer::Whole);
    define(&sandbox, &server.url("it"), &pinned());
    get(&sandbox, "", 0);
    arrived(&sandbox);
    assert_eq!(server.seen().len(), 2);
}

#[test]
fn what_a_server_says_of_the_length_is_not_believed() {
    let sandbox = Sandbox::new();
    let more = Server::new(body(), |_, _| Answer::Lie(1000));
    define(&sandbox, &more.url("it"), &pinned());
    get(&sandbox, "", 0);
    arrived(&sandbox);

    let sandbox = Sandbox::new();
    let fewer = Server::new(body(), |_, _| Answer::Lie(-1000));
    define(&sandbox, &fewer.url("it"), &pinned());
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(stderr.contains("its sha256 is"), "{stderr}");
    assert!(!sandbox.path("images/it.bin").exists());
}

#[test]
fn wrong_bytes_are_thrown_away_and_a_mirror_is_asked() {
    let sandbox = Sandbox::new();
    let wrong: Vec<u8> = body().into_iter().map(|byte| !byte).collect();
    let server = Server::new(body(), move |path, _| match path {
        "good" => Answer::Well,
        "gone" => Answer::Status(404),
        _ => Answer::Other(wrong.clone()),
    });
    define(&sandbox, &server.url("bad"), &pinned());
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(
        stderr.contains("was expected") && !sandbox.path("images/it.bin").exists(),
        "{stderr}"
    );
    let mirrors = format!(
        "mirrors = {} {}\n{}",
        server.url("gone"),
        server.url("good"),
        pinned()
    );
    define(&sandbox, &server.url("bad"), &mirrors);
    get(&sandbox, "", 0);
    arrived(&sandbox);
    // A beginning that was left from something else is no harm.
    std::fs::remove_file(sandbox.path("images/it.bin")).unwrap();
    sandbox.write("images/.it.bin.part", "the beginning of something else");
    define(&sandbox, &server.url("good"), &pinned());
    get(&sandbox, "", 0);
    arrived(&sandbox);
}

#[test]
fn what_was_locked_must_not_change() {
    let sandbox = Sandbox::new();
    let server = Server::first_then(body(), Answer::Well, Answer::Other(vec![7; 40_000]));
    define(&sandbox, &server.url("it"), "");
    let (_, stderr) = get(&sandbox, "", 0);
    assert!(stderr.contains("has no digest"), "{stderr}");
    std::fs::remove_file(sandbox.path("images/it.bin")).unwrap();
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(stderr.contains("longer than what was locked"), "{stderr}");
}

#[test]
fn a_redirect_is_followed_and_a_slow_server_waited_for() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |path, _| match path {
        "it" => Answer::Redirect("/moved".into()),
        _ => Answer::Slow(Duration::from_millis(200)),
    });
    define(&sandbox, &server.url("it"), &pinned());
    // It takes longer as a whole than it may be silent.
    get(&sandbox, "--silence 1", 0);
    arrived(&sandbox);
    assert_eq!(server.seen()[1].0, "moved");
}

#[test]
fn a_server_that_falls_silent_is_asked_again() {
    let sandbox = Sandbox::new();
    let server = Server::first_then(body(), Answer::Silent(5_000), Answer::Well);
    define(&sandbox, &server.url("it"), &pinned());
    get(&sandbox, "--silence 1", 0);
    arrived(&sandbox);
    assert_eq!(server.seen()[1].1, Some(5_000));
}

#[test]
fn a_list_of_digests_is_believed_and_then_locked() {
    let sandbox = Sandbox::new();
    let list = format!("{}  it\n{}  other\n", sha256(&body()), "0".repeat(64));
    let server = Server::new(body(), move |path, _| match path {
        "SUMS" => Answer::Other(list.clone().into_bytes()),
        "EMPTY" => Answer::Other(b"<html>\n".to_vec()),
        _ => Answer::Well,
    });
    define(
        &sandbox,
        &server.url("it"),
        &format!("sha256_url = {}", server.url("EMPTY")),
    );
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(stderr.contains("lists no sha256 for it"), "{stderr}");
    define(
        &sandbox,
        &server.url("it"),
        &format!("sha256_url = {}", server.url("SUMS")),
    );
    get(&sandbox, "", 0);
    arrived(&sandbox);
    let before = server.seen().len();
    sandbox.run("download verify it").says(&["ok"]);
    assert_eq!(server.seen().len(), before, "what is locked needs no list");
    // Nor is one believed that says something else by now.
    std::fs::remove_file(sandbox.path("images/it.bin")).unwrap();
    define(
        &sandbox,
        &server.url("it"),
        &format!("sha256_url = {}", server.url("EMPTY")),
    );
    get(&sandbox, "", 0);
    arrived(&sandbox);
}

#[test]
fn a_section_that_makes_no_sense_takes_no_other_away() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |path, _| match path {
        "gone" => Answer::Status(404),
        _ => Answer::Well,
    });
    sandbox.run("download get it").exit(2).complains(&[
        "no download is called `it`; none is defined in ",
        "/shared/downloads",
    ]);
    let section = |name: &str, url: &str| format!("[{name}]\nurl = {url}\ndestination = images/{name}.bin\n");
    let outside = format!("[outside]\nurl = {}\ndestination = ../it.bin\n", server.url("it"));
    let all = [
        outside,
        section("gone", &server.url("gone")),
        section("it", &server.url("it")),
    ];
    sandbox.write("shared/downloads/all.ini", &all.concat());
    sandbox.write(
        "shared/downloads/copy.ini",
        &section("it", "http://other.example/it"),
    );
    let listed = sandbox.run("download list").exit(3).complains(&[
        "all.ini:3: `../it.bin` leads out of the data folder",
        "copy.ini:1: [it] is in ",
        "all.ini:7 already",
    ]);
    drop(listed.says(&["it ", "gone "]));
    // A run tells it too, and is not stopped by it.
    sandbox
        .run("//selftest.pass --dry-run")
        .exit(0)
        .says(&["selftest.pass"])
        .complains(&["warning: failed to read the download definition", "all.ini:3"]);
    get(&sandbox, "", 0);
    sandbox
        .run("download get gone")
        .exit(5)
        .complains(&["404 Not Found"]);
    arrived(&sandbox);
}

#[test]
fn runs_at_once_fetch_once() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |_, _| Answer::Slow(Duration::from_millis(50)));
    define(&sandbox, &server.url("it"), &pinned());
    let both = [sandbox.start("download get it"), sandbox.start("download get it")];
    for run in both {
        let output = run.wait().exit(0);
        assert!(output.stdout().contains("it.bin"));
        output.stderr();
    }
    arrived(&sandbox);
    assert_eq!(server.seen().len(), 1);
}

#[test]
fn a_run_that_is_killed_leaves_a_beginning_alone() {
    let sandbox = Sandbox::new();
    let server = Server::first_then(body(), Answer::Slow(Duration::from_millis(500)), Answer::Well);
    define(&sandbox, &server.url("it"), &pinned());
    let run = sandbox.start("download get it");
    let part = sandbox.path("images/.it.bin.part");
    until(30, "a beginning", || {
        part.metadata().ok().filter(|meta| meta.len() > 4096)
    });
    run.signal(rustix::process::Signal::KILL);
    let output = run.wait();
    output.stdout();
    output.stderr();
    assert!(!sandbox.path("images/it.bin").exists());
    // Its lock went with it.
    get(&sandbox, "", 0);
    let found = std::fs::read(sandbox.path("images/it.bin")).unwrap();
    assert_eq!(sha256(&found), sha256(&body()));
}

/// Packs bytes with a program of the host.
fn packed(sandbox: &Sandbox, words: &str) -> Vec<u8> {
    let plain = sandbox.root().join("plain");
    std::fs::write(&plain, body()).unwrap();
    let mut command = sandbox.command("sh");
    let output = command
        .args(["-c", &format!("{words} < {plain}")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{words}");
    output.stdout
}

#[test]
fn what_is_packed_is_unpacked_without_a_shell() {
    for (ending, words) in [("gz", "gzip -c"), ("xz", "xz -c"), ("zst", "zstd -cq")] {
        let sandbox = Sandbox::new();
        let server = Server::new(packed(&sandbox, words), |_, _| Answer::Well);
        let url = server.url("it");
        let text = format!(
            "[it]\nurl = {url}\ndestination = images/$(touch pwned).{ending}\ndestination_uncompressed = images/it.bin\n"
        );
        sandbox.write("shared/downloads/it.ini", &text);
        get(&sandbox, "", 0);
        let found = std::fs::read(sandbox.path("images/it.bin")).unwrap();
        assert_eq!(sha256(&found), sha256(&body()), "{ending}");
        assert!(!sandbox.path("pwned").exists());
    }
}

#[test]
fn a_program_of_the_definition_unpacks_in_a_folder_of_its_own() {
    let sandbox = Sandbox::new();
    let server = Server::new(packed(&sandbox, "gzip -c"), |_, _| Answer::Well);
    sandbox.program("undo", "gzip -dc < \"$2\" > it.bin");
    let define_with = |program: &str| {
        let more = format!("destination_uncompressed = images/sub/it.bin\nuncompress_cmd = {program}");
        define(&sandbox, &server.url("it"), &more);
    };
    define_with("false");
    let (_, stderr) = get(&sandbox, "", 5);
    assert!(
        stderr.contains("unpack") && stderr.contains("exit status 1"),
        "{stderr}"
    );
    sandbox.run("download list").says(&["packed"]);
    define_with("undo -y");
    get(&sandbox, "", 0);
    let found = std::fs::read(sandbox.path("images/sub/it.bin")).unwrap();
    assert_eq!(sha256(&found), sha256(&body()));
    assert_eq!(server.seen().len(), 1, "what was fetched stays");
}

#[test]
fn nothing_leads_out_of_the_data_folder() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |_, _| Answer::Well);
    sandbox.write(
        "shared/downloads/it.ini",
        &format!("[it]\nurl = {}\ndestination = ../it.bin\n", server.url("it")),
    );
    sandbox
        .run("download list")
        .exit(3)
        .complains(&["it.ini:3", "leads out"]);
    std::os::unix::fs::symlink(sandbox.root(), sandbox.path("images")).unwrap();
    define(&sandbox, &server.url("it"), &pinned());
    let (_, stderr) = get(&sandbox, "", 3);
    assert!(stderr.contains("through a link"), "{stderr}");
    assert!(server.seen().is_empty());
}

/// What two tests without a machine are run by whose guest's image is the download `it`, to `images/it.raw`.
const TESTS: &str = "//plain //other --guest-os LinuxCustom.FooLinux -p image_format=raw --accel tcg";

fn stands_on_a_download(sandbox: &Sandbox, server: &Server, more: &str) {
    sandbox.provide(
        "- plain:\n    type = plain\n    start_vm = no\n- other:\n    type = plain\n    start_vm = no\n",
    );
    let guest = "FooLinux:\n    image_name = images/it\n    image_size = 32K\n";
    sandbox.write("shared/cfg/guest-os/Linux/LinuxCustom/foo.cfg", guest);
    let text = format!(
        "[it]\nurl = {}\ndestination = images/it.raw\n{more}\n",
        server.url("it")
    );
    sandbox.write("shared/downloads/it.ini", &text);
}

#[test]
fn the_image_that_tests_stand_on_is_an_action() {
    let sandbox = Sandbox::new();
    let server = Server::first_then(body(), Answer::Status(404), Answer::Well);
    stands_on_a_download(&sandbox, &server, &pinned());
    let looked = sandbox.run(&format!("{TESTS} --dry-run"));
    let from = format!("images/it.raw from {}\n", server.url("it"));
    looked.says(&[
        "run    download it",
        &from,
        "run    test mine.plain",
        "run    test mine.other",
    ]);
    let question = "kind(download, deps(//plain))";
    let guest = ["--guest-os", "LinuxCustom.FooLinux", "-p", "image_format=raw"];
    let found = sandbox.run_args(&[&["query", question][..], &guest].concat());
    assert_eq!(found.exit(0).stdout().lines().count(), 1);
    assert!(server.seen().is_empty(), "looking fetches nothing");
    let failed = sandbox.run(TESTS).exit(1).says(&["404"]);
    for test in ["plain", "other"] {
        assert_eq!(failed.verdict(test).status, "SKIP");
    }
    drop(failed);
    let run = sandbox.run(TESTS).exit(0).says(&["download it: PASS"]);
    for test in ["plain", "other"] {
        assert_eq!(run.verdict(test).status, "PASS");
    }
    assert!(sandbox.read("vtbuild.lock").contains(&sha256(&body())));
    // What is there is a file as any other.
    let again = sandbox.run(TESTS).exit(0);
    assert!(again.verdict("plain").cached && again.verdict("other").cached);
    assert_eq!(server.seen().len(), 2, "both tests stand on one");
    let planned = sandbox.run(&format!("plan {TESTS}"));
    assert!(!planned.stdout().contains("download"), "{}", planned.stdout());
}

#[test]
fn what_is_not_locked_stops_a_run_that_must_not_add_it() {
    let sandbox = Sandbox::new();
    let server = Server::new(body(), |_, _| Answer::Well);
    stands_on_a_download(&sandbox, &server, "");
    let unlocked = sandbox.run(&format!("{TESTS} --locked")).exit(3);
    unlocked.complains(&["no digest for it", "vtbuild download get it"]);
    assert!(server.seen().is_empty());
    let run = sandbox.run(&format!("{TESTS} --explain")).exit(0);
    run.says(&["it has no digest: what comes is believed", "downloading from"]);
    assert!(sandbox.read("vtbuild.lock").contains(&sha256(&body())));
    std::fs::remove_file(sandbox.path("images/it.raw")).unwrap();
    let run = sandbox.run(&format!("{TESTS} --locked")).exit(0);
    assert!(
        run.verdict("plain").cached,
        "the same bytes: what stands on them is served"
    );
}

#[test]
fn a_run_that_is_stopped_stops_its_download_which_goes_on_next_time() {
    let sandbox = Sandbox::new();
    let server = Server::first_then(body(), Answer::Silent(5_000), Answer::Well);
    stands_on_a_download(&sandbox, &server, &pinned());
    let run = sandbox.start(TESTS);
    let part = sandbox.path("images/.it.raw.part");
    until(120, "a beginning", || {
        part.metadata().ok().filter(|meta| meta.len() == 5_000)
    });
    run.signal(rustix::process::Signal::INT);
    let stopped = run.wait().exit(130);
    stopped.stdout();
    stopped.stderr();
    assert!(!sandbox.path("images/it.raw").exists());
    let run = sandbox.run(TESTS).exit(0);
    assert_eq!(run.verdict("plain").status, "PASS");
    assert_eq!(server.seen()[1].1, Some(5_000));
}
