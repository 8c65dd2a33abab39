//! The test host: real interpreters, started behind real guards.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Map, Value, json};
use support::{Scratch, alive, eventually, launcher, runs};
use vtbuild_providers::host::protocol::{Dirs, PROTOCOL, Programs, StartedVm, Status, TestModule};
use vtbuild_providers::host::{
    CallError, Ending, Finished, Handler, HostError, HostSetup, Interpreters, Note, Packages, Request,
    Runtime, Start, run,
};
use vtbuild_providers::process::{Exit, Limits};

const LONG: Duration = Duration::from_secs(60);

/// Answers `vm.state`, never answers `vm.wait_for_dead`, refuses the rest. Keeps the notes.
#[derive(Default)]
struct Fake(Mutex<Vec<Note>>);

#[async_trait::async_trait]
impl Handler for Fake {
    async fn call(&self, request: Request) -> Result<Value, CallError> {
        match request {
            Request::VmState(_) => Ok(json!({"alive": true, "dead": false, "pid": 7, "status": "running"})),
            Request::VmWaitForDead(_) => std::future::pending().await,
            _ => Err(CallError::new("vm-dead", "do that: the machine vm1 is dead")),
        }
    }

    fn note(&self, note: &Note) {
        self.0.lock().expect("no panic").push(note.clone());
    }
}

fn setup(scratch: &Scratch, packages: impl Into<Utf8PathBuf>) -> HostSetup {
    HostSetup {
        interpreters: Interpreters::new(launcher(), scratch.join("loading")),
        packages: Packages {
            python: "python3".to_owned(),
            ours: packages.into(),
            runtime: Runtime::Own,
            upstream: None,
        },
        work_dir: scratch.path().to_owned(),
        env: vec![("FROM_US".to_owned(), "yes".to_owned())],
        stdout: scratch.join("stdout"),
        stderr: scratch.join("stderr"),
    }
}

/// A test that nobody stops, with a core of its own.
async fn undisturbed(setup: &HostSetup, start: &Start) -> Result<Finished, HostError> {
    let core = Arc::new(Fake::default());
    run(setup, start, core, Some(LONG), std::future::pending()).await
}

fn start(scratch: &Scratch, modules: Vec<TestModule>) -> Start {
    let dir = || scratch.path().to_owned();
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
    let mut params = Map::new();
    for (key, value) in [
        ("vms", "vm1"),
        ("main_vm", "vm1"),
        ("mem", "512"),
        ("shell_prompt", "# $"),
    ] {
        params.insert(key.to_owned(), json!(value));
    }
    Start {
        protocol: PROTOCOL,
        name: "io-github-autotest-qemu.boot".to_owned(),
        shortname: "boot".to_owned(),
        params,
        modules,
        module_paths: vec![dir()],
        deps_dirs: Vec::new(),
        deps_builds: Vec::new(),
        dirs,
        log: scratch.join("debug.log"),
        vms: vec![StartedVm {
            name: "vm1".to_owned(),
            params: None,
        }],
        qemu: Programs {
            binary: "/usr/bin/qemu".into(),
            img: "/usr/bin/qemu-img".into(),
            io: None,
        },
        accelerator: "tcg",
        limits: Limits::default(),
        probes: None,
        watched: Vec::new(),
    }
}

/// A package called `virttest` whose runner is nothing but this script, with `ask` and `tell` for the protocol.
fn script(scratch: &Scratch, body: &str) -> Utf8PathBuf {
    let prelude = concat!(
        "import json, os, socket, subprocess, sys, time\n",
        "sock = socket.socket(fileno=int(os.environ['VTBUILD_HOST_FD']))\n",
        "lines = sock.makefile('rw')\n",
        "start = json.loads(lines.readline())['start']\n",
        "def tell(**note):\n    lines.write(json.dumps(note) + '\\n'); lines.flush()\n",
        "def ask(call, **args):\n    tell(id=1, call=call, args=args); return json.loads(lines.readline())\n",
        "def verdict(status, reason=None):\n    tell(note='verdict', status=status, reason=reason)\n",
    );
    let packages = scratch.join("packages");
    let write =
        |name: &str, text: &str| fs::write(packages.join("virttest").join(name), text).expect("written");
    fs::create_dir_all(packages.join("virttest")).expect("a folder");
    let host = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("python/vtbuild_host");
    std::os::unix::fs::symlink(host, packages.join("vtbuild_host")).expect("linked");
    write("__init__.py", "");
    write("body.py", &format!("{prelude}{body}\n"));
    write(
        "runner.py",
        "def preload():\n    pass\n\n\ndef main():\n    import virttest.body\n",
    );
    packages
}

