//! A place for a store, records to put into it, and processes that use it.

#![allow(
    dead_code,
    reason = "each test binary compiles this module and uses a part of it"
)]

use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::{Blob, Digest, Fields, Keyed, Output, Record, Store, Value, manifest_of};

/// A directory of its own, removed at the end.
pub(crate) struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A new empty place.
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    /// The directory; the store is in `cache` below it.
    pub(crate) fn path(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).unwrap()
    }

    /// Opens the store.
    pub(crate) fn store(&self) -> Store {
        Store::open(&self.cache()).unwrap()
    }

    /// The store's directory.
    pub(crate) fn cache(&self) -> Utf8PathBuf {
        self.path().join("cache")
    }
}

struct Named<'a>(&'a str);

impl Keyed for Named<'_> {
    fn domain(&self) -> &'static str {
        "test"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        sink.put("name", Value::Text(self.0));
    }
}

/// A record that passed.
pub(crate) fn record(key: &str, label: &str, outputs: &[(&str, Blob)]) -> Record {
    let output = |(name, blob): &(&str, Blob)| {
        let name = (*name).to_owned();
        Output {
            name,
            digest: blob.digest,
            size: blob.size,
        }
    };
    Record {
        key: Digest::of(key.as_bytes()),
        rule: "test".to_owned(),
        label: label.to_owned(),
        status: "PASS".to_owned(),
        outputs: outputs.iter().map(output).collect(),
        inputs: Vec::new(),
        observed: Vec::new(),
        manifest: manifest_of(&Named(key)),
        seconds: 1.5,
        finished_unix_ms: 1_700_000_000_000,
        host: "host".to_owned(),
        evidence: serde_json::json!({ "runs": 1 }),
    }
}

/// Changes a stored file behind the store's back, as a failing disk would, leaving size and mode as they
/// were.
pub(crate) fn overwrite(path: &Utf8Path, content: &[u8]) {
    let mode = std::fs::metadata(path).unwrap().permissions();
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, mode).unwrap();
}

/// Starts one ignored test of this very test binary as a process of its own.
pub(crate) fn run_child(test: &str, place: &Place, argument: &str) -> std::process::Child {
    let program = std::env::current_exe().unwrap();
    child_command(program.to_str().unwrap(), place, argument)
        .args([test, "--exact", "--ignored", "--nocapture"])
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// A command whose process finds place and argument by [`child_arguments`].
pub(crate) fn child_command(program: &str, place: &Place, argument: &str) -> std::process::Command {
    let mut command = command(program);
    command.env(PLACE, place.path()).env(ARGUMENT, argument);
    command
}

/// What [`run_child`] handed to this process: the place's directory and the argument.
pub(crate) fn child_arguments() -> (Utf8PathBuf, String) {
    let variable = |name| std::env::var(name).expect("only another test starts this one");
    (variable(PLACE).into(), variable(ARGUMENT))
}

const PLACE: &str = "VTBUILD_TEST_PLACE";
const ARGUMENT: &str = "VTBUILD_TEST_ARGUMENT";

/// Waits until `holds`, at most half a minute.
pub(crate) fn wait_for(what: &str, holds: impl Fn() -> bool) {
    let end = std::time::Instant::now() + std::time::Duration::from_secs(30);
    while !holds() {
        assert!(std::time::Instant::now() < end, "{what} did not come");
        pause(std::time::Duration::from_millis(2));
    }
}

/// Any program; the tests that start one wait for it or kill it.
#[allow(
    clippy::disallowed_methods,
    reason = "this crate knows no launcher; each child is waited for"
)]
pub(crate) fn command(program: &str) -> std::process::Command {
    std::process::Command::new(program)
}

/// Lets time pass.
pub(crate) fn pause(time: std::time::Duration) {
    std::thread::sleep(time);
}
