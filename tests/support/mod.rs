//! A hermetic place to run the program in: its own home, cache and workspace, and nothing of the caller's environment but
//! the way to programs and mirrors. It goes with the test, unless `VTBUILD_KEEP` is set: then it stays, and says where.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(unused_imports, reason = "each test binary uses its own part")]

pub(crate) mod chromium;
pub(crate) mod guest;
pub(crate) mod output;
pub(crate) mod provider;
pub(crate) mod server;
pub(crate) mod sshd;

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

pub(crate) use output::{Output, Verdict};

/// What a child sees of our environment.
const PASSED: [&str; 6] = [
    "PATH",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "no_proxy",
];
/// How long any one command may take.
const DEADLINE: Duration = Duration::from_secs(300);

/// A place to run the program in.
pub(crate) struct Sandbox {
    dir: Option<tempfile::TempDir>,
    root: Utf8PathBuf,
    /// Held while real guests may run: they take turns across test processes.
    turn: Option<File>,
}

impl Sandbox {
    /// An empty workspace, an empty cache, an empty home.
    pub(crate) fn new() -> Self {
        // Short, because sockets live below it and their paths must fit 108 bytes.
        let dir = tempfile::Builder::new().prefix("vtb").tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().canonicalize().unwrap()).unwrap();
        for folder in ["home", "cache", "work", "bin"] {
            fs::create_dir(root.join(folder)).unwrap();
        }
        let sandbox = Self {
            dir: Some(dir),
            root,
            turn: None,
        };
        sandbox.write("vtbuild.toml", "");
        sandbox
    }

    /// The folder of it all.
    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    /// The cache's folder.
    pub(crate) fn cache(&self) -> Utf8PathBuf {
        self.root.join("cache")
    }

    /// A path in the workspace.
    pub(crate) fn path(&self, name: &str) -> Utf8PathBuf {
        self.root.join("work").join(name)
    }

    /// Writes a file of the workspace, with the folders above it.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        if text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    /// Reads a file of the workspace.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// Replaces a text that stands exactly once in a file of the workspace.
    pub(crate) fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert_eq!(text.matches(from).count(), 1, "{from:?} in {name}:\n{text}");
        self.write(name, &text.replace(from, to));
    }

    /// The program, ready to be started in the workspace.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.path(""));
        for name in PASSED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let path = std::env::var("PATH").unwrap();
        command
            .env("PATH", format!("{}:{path}", self.root.join("bin")))
            .env("HOME", self.root.join("home"))
            .env("VTBUILD_CACHE", self.cache())
            .env("NO_COLOR", "1")
            .stdin(Stdio::null());
        command
    }

    /// Runs `vtbuild` with these words (no word holds a space) to its end.
    pub(crate) fn run(&self, words: &str) -> Output {
        self.run_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// Runs `vtbuild` with these arguments to its end.
    pub(crate) fn run_args(&self, args: &[&str]) -> Output {
        let mut command = self.command(env!("CARGO_BIN_EXE_vtbuild"));
        command.args(args);
        self.finish(command)
    }

    /// Starts `vtbuild` and lets it run.
    pub(crate) fn start(&self, words: &str) -> Running {
        let mut command = self.command(env!("CARGO_BIN_EXE_vtbuild"));
        command.args(words.split_whitespace());
        self.spawn(command)
    }

    /// Starts any command of [`Sandbox::command`].
    pub(crate) fn spawn(&self, mut command: Command) -> Running {
        // Files, not pipes: what outlives the program cannot hold them open.
        let shown = format!("{command:?}");
        let shown = shown
            .rsplit_once("vtbuild\" ")
            .map_or(shown.clone(), |(_, args)| args.to_owned());
        let logs = tempfile::Builder::new()
            .prefix("out")
            .tempdir_in(&self.root)
            .unwrap();
        let open = |name: &str| File::create(logs.path().join(name)).unwrap();
        command.stdout(open("stdout")).stderr(open("stderr"));
        let child = command.spawn().unwrap();
        Running { child, logs, shown }
    }

    /// Runs any command of [`Sandbox::command`] to its end.
    pub(crate) fn finish(&self, command: Command) -> Output {
        self.spawn(command).wait()
    }

    /// Puts a program in front of all others. It is a shell script.
    pub(crate) fn program(&self, name: &str, script: &str) {
        let path = self.root.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// From now on calls of QEMU and its tools are counted.
    pub(crate) fn count_calls(&self) {
        for name in ["qemu-system-x86_64", "qemu-img", "qemu-io"] {
            if let Some(real) = real_program(name) {
                let calls = self.root.join("calls");
                self.program(name, &format!("echo '{name}' >> {calls}\nexec {real} \"$@\""));
            }
        }
    }

    /// How often QEMU and its tools were called since [`Sandbox::count_calls`].
    pub(crate) fn calls(&self) -> usize {
        fs::read_to_string(self.root.join("calls")).map_or(0, |text| text.lines().count())
    }

    /// The newest job's folder.
    pub(crate) fn latest(&self) -> Utf8PathBuf {
        self.path("job-results/latest").canonicalize_utf8().unwrap()
    }

    /// The newest job's `results.json`.
    pub(crate) fn results(&self) -> Value {
        let text = fs::read_to_string(self.latest().join("results.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// The newest job's `events.jsonl`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.latest().join("events.jsonl")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The names of what ran in the newest job, in the order in which it started.
    pub(crate) fn started(&self) -> Vec<String> {
        let events = self.events();
        let started = events.iter().filter(|event| event["event"] == "started");
        started
            .map(|event| event["label"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The folder of one test's logs in the newest job.
    pub(crate) fn logs_of(&self, name: &str) -> Utf8PathBuf {
        let tests = self.latest().join("test-results");
        let entries = tests
            .read_dir_utf8()
            .unwrap()
            .map(|entry| entry.unwrap().into_path());
        let mut found: Vec<_> = entries.filter(|path| path.as_str().ends_with(name)).collect();
        assert_eq!(found.len(), 1, "folders for {name} in {tests}: {found:?}");
        found.remove(0)
    }

    /// Everything of ours that still runs: processes with the sandbox's folder in their command line or environment.
    pub(crate) fn processes(&self) -> Vec<String> {
        let entries = Utf8Path::new("/proc").read_dir_utf8().unwrap().flatten();
        let ours = |dir: Utf8PathBuf| {
            let read = |name: &str| {
                let bytes = fs::read(dir.join(name)).unwrap_or_default();
                String::from_utf8_lossy(&bytes).replace('\0', " ")
            };
            let line = read("cmdline");
            let root = self.root.as_str();
            let own = !line.is_empty() && (line.contains(root) || read("environ").contains(root));
            own.then(|| format!("{} {line}", dir.file_name().unwrap()))
        };
        entries.filter_map(|entry| ours(entry.into_path())).collect()
    }

    /// What a run left in the cache's scratch folder, and the links to it.
    #[expect(clippy::disallowed_methods, reason = "where links are is looked at")]
    pub(crate) fn scratch(&self) -> Vec<Utf8PathBuf> {
        let temporary = Utf8PathBuf::from_path_buf(std::env::temp_dir()).unwrap();
        let links = temporary.read_dir_utf8().unwrap().flatten();
        let ours = |link: &Utf8PathBuf| link.read_link_utf8().is_ok_and(|to| to.starts_with(&self.root));
        let mut left = files_below(&self.cache().join("runs"));
        left.extend(links.map(camino::Utf8DirEntry::into_path).filter(ours));
        left
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if std::env::var_os("VTBUILD_KEEP").is_some() {
            let kept = self.dir.take().map(tempfile::TempDir::keep);
            #[expect(
                clippy::print_stdout,
                reason = "whoever asked to keep it wants to know where it is"
            )]
            {
                println!("kept: {}", kept.unwrap_or_default().display());
            }
        }
    }
}

/// Says loudly that a check is left out on this host.
pub(crate) fn skipped(what: &str) {
    #[expect(clippy::print_stdout, reason = "a skipped check is said loudly")]
    {
        println!("SKIPPED: {what}");
    }
}

/// A program that runs.
pub(crate) struct Running {
    child: Child,
    logs: tempfile::TempDir,
    shown: String,
}

impl Running {
    /// Its process id.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// What it has printed so far.
    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.logs.path().join("stdout")).unwrap()
    }

    /// What it has complained about so far.
    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.logs.path().join("stderr")).unwrap()
    }

    /// Waits until what it has printed since `from` holds `text`. Returns where that ends.
    #[track_caller]
    pub(crate) fn says_after(&self, from: usize, text: &str) -> usize {
        let end = Instant::now() + DEADLINE;
        loop {
            let printed = self.stdout();
            if let Some(at) = printed[from..].find(text) {
                return from + at + text.len();
            }
            assert!(
                Instant::now() < end,
                "vtbuild {} does not say {text:?} after:\n{}\nbut:\n{}\n{}",
                self.shown,
                &printed[..from],
                &printed[from..],
                self.stderr()
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(self) -> Output {
        self.wait_for(DEADLINE)
    }

    /// Waits for its end for at most so long.
    pub(crate) fn wait_for(mut self, deadline: Duration) -> Output {
        let until = Instant::now() + deadline;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > until {
                self.child.kill().unwrap();
                panic!(
                    "vtbuild {} still runs after {deadline:?}:\n{}",
                    self.shown,
                    self.stdout()
                );
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let read = |name: &str| {
            String::from_utf8_lossy(&fs::read(self.logs.path().join(name)).unwrap()).into_owned()
        };
        Output::new(self.shown.clone(), status, read("stdout"), read("stderr"))
    }
}

/// Waits until `probe` gives something, for at most `seconds`.
pub(crate) fn until<T>(seconds: u64, what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < end, "not within {seconds} s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// All files below a folder, sorted.
pub(crate) fn files_below(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let walk = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .flatten();
    let files = walk.filter(|entry| !entry.file_type().is_dir());
    files
        .map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).unwrap())
        .collect()
}

/// Where a program of the host is.
pub(crate) fn real_program(name: &str) -> Option<Utf8PathBuf> {
    let path = std::env::var("PATH").unwrap();
    let mut candidates = path.split(':').map(|dir| Utf8Path::new(dir).join(name));
    candidates.find(|path| path.is_file())
}