async fn run_script(scratch: &Scratch, body: &str, patience: Option<Duration>) -> Finished {
    let setup = setup(scratch, script(scratch, body));
    let start = start(scratch, Vec::new());
    run(
        &setup,
        &start,
        Arc::new(Fake::default()),
        patience,
        std::future::pending(),
    )
    .await
    .expect("starts")
}

#[tokio::test]
async fn a_script_asks_and_tells() {
    let scratch = Scratch::new();
    let body = "state = ask('vm.state', vm='vm1')['ok']\n\
                error = ask('vm.address', vm='vm1')['error']\n\
                tell(note='whiteboard', text=os.environ['FROM_US'] + start['shortname'])\n\
                print('on stdout'); print('on stderr', file=sys.stderr)\n\
                verdict('WARN', f\"{state['pid']} {error['kind']}\")";
    let finished = run_script(&scratch, body, Some(LONG)).await;
    let verdict = finished.verdict().expect("a verdict");
    assert_eq!(
        (verdict.status, verdict.reason.as_deref()),
        (Status::Warn, Some("7 vm-dead"))
    );
    assert_eq!((finished.exit, finished.requests), (Exit::Code(0), 2));
    assert_eq!(finished.whiteboard.as_deref(), Some("yesboot"));
    assert_eq!(finished.stderr, "on stderr\n");
    assert_eq!(
        fs::read_to_string(scratch.join("stdout")).expect("there"),
        "on stdout\n"
    );
}

#[tokio::test]
async fn an_interpreter_that_dies_leaves_its_status_and_its_last_words() {
    let scratch = Scratch::new();
    let body = "tell(note='step', text='divide')\nos.write(2, b'Fatal: out of luck\\n')\nos._exit(42)";
    let finished = run_script(&scratch, body, Some(LONG)).await;
    assert!(matches!(finished.ending, Ending::NoVerdict));
    assert_eq!(
        (finished.exit, finished.stderr.as_str()),
        (Exit::Code(42), "Fatal: out of luck\n")
    );
    let why = finished.without_verdict().expect("no verdict");
    assert_eq!(
        why,
        "the test's interpreter ended without a verdict (exit status 42) while doing: divide"
    );
}

#[tokio::test]
async fn what_a_test_left_running_does_not_hold_up_its_end() {
    let scratch = Scratch::new();
    let body = "subprocess.Popen(['sleep', '4242'], pass_fds=[sock.fileno()])\nverdict('PASS')";
    let before = Instant::now();
    let finished = run_script(&scratch, body, Some(LONG)).await;
    assert_eq!(
        finished.verdict().map(|verdict| verdict.status),
        Some(Status::Pass)
    );
    assert!(before.elapsed() < LONG, "{:?}", before.elapsed());
    assert!(eventually(LONG, || !runs("sleep\u{0}4242")));
}

#[tokio::test]
async fn a_test_that_takes_too_long_is_killed_with_all_it_started() {
    let scratch = Scratch::new();
    let body = "tell(note='step', text='wait')\nsubprocess.Popen(['sleep', '4343'])\nask('vm.wait_for_dead', vm='vm1', timeout=9)";
    let finished = run_script(&scratch, body, Some(Duration::from_secs(6))).await;
    assert!(matches!(finished.ending, Ending::TimedOut { .. }));
    assert_eq!(finished.exit, Exit::Signal(9));
    assert_eq!(
        finished.without_verdict().as_deref(),
        Some("the test took longer than 6 s while doing: wait")
    );
    assert!(eventually(LONG, || !runs("sleep\u{0}4343")));
}

