//! A host that refuses: no room, no right to write, no programs.

mod support;

use std::process::Command;

use support::Sandbox;
use support::provider::BARE;

#[test]
fn a_cache_that_cannot_be_written() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
    command.args(["//selftest.pass", "--cache-dir", "/proc/nowhere"]);
    let run = sandbox.finish(command).exit(5);
    drop(run.complains(&[
        "failed to make the cache folder /proc/nowhere",
        "choose another with --cache-dir",
    ]));
}

#[test]
fn a_cache_of_another_layout_is_left_alone() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.cache().join("VERSION"), "vtbuild cache, layout 999\n").unwrap();
    drop(sandbox.run("//selftest.pass").exit(5).complains(&["layout 999"]));
}

#[test]
fn a_cache_so_deep_that_no_socket_s_path_would_fit() {
    let sandbox = Sandbox::new();
    sandbox.provide(&format!("- listen:\n    type = listen\n{BARE}"));
    let python = "import os\nimport socket\n\nfrom virttest import data_dir\n\n\ndef run(test, params, env):\n    name = 'monitor-qmpmonitor1-20260101-000000-abcdefgh'\n    socket.socket(socket.AF_UNIX).bind(os.path.join(data_dir.get_tmp_dir(), name))\n";
    sandbox.write("mine/generic/tests/listen.py", python);
    let deep = sandbox.cache().join("a-rather-long-name/".repeat(8));
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
    command.args(["//listen", "--cache-dir", deep.as_str()]);
    drop(sandbox.finish(command).exit(0).says(&["PASS 1"]));
    assert_eq!(sandbox.scratch(), [] as [&str; 0]);
}

#[test]
fn a_cache_inside_of_the_workspace_is_no_test_data() {
    for (cache, link) in [
        ("cache", None),
        ("data/deep/cache", None),
        ("data/cache", Some("link")),
    ] {
        let sandbox = Sandbox::new();
        sandbox.provide(&format!("- look:\n    type = look\n{BARE}"));
        let python = "import os\n\nfrom virttest import data_dir\n\n\ndef run(test, params, env):\n    names = {name for _, _, names in os.walk(data_dir.get_data_dir(), followlinks=True) for name in names}\n    assert 'file' in names and 'VERSION' not in names, names\n";
        sandbox.write("mine/generic/tests/look.py", python);
        sandbox.write("data/file", "");
        std::os::unix::fs::symlink("..", sandbox.path("data/loop")).unwrap();
        if let Some(link) = link {
            std::fs::create_dir(sandbox.path(cache)).unwrap();
            std::os::unix::fs::symlink(sandbox.path(cache), sandbox.path(link)).unwrap();
        }
        let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
        command.args(["//look", "--cache-dir", sandbox.path(cache).as_str()]);
        drop(sandbox.finish(command).exit(0).says(&["PASS 1"]));
        assert!(
            sandbox.path(cache).join("VERSION").is_file(),
            "{cache} is the cache"
        );
    }
}

#[test]
fn a_job_folder_that_cannot_be_made() {
    let sandbox = Sandbox::new();
    sandbox.write("job-results", "a file");
    drop(
        sandbox
            .run("//selftest.pass")
            .exit(5)
            .complains(&["failed to make the job's folder", "job-results"]),
    );
}

#[test]
fn a_disk_that_is_full() {
    let sandbox = Sandbox::new();
    let probe = Command::new("unshare").args(["-m", "true"]).output();
    if !probe.is_ok_and(|done| done.status.success()) {
        #[expect(clippy::print_stdout, reason = "a skipped check is said loudly")]
        {
            println!("SKIPPED: mount namespaces are not permitted here, so there is no full disk to be had");
        }
        return;
    }
    // The bundled files fit, the index does not.
    let script = format!(
        "mount -t tmpfs -o size=3m full {cache} && dd if=/dev/zero of={cache}/filler bs=4k 2>/dev/null; exec {program} //selftest.pass",
        cache = sandbox.cache(),
        program = env!("CARGO_BIN_EXE_vtbuild"),
    );
    let mut command = sandbox.command("unshare");
    command.args(["-m", "sh", "-c", &script]);
    let run = sandbox.finish(command).exit(5);
    drop(run.complains(&["error: failed to", "No space left on device"]));
}

#[test]
fn a_host_without_python() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_vtbuild"));
    command
        .args(["//selftest.pass", "--accel", "tcg"])
        .env("PATH", sandbox.root().join("bin"));
    for name in ["qemu-system-x86_64", "qemu-img"] {
        let real = support::real_program(name)
            .expect("QEMU is installed: apt-get install qemu-system-x86 qemu-utils");
        std::os::unix::fs::symlink(real, sandbox.root().join("bin").join(name)).unwrap();
    }
    let run = sandbox
        .finish(command)
        .exit(1)
        .complains(&["failed to find out what the tests need: start python3"]);
    assert!(
        run.verdict("pass").reason.unwrap().contains("python3"),
        "{}",
        run.whole()
    );
}
