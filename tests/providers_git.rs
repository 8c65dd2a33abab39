//! Test providers from git repositories: fetched once, locked, trusted only where they are signed.

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command};

use camino::Utf8PathBuf;
use support::{Sandbox, until};

/// A provider's only test, which says which revision it is of.
fn test(revision: &str) -> String {
    format!(
        "- hello:\n    type = hello\n    revision = {revision}\n    vms = \"\"\n    images = \"\"\n    start_vm = no\n"
    )
}

/// A repository in a sandbox, with one provider in it.
struct Repo<'s> {
    sandbox: &'s Sandbox,
    folder: Utf8PathBuf,
}

impl<'s> Repo<'s> {
    fn new(sandbox: &'s Sandbox, name: &str) -> Self {
        let folder = sandbox.root().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let repo = Self { sandbox, folder };
        repo.git("init -q -b main");
        repo.git("config user.name Tester");
        repo.git("config user.email tester@example.org");
        repo.commit("first");
        repo
    }

    /// Runs git in the repository and gives what it printed.
    fn git(&self, words: &str) -> String {
        let mut command = self.sandbox.command("git");
        command.current_dir(&self.folder).args(words.split_whitespace());
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {words}: {error}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Commits a provider that says that it is of this revision. Gives the commit.
    fn commit(&self, revision: &str) -> String {
        self.write("src/qemu/tests/cfg/hello.cfg", &test(revision));
        self.write(
            "src/qemu/tests/hello.py",
            "def run(test, params, env):\n    pass\n",
        );
        self.git("add -A");
        self.git(&format!("commit -q -m {revision}"));
        self.git("rev-parse HEAD")
    }

    fn uri(&self) -> String {
        format!("file://{}/.git", self.folder)
    }

    /// Defines the provider `theirs` with more lines in its section.
    fn define(&self, uri: &str, more: &str) {
        let text = format!("[provider]\nuri: {uri}\n{more}\n[qemu]\nsubdir: src/qemu/\n");
        self.sandbox.write("test-providers.d/theirs.ini", &text);
    }
}

/// Runs `vtbuild` to this exit code; both streams, because fetching is told on standard error.
#[track_caller]
fn told(sandbox: &Sandbox, words: &str, code: i32) -> (String, String) {
    let output = sandbox.run(words).exit(code);
    (output.stdout().to_owned(), output.stderr().to_owned())
}

/// The revision of the provider that a listing finds, as its only test says.
#[track_caller]
fn revision(sandbox: &Sandbox) -> String {
    let (stdout, _) = told(sandbox, "params //hello -k revision", 0);
    let line = stdout.lines().find(|line| line.contains("revision"));
    let value = line.and_then(|line| line.split('=').nth(1));
    value.unwrap_or_else(|| panic!("{stdout}")).trim().to_owned()
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("vtbuild.toml", "bundled-tests = false\n");
    sandbox
}

#[test]
fn a_repository_is_fetched_once_and_stays_at_its_commit() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    let first = repo.git("rev-parse HEAD");
    repo.define(&repo.uri(), "");
    assert_eq!(revision(&sandbox), "first");
    let lock = sandbox.read("vtbuild.lock");
    assert!(lock.contains(&format!("commit = \"{first}\"")), "{lock}");

    let second = repo.commit("second");
    assert_eq!(revision(&sandbox), "first", "nobody asked for something newer");
    // Without the repository everything goes on.
    let away = sandbox.root().join("away");
    std::fs::rename(&repo.folder, &away).unwrap();
    let listed = told(&sandbox, "list //hello --locked", 0);
    assert_eq!(listed.1, "");
    std::fs::rename(&away, &repo.folder).unwrap();

    let updated = told(&sandbox, "providers update", 0);
    assert_eq!(
        updated.0,
        format!("theirs: {} -> {}\n", &first[..12], &second[..12])
    );
    assert_eq!(revision(&sandbox), "second");
    let again = told(&sandbox, "providers update theirs", 0);
    assert!(again.0.contains("as before"), "{}", again.0);

    // Another host gets what is locked, not what is newest.
    repo.commit("third");
    make_writable(&sandbox.cache().join("providers"));
    std::fs::remove_dir_all(sandbox.cache().join("providers")).unwrap();
    assert!(
        told(&sandbox, "list //hello --locked", 0)
            .0
            .contains("theirs.hello")
    );
    assert_eq!(revision(&sandbox), "second");
}

