//! What tests need built, in real guests: by the guest that has a compiler, for the one that has none.

mod support;

use support::Sandbox;

/// The app of the bundled test `timedrift`, in a provider of the workspace.
const APP: &str = "mine/generic/deps/timedrift";

/// Builds by itself, step by step, and by copying and `make`.
const BYSELF: &str = "import os
import shutil

from virttest import data_dir, remote_build


def run(test, params, env):
    vm = env.get_vm(params['main_vm'])
    session = vm.wait_for_login()

    source = os.path.join(data_dir.get_tmp_dir(), 'app')
    shutil.copytree(os.path.join(data_dir.get_deps_dir(), 'timedrift'), source)
    builder = remote_build.Builder(params, vm.get_address(0), source)
    path = builder.build()
    assert int(session.cmd_output(f'{path}/get_tsc')) > 0
    assert not builder.sync_directories(), 'nothing has changed'
    with open(os.path.join(source, 'get_tsc.c'), 'a', encoding='utf-8') as text:
        text.write('#error on purpose\\n')
    os.unlink(os.path.join(source, 'clktest.c'))
    try:
        builder.build()
    except Exception as error:
        assert 'on purpose' in str(error), error
    else:
        test.fail('what does not compile was built')
    gone = session.cmd_status(f'test -e {path}/clktest.c')
    assert gone == 1, 'what is gone here is gone there'

    built = data_dir.get_deps_dir('timedrift')
    vm.copy_files_to(built, '/tmp')
    said = session.cmd('make -C /tmp/timedrift', timeout=300)
    if 'Nothing to be done' not in said:
        test.fail(said)
";

const CFG: &str = "- drift:
    virt_test_type = qemu libvirt
    type = drift
    deps_build = timedrift
    deps_build_output = clktest get_tsc
    drift_readings = 5
    drift_interval = 50
    drift_threshold = 20
- byself:
    virt_test_type = qemu libvirt
    type = byself
    deps_build = timedrift
    deps_build_with_source = yes
";

fn workspace() -> Sandbox {
    let sandbox = Sandbox::with_guests(&["JeOS.12", "JeOS.12-devel"]);
    sandbox.provide(CFG);
    let bundled = concat!(env!("CARGO_MANIFEST_DIR"), "/providers/bundled/generic");
    let read = |name: &str| std::fs::read_to_string(format!("{bundled}/{name}")).unwrap();
    sandbox.write("mine/generic/tests/drift.py", &read("tests/timedrift.py"));
    sandbox.write("mine/generic/tests/byself.py", BYSELF);
    for name in ["Makefile", "clktest.c", "get_tsc.c"] {
        sandbox.write(&format!("{APP}/{name}"), &read(&format!("deps/timedrift/{name}")));
    }
    sandbox
}

#[test]
fn programs_are_built_in_one_guest_and_used_in_another() {
    let sandbox = workspace();
    let run = |target: &str| sandbox.run(&format!("{target} --accel tcg --progress plain"));
    let first = run("//drift").exit(0);
    assert_eq!(first.ran(), ["drift"]);
    drop(first.says(&[
        "timedrift: booting images/jeos-12-devel.qcow2",
        "deps timedrift: PASS",
    ]));

    // A comment: built again, to the same bytes.
    sandbox.edit(
        &format!("{APP}/get_tsc.c"),
        "Prints the time",
        "It prints the time",
    );
    let commented = run("//drift").exit(0);
    assert_eq!(commented.ran(), [""; 0]);
    drop(commented.says(&["deps timedrift: PASS"]));
    let known = run("//drift").exit(0);
    assert_eq!(known.ran(), [""; 0]);
    assert!(!known.stdout().contains("deps timedrift"), "{}", known.whole());

    sandbox.edit(
        &format!("{APP}/clktest.c"),
        "int status = 0;",
        "int status = nothing;",
    );
    let broken = run("//drift").exit(1);
    assert_eq!(broken.verdict("drift").status, "SKIP");
    drop(broken.says(&[
        "deps timedrift: FAIL",
        "        clktest.c:",
        "error: 'nothing' undeclared",
    ]));
    assert_eq!(sandbox.processes(), [""; 0], "no guest is left behind");
}

#[test]
fn a_guest_with_a_compiler_builds_by_itself() {
    let sandbox = workspace();
    let run = sandbox.run("//byself --guest-os JeOS.12-devel --accel tcg --progress plain");
    let run = run.exit(0);
    assert_eq!(run.ran(), ["byself"]);
}
