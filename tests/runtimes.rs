//! The three ways to run a test's Python: which one is chosen, what each of them gives the test, and what happens where a
//! name is missing. Upstream's packages are installed with pip, once for this file.

mod support;

use support::provider::BARE;
use support::sshd::Sshd;
use support::{Sandbox, until};

/// Uses what our own package has.
const PLAIN: &str = "from virttest import utils_misc\n\n\ndef run(test, params, env):\n    if not hasattr(params, 'reads'):\n        test.fail('these parameters are not ours')\n    utils_misc.wait_for(lambda: True, 1)\n";

/// Uses a helper module of upstream's, and parameters of ours.
const HELPED: &str = "import os\nimport shutil\nimport aexpect\nfrom virttest import utils_version\n\n\ndef run(test, params, env):\n    if '5.0' not in utils_version.VersionInterval('[1.0,9.0)'):\n        test.fail('the helper is wrong')\n    if not hasattr(params, 'reads'):\n        test.fail('these parameters are not ours')\n    if shutil.which('avocado'):\n        test.fail('the environment is on the PATH')\n    status, output = aexpect.run_fg('echo $((6 * 7))', timeout=30)\n    if status != 0 or output.strip() != '42':\n        test.fail('a command of this host says %r' % output)\n";

/// Looks for a name that only upstream's environment has, in a way that nobody sees beforehand.
const STUMBLES: &str = "from virttest import utils_version\n\n\ndef run(test, params, env):\n    assert utils_version\n    getattr(env, 'get_' + 'lvmdev')('none')\n";

/// The same, and nothing tells beforehand that our own package is not enough.
const DARES: &str = "def run(test, params, env):\n    getattr(env, 'get_' + 'lvmdev')('none')\n";

/// Runs under upstream's packages alone.
const WHOLE: &str = "import os\n\nimport virttest\nfrom virttest import data_dir, utils_misc\n\n\ndef run(test, params, env):\n    if hasattr(params, 'reads'):\n        test.fail('these parameters are ours')\n    ports = utils_misc.find_free_ports(5000, 5899, 3)\n    if len(set(ports)) != 3:\n        test.fail('the same port twice')\n    if not test.tmpdir.startswith(os.path.dirname(data_dir.get_tmp_dir())):\n        test.fail('the temporary folder is not the test\\'s own: %s' % data_dir.get_tmp_dir())\n    test.log.info('run by %s', os.path.dirname(virttest.__file__))\n    if params.get('deps_build'):\n        test.log.info('built: %s', os.listdir(data_dir.get_deps_dir('app')))\n        if os.system(data_dir.get_deps_dir('app') + '/prog'):\n            test.fail('what was built is not there')\n    if params.get('outcome') == 'fail':\n        test.fail('as asked')\n    if params.get('outcome') == 'skip':\n        params['absent']\n";

fn sandbox() -> (Sandbox, Sshd) {
    let sandbox = Sandbox::new();
    let cfg = format!(
        "- plain_one:\n    type = plain_one\n{BARE}- helped:\n    type = helped\n{BARE}- stumbles:\n    type = stumbles\n{BARE}- dares:\n    type = dares\n{BARE}- whole:\n    type = whole\n    runtime = upstream\n{BARE}    variants:\n        - ends_well:\n            deps_build = app\n            deps_build_host = lab\n        - ends_badly:\n            outcome = fail\n        - does_not_apply:\n            outcome = skip\n"
    );
    sandbox.provide(&cfg);
    for (name, text) in [
        ("plain_one", PLAIN),
        ("helped", HELPED),
        ("stumbles", STUMBLES),
        ("dares", DARES),
        ("whole", WHOLE),
    ] {
        sandbox.write(&format!("mine/generic/tests/{name}.py"), text);
    }
    let sshd = Sshd::start(&sandbox);
    sandbox.write(
        "vtbuild.toml",
        &format!("bundled-tests = false\n{}", sshd.settings()),
    );
    sandbox.write("mine/generic/deps/app/Makefile", "all: prog\n");
    sandbox.write(
        "mine/generic/deps/app/prog.c",
        "int main(void)\n{\n\treturn 0;\n}\n",
    );
    (sandbox, sshd)
}

/// No package can be installed here.
fn without_network(sandbox: &Sandbox) {
    let folder = sandbox.root().join("home/.config/pip");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("pip.conf"), "[install]\nno-index = true\n").unwrap();
}

