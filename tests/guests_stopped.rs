//! Real guests when the program is stopped, when two of it run, and when a machine does not come up.

mod support;

use rustix::process::Signal;
use support::{Sandbox, until};

const BOOT: &str = "//boot --no reboot --accel tcg --progress plain";

/// Nothing of the sandbox is left: no process, no scratch folder (with its sockets and overlays).
fn assert_nothing_is_left(sandbox: &Sandbox, seconds: u64) {
    until(seconds, "no process is left", || {
        sandbox.processes().is_empty().then_some(())
    });
    until(seconds, "no socket, overlay or scratch folder is left", || {
        sandbox.scratch().is_empty().then_some(())
    });
}

#[test]
fn however_it_is_stopped_nothing_is_left_behind() {
    let sandbox = Sandbox::with_guest();
    let target = "//boot,uptime --no reboot --jobs 1 --accel tcg --progress plain";
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let running = sandbox.start(target);
        until(60, "a guest runs", || {
            sandbox
                .processes()
                .iter()
                .any(|line| line.contains("qemu-system"))
                .then_some(())
        });
        until(60, "its sockets are there", || {
            (!sandbox.scratch().is_empty()).then_some(())
        });
        running.signal(signal);
        let output = running.wait();
        assert_nothing_is_left(&sandbox, 60);
        if signal == Signal::KILL {
            drop(output.says(&["JOB ID"]));
            continue;
        }
        let output = output
            .exit(130)
            .says(&["PASS 0 | ERROR 0 | FAIL 0 | SKIP 1 | WARN 0 | INTERRUPT 1"]);
        // Which of the two is first is up to the schedule.
        let mut ends = ["boot", "uptime"].map(|test| output.verdict(test).status);
        ends.sort();
        assert_eq!(ends, ["INTERRUPT", "SKIP"]);
        assert_eq!(
            sandbox.results()["interrupted"],
            if signal == Signal::INT {
                "SIGINT"
            } else {
                "SIGTERM"
            }
        );
    }
}

#[test]
fn two_at_once_share_a_cache_and_what_one_does_the_other_need_not() {
    let sandbox = Sandbox::with_guest();
    let one = sandbox.start(BOOT);
    let same = sandbox.start(BOOT);
    let other = sandbox.start("//uptime --accel tcg --progress plain");
    let (one, same, other) = (one.wait().exit(0), same.wait().exit(0), other.wait().exit(0));
    assert_eq!(other.ran(), ["uptime"]);
    let mut ran = [one.ran(), same.ran()];
    ran.sort();
    assert_eq!(
        ran,
        [vec![], vec!["boot".to_owned()]],
        "{}{}",
        one.whole(),
        same.whole()
    );
    let waited = if one.ran().is_empty() { &one } else { &same };
    assert!(
        waited.stdout().contains("bundled.boot: waits for "),
        "{}",
        waited.whole()
    );
    assert_nothing_is_left(&sandbox, 60);
}

#[test]
fn a_machine_that_does_not_come_up_says_why() {
    let sandbox = Sandbox::with_guest();
    let dead = sandbox
        .run_args(&[
            "//uptime",
            "--accel",
            "tcg",
            "-p",
            "extra_params = -no-such-option",
        ])
        .exit(1);
    let verdict = dead.verdict("uptime");
    assert_eq!(verdict.status, "ERROR");
    assert!(
        verdict
            .reason
            .unwrap()
            .contains("-no-such-option: invalid option"),
        "{}",
        dead.whole()
    );

    // The kernel speaks on the serial port, finds no root, and nobody ever logs in.
    let lost = "kernel_params = \"console=ttyS0,115200 root=LABEL=nothing\"";
    let args = [
        "//uptime",
        "--accel",
        "tcg",
        "-p",
        lost,
        "-p",
        "login_timeout = 20",
    ];
    let lost = sandbox.run_args(&args).exit(1);
    let verdict = lost.verdict("uptime");
    assert_eq!(verdict.status, "ERROR");
    let reason = verdict.reason.unwrap();
    assert!(reason.contains("failed to log in within 20 s"), "{reason}");
    let serial = reason.split_once("last lines of the serial port: ");
    assert!(
        serial.is_some_and(|(_, lines)| lines.contains("kernel")),
        "{reason}"
    );
    assert_nothing_is_left(&sandbox, 60);
}
