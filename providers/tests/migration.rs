//! Migration between two real QEMUs. The firmware is guest enough.

mod support;

use std::time::Duration;

use serde_json::json;
use support::{Scratch, alive, launch, spec};
use vtbuild_providers::machine::{
    Launch, Machine, MachineError, MachineSpec, MigrateError, Migration, RunState, Transport,
};
use vtbuild_providers::process::Command;

const SOON: Duration = Duration::from_secs(60);

/// A machine with a disk, which both sides must share.
async fn with_disk(scratch: &Scratch) -> (Launch, Machine) {
    let launch = launch(scratch).await;
    let disk = scratch.join("disk");
    let create =
        Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", &format!("{disk}.qcow2"), "64M"]);
    assert!(launch.launcher.output(create, SOON).await.unwrap().exit.success());
    let machine = spec(
        "vm1",
        &[
            ("images", "image1"),
            ("image_name", disk.as_str()),
            ("vga", "std"),
        ],
    );
    let machine = Machine::start(&launch, machine, None).await.unwrap();
    (launch, machine)
}

async fn migrates(migration: Migration) {
    let scratch = Scratch::new();
    let (launch, source) = with_disk(&scratch).await;
    let done = source.migrate(&launch, &migration).await.unwrap();
    assert_eq!(done.status, "completed");
    assert!(done.total_time_ms.is_some());
    assert!(!source.is_alive() && !alive(source.pid()));
    assert_ne!(done.machine.pid(), source.pid());
    assert_eq!(done.machine.status().await.unwrap(), RunState::Running);
    assert!(done.machine.host_port("nic1", 22).is_some());
    // And back again, so that a machine which has arrived can also leave.
    let back = done
        .machine
        .migrate(&launch, &Migration::new(Transport::Tcp))
        .await
        .unwrap();
    assert_eq!(back.machine.status().await.unwrap(), RunState::Running);
    back.machine.quit(SOON).await;
    let logs = std::fs::read_dir(scratch.join("logs")).unwrap().flatten();
    let serials = logs
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("serial-"))
        .count();
    assert_eq!(serials, 1, "all three QEMUs share one serial log");
}

#[tokio::test]
async fn over_tcp() {
    migrates(Migration::new(Transport::Tcp)).await;
}

#[tokio::test]
async fn over_a_unix_socket() {
    migrates(Migration::new(Transport::Unix)).await;
}

#[tokio::test]
async fn over_a_descriptor() {
    migrates(Migration::new(Transport::Fd)).await;
}

#[tokio::test]
async fn through_commands() {
    migrates(Migration::new(Transport::exec())).await;
}

#[tokio::test]
async fn through_compressing_commands() {
    migrates(Migration::new(Transport::exec_gzip())).await;
}

#[tokio::test]
async fn through_a_file() {
    let scratch = Scratch::new();
    let file = scratch.join("state file.gz");
    let (source, destination) = ("gzip -1c > %s".into(), "gzip -dc %s".into());
    migrates(Migration::new(Transport::ExecFile {
        source,
        destination,
        file: file.clone(),
    }))
    .await;
    assert!(std::fs::read(file).unwrap().starts_with(&[0x1f, 0x8b]));
}

#[tokio::test]
async fn with_several_channels_and_a_speed() {
    let mut migration = Migration::new(Transport::Tcp);
    migration.capabilities.push(("multifd".into(), true));
    migration.parameters.insert("multifd-channels".into(), json!(4));
    migration.speed = Some(1 << 30);
    migration.downtime_ms = Some(500);
    migrates(migration).await;
}

#[tokio::test]
async fn a_paused_guest_arrives_running_when_it_was_paused_for_the_journey() {
    let mut migration = Migration::new(Transport::Unix);
    migration.offline = true;
    migrates(migration).await;
}

#[tokio::test]
async fn a_guest_that_was_paused_stays_so() {
    let scratch = Scratch::new();
    let (launch, source) = with_disk(&scratch).await;
    source.stop().await.unwrap();
    let done = source
        .migrate(&launch, &Migration::new(Transport::Fd))
        .await
        .unwrap();
    assert_eq!(done.machine.status().await.unwrap(), RunState::Paused);
}

