//! Machines against real QEMU. There is no guest: the firmware alone shows what these tests look at.

mod support;

use std::net::TcpStream;
use std::time::Duration;

use serde_json::json;
use support::{Scratch, alive, eventually, firmware_only, launch, spec};
use vtbuild_providers::image::{Create, QemuImg};
use vtbuild_providers::machine::{Incoming, Machine, MachineError, RunState};
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

/// Every kind of device that the parameters can name starts, on both chipsets.
#[tokio::test]
async fn every_device_is_accepted() {
    let scratch = Scratch::new();
    let launch = launch(&scratch).await;
    let img = QemuImg::new(&launch.launcher, &launch.qemu);
    let create = Create {
        format: "raw".into(),
        size: Some(1 << 20),
        ..Create::default()
    };
    let buses = ["virtio", "scsi-hd", "ide", "ahci", "nvme", "usb3"];
    for bus in buses {
        img.create(&scratch.join(&format!("{bus}.raw")), &create)
            .await
            .unwrap();
    }
    std::fs::write(scratch.join("cd.iso"), vec![0; 1 << 20]).unwrap();
    for machine_type in ["pc", "q35"] {
        let mut entries = vec![
            ("machine_type".to_owned(), machine_type.to_owned()),
            ("images".into(), buses.join(" ")),
            ("image_format".into(), "raw".into()),
            ("cdroms".into(), "cd1".into()),
            ("cdrom_cd1".into(), scratch.join("cd.iso").into_string()),
            ("nics".into(), "n1 n2 n3".into()),
            ("nic_model_n2".into(), "e1000".into()),
            ("nic_model_n3".into(), "rtl8139".into()),
            ("serials".into(), "s1 s2 s3".into()),
            ("serial_type_s2".into(), "virtserialport".into()),
            ("serial_type_s3".into(), "virtconsole".into()),
            ("balloon".into(), "balloon0".into()),
            ("vga".into(), "std".into()),
            ("enable_pvpanic".into(), "yes".into()),
            ("ioport_pvpanic".into(), "0x505".into()),
            ("drive_cache_virtio".into(), "none".into()),
            ("image_aio_virtio".into(), "native".into()),
            ("drive_cache_ide".into(), "writethrough".into()),
            ("drive_discard_scsi-hd".into(), "unmap".into()),
            ("rtc_base".into(), "utc".into()),
            ("rtc_clock".into(), "host".into()),
            ("rtc_drift".into(), "slew".into()),
            ("uuid".into(), "random".into()),
            ("boot_order".into(), "cdn".into()),
            ("monitors".into(), "a b".into()),
        ];
        for bus in buses {
            entries.push((format!("image_name_{bus}"), scratch.join(bus).into_string()));
            entries.push((format!("drive_format_{bus}"), bus.to_owned()));
        }
        let entries: Vec<_> = entries
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let machine = Machine::start(&launch, spec("vm1", &entries), None)
            .await
            .unwrap();
        let block = machine.qmp().hmp("info block", SOON).await.unwrap();
        for bus in buses {
            assert!(block.contains(&format!("drive_{bus}")), "{block}");
        }
        let other = machine
            .monitor("b")
            .unwrap()
            .command("query-status", None, SOON)
            .await
            .unwrap();
        assert_eq!(other["status"], "running");
        assert_eq!(machine.quit(SOON).await, Exit::Code(0), "{}", machine.stderr());
    }
}

/// Not a test: starts a machine, says so, and waits to be killed.
#[tokio::test]
#[ignore = "a helper that another test starts and kills"]
async fn helper() {
    let Ok(dir) = std::env::var("VTBUILD_TEST_DIR") else {
        return;
    };
    let mut launch = launch(&Scratch::new()).await;
    (launch.run_dir, launch.log_dir) = (format!("{dir}/r").into(), format!("{dir}/logs").into());
    let machine = Machine::start(&launch, firmware_only("vm1"), None).await.unwrap();
    let destination = Machine::start(&launch, firmware_only("vm1"), Some(Incoming::Defer))
        .await
        .unwrap();
    std::fs::write(
        format!("{dir}/ready"),
        format!("{} {} ", machine.pid(), destination.pid()),
    )
    .unwrap();
    machine.dead().await;
}

#[test]
fn a_killed_program_leaves_no_machine_and_no_socket() {
    let scratch = Scratch::new();
    let mut helper = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "helper"])
        .env("VTBUILD_TEST_DIR", scratch.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = || std::fs::read_to_string(scratch.join("ready")).unwrap_or_default();
    assert!(eventually(SOON, || ready().ends_with(' ')));
    let pids: Vec<u32> = ready()
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .collect();
    assert!(pids.iter().all(|pid| alive(*pid)));
    assert_eq!(std::fs::read_dir(scratch.join("r")).unwrap().count(), 2);
    helper.kill().unwrap();
    helper.wait().unwrap();
    assert!(eventually(SOON, || !pids.iter().any(|pid| alive(*pid))));
    assert!(eventually(SOON, || std::fs::read_dir(scratch.join("r"))
        .unwrap()
        .count()
        == 0));
}
