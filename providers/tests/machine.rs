//! Machines against real QEMU. There is no guest: the firmware alone shows what these tests look at.

mod support;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use support::{Scratch, alive, eventually, firmware_only, launch, spec};
use vtbuild_providers::machine::{Machine, MachineError, RunState};
use vtbuild_providers::process::Exit;
use vtbuild_providers::qmp::QmpError;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_machine_runs_pauses_and_goes_on() {
    let scratch = Scratch::new();
    let machine = Machine::start(&launch(&scratch).await, firmware_only("vm1"), None)
        .await
        .unwrap();
    assert_eq!(machine.status().await.unwrap(), RunState::Running);
    let mark = machine.qmp().mark();
    machine.stop().await.unwrap();
    assert!(
        machine
            .qmp()
            .wait_event_after(mark, SOON, |event| event.name == "STOP")
            .await
            .is_some()
    );
    assert_eq!(machine.status().await.unwrap(), RunState::Paused);
    machine.cont().await.unwrap();
    machine.system_reset().await.unwrap();
    assert!(machine.qmp().wait_event("RESET", SOON).await.is_some());
    assert_eq!(machine.status().await.unwrap(), RunState::Running);
    assert_eq!(machine.quit(SOON).await, Exit::Code(0));
    assert!(!machine.is_alive() && machine.exit_info().is_some());
    assert!(!alive(machine.pid()));
}

#[tokio::test]
async fn commands_fail_with_what_qemu_says() {
    let scratch = Scratch::new();
    let machine = Machine::start(&launch(&scratch).await, firmware_only("vm1"), None)
        .await
        .unwrap();
    let error = machine
        .qmp()
        .command("no-such-command", None, SOON)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, QmpError::Command { failure, .. } if failure.class == "CommandNotFound"),
        "{error}"
    );
    let error = machine
        .qmp()
        .command("device_del", Some(json!({ "id": "nothing" })), SOON)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, QmpError::Command { failure, .. } if failure.class == "DeviceNotFound"),
        "{error}"
    );
    let typed = machine.qmp().execute(qapi::qmp::query_version {}).await.unwrap();
    assert!(typed.qemu.major >= 7);
    assert!(
        machine
            .qmp()
            .hmp("info version", SOON)
            .await
            .unwrap()
            .starts_with(&typed.qemu.major.to_string())
    );
    assert!(
        machine
            .qmp()
            .hmp("no such thing", SOON)
            .await
            .unwrap()
            .contains("unknown command")
    );
    let log = std::fs::read_to_string(scratch.join("logs").join(first(&scratch, "qmp-vm1"))).unwrap();
    assert!(log.contains("-> {\"execute\":\"no-such-command\"") && log.contains("CommandNotFound"));
    machine.kill().await;
    let error = machine
        .qmp()
        .command("query-status", None, SOON)
        .await
        .unwrap_err();
    assert!(matches!(error, QmpError::Closed { .. }), "{error}");
}

fn first(scratch: &Scratch, prefix: &str) -> String {
    let logs = std::fs::read_dir(scratch.join("logs")).unwrap();
    logs.flatten()
        .map(|entry| entry.file_name().into_string().unwrap())
        .find(|name| name.starts_with(prefix))
        .unwrap()
}

#[tokio::test]
async fn two_machines_get_ports_of_their_own() {
    let scratch = Scratch::new();
    let launch = launch(&scratch).await;
    let two = [("nics", "nic1 nic2"), ("redirs", "web"), ("guest_port_web", "80")];
    let (one, other) = tokio::join!(
        Machine::start(&launch, spec("vm1", &two), None),
        Machine::start(&launch, spec("vm2", &two), None),
    );
    let machines = [one.unwrap(), other.unwrap()];
    let mut ports = Vec::new();
    for machine in &machines {
        for (nic, guest) in [("nic1", 22), ("nic1", 80), ("nic2", 22), ("nic2", 80)] {
            ports.push(machine.host_port(nic, guest).unwrap());
        }
        assert_eq!(machine.host_port("nic3", 22), None);
    }
    for port in &ports {
        TcpStream::connect(("127.0.0.1", *port)).unwrap();
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 8);
}

#[tokio::test]
async fn a_machine_that_dies_at_start_says_why() {
    let scratch = Scratch::new();
    let launch = launch(&scratch).await;
    let error = Machine::start(
        &launch,
        spec("vm1", &[("extra_params", "-device no-such-device")]),
        None,
    )
    .await;
    let error = error.unwrap_err();
    assert!(
        matches!(
            error,
            MachineError::DiedAtStart {
                exit: Exit::Code(1),
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error
            .to_string()
            .contains("'no-such-device' is not a valid device model name"),
        "{error}"
    );
    let images = [("images", "image1"), ("image_name", "missing/disk")];
    let error = Machine::start(&launch, spec("vm1", &images), None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("/nowhere/missing/disk.qcow2"),
        "{error}"
    );
    assert_eq!(
        std::fs::read_dir(scratch.join("r")).unwrap().count(),
        0,
        "a socket folder is left"
    );
}

#[tokio::test]
async fn dropping_the_last_handle_kills() {
    let scratch = Scratch::new();
    let machine = Machine::start(&launch(&scratch).await, firmware_only("vm1"), None)
        .await
        .unwrap();
    let (pid, clone) = (machine.pid(), machine.clone());
    drop(machine);
    assert!(clone.is_alive() && alive(pid));
    drop(clone);
    assert!(eventually(SOON, || !alive(pid)));
    assert!(eventually(SOON, || std::fs::read_dir(scratch.join("r"))
        .unwrap()
        .count()
        == 0));
}

#[tokio::test]
async fn the_screen_can_be_dumped() {
    let scratch = Scratch::new();
    let machine = Machine::start(&launch(&scratch).await, spec("vm1", &[("vga", "std")]), None)
        .await
        .unwrap();
    machine.screendump(&scratch.join("a.png")).await.unwrap();
    machine.screendump(&scratch.join("a.ppm")).await.unwrap();
    assert!(
        std::fs::read(scratch.join("a.png"))
            .unwrap()
            .starts_with(b"\x89PNG")
    );
    assert!(std::fs::read(scratch.join("a.ppm")).unwrap().starts_with(b"P6"));
}

#[tokio::test]
async fn a_long_run_folder_is_refused_with_the_way_out() {
    let scratch = Scratch::new();
    let mut launch = launch(&scratch).await;
    launch.run_dir = scratch.join(&"long".repeat(30));
    let error = Machine::start(&launch, firmware_only("vm1"), None)
        .await
        .unwrap_err();
    assert!(matches!(error, MachineError::LongPath { .. }) && error.to_string().contains("TMPDIR"));
}
