//! Nothing outlives us: the guard, against real processes.

mod support;

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use camino::Utf8PathBuf;
use support::{Scratch, alive, eventually, launcher, runs};
use vtbuild_providers::process::{Command, Duties, Exit, OutputError, SpawnError, Stream};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn output_and_status_come_back() {
    let command = Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]);
    let output = launcher().output(command, SOON).await.unwrap();
    assert_eq!(
        (output.exit, output.stdout.as_str(), output.stderr.as_str()),
        (Exit::Code(3), "out\n", "err\n")
    );
}

#[tokio::test]
async fn a_signal_is_told_from_an_exit_status() {
    let output = launcher()
        .output(Command::new("sh").args(["-c", "kill -11 $$"]), SOON)
        .await
        .unwrap();
    assert_eq!(output.exit, Exit::Signal(11));
}

#[tokio::test]
async fn a_missing_program_is_named() {
    let error = launcher()
        .spawn(Command::new("no-such-program"))
        .await
        .unwrap_err();
    assert!(matches!(error, SpawnError::Command { .. }));
    assert_eq!(
        error.to_string(),
        "start `no-such-program`: No such file or directory"
    );
}

#[tokio::test]
async fn environment_folder_and_input_arrive() {
    let scratch = Scratch::new();
    fs::write(scratch.join("in"), "typed").unwrap();
    let command = Command::new("/bin/sh")
        .args(["-c", "pwd; echo $COLOUR/$HOME; cat"])
        .clear_env()
        .env("COLOUR", "blue")
        .dir(scratch.path())
        .stdin(fs::File::open(scratch.join("in")).unwrap());
    let output = launcher().output(command, SOON).await.unwrap();
    assert_eq!(output.stdout, format!("{}\nblue/\ntyped", scratch.path()));
}

#[tokio::test]
async fn only_the_given_descriptors_are_inherited() {
    let held = fs::File::open("/dev/null").unwrap();
    // Inheritable on purpose, as a careless library would leave it.
    rustix::io::fcntl_setfd(&held, rustix::io::FdFlags::empty()).unwrap();
    let (mut ours, theirs) = UnixStream::pair().unwrap();
    // A plain sh may not know descriptors of two digits.
    let mut command = Command::new("bash");
    let number = command.pass_fd(theirs);
    let child = launcher()
        .spawn(command.args(["-c", &format!("echo hello >&{number}")]))
        .await
        .unwrap();
    assert!(child.wait().await.success());
    let mut said = String::new();
    // End of file: neither the guard nor we hold the other end.
    ours.read_to_string(&mut said).unwrap();
    assert_eq!(said, "hello\n");
    let listed = launcher()
        .output(Command::new("ls").arg("/proc/self/fd"), SOON)
        .await
        .unwrap();
    let numbers: Vec<_> = listed.stdout.split_whitespace().collect();
    assert_eq!(
        numbers.len(),
        4,
        "three streams and the listing itself, but found {numbers:?}"
    );
}

#[tokio::test]
async fn a_time_out_kills_and_says_what_was_printed() {
    let command = Command::new("sh").args(["-c", "echo stuck >&2; sleep 7654.1"]);
    let error = launcher()
        .output(command, Duration::from_secs(3))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, OutputError::Timeout { stderr, .. } if stderr == "stuck\n"),
        "{error}"
    );
    assert!(!runs("sleep\u{0}7654.1"));
}

#[tokio::test]
async fn killing_a_child_kills_what_fled_into_its_own_session() {
    let scratch = Scratch::new();
    let script = format!(
        "setsid sh -c 'setsid sleep 7654.2 & echo $! > {}/pid; sleep 7654.3' & sleep 7654.4",
        scratch.path()
    );
    let child = launcher()
        .spawn(Command::new("sh").args(["-c", &script]))
        .await
        .unwrap();
    assert!(eventually(SOON, || fs::read_to_string(scratch.join("pid"))
        .is_ok_and(|text| text.ends_with('\n'))));
    assert!(eventually(SOON, || runs("sleep\u{0}7654.2")
        && runs("sleep\u{0}7654.3")
        && runs("sleep\u{0}7654.4")));
    assert_eq!(child.kill().await, Exit::Signal(9));
    assert!(!runs("sleep\u{0}7654.2") && !runs("sleep\u{0}7654.3") && !runs("sleep\u{0}7654.4"));
}

#[tokio::test]
async fn what_a_command_leaves_behind_ends_with_it() {
    let child = launcher()
        .spawn(Command::new("sh").args(["-c", "setsid sleep 7654.5 & exit 4"]))
        .await
        .unwrap();
    assert_eq!(child.wait().await, Exit::Code(4));
    assert!(!runs("sleep\u{0}7654.5"));
}

