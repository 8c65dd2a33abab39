//! A desk to test with, and the guest on it.

use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use vtbuild_providers::desk::{Desk, DeskSetup, ImageError, ImageSource, OpenImage};
use vtbuild_providers::host::protocol::CallError;
use vtbuild_providers::host::{Handler, Request};
use vtbuild_providers::params::Params;

use crate::support::{Scratch, launch};

/// Gives each machine an overlay of its own over one disk.
pub(crate) struct Overlays {
    base: Option<Utf8PathBuf>,
    folder: Utf8PathBuf,
}

#[async_trait::async_trait]
impl ImageSource for Overlays {
    async fn open(&self, vm: Option<&str>, image: &Params) -> Result<OpenImage, ImageError> {
        let name = image.text("image_name").unwrap_or("disk").to_owned();
        let Some(base) = &self.base else {
            return Err(ImageError {
                image: name,
                reason: "there is no guest in this test".to_owned(),
            });
        };
        let file = self.folder.join(format!("{}-{name}.qcow2", vm.unwrap_or("tool")));
        if !file.exists() {
            let made = Command::new("qemu-img")
                .args([
                    "create",
                    "-q",
                    "-f",
                    "qcow2",
                    "-F",
                    "qcow2",
                    "-b",
                    base.as_str(),
                    file.as_str(),
                ])
                .status();
            assert!(made.expect("qemu-img runs").success());
        }
        Ok(OpenImage {
            file,
            format: "qcow2".to_owned(),
        })
    }
}

pub(crate) struct Bench {
    pub(crate) desk: Arc<Desk>,
    pub(crate) scratch: Scratch,
}

impl Bench {
    pub(crate) async fn new(base: Option<Utf8PathBuf>) -> Bench {
        let scratch = Scratch::new();
        let launch = launch(&scratch).await;
        fs::create_dir_all(scratch.join("logs")).expect("a folder");
        let desk = Arc::new(Desk::new(DeskSetup {
            params: Params::new(),
            launch,
            data_dir: scratch.path().to_owned(),
            log_dir: scratch.join("logs"),
            images: Arc::new(Overlays {
                base,
                folder: scratch.path().to_owned(),
            }),
        }));
        Bench { desk, scratch }
    }

    pub(crate) async fn ask(&self, call: &str, args: Value) -> Result<Value, CallError> {
        self.desk.call(Request::decode(call, args).expect("a call")).await
    }

    pub(crate) async fn must(&self, call: &str, args: Value) -> Value {
        let shown = args.to_string();
        self.ask(call, args)
            .await
            .unwrap_or_else(|error| panic!("{call} {shown}: {error}"))
    }

    pub(crate) async fn fails(&self, call: &str, args: Value) -> CallError {
        let shown = args.to_string();
        match self.ask(call, args).await {
            Ok(value) => panic!("{call} {shown}: {value}"),
            Err(error) => error,
        }
    }

    pub(crate) async fn cmd(&self, session: &Value, command: &str) -> String {
        let answer = self.must(
            "session.cmd",
            json!({"session": session, "command": command, "timeout": 60, "status": true}),
        );
        let answer = answer.await;
        assert_eq!(answer["status"], 0, "{command}: {answer}");
        answer["output"].as_str().expect("text").to_owned()
    }

    /// Logs in over ssh; gives the session and the seconds that it took.
    pub(crate) async fn login(&self) -> (Value, f64) {
        let before = Instant::now();
        let answer = self.must("vm.login", json!({"vm": "vm1", "timeout": 180})).await;
        (answer["session"].clone(), before.elapsed().as_secs_f64())
    }
}

/// The guest to test with. Without one the test has not looked at anything, and says so.
pub(crate) fn guest(test: &str) -> Option<Utf8PathBuf> {
    let folder = std::env::var("VTBUILD_TEST_GUEST").ok().map(Utf8PathBuf::from);
    if folder.is_none() {
        let line = format!("SKIPPED {test}: set VTBUILD_TEST_GUEST to a folder with a guest to run it\n");
        // Not captured by the test harness: a skipped test must be seen.
        let mut stderr = std::io::stderr().lock();
        std::io::Write::write_all(&mut stderr, line.as_bytes()).expect("standard error is open");
    }
    folder
}

pub(crate) fn boots(folder: &Utf8Path) -> Value {
    let cmdline = fs::read_to_string(folder.join("cmdline")).expect("a command line");
    json!({"vm": "vm1", "params": {
        "mem": "512", "smp": "1", "nics": "nic1", "serials": "serial0", "images": "image1", "image_name": "jeos",
        "image_format": "qcow2", "drive_format": "virtio", "drive_cache": "unsafe", "rngs": "rng0",
        "kernel": folder.join("vmlinuz"), "initrd": folder.join("initrd.img"), "kernel_params": cmdline.trim(),
        "username": "root", "password": "123456", "shell_prompt": r"^\[.*\][\#\$]\s*$|[\#\$]\s*$",
        "monitors": "qmpmonitor1", "monitor_type": "qmp", "shutdown_command": "shutdown -h now",
        "reboot_command": "shutdown -r now", "status_test_command": "echo $?",
    }})
}

pub(crate) async fn booted(folder: &Utf8Path) -> (Bench, Value) {
    let bench = Bench::new(Some(folder.join("disk.qcow2"))).await;
    bench.must("vm.create", boots(folder)).await;
    let (session, seconds) = bench.login().await;
    tracing::info!(seconds, "from power on to a shell");
    (bench, session)
}
