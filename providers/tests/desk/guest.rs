//! A real guest: logins, reboots, files, a crash, a migration.

use std::fs;
use std::time::Duration;

use serde_json::json;

use crate::bench::{booted, guest};

#[tokio::test]
async fn a_guest_is_logged_in_to_rebooted_and_shut_down() {
    let Some(folder) = guest("a_guest_is_logged_in_to_rebooted_and_shut_down") else {
        return;
    };
    let (bench, session) = booted(&folder).await;
    let boot_id = bench.cmd(&session, "cat /proc/sys/kernel/random/boot_id").await;
    assert_eq!(bench.cmd(&session, "echo one; echo two").await, "one\ntwo\n");
    let many = bench.cmd(&session, "seq 1 100000").await;
    assert_eq!(many.lines().count(), 100_000);

    let error = bench
        .fails(
            "vm.login",
            json!({"vm": "vm1", "timeout": 60, "password": "wrong"}),
        )
        .await;
    assert_eq!(error.kind, "login-auth", "{error}");

    let serial = bench
        .must("vm.login", json!({"vm": "vm1", "timeout": 60, "serial": true}))
        .await["session"]
        .clone();
    assert_eq!(
        bench.cmd(&serial, "echo serial; tty").await,
        "serial\n/dev/ttyS0\n"
    );
    bench.must("session.close", json!({"session": serial})).await;

    let reboot = json!({"vm": "vm1", "session": session, "method": "shell", "timeout": 240});
    let session = bench.must("vm.reboot", reboot).await["session"].clone();
    let new_id = bench.cmd(&session, "cat /proc/sys/kernel/random/boot_id").await;
    assert_ne!(new_id, boot_id);
    let reset = json!({"vm": "vm1", "session": null, "method": "system_reset", "timeout": 240});
    let session = bench.must("vm.reboot", reset).await["session"].clone();
    assert_ne!(
        bench.cmd(&session, "cat /proc/sys/kernel/random/boot_id").await,
        new_id
    );

    bench.must("vm.verify", json!({"vm": "vm1"})).await;
    let shutdown = json!({"vm": "vm1", "method": "shell", "session": session, "timeout": 120});
    bench.must("vm.shutdown", shutdown).await;
    assert_eq!(bench.must("vm.state", json!({"vm": "vm1"})).await["dead"], true);
    assert_eq!(
        bench.must("session.alive", json!({"session": session})).await,
        false
    );
}

#[tokio::test]
async fn files_travel_and_a_crash_is_found() {
    let Some(folder) = guest("files_travel_and_a_crash_is_found") else {
        return;
    };
    let (bench, session) = booted(&folder).await;
    let source = bench.scratch.join("deps");
    fs::create_dir_all(source.join("sub")).expect("folders");
    fs::write(source.join("sub/data"), vec![7_u8; 3_000_000]).expect("a file");
    fs::write(source.join("hello.sh"), "echo hello from $0\n").expect("a file");
    let copy = json!({"vm": "vm1", "host_path": source, "guest_path": "/var/tmp/deps", "timeout": 120});
    assert_eq!(
        bench.must("vm.copy_to", copy).await,
        json!({"files": 2, "bytes": 3_000_019})
    );
    assert_eq!(
        bench.cmd(&session, "sh /var/tmp/deps/hello.sh").await,
        "hello from /var/tmp/deps/hello.sh\n"
    );
    let back = bench.scratch.join("back");
    fs::create_dir(&back).expect("a folder");
    let copy = json!({"vm": "vm1", "host_path": back, "guest_path": "/var/tmp/deps/s*", "timeout": 120});
    assert_eq!(bench.must("vm.copy_from", copy).await["bytes"], 3_000_000);
    assert_eq!(fs::read(back.join("sub/data")).expect("there").len(), 3_000_000);

    let panic = json!({"session": session, "text": "echo c > /proc/sysrq-trigger", "eol": true});
    bench.must("session.send", panic).await;
    let mut error = None;
    for _ in 0..240 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        error = bench.ask("vm.verify", json!({"vm": "vm1"})).await.err();
        if error.is_some() {
            break;
        }
    }
    let error = error.expect("the crash is found");
    assert_eq!(error.kind, "kernel-crash", "{error}");
    bench
        .must("vm.destroy", json!({"vm": "vm1", "gracefully": false}))
        .await;
}

#[tokio::test]
async fn a_name_follows_its_machine_through_a_migration() {
    let Some(folder) = guest("a_name_follows_its_machine_through_a_migration") else {
        return;
    };
    let (bench, session) = booted(&folder).await;
    bench.cmd(&session, "echo kept > /tmp/mark").await;
    let before = bench.must("vm.state", json!({"vm": "vm1"})).await;
    let migrate = json!({"vm": "vm1", "timeout": 300, "protocol": "tcp", "speed": "1G"});
    let answer = bench.must("vm.migrate", migrate).await;
    assert_eq!(answer["status"], "completed");
    let after = bench.must("vm.state", json!({"vm": "vm1"})).await;
    assert_ne!(before["pid"], after["pid"]);
    assert_eq!(after["status"], "running");
    assert_eq!(
        bench.must("session.alive", json!({"session": session})).await,
        false
    );
    let dead = bench
        .fails(
            "session.cmd",
            json!({"session": session, "command": "true", "timeout": 5}),
        )
        .await;
    assert_eq!(dead.kind, "shell-died");
    let (session, _) = bench.login().await;
    assert_eq!(bench.cmd(&session, "cat /tmp/mark").await, "kept\n");
    bench
        .must("vm.destroy", json!({"vm": "vm1", "gracefully": true}))
        .await;
}