#[tokio::test]
async fn a_test_is_interrupted_when_asked() {
    let scratch = Scratch::new();
    let setup = setup(&scratch, script(&scratch, "time.sleep(4444)"));
    let soon = tokio::time::sleep(Duration::from_millis(500));
    let finished = run(
        &setup,
        &start(&scratch, Vec::new()),
        Arc::new(Fake::default()),
        None,
        soon,
    )
    .await;
    let finished = finished.expect("starts");
    assert!(matches!(finished.ending, Ending::Cancelled));
    assert_eq!(
        finished.without_verdict().as_deref(),
        Some("the test was interrupted")
    );
}

#[tokio::test]
async fn nonsense_on_the_socket_is_an_error_of_ours() {
    let scratch = Scratch::new();
    let finished = run_script(
        &scratch,
        "lines.write('hello\\n'); lines.flush(); time.sleep(60)",
        Some(LONG),
    )
    .await;
    assert!(matches!(finished.ending, Ending::Broken(_)));
    assert!(
        finished
            .without_verdict()
            .expect("none")
            .contains("it said: hello")
    );
}

#[tokio::test]
async fn an_interpreter_that_is_missing_is_said() {
    let scratch = Scratch::new();
    let mut setup = setup(&scratch, "/nowhere");
    setup.packages.python = "no-such-python3".to_owned();
    let start = start(&scratch, Vec::new());
    let result = run(
        &setup,
        &start,
        Arc::new(Fake::default()),
        None,
        std::future::pending(),
    );
    let error = result.await.expect_err("missing");
    assert!(error.to_string().contains("no-such-python3"), "{error}");
}

/// Notes in a file who loads it, and in another one what a test sees of itself.
const LOOKS_AROUND: &str = "\
    fds = sorted(int(fd) for fd in os.listdir('/proc/self/fd'))\n\
    opened = [fd for fd in fds if os.path.exists(f'/proc/self/fd/{fd}')]\n\
    server = int(open(f'/proc/{os.getppid()}/stat').read().rsplit(')')[1].split()[1])\n\
    seen = [os.getpid(), server, os.getsid(0) == os.getppid(), os.getcwd(), os.environ.get('LEFT'), len(opened)]\n\
    os.environ['LEFT'] = 'by a test before'\n\
    subprocess.run(['true'], check=True)\n\
    verdict('PASS', json.dumps(seen))";

#[tokio::test]
async fn what_is_loaded_once_is_forked_for_each_test() {
    let scratch = Scratch::new();
    let setup = setup(&scratch, script(&scratch, LOOKS_AROUND));
    let loaded = scratch.join("loaded");
    fs::write(
        scratch.join("packages/virttest/__init__.py"),
        format!("open({:?}, 'a').write('once')\n", loaded.as_str()),
    )
    .expect("written");
    let start = start(&scratch, Vec::new());
    let test = || undisturbed(&setup, &start);
    let (one, other) = tokio::join!(test(), test());
    let (mut pids, mut servers) = (BTreeSet::new(), BTreeSet::new());
    for finished in [
        one.expect("starts"),
        other.expect("starts"),
        test().await.expect("starts"),
    ] {
        assert_eq!((finished.exit, finished.stderr.as_str()), (Exit::Code(0), ""));
        let verdict = finished.verdict().expect("a verdict");
        let seen: Value = serde_json::from_str(verdict.reason.as_deref().expect("a list")).expect("a list");
        // Its guard leads the session; it has three streams, and the socket.
        assert_eq!(
            seen.as_array().expect("a list")[2..],
            [json!(true), json!(scratch.path()), Value::Null, json!(4)],
            "{seen}"
        );
        pids.insert(seen[0].as_u64());
        servers.insert(seen[1].as_u64());
    }
    assert_eq!((pids.len(), servers.len()), (3, 1), "{pids:?} of {servers:?}");
    assert_eq!(fs::read_to_string(&loaded).expect("loaded"), "once");
    let server = servers.pop_first().flatten().expect("a number");
    let server = u32::try_from(server).expect("the number of a process");
    assert!(alive(server));
    setup.interpreters.finish().await;
    assert!(!alive(server));
}

