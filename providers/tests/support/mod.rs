//! What the tests of this crate share.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::path::Path;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_providers::accel::Accel;
use vtbuild_providers::machine::{Launch, MachineSpec};
use vtbuild_providers::params::Params;
use vtbuild_providers::process::{Launcher, Limits};
use vtbuild_providers::qemu::Qemu;

/// A launcher whose guards are the program built for tests.
pub(crate) fn launcher() -> Launcher {
    Launcher::new(env!("CARGO_BIN_EXE_vtbuild-guard"))
}

/// A folder that is removed with the value.
pub(crate) struct Scratch(tempfile::TempDir);

impl Scratch {
    pub(crate) fn new() -> Scratch {
        Scratch(tempfile::Builder::new().prefix("vtb").tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.0.path()).unwrap()
    }

    pub(crate) fn join(&self, name: &str) -> Utf8PathBuf {
        self.path().join(name)
    }
}

/// Waits until the condition holds; false when it does not within the time.
pub(crate) fn eventually(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    condition()
}

/// Whether a process runs whose command line holds this text.
pub(crate) fn runs(text: &str) -> bool {
    std::fs::read_dir("/proc").unwrap().flatten().any(|entry| {
        let own = entry.file_name().to_str() == Some(&std::process::id().to_string());
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        !own && String::from_utf8_lossy(&line).contains(text)
    })
}

/// Whether the process exists and is not a zombie.
pub(crate) fn alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    stat.is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .trim_start()
            .starts_with('Z')
    })
}

/// A launch into this folder, always translated: what these tests look at does not depend on the accelerator.
pub(crate) async fn launch(scratch: &Scratch) -> Launch {
    let launcher = launcher();
    let qemu = Qemu::find(&launcher, None, None).await.unwrap();
    Launch {
        launcher,
        qemu,
        accel: Accel::Tcg,
        limits: Limits::default(),
        run_dir: scratch.join("r"),
        log_dir: scratch.join("logs"),
    }
}

/// A machine without disks whose firmware finds nothing to start and waits.
pub(crate) fn firmware_only(name: &str) -> MachineSpec {
    spec(name, &[])
}

/// A small machine with these parameters besides.
pub(crate) fn spec(name: &str, more: &[(&str, &str)]) -> MachineSpec {
    let mut params: Params = [("mem", "64"), ("nics", "nic1"), ("serials", "serial0")]
        .into_iter()
        .collect();
    more.iter().for_each(|(key, value)| params.set(*key, *value));
    MachineSpec::from_params(name, &params.object(name), Utf8Path::new("/nowhere")).unwrap()
}
