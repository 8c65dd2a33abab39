//! What surrounds a test, from its parameters: requirements, commands before and after, dumps of the screen, kernel logs.

mod support;

use support::Sandbox;
use support::provider::BARE;

/// A test without machines, and variants of it that differ in what surrounds them.
fn sandbox(variants: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!(
        "- plain:\n    type = plain\n{BARE}    variants:\n{variants}"
    ));
    sandbox
}

#[test]
fn a_host_without_what_a_test_needs_skips_or_cancels_it() {
    let sandbox = sandbox(
        "        - command:\n            cmds_installed_host = sh no-such-program\n        - kernel:\n            required_kernel = \"(,1.0]\"\n        - qemu:\n            required_qemu = \"[99.0,)\"\n        - fits:\n            required_kernel = \"[2.6,)\"\n            required_qemu = \"[2.0.0,)\"\n            cmds_installed_host = sh\n        - odd:\n            required_qemu = new\n",
    );
    let run = sandbox.run("//plain --progress plain").exit(1);
    for (name, status, reason) in [
        (
            "command",
            "SKIP",
            "programs that are not installed on this host: no-such-program",
        ),
        ("kernel", "CANCEL", "the host's kernel is "),
        ("qemu", "CANCEL", "which is not in [99.0,) (required_qemu)"),
        ("odd", "ERROR", "an interval of versions such as [5.1.0,)"),
    ] {
        let verdict = run.verdict(&format!("plain.{name}"));
        assert_eq!(verdict.status, status, "{}", run.whole());
        assert!(verdict.reason.unwrap().contains(reason), "{}", run.whole());
    }
    assert_eq!(run.verdict("plain.fits").status, "PASS");
}