#[tokio::test]
async fn a_test_that_kills_what_it_was_forked_from_harms_no_other() {
    let scratch = Scratch::new();
    let body = "guard = int(open(f'/proc/{os.getppid()}/stat').read().rsplit(')')[1].split()[1])\n\
                os.kill(guard, 9)\ntime.sleep(4545)";
    let setup = setup(&scratch, script(&scratch, body));
    let start = start(&scratch, Vec::new());
    let test = || undisturbed(&setup, &start);
    let first = test().await.expect("starts");
    assert!(matches!(first.ending, Ending::NoVerdict), "{first:?}");
    fs::write(
        scratch.join("packages/virttest/runner.py"),
        "def preload():\n    raise OSError('a broken package')\n",
    )
    .expect("written");
    let next = test().await.expect("a server is started again");
    assert_eq!(next.exit, Exit::Code(1));
    assert!(
        next.stderr.contains("OSError: a broken package"),
        "{}",
        next.stderr
    );
}

/// The package that is shipped, with a module that says `body`.
async fn run_module(body: &str) -> (Scratch, Arc<Fake>, Finished) {
    let scratch = Scratch::new();
    let path = scratch.join("body.py");
    fs::write(&path, body).expect("written");
    let packages = Utf8Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let fake = Arc::new(Fake::default());
    let module = TestModule {
        name: "body".to_owned(),
        path,
    };
    let start = start(&scratch, vec![module]);
    let finished = run(
        &setup(&scratch, packages),
        &start,
        Arc::clone(&fake),
        Some(LONG),
        std::future::pending(),
    )
    .await;
    (scratch, fake, finished.expect("starts"))
}

#[tokio::test]
async fn the_shipped_package_runs_a_test_and_tells_what_it_read() {
    let body = "from virttest import error_context\n\
                @error_context.context_aware\n\
                def run(test, params, env):\n\
                \x20   vm = env.get_vm(params['main_vm'])\n\
                \x20   error_context.context('look at the machine')\n\
                \x20   if not vm.is_alive():\n\
                \x20       test.fail('it is dead')\n\
                \x20   params.get('absent')\n";
    let (scratch, fake, finished) = run_module(body).await;
    let verdict = finished.verdict().unwrap_or_else(|| panic!("{finished:?}"));
    assert_eq!(verdict.status, Status::Pass, "{verdict:?}");
    assert_eq!(verdict.reads.keys.get("main_vm"), Some(&Some(json!("vm1"))));
    assert_eq!(verdict.reads.keys.get("absent"), Some(&None));
    assert_eq!(verdict.modules, [scratch.join("body.py")]);
    let notes = fake.0.lock().expect("no panic");
    assert!(
        notes
            .iter()
            .any(|note| matches!(note, Note::Step { text } if text.contains("look at"))),
        "{notes:?}"
    );
    assert_eq!((finished.exit, finished.stderr.as_str()), (Exit::Code(0), ""));
}

#[tokio::test]
async fn errors_of_calls_become_the_classes_that_tests_catch() {
    let body = "from virttest import virt_vm\n\
                def run(test, params, env):\n\
                \x20   vm = env.get_vm('vm1')\n\
                \x20   try:\n\
                \x20       vm.get_address()\n\
                \x20   except virt_vm.VMDeadError as error:\n\
                \x20       test.fail(f'caught: {error}')\n";
    let (_scratch, _fake, finished) = run_module(body).await;
    let verdict = finished.verdict().unwrap_or_else(|| panic!("{finished:?}"));
    assert_eq!(verdict.status, Status::Fail, "{verdict:?}");
    assert!(
        verdict
            .reason
            .as_deref()
            .is_some_and(|reason| reason.contains("vm1 is dead")),
        "{verdict:?}"
    );
}
