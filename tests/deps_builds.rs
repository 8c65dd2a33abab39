//! What tests need built, on a host that is reached by ssh: what builds it, what runs after an edit, what travels.

mod support;

use camino::Utf8PathBuf;
use support::output::Output;
use support::provider::BARE;
use support::sshd::Sshd;
use support::{Sandbox, files_below};

const APP: &str = "mine/generic/deps/app";

/// Reports what was built, and fails where the sources are beside it although nobody asked for them.
const USER: &str = "import os
import subprocess

from virttest import data_dir


def run(test, params, env):
    folder = data_dir.get_deps_dir(params.get('folder', 'app'))
    said = subprocess.run([os.path.join(folder, 'prog')], capture_output=True, text=True, check=True).stdout
    test.log.info('it said %s', said)
    if said.strip() != params['wanted']:
        test.fail(f'it said {said!r}')
    with_source = os.path.exists(os.path.join(folder, 'prog.c'))
    if with_source != (params.get('deps_build_with_source') == 'yes'):
        test.fail(f'in {folder}: {os.listdir(folder)}')
    if with_source:
        made = subprocess.run(['make', '-C', folder], capture_output=True, text=True, check=True).stdout
        if 'Nothing to be done' not in made:
            test.fail(made)
";

const PROGRAM: &str = "#include <stdio.h>\n#include \"word.h\"\n/* a comment */\nint main(void)\n{\n\tputs(WORD);\n\treturn 0;\n}\n";

/// Two tests that use the app, one with its own flags, one with the sources, and one that needs nothing built.
fn cfg() -> String {
    format!(
        "- user:
    virt_test_type = qemu libvirt
    type = user
    wanted = hello
    deps_build = app
    deps_build_host = lab
{BARE}    variants:
        - first:
        - second:
            again = yes
        - flags:
            deps_build_make_flags = \"CFLAGS='-DWORD=\\\"other\\\"'\"
            wanted = other
        - tree:
            deps_build_with_source = yes
- apart:
    virt_test_type = qemu libvirt
    type = plain
{BARE}"
    )
}

/// A workspace with the app, and a host to build it on.
fn workspace() -> (Sandbox, Sshd) {
    let sandbox = Sandbox::new();
    sandbox.provide(&cfg());
    let sshd = Sshd::start(&sandbox);
    settings(&sandbox, &sshd.settings());
    sandbox.write("mine/generic/tests/user.py", USER);
    sandbox.write(&format!("{APP}/Makefile"), "all: prog\n");
    sandbox.write(&format!("{APP}/prog.c"), PROGRAM);
    sandbox.write(
        &format!("{APP}/word.h"),
        "#ifndef WORD\n#define WORD \"hello\"\n#endif\n",
    );
    sandbox.write(&format!("{APP}/unused"), "");
    (sandbox, sshd)
}

fn settings(sandbox: &Sandbox, hosts: &str) {
    sandbox.write("vtbuild.toml", &format!("bundled-tests = false\n{hosts}"));
}

fn run(sandbox: &Sandbox, target: &str) -> Output {
    sandbox.run(&format!("{target} --progress plain"))
}