#[test]
fn each_test_is_run_the_first_way_that_has_all_it_needs() {
    let (sandbox, _sshd) = sandbox();
    let listed = sandbox.run("list //... --runnable").exit(0);
    for line in [
        "own       mine.plain_one",
        "layered   mine.helped",
        "upstream  mine.whole.ends_well",
    ] {
        assert!(listed.stdout().contains(line), "{line}\n{}", listed.stdout());
    }
    // Machines of libvirt are upstream's, whatever names the test uses.
    sandbox
        .run("list //plain_one --runnable --vt-type libvirt")
        .exit(0)
        .says(&["upstream  ", "mine.plain_one"]);
    let run = sandbox.run("//... --jobs 2 --progress plain").exit(1);
    let ends = [
        ("mine.plain_one", "PASS"),
        ("mine.helped", "PASS"),
        ("mine.stumbles", "PASS"),
        ("mine.dares", "ERROR"),
        ("mine.whole.ends_well", "PASS"),
        ("mine.whole.ends_badly", "FAIL"),
        ("mine.whole.does_not_apply", "SKIP"),
    ];
    for (name, status) in ends {
        assert_eq!(run.verdict(name).status, status, "{name}:\n{}", run.whole());
    }
    let reason = run.verdict("mine.whole.ends_badly").reason;
    assert_eq!(reason.as_deref(), Some("as asked"));
    let reason = run.verdict("mine.dares").reason.unwrap_or_default();
    assert!(
        reason.contains("get_lvmdev is not part of the built-in test host"),
        "{reason}"
    );
    drop(run.says(&["get_lvmdev: upstream's packages run it from the next run on"]));
    let left = sandbox.processes();
    let left: Vec<_> = left.iter().filter(|line| !line.contains("sshd")).collect();
    assert_eq!(left, Vec::<&String>::new(), "nothing is left behind");
    // What only running could tell is known from now on, and moves no key.
    sandbox
        .run("list //stumbles,dares --runnable")
        .exit(0)
        .says(&["upstream  mine.stumbles", "upstream  mine.dares"]);
    let dared = sandbox.run("//dares --progress plain").exit(0);
    assert_eq!(dared.verdict("mine.dares").status, "PASS");
    let again = sandbox
        .run("//plain_one,helped,stumbles,ends_well --progress plain")
        .exit(0);
    assert!(
        again.stdout().contains("CACHED     : 4 of 4"),
        "{}",
        again.stdout()
    );
    // An order for all of them is obeyed, though a name be missing.
    let run = sandbox.run("//helped --runtime own").exit(1);
    let reason = run.verdict("mine.helped").reason.unwrap_or_default();
    assert!(reason.contains("not part of the built-in test host"), "{reason}");
}

#[test]
fn a_module_that_cannot_be_run_is_known_beforehand() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!("- slip:\n    type = slip\n{BARE}"));
    sandbox.write("mine/generic/tests/slip.py", "def run(test, params, env)\n");
    let listed = sandbox.run("list //slip --runnable").exit(0);
    drop(listed.says(&[
        "none      mine.slip",
        "lacks a module that can be run: ",
        "slip.py:1: ",
    ]));
    sandbox.write(
        "mine/generic/tests/slip.py",
        "def runs(test, params, env):\n    pass\n",
    );
    let listed = sandbox.run("list //slip --runnable").exit(0);
    drop(listed.says(&["slip.py defines no function run(test, params, env)"]));
    // A module that the backend's tests share is no package of others.
    sandbox.write(
        "mine/generic/provider_lib/words.py",
        "def leave(vm):\n    vm.fly_away()\n",
    );
    let text = "from provider_lib import words\n\n\ndef run(test, params, env):\n    words.leave(env)\n";
    sandbox.write("mine/generic/tests/slip.py", text);
    let listed = sandbox.run("list //slip --runnable").exit(0);
    drop(listed.says(&["upstream  mine.slip\n", "; 0 lack something"]));
}

#[test]
fn a_run_that_is_killed_leaves_no_interpreter() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- slow:\n    type = plain\n    naps = 600\n{BARE}    variants:\n        - one:\n        - other:\n"
    ));
    let running = sandbox.start("//slow --jobs 2 --progress plain");
    let interpreters = || {
        let all = sandbox.processes();
        all.iter()
            .filter(|line| line.contains("vtbuild_host.forkserver") && !line.contains("__guard"))
            .count()
    };
    // What the two tests are forked from, and the two.
    until(120, "both tests run", || (interpreters() == 3).then_some(()));
    running.signal(rustix::process::Signal::KILL);
    drop(running.wait().says(&["JOB ID"]));
    until(60, "no process is left", || {
        sandbox.processes().is_empty().then_some(())
    });
    until(60, "no scratch folder is left", || {
        sandbox.scratch().is_empty().then_some(())
    });
}

#[test]
fn packages_that_cannot_be_installed_block_only_the_tests_that_need_them() {
    let (sandbox, _sshd) = sandbox();
    without_network(&sandbox);
    let run = sandbox.run("//plain_one,helped --progress plain").exit(1);
    assert_eq!(run.verdict("mine.plain_one").status, "PASS");
    assert_eq!(run.verdict("mine.helped").status, "SKIP", "{}", run.whole());
    let whole = run.whole();
    assert!(
        whole.contains("a network that reaches PyPI, or a mirror of it"),
        "{whole}"
    );
}

#[test]
fn a_runtime_that_does_not_exist_is_told_with_its_parameter() {
    let (sandbox, _sshd) = sandbox();
    drop(sandbox.run("//plain_one -p runtime=fastest").exit(3).complains(&[
        "`runtime = fastest` is none of auto, own, layered and upstream",
        "help: `vtbuild params //mine.plain_one -k runtime --with-source`",
    ]));
}
