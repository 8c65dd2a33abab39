//! All of it together: Python tests of the bundled provider, over the desk, over real guests.

use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};
use vtbuild_providers::host::protocol::{Dirs, PROTOCOL, Programs, StartedVm, Status, TestModule};
use vtbuild_providers::host::{HostSetup, Interpreters, Packages, Runtime, Start, run};
use vtbuild_providers::process::Limits;

use crate::bench::{Bench, boots, guest};
use crate::support::launcher;

const PATIENCE: Duration = Duration::from_secs(600);

fn start(bench: &Bench, module: &str, params: Map<String, Value>) -> Start {
    let provider = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("bundled");
    let dir = || bench.scratch.path().to_owned();
    let dirs = Dirs {
        debugdir: dir(),
        logdir: dir(),
        outputdir: dir(),
        tmpdir: dir(),
        bindir: dir(),
        srcdir: dir(),
        data_dir: dir(),
        workdir: dir(),
    };
    let name = module.rsplit('/').next().unwrap_or(module).to_owned();
    Start {
        protocol: PROTOCOL,
        name: name.clone(),
        shortname: name.clone(),
        params,
        modules: vec![TestModule {
            name,
            path: provider.join(format!("{module}.py")),
        }],
        module_paths: ["", "generic", "qemu", "generic/tests", "qemu/tests"]
            .map(|part| provider.join(part))
            .to_vec(),
        deps_dirs: vec![provider.join("generic/deps")],
        deps_builds: Vec::new(),
        dirs,
        log: bench.scratch.join("debug.log"),
        vms: vec![StartedVm {
            name: "vm1".to_owned(),
            params: None,
        }],
        qemu: Programs {
            binary: "/usr/bin/qemu-system-x86_64".into(),
            img: "/usr/bin/qemu-img".into(),
            io: None,
        },
        accelerator: "tcg",
        limits: Limits::default(),
        probes: None,
        watched: Vec::new(),
    }
}

/// Runs one module over the machine that is on the desk; panics with its log unless it passes.
async fn passes(bench: &Bench, folder: &Utf8Path, module: &str, more: &[(&str, &str)]) {
    let mut params = boots(folder)["params"].as_object().expect("a map").clone();
    for (key, value) in [
        ("vms", "vm1"),
        ("main_vm", "vm1"),
        ("login_timeout", "240"),
        ("type", module),
    ] {
        params.insert(key.to_owned(), json!(value));
    }
    params.extend(more.iter().map(|(key, value)| ((*key).to_owned(), json!(value))));
    let setup = HostSetup {
        interpreters: Interpreters::new(launcher(), bench.scratch.join("loading")),
        packages: Packages {
            python: "python3".to_owned(),
            ours: Utf8PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python"),
            runtime: Runtime::Own,
            upstream: None,
        },
        work_dir: bench.scratch.path().to_owned(),
        env: Vec::new(),
        stdout: bench.scratch.join("stdout"),
        stderr: bench.scratch.join("stderr"),
    };
    let start = start(bench, module, params);
    let finished = run(
        &setup,
        &start,
        Arc::clone(&bench.desk),
        Some(PATIENCE),
        std::future::pending(),
    )
    .await;
    let finished = finished.expect("starts");
    let status = finished.verdict().map(|verdict| verdict.status);
    let log = std::fs::read_to_string(bench.scratch.join("debug.log")).unwrap_or_default();
    assert_eq!(status, Some(Status::Pass), "{module}: {finished:#?}\n{log}");
}

#[tokio::test]
async fn bundled_tests_pass_over_a_real_guest() {
    let Some(folder) = guest("bundled_tests_pass_over_a_real_guest") else {
        return;
    };
    let bench = Bench::new(Some(folder.join("disk.qcow2"))).await;
    bench.must("vm.create", boots(&folder)).await;
    passes(&bench, &folder, "generic/tests/boot", &[]).await;
    passes(&bench, &folder, "generic/tests/uptime", &[]).await;
    passes(&bench, &folder, "qemu/tests/stop_continue", &[]).await;
    passes(
        &bench,
        &folder,
        "generic/tests/reboot",
        &[("reboot_method", "shell"), ("reboot_count", "1")],
    )
    .await;
    passes(
        &bench,
        &folder,
        "qemu/tests/migration",
        &[("migration_protocol", "tcp")],
    )
    .await;
    passes(
        &bench,
        &folder,
        "qemu/tests/migration",
        &[("migration_protocol", "exec")],
    )
    .await;
    passes(
        &bench,
        &folder,
        "generic/tests/shutdown",
        &[("shutdown_method", "shell")],
    )
    .await;
}