#[test]
fn commands_run_before_and_after_with_the_parameters_in_their_environment() {
    let sandbox = sandbox(
        "        - good:\n            pre_command = \"echo before $KVM_TEST_colour; echo first > order\"\n            post_command = \"cat order; echo after\"\n            colour = blue\n        - bad:\n            pre_command = \"echo no disk >&2; exit 3\"\n            post_command = touch never\n        - slow:\n            pre_command = \"sleep 60\"\n            pre_command_timeout = 1\n        - optional:\n            pre_command = false\n            pre_command_noncritical = yes\n        - late:\n            post_command = false\n        - mended:\n            outcome = fail\n            post_command = \"echo usual\"\n            post_command_on_error = \"echo mending\"\n",
    );
    let run = sandbox.run("//plain --progress plain").exit(1);
    let log = |test: &str, name: &str| {
        let path = sandbox.logs_of(&format!("plain.{test}")).join(name);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    assert_eq!(run.verdict("plain.good").status, "PASS", "{}", run.whole());
    assert!(log("good", "pre_command.log").contains("\nbefore blue\n"));
    assert!(log("good", "post_command.log").contains("\nfirst\nafter\n[exit status 0]"));
    for (name, reason) in [
        (
            "bad",
            "failed to run pre_command `echo no disk >&2; exit 3`: exit status 3; it said: no disk",
        ),
        (
            "slow",
            "it took longer than 1 s (pre_command_timeout) and was killed",
        ),
        ("late", "failed to run post_command `false`: exit status 1"),
    ] {
        let verdict = run.verdict(&format!("plain.{name}"));
        assert_eq!(verdict.status, "ERROR", "{name}: {}", run.whole());
        assert!(
            verdict.reason.unwrap().contains(reason),
            "{name}: {}",
            run.whole()
        );
    }
    // What was not set up is not cleaned up.
    assert!(!sandbox.logs_of("plain.bad").join("never").exists());
    assert_eq!(run.verdict("plain.optional").status, "PASS");
    assert_eq!(run.verdict("plain.mended").status, "FAIL");
    assert!(log("mended", "post_command.log").contains("\nmending\n"));
    assert!(sandbox.processes().is_empty());
}

#[test]
fn limits_hold_for_a_test_its_machines_and_its_commands() {
    let sandbox = sandbox(
        "        - lots:\n            vt_ulimit_nofile = lots\n        - limited:\n            type = limited\n            vms = vm1\n            start_vm = yes\n            nics =\n            mem = 64\n            kernel_vm1 =\n            initrd_vm1 =\n            kernel_params_vm1 =\n            vt_ulimit_nofile = 777\n            vt_ulimit_core = 0\n            pre_command = \"ulimit -n\"\n",
    );
    sandbox.write(
        "mine/generic/tests/limited.py",
        "import resource\n\n\ndef run(test, params, env):\n    for name, value in (('NOFILE', 777), ('CORE', 0)):\n        found = resource.getrlimit(getattr(resource, f'RLIMIT_{name}'))\n        if found != (value, value):\n            test.fail(f'{name} is {found}')\n    with open(f\"/proc/{env.get_vm('vm1').get_pid()}/limits\") as limits:\n        files = next(line for line in limits if line.startswith('Max open files'))\n    if files.split()[3:5] != ['777', '777']:\n        test.fail(files)\n",
    );
    let run = sandbox.run("//plain --accel tcg --progress plain").exit(1);
    assert_eq!(run.verdict("plain.limited").status, "PASS", "{}", run.whole());
    let log = sandbox.logs_of("plain.limited").join("pre_command.log");
    assert!(std::fs::read_to_string(log).unwrap().contains("\n777\n"));
    let lots = run.verdict("plain.lots");
    assert_eq!(lots.status, "ERROR", "{}", run.whole());
    assert!(
        lots.reason.unwrap().contains("vt_ulimit_nofile"),
        "{}",
        run.whole()
    );
}

#[test]
fn a_test_has_its_own_time_limit() {
    let sandbox = sandbox("        - endless:\n            naps = 60\n            test_timeout = 1\n");
    let run = sandbox.run("//plain --progress plain").exit(1);
    let verdict = run.verdict("plain.endless");
    assert_eq!(verdict.status, "INTERRUPT", "{}", run.whole());
    assert!(
        verdict.reason.unwrap().contains("longer than 1 s"),
        "{}",
        run.whole()
    );
}

#[test]
fn a_real_guest_is_surrounded() {
    let sandbox = Sandbox::with_guest();
    sandbox.write(
        "test-providers.d/mine.ini",
        "[provider]\nuri: ../mine\n[generic]\nsubdir: generic/\n",
    );
    sandbox.write(
        "mine/generic/tests/speak.py",
        "def run(test, params, env):\n    session = env.get_vm('vm1').wait_for_login()\n    cmdline = session.cmd('cat /proc/cmdline')\n    test.log.info('started with %s', cmdline)\n    if 'quiet' in cmdline.split() or 'mark=1' not in cmdline.split():\n        test.fail(cmdline)\n    session.cmd(\"echo '<1>the guest is on fire' > /dev/kmsg\")\n",
    );
    sandbox.write(
        "mine/generic/tests/cfg/speak.cfg",
        "- speak:\n    type = speak\n    kernel_extra_params_add = mark=1\n    kernel_extra_params_remove = quiet\n    verify_guest_dmesg = yes\n    variants:\n        - fails:\n            vga = std\n            take_regular_screendumps = yes\n            screendump_delay = 0.5\n            keep_screendumps = yes\n            inactivity_treshold = 0\n            store_vm_info = yes\n            vm_info_delay = 0.5\n            vm_info_cmds = registers, cpus\n        - expects:\n            expected_guest_dmesg = 'on fire'\n",
    );
    let run = sandbox
        .run("//mine.speak --accel tcg --progress plain --jobs 2")
        .exit(1);
    assert_eq!(run.verdict("speak.expects").status, "PASS", "{}", run.whole());
    let verdict = run.verdict("speak.fails");
    assert_eq!(verdict.status, "ERROR", "{}", run.whole());
    assert!(
        verdict.reason.unwrap().contains("the guest is on fire"),
        "{}",
        run.whole()
    );
    let logs = sandbox.logs_of("speak.fails");
    let dmesg = std::fs::read_to_string(logs.join("guest_dmesg.log.vm1")).unwrap();
    assert!(dmesg.contains("the guest is on fire"), "{dmesg}");
    let folders = logs
        .read_dir_utf8()
        .unwrap()
        .map(|entry| entry.unwrap().into_path());
    let info = folders.filter(|path| {
        path.file_name()
            .is_some_and(|name| name.starts_with("vm_info_vm1_"))
    });
    let info = info.last().expect("what the monitor said");
    let registers = std::fs::read_to_string(info.join("0001_registers")).unwrap();
    assert!(registers.contains("CR0="), "{registers}");
    assert!(info.join("0001_cpus").exists());
    let picture = std::fs::read(logs.join("screendumps_vm1/0001.png")).unwrap();
    assert!(
        picture.starts_with(b"\x89PNG"),
        "it begins with {:?}",
        &picture[..8]
    );
    assert!(sandbox.processes().is_empty());
}