/// Checkouts are read-only, folders included.
fn make_writable(folder: &camino::Utf8Path) {
    let status = Command::new("chmod")
        .args(["-R", "u+w", folder.as_str()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn a_checkout_holds_no_writable_file() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    repo.define(&repo.uri(), "");
    let listed = told(&sandbox, "providers list --json", 0);
    let found: serde_json::Value = serde_json::from_str(listed.0.trim()).unwrap();
    let root = Utf8PathBuf::from(found["root"].as_str().unwrap());
    assert_eq!(root.file_name(), found["commit"].as_str());
    assert_eq!(found["backends"][0]["configs"], 1);
    for entry in walkdir::WalkDir::new(&root) {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o222, 0, "{}", entry.path().display());
        assert_ne!(entry.file_name(), ".git");
    }
    make_writable(&root);
}

#[test]
fn ci_refuses_what_is_not_locked() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    repo.git("branch next");
    repo.define(&repo.uri(), "");
    let refused = told(&sandbox, "list //hello --locked", 3);
    assert!(
        refused.1.contains("theirs.ini:2") && refused.1.contains("providers update theirs"),
        "{}",
        refused.1
    );
    assert!(!sandbox.path("vtbuild.lock").exists());
    assert_eq!(revision(&sandbox), "first");
    told(&sandbox, "list //hello --locked", 0);
    // A definition that asks for something else is no longer what was locked.
    repo.define(&repo.uri(), "branch: next");
    told(&sandbox, "list //hello --locked", 3);
    told(&sandbox, "providers update --locked", 2);
}

#[test]
fn a_branch_a_tag_and_a_commit_are_followed() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    let first = repo.git("rev-parse HEAD");
    repo.git("checkout -q -b next");
    repo.commit("second");
    repo.git("tag v2");
    repo.commit("third");
    repo.git("checkout -q main");
    let cases = [
        ("", "first"),
        ("branch: next", "third"),
        ("ref: v2", "second"),
        ("branch: next\nref: v2", "second"),
    ];
    for (more, expected) in cases {
        // The definition alone moves the pin: nothing needs to be asked for.
        repo.define(&repo.uri(), more);
        assert_eq!(revision(&sandbox), expected, "{more}");
    }
    repo.define(&repo.uri(), &format!("ref: {first}"));
    assert_eq!(revision(&sandbox), "first");
    // The same repository as a folder with its files, and without any.
    repo.define(repo.folder.as_str(), "branch: next");
    assert_eq!(revision(&sandbox), "third");
    let bare = sandbox.root().join("bare.git");
    repo.git(&format!("clone -q --bare . {bare}"));
    repo.define(bare.as_str(), "");
    assert_eq!(revision(&sandbox), "first");
}

#[test]
fn what_is_pinned_comes_without_its_history() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    repo.commit("second");
    let second = repo.git("rev-parse HEAD");
    repo.git("tag v2");
    let third = repo.commit("third");
    let mirror = || {
        let mirrors = sandbox.cache().join("providers/mirrors");
        let found = mirrors.read_dir_utf8().unwrap().flatten();
        let mut found = found.filter(|entry| entry.file_type().unwrap().is_dir());
        found.next().unwrap().into_path()
    };
    let commits = || {
        let words = format!("--git-dir={} rev-list {second}", mirror());
        repo.git(&words).lines().count()
    };
    for pin in [format!("ref: {second}"), "ref: v2".into()] {
        repo.define(&repo.uri(), &pin);
        assert_eq!(revision(&sandbox), "second", "{pin}");
        assert_eq!(commits(), 1, "{pin}");
        // Another host, with the lock and an empty cache.
        make_writable(&sandbox.cache());
        std::fs::remove_dir_all(sandbox.cache()).unwrap();
        assert_eq!(revision(&sandbox), "second", "{pin}");
        assert_eq!(commits(), 1, "{pin}");
    }
    // A branch needs all there is; its lock does not, elsewhere.
    repo.define(&repo.uri(), "branch: main");
    assert_eq!(revision(&sandbox), "third");
    make_writable(&sandbox.cache());
    std::fs::remove_dir_all(sandbox.cache()).unwrap();
    assert_eq!(revision(&sandbox), "third");
    let words = format!("--git-dir={} rev-list {third}", mirror());
    assert_eq!(repo.git(&words).lines().count(), 1);
    told(&sandbox, "providers update", 0);
    assert_eq!(revision(&sandbox), "third");
}

