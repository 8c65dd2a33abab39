//! Machines with a real guest. The files come from the folder in `VTBUILD_TEST_GUEST` (`disk.qcow2`, `vmlinuz`, `initrd.img`,
//! `cmdline`); without it there is nothing to start, and the tests are skipped.

mod support;

use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use support::{Scratch, launch};
use vtbuild_providers::machine::{Launch, Machine, MachineSpec, Migration, RunState, Transport};
use vtbuild_providers::params::Params;
use vtbuild_providers::process::Command;

const BOOT: Duration = Duration::from_secs(120);

async fn guest(scratch: &Scratch) -> Option<(Launch, MachineSpec)> {
    let dir = Utf8PathBuf::from(std::env::var("VTBUILD_TEST_GUEST").ok()?);
    let mut launch = launch(scratch).await;
    launch.run_dir = scratch.join("r");
    let (base, overlay) = (dir.join("disk.qcow2"), scratch.join("disk"));
    let create =
        Command::new("qemu-img").args(["create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", base.as_str()]);
    let create = create.arg(format!("{overlay}.qcow2"));
    assert!(launch.launcher.output(create, BOOT).await.unwrap().exit.success());
    let cmdline = std::fs::read_to_string(dir.join("cmdline")).unwrap();
    let entries = [
        ("mem", "512"),
        ("nics", "nic1"),
        ("serials", "serial0"),
        ("images", "image1"),
        ("image_name", overlay.as_str()),
        ("kernel", "vmlinuz"),
        ("initrd", "initrd.img"),
        ("kernel_params", cmdline.trim()),
        ("drive_cache", "unsafe"),
    ];
    let params: Params = entries.into_iter().collect();
    Some((launch, MachineSpec::from_params("vm1", &params, &dir).unwrap()))
}

/// Waits until the guest's sshd greets.
async fn banner(machine: &Machine) -> String {
    use tokio::io::AsyncReadExt;
    let port = machine.host_port("nic1", 22).unwrap();
    let deadline = Instant::now() + BOOT;
    loop {
        let mut greeting = [0; 4];
        let read = async {
            let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
            stream.read_exact(&mut greeting).await
        };
        if let Ok(Ok(_)) = tokio::time::timeout(Duration::from_secs(5), read).await {
            return String::from_utf8_lossy(&greeting).into_owned();
        }
        assert!(
            Instant::now() < deadline,
            "no sshd; QEMU said {:?}",
            machine.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_guest_boots_migrates_reboots_and_shuts_down() {
    let scratch = Scratch::new();
    let Some((launch, spec)) = guest(&scratch).await else {
        return;
    };
    let machine = Machine::start(&launch, spec, None).await.unwrap();
    assert_eq!(banner(&machine).await, "SSH-");
    let machine = machine
        .migrate(&launch, &Migration::new(Transport::Tcp))
        .await
        .unwrap()
        .machine;
    assert_eq!(banner(&machine).await, "SSH-");
    assert_eq!(machine.status().await.unwrap(), RunState::Running);
    let printed = std::fs::read_to_string(machine.serial("serial0").unwrap().log).unwrap();
    assert!(printed.contains("login:"), "the serial log holds {printed:?}");
    let mark = machine.qmp().mark();
    machine.system_reset().await.unwrap();
    assert!(
        machine
            .qmp()
            .wait_event_after(mark, BOOT, |event| event.name == "RESET")
            .await
            .is_some()
    );
    assert_eq!(banner(&machine).await, "SSH-");
    // The power button needs its daemon, which comes up after sshd.
    let deadline = Instant::now() + BOOT;
    while !machine.wait_dead(Duration::from_secs(2)).await {
        assert!(Instant::now() < deadline, "the power button does nothing");
        machine.system_powerdown().await.unwrap();
    }
    assert!(machine.exit_info().unwrap().exit.success());
}

/// The state of a guest that is up answers much sooner than a guest that boots.
#[tokio::test]
async fn a_guest_begins_from_its_saved_state() {
    let scratch = Scratch::new();
    let Some((launch, spec)) = guest(&scratch).await else {
        return;
    };
    let file = scratch.join("state");
    let booted = Instant::now();
    let machine = Machine::start(&launch, spec.clone(), None).await.unwrap();
    banner(&machine).await;
    let boot = booted.elapsed();
    machine.save(&file, BOOT).await.unwrap();
    machine.quit(BOOT).await;
    let begun = Instant::now();
    let machine = Machine::restore(&launch, spec, &file, BOOT).await.unwrap();
    assert_eq!(banner(&machine).await, "SSH-");
    let again = begun.elapsed();
    assert!(
        again < boot,
        "{again:?} from the state, {boot:?} from the firmware"
    );
}