/// Slow enough that there is time to interfere: the memory is not empty, and 32 KiB go in a second.
async fn slow(source: &Machine) -> Migration {
    let mut migration = Migration::new(Transport::Tcp);
    migration.speed = Some(32 << 10);
    migration.downtime_ms = Some(1);
    assert!(source.is_alive());
    migration
}

#[tokio::test]
async fn a_cancelled_migration_leaves_the_source_running() {
    let scratch = Scratch::new();
    let (launch, source) = with_disk(&scratch).await;
    let mut migration = slow(&source).await;
    migration.cancel_after = Some(Duration::from_millis(300));
    let error = source.migrate(&launch, &migration).await.unwrap_err();
    assert!(matches!(error, MigrateError::Cancelled { .. }), "{error}");
    assert_eq!(source.status().await.unwrap(), RunState::Running);
    assert_eq!(
        std::fs::read_dir(scratch.join("r")).unwrap().count(),
        1,
        "only the source is left"
    );
    // A source that was held back can still go.
    assert!(
        source
            .migrate(&launch, &Migration::new(Transport::Unix))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_migration_that_takes_too_long_is_cancelled() {
    let scratch = Scratch::new();
    let (launch, source) = with_disk(&scratch).await;
    let mut migration = slow(&source).await;
    migration.timeout = Duration::from_millis(300);
    let error = source.migrate(&launch, &migration).await.unwrap_err();
    assert!(
        matches!(&error, MigrateError::Timeout { progress, .. } if progress.contains("MiB left")),
        "{error}"
    );
    assert_eq!(source.status().await.unwrap(), RunState::Running);
}

#[tokio::test]
async fn a_broken_transport_fails_with_a_reason_and_the_source_goes_on() {
    let scratch = Scratch::new();
    let (launch, source) = with_disk(&scratch).await;
    let transport = Transport::Exec {
        source: "head -c 1000 > %s".into(),
        destination: "cat %s".into(),
    };
    let error = source
        .migrate(&launch, &Migration::new(transport))
        .await
        .unwrap_err();
    assert!(matches!(error, MigrateError::Failed { .. }), "{error}");
    assert_eq!(source.status().await.unwrap(), RunState::Running);
}

#[tokio::test]
async fn an_unknown_capability_is_named_by_qemu() {
    let scratch = Scratch::new();
    let (launch, source) = with_disk(&scratch).await;
    let mut migration = Migration::new(Transport::Tcp);
    migration.capabilities.push(("telepathy".into(), true));
    let error = source.migrate(&launch, &migration).await.unwrap_err();
    assert!(error.to_string().contains("telepathy"), "{error}");
    assert_eq!(source.status().await.unwrap(), RunState::Running);
}

#[tokio::test]
async fn memory_may_follow_later() {
    let mut migration = Migration::new(Transport::Tcp);
    migration.postcopy = true;
    migrates(migration).await;
}

#[tokio::test]
async fn a_machine_is_saved_and_begins_again_from_its_state() {
    let scratch = Scratch::new();
    let (launch, machine) = with_disk(&scratch).await;
    let (file, description) = (scratch.join("state"), machine.spec().clone());
    machine.save(&file, SOON).await.unwrap();
    assert_eq!(machine.status().await.unwrap(), RunState::PostMigrate);
    machine.quit(SOON).await;
    for _ in 0..2 {
        let again = Machine::restore(&launch, description.clone(), &file, SOON)
            .await
            .unwrap();
        assert_eq!(again.status().await.unwrap(), RunState::Running);
        again.kill().await;
    }
    let paused = Machine::restore(
        &launch,
        MachineSpec {
            paused: true,
            ..description.clone()
        },
        &file,
        SOON,
    )
    .await;
    assert_eq!(paused.unwrap().status().await.unwrap(), RunState::Paused);
    let missing = Machine::restore(&launch, description, &scratch.join("missing"), SOON)
        .await
        .unwrap_err();
    assert!(missing.to_string().contains("No such file"), "{missing}");
    assert!(matches!(
        missing,
        MachineError::Monitor { .. } | MachineError::State { .. }
    ));
}