#[test]
fn a_commit_that_changes_no_file_of_a_test_runs_nothing() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    repo.write("src/qemu/provider_lib/greeting.py", "TEXT = 'hello'\n");
    repo.write(
        "src/qemu/tests/hello.py",
        "from provider_lib import greeting\n\n\ndef run(test, params, env):\n    test.log.info(greeting.TEXT)\n",
    );
    repo.git("add -A");
    repo.git("commit -q -m greeting");
    repo.define(&repo.uri(), "");
    // Each commit is another checkout.
    let ran = |commit: bool| {
        if commit {
            repo.git("add -A");
            repo.git("commit -q -m edit");
            told(&sandbox, "providers update", 0);
        }
        let run = sandbox.run("//... --progress plain").exit(0);
        // The first one says that it fetches.
        let _ = run.stderr();
        run.ran()
    };
    assert_eq!(ran(false), ["hello"]);
    assert!(ran(false).is_empty());
    for file in [
        "README",
        "src/qemu/tests/other.py",
        "src/qemu/provider_lib/unused.py",
    ] {
        repo.write(file, "# Nobody uses this.\n");
        assert!(ran(true).is_empty(), "{file} made something run");
    }
    repo.write("src/qemu/provider_lib/greeting.py", "TEXT = 'good day'\n");
    assert_eq!(ran(true), ["hello"]);
    // Taken back: that commit's files are known.
    repo.write("src/qemu/provider_lib/greeting.py", "TEXT = 'hello'\n");
    assert!(ran(true).is_empty());
}

#[test]
fn a_folder_that_is_edited_is_seen_at_once() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "clone");
    repo.define(&format!("file://{}", repo.folder), "");
    assert_eq!(revision(&sandbox), "first");
    repo.write("src/qemu/tests/cfg/hello.cfg", &test("edited"));
    assert_eq!(revision(&sandbox), "edited");
    assert!(!sandbox.path("vtbuild.lock").exists(), "nothing to lock");
}

#[test]
fn what_is_broken_is_told_with_its_line_and_the_others_work() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    sandbox.write(
        "test-providers.d/good.ini",
        &format!("[provider]\nuri: {}\n[qemu]\nsubdir: src/qemu\n", repo.folder),
    );
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = nobody.local_addr().unwrap().port();
    drop(nobody);
    let cases = [
        (
            format!("git://127.0.0.1:{port}/repo"),
            "",
            "theirs.ini:2",
            "refused",
        ),
        (
            format!("http://127.0.0.1:{port}/repo"),
            "",
            "theirs.ini:2",
            "127.0.0.1",
        ),
        (
            repo.uri(),
            "branch: nothing",
            "theirs.ini:3",
            "the branch `nothing`",
        ),
        (repo.uri(), "ref: v9", "theirs.ini:3", "the tag or commit `v9`"),
        (
            repo.uri(),
            "\n[libvirt]\nsubdir: src/libvirt",
            "theirs.ini:5",
            "no folder `src/libvirt`",
        ),
        (
            repo.uri(),
            "\n[libvirt]\nsubdir: ../../..",
            "theirs.ini:5",
            "no folder",
        ),
        (
            "ext::sh -c touch% /tmp/x".into(),
            "",
            "theirs.ini:2",
            "not allowed",
        ),
        ("gopher://host/x".into(), "", "theirs.ini:2", "`gopher://`"),
        ("nowhere".into(), "", "theirs.ini:2", "nowhere"),
    ];
    for (uri, more, place, reason) in cases {
        repo.define(&uri, more);
        let listed = told(&sandbox, "list //hello", 0);
        assert!(listed.0.contains("good.hello"), "{uri}: {}{}", listed.0, listed.1);
        let said = told(&sandbox, "providers list", 1);
        let problem = said.0.lines().find(|line| line.contains("problem")).unwrap();
        assert!(
            problem.contains(place) && problem.contains(reason),
            "{uri}: {problem}"
        );
        let missed = told(&sandbox, "list //theirs.hello", 4);
        assert!(
            missed.1.contains("the test provider `theirs` is left out") && missed.1.contains(place),
            "{}",
            missed.1
        );
    }
}

/// A key of each kind, made for this test alone.
fn gpg_key(sandbox: &Sandbox, name: &str) -> GpgHome {
    let home = sandbox.root().join(format!("gpg-{name}"));
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let gpg = |words: &str| {
        let mut command = sandbox.command("gpg");
        command.env("GNUPGHOME", &home).args(words.split_whitespace());
        let output = command.output().expect("gpg is installed");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        output.stdout
    };
    gpg(&format!(
        "--batch --quiet --passphrase= --pinentry-mode loopback --quick-generate-key {name}@example.org ed25519 sign never"
    ));
    let public = gpg(&format!("--batch --armor --export {name}@example.org"));
    sandbox.write(
        &format!("test-providers.d/{name}.pub"),
        std::str::from_utf8(&public).unwrap(),
    );
    GpgHome(home)
}

/// A folder of gpg's, whose agent ends with it.
struct GpgHome(Utf8PathBuf);

impl Drop for GpgHome {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        end.args(["--homedir", self.0.as_str(), "--kill", "all"]);
        // Where there is none any more, there is nothing to end.
        let _ = end.status();
    }
}