/// How often the app was built, and which tests ran.
fn ran(sandbox: &Sandbox, target: &str) -> (usize, Vec<String>) {
    let run = run(sandbox, target).exit(0);
    (run.stdout().matches("deps app: PASS").count(), run.ran())
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn an_edit_builds_once_and_runs_what_uses_it() {
    let (sandbox, _sshd) = workspace();
    let everything = names(&["apart", "first", "flags", "second", "tree"]);
    // Once for the three that say the same, once for the one with flags of its own.
    assert_eq!(ran(&sandbox, "//..."), (2, everything));
    assert_eq!(ran(&sandbox, "//..."), (0, names(&[])));

    // The same bytes come out: who gets them alone need not run.
    sandbox.edit(&format!("{APP}/prog.c"), "a comment", "another comment");
    assert_eq!(ran(&sandbox, "//..."), (2, names(&["tree"])));

    sandbox.edit(&format!("{APP}/prog.c"), "return 0", "return puts(\"\") < 0");
    assert_eq!(
        ran(&sandbox, "//..."),
        (2, names(&["first", "flags", "second", "tree"]))
    );
    assert_eq!(ran(&sandbox, "//..."), (0, names(&[])));

    // Back to what was: all of it is known.
    sandbox.edit(&format!("{APP}/prog.c"), "return puts(\"\") < 0", "return 0");
    assert_eq!(ran(&sandbox, "//..."), (0, names(&[])));
}

#[test]
fn only_what_changed_travels() {
    let (sandbox, sshd) = workspace();
    run(&sandbox, "//first")
        .exit(0)
        .says(&["app: sent 4 of 4 entries"]);
    sandbox.edit(&format!("{APP}/word.h"), "\"hello\"", "\"hello\" \"\"");
    run(&sandbox, "//first")
        .exit(0)
        .says(&["app: sent 1 of 4 entries (44 bytes), removed 0"]);

    std::fs::remove_file(sandbox.path(&format!("{APP}/unused"))).unwrap();
    run(&sandbox, "//first")
        .exit(0)
        .says(&["app: sent 0 of 3 entries (0 bytes), removed 1"]);
    let there: Vec<Utf8PathBuf> = files_below(&sshd.cache());
    assert!(
        there.iter().any(|path| path.ends_with("files/word.h")),
        "{there:?}"
    );
    assert!(there.iter().all(|path| !path.ends_with("unused")), "{there:?}");
    assert!(
        there.iter().all(|path| path.file_name() != Some("prog")),
        "nothing built is left: {there:?}"
    );
}

#[test]
fn what_does_not_compile_blocks_its_dependants_alone() {
    let (sandbox, _sshd) = workspace();
    sandbox.edit(&format!("{APP}/prog.c"), "return 0;", "return nothing;");
    for _ in 0..2 {
        // A failure is never served: each time it is built again.
        let run = run(&sandbox, "//...").exit(1);
        let run = run.says(&[
            "deps app: FAIL",
            "failed to make: status 2 on the host lab",
            "        prog.c:7:16: error: 'nothing' undeclared",
            "/make.log",
        ]);
        assert_eq!(run.verdict("apart").status, "PASS");
        let blocked = run.verdict("first");
        assert_eq!((blocked.status.as_str(), blocked.cached), ("SKIP", false));
        assert_eq!(blocked.reason.as_deref(), Some("`app` did not pass"));
    }
    let log = sandbox.read("job-results/latest/results.json");
    assert!(log.contains("prog.c:7:16: error:"), "{log}");
    sandbox.edit(&format!("{APP}/prog.c"), "return nothing;", "return 0;");
    assert_eq!(ran(&sandbox, "//first"), (1, names(&["first"])));
}

#[test]
fn another_compiler_builds_anew() {
    let (sandbox, sshd) = workspace();
    assert_eq!(ran(&sandbox, "//first"), (1, names(&["first"])));
    let cc = support::real_program("cc").expect("a compiler");
    sshd.program(
        "cc",
        &format!("[ \"$1\" = --version ] && {{ echo 'cc 99'; exit; }}\nexec {cc} \"$@\""),
    );
    let run = run(&sandbox, "//first --explain").exit(0);
    assert_eq!(run.ran(), names(&[]), "the same bytes from another compiler");
    drop(run.says(&["deps app: PASS", "inputs.toolchain"]));
    assert_eq!(ran(&sandbox, "//first"), (0, names(&[])));
}

#[test]
fn modes_and_links_are_part_of_the_sources() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (sandbox, _sshd) = workspace();
    ran(&sandbox, "//first");
    let unused = sandbox.path(&format!("{APP}/unused"));
    std::fs::set_permissions(&unused, std::fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(ran(&sandbox, "//first").0, 1, "a file can be run now");
    std::fs::set_permissions(&unused, std::fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(
        ran(&sandbox, "//first").0,
        0,
        "who else may read it is the umask's affair"
    );
    symlink("word.h", sandbox.path(&format!("{APP}/link"))).unwrap();
    assert_eq!(ran(&sandbox, "//first").0, 1, "a link is there now");

    symlink("/etc/passwd", sandbox.path(&format!("{APP}/bad"))).unwrap();
    let run = run(&sandbox, "//...").exit(1);
    let run = run.says(&[
        "deps app: FAIL",
        "app/bad",
        "leads to /etc/passwd, out of the folder of sources",
    ]);
    assert!(!run.verdict("apart").cached);
}

#[test]
fn a_host_that_is_not_the_one_that_is_meant_is_not_trusted() {
    let (sandbox, sshd) = workspace();
    settings(
        &sandbox,
        &sshd.settings_trusting(&format!("fingerprint = \"{}\"", sshd.fingerprint("other"))),
    );
    let run1 = run(&sandbox, "//...").exit(1);
    let (ours, other) = (sshd.fingerprint("host"), sshd.fingerprint("other"));
    let run1 = run1.says(&[
        "toolchain host lab: ERROR",
        &ours,
        &other,
        "another machine answers there",
    ]);
    assert_eq!(run1.verdict("apart").status, "PASS");
    assert_eq!(run1.verdict("first").status, "SKIP");

    let known = |key: &str| format!("known-hosts = \"{}\"", sshd.known_hosts(key));
    settings(&sandbox, &sshd.settings_trusting(&known("other")));
    drop(
        run(&sandbox, "//first")
            .exit(1)
            .says(&["is not the one that", &ours]),
    );
    // Without any word about it: what ssh itself knows, which is nothing here.
    settings(&sandbox, &sshd.settings_trusting(""));
    drop(
        run(&sandbox, "//first")
            .exit(1)
            .says(&[".ssh/known_hosts has no key for", &ours]),
    );
    settings(&sandbox, &sshd.settings_trusting(&known("host")));
    assert_eq!(ran(&sandbox, "//first"), (1, names(&["first"])), "{}", sshd.log());
}

#[test]
fn mistakes_are_said_before_anything_runs() {
    let (sandbox, sshd) = workspace();
    let config = |params: &str| sandbox.run(&format!("//first {params}")).exit(3);
    drop(config("-p deps_build_host=nowhere").complains(&[
        "there is no host `nowhere`",
        "[hosts.nowhere]",
        "lab",
    ]));
    drop(config("-p deps_build=none").complains(&["there is no folder none in the deps folders"]));
    drop(config("-p deps_build_source=../app").complains(&["no plain name"]));
    drop(config("-p deps_build_host=guest").complains(&["has no machine (`vms`)", "deps_build_host"]));
    settings(&sandbox, &sshd.settings_trusting("fingerprint = \"aa:bb\""));
    drop(config("").complains(&["hosts.lab.fingerprint", "SHA256:"]));
    settings(&sandbox, &sshd.settings_trusting("pasword = \"x\""));
    drop(config("").complains(&["pasword"]));
}