#[tokio::test]
async fn dropping_a_child_kills_it() {
    let child = launcher()
        .spawn(Command::new("sleep").arg("7654.6"))
        .await
        .unwrap();
    let pid = child.pid();
    assert!(alive(pid) && child.try_wait().is_none());
    drop(child);
    assert!(eventually(SOON, || !alive(pid)));
}

#[tokio::test]
async fn a_janitor_removes_its_folder() {
    let scratch = Scratch::new();
    let held = scratch.join("run");
    fs::create_dir_all(held.join("deep")).unwrap();
    let janitor = launcher().janitor(Duties::default().remove(&held)).await.unwrap();
    assert!(held.exists());
    assert!(janitor.finish().await.success());
    assert!(!held.exists());
}

#[tokio::test]
async fn a_janitor_puts_back_what_was_changed_and_then_lets_go() {
    let scratch = Scratch::new();
    let (setting, lock) = (scratch.join("setting"), scratch.join("lock"));
    fs::write(&setting, "as found").unwrap();
    let held = fs::File::create(&lock).unwrap();
    held.lock().unwrap();
    let other = fs::File::open(&lock).unwrap();
    let undo = format!("test \"$(cat {setting})\" = changed && printf 'as found' > {setting}");
    let duties = Duties::default().run(undo).run("exit 3").hold(held);
    let janitor = launcher().janitor(duties).await.unwrap();
    fs::write(&setting, "changed").unwrap();
    assert!(other.try_lock().is_err(), "the janitor holds it");
    assert_eq!(janitor.finish().await, Exit::Code(3));
    assert_eq!(fs::read_to_string(&setting).unwrap(), "as found");
    other.try_lock().unwrap();
}

#[tokio::test]
async fn the_child_of_a_killed_guard_dies_and_is_reported_lost() {
    let child = launcher()
        .spawn(Command::new("sleep").arg("7654.7"))
        .await
        .unwrap();
    let stat = fs::read_to_string(format!("/proc/{}/stat", child.pid())).unwrap();
    let guard = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .nth(1)
        .unwrap()
        .parse()
        .unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(guard).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    assert_eq!(child.wait().await, Exit::Lost);
    assert!(eventually(SOON, || !alive(child.pid())));
}

/// Not a test: the vtbuild of the tests below. Starts a descent and a janitor, says so, and waits to be killed.
#[tokio::test]
#[ignore = "a helper that other tests start and kill"]
async fn helper() {
    let Ok(dir) = std::env::var("VTBUILD_TEST_DIR").map(Utf8PathBuf::from) else {
        return;
    };
    let scratch = dir.join("scratch");
    fs::create_dir(&scratch).unwrap();
    let setting = dir.join("setting");
    let duties = Duties::default()
        .remove(&scratch)
        .run(format!("printf 'as found' > {setting}"));
    let _janitor = launcher().janitor(duties).await.unwrap();
    let script = format!(
        "setsid sh -c 'trap \"\" TERM HUP INT; while :; do echo x >> {scratch}/file; sleep 0.01; done' & sleep 60; :"
    );
    let socket = dir.join("socket");
    let command = Command::new("sh")
        .args(["-c", &script, dir.as_str()])
        .remove_after(&socket);
    fs::write(&socket, "").unwrap();
    let child = launcher().spawn(command.stdout(Stream::Null)).await.unwrap();
    fs::write(dir.join("ready"), child.pid().to_string()).unwrap();
    child.wait().await;
}

fn dies_by(signal: rustix::process::Signal, group: bool) {
    let scratch = Scratch::new();
    let mut helper = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "helper"])
        .env("VTBUILD_TEST_DIR", scratch.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert!(eventually(SOON, || fs::read_to_string(scratch.join("ready"))
        .is_ok_and(|pid| !pid.is_empty())));
    assert!(eventually(SOON, || scratch.join("scratch/file").exists()));
    assert!(runs(scratch.path().as_str()));
    let pid = rustix::process::Pid::from_raw(helper.id().cast_signed()).unwrap();
    if group {
        rustix::process::kill_process(pid, signal).unwrap();
    }
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert!(helper.wait().unwrap().signal().is_some());
    assert!(
        eventually(SOON, || !runs(scratch.path().as_str())),
        "a process of the descent is alive"
    );
    assert!(
        eventually(SOON, || !scratch.join("scratch").exists()),
        "the scratch folder is still there"
    );
    assert_eq!(fs::read_to_string(scratch.join("setting")).unwrap(), "as found");
    assert!(!scratch.join("socket").exists());
}

#[test]
fn sigkill_leaves_nothing() {
    dies_by(rustix::process::Signal::KILL, false);
}

#[test]
fn sigterm_and_sigint_leave_nothing() {
    dies_by(rustix::process::Signal::TERM, true);
    dies_by(rustix::process::Signal::INT, true);
}