#[test]
fn a_signed_tag_is_trusted_with_its_own_key_alone() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    let (mine, other) = (gpg_key(&sandbox, "mine"), gpg_key(&sandbox, "other"));
    let sign = |home: &GpgHome, words: &str| {
        let mut command = sandbox.command("git");
        command
            .current_dir(&repo.folder)
            .env("GNUPGHOME", &home.0)
            .args(words.split_whitespace());
        let output = command.output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    sign(&mine, "tag -u mine@example.org -m signed v1");
    sign(&other, "tag -u other@example.org -m signed v2");
    repo.git("tag -a -m plain v3");
    repo.git("tag v4");

    repo.define(&repo.uri(), "ref: v1\npubkey: mine.pub");
    assert_eq!(revision(&sandbox), "first");
    for (more, reason) in [
        ("ref: v2\npubkey: mine.pub", "not signed with the key"),
        ("ref: v3\npubkey: mine.pub", "carries no signature"),
        ("ref: v4\npubkey: mine.pub", "carries no signature"),
        ("ref: main\npubkey: mine.pub", "the tag `main`"),
        ("ref: v1\npubkey: nobody.pub", "cannot be read"),
        ("pubkey: mine.pub", "name the tag"),
    ] {
        repo.define(&repo.uri(), more);
        let said = told(&sandbox, "providers list", 1);
        assert!(
            said.0.contains(reason) && said.0.contains("theirs.ini:3"),
            "{more}: {}",
            said.0
        );
    }
    // The other key is trusted with the other tag, and not because it was seen before.
    repo.define(&repo.uri(), "ref: v2\npubkey: other.pub");
    assert_eq!(revision(&sandbox), "first");
}

#[test]
fn a_tag_signed_over_ssh_is_trusted_too() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    for name in ["mine", "other"] {
        let key = sandbox.root().join(name);
        let status = Command::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-f", key.as_str()])
            .status();
        assert!(status.unwrap().success());
        std::fs::create_dir_all(sandbox.path("test-providers.d")).unwrap();
        std::fs::copy(
            format!("{key}.pub"),
            sandbox.path(&format!("test-providers.d/{name}.pub")),
        )
        .unwrap();
    }
    repo.git("config gpg.format ssh");
    repo.git(&format!(
        "tag -u {} -m signed v1",
        sandbox.root().join("mine.pub")
    ));
    repo.define(&repo.uri(), "ref: v1\npubkey: other.pub");
    assert!(
        told(&sandbox, "providers list", 1)
            .0
            .contains("not signed with the key")
    );
    repo.define(&repo.uri(), "ref: v1\npubkey: mine.pub");
    assert_eq!(revision(&sandbox), "first");
}

/// Git's own server, on loopback, for the repositories of a sandbox.
struct Daemon(Child, u16);

impl Daemon {
    fn new(sandbox: &Sandbox) -> Self {
        let free = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let mut command = sandbox.command("git");
        command.args(["daemon", "--listen=127.0.0.1", "--export-all", "--reuseaddr"]);
        command.args([
            format!("--port={free}"),
            format!("--base-path={}", sandbox.root()),
        ]);
        let child = command.spawn().unwrap();
        until(60, "git daemon listens", || {
            TcpStream::connect(("127.0.0.1", free)).ok()
        });
        Self(child, free)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone already where it failed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_repository_is_fetched_from_a_server() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    let daemon = Daemon::new(&sandbox);
    repo.define(&format!("git://127.0.0.1:{}/repo", daemon.1), "");
    assert_eq!(revision(&sandbox), "first");
    let second = repo.commit("second");
    let updated = told(&sandbox, "providers update", 0);
    assert!(updated.0.contains(&second[..12]), "{}{}", updated.0, updated.1);
    repo.define(&format!("git://127.0.0.1:{}/nothing", daemon.1), "");
    assert!(told(&sandbox, "providers list", 1).0.contains("problem"));
}

#[test]
fn a_server_that_wants_a_password_is_told_apart_from_one_that_is_down() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 4096];
            // What is asked makes no difference.
            let _ = stream.read(&mut request);
            let answer = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"tests\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    repo.define(&format!("http://127.0.0.1:{port}/repo.git"), "");
    let said = told(&sandbox, "providers list", 1);
    assert!(said.0.contains("terminal prompts disabled"), "{}", said.0);
}

#[test]
fn runs_at_once_fetch_in_turn() {
    let sandbox = sandbox();
    let repo = Repo::new(&sandbox, "repo");
    repo.define(&repo.uri(), "");
    let all: Vec<_> = (0..4).map(|_| sandbox.start("list //hello")).collect();
    for one in all {
        let output = one.wait().exit(0);
        assert!(output.stdout().contains("theirs.hello"));
        output.stderr();
    }
    let beside = sandbox
        .cache()
        .join("providers/checkouts")
        .read_dir_utf8()
        .unwrap();
    assert_eq!(beside.count(), 1, "one commit, and nothing half-done");
}
