//! What a command did. A stream that a test says nothing about must be empty.

use std::cell::Cell;
use std::process::ExitStatus;

use serde_json::Value;

/// The end of a command: exit code and both streams.
pub(crate) struct Output {
    command: String,
    status: ExitStatus,
    stdout: String,
    stderr: String,
    stdout_stated: Cell<bool>,
    stderr_stated: Cell<bool>,
}

/// The line of one test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The test's name as shown.
    pub(crate) name: String,
    /// The word.
    pub(crate) status: String,
    /// Whether it came from the cache.
    pub(crate) cached: bool,
    /// The line below it, where there is one.
    pub(crate) reason: Option<String>,
}

impl Output {
    pub(super) fn new(command: String, status: ExitStatus, stdout: String, stderr: String) -> Self {
        let (stdout_stated, stderr_stated) = Default::default();
        Self {
            command,
            status,
            stdout,
            stderr,
            stdout_stated,
            stderr_stated,
        }
    }

    /// All of it, for messages.
    pub(crate) fn whole(&self) -> String {
        let Self { command, status, .. } = self;
        format!(
            "`{command}` ended with {status}\n--- stdout\n{}--- stderr\n{}",
            self.stdout, self.stderr
        )
    }

    /// It ended with this code.
    #[track_caller]
    pub(crate) fn exit(self, code: i32) -> Self {
        if self.status.code() != Some(code) {
            self.stdout_stated.set(true);
            self.stderr_stated.set(true);
            panic!("exit code {code} was expected: {}", self.whole());
        }
        self
    }

    /// Both streams, for a test that looks at them itself.
    pub(crate) fn stdout(&self) -> &str {
        self.stdout_stated.set(true);
        &self.stdout
    }

    /// Standard error.
    pub(crate) fn stderr(&self) -> &str {
        self.stderr_stated.set(true);
        &self.stderr
    }

    /// Standard output holds each of these.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        self.holds("standard output", self.stdout(), texts);
        self
    }

    /// Standard error holds each of these.
    #[track_caller]
    pub(crate) fn complains(self, texts: &[&str]) -> Self {
        self.holds("standard error", self.stderr(), texts);
        self
    }

    #[track_caller]
    fn holds(&self, what: &str, stream: &str, texts: &[&str]) {
        for text in texts {
            if !stream.contains(text) {
                self.stdout_stated.set(true);
                self.stderr_stated.set(true);
                panic!("{what} lacks {text:?}: {}", self.whole());
            }
        }
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        let text = self.stdout();
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {}", self.whole()))
    }

    /// The tests' lines.
    pub(crate) fn verdicts(&self) -> Vec<Verdict> {
        let lines: Vec<&str> = self.stdout().lines().collect();
        let mut found = Vec::new();
        for (at, line) in lines.iter().enumerate() {
            let Some((_, rest)) = line.strip_prefix('(').and_then(|rest| rest.split_once(") ")) else {
                continue;
            };
            let (name, verdict) = rest.split_once(": ").expect("a name and a verdict");
            let reason = lines.get(at + 1).and_then(|next| next.strip_prefix("        "));
            found.push(Verdict {
                name: name.to_owned(),
                status: verdict.split(' ').next().unwrap_or_default().to_owned(),
                cached: verdict.ends_with(" (cached)"),
                reason: reason.map(str::to_owned),
            });
        }
        found
    }

    /// The last label of each test that ran, sorted; all that ran passed, and all others came from the cache.
    #[track_caller]
    pub(crate) fn ran(&self) -> Vec<String> {
        let verdicts = self.verdicts();
        let bad = verdicts.iter().find(|verdict| verdict.status != "PASS");
        assert!(bad.is_none(), "{bad:?} in {}", self.whole());
        let mut ran: Vec<String> = verdicts
            .into_iter()
            .filter(|verdict| !verdict.cached)
            .map(|verdict| verdict.name.rsplit('.').next().unwrap_or_default().to_owned())
            .collect();
        ran.sort();
        ran
    }

    /// The verdict on the test whose name ends so.
    #[track_caller]
    pub(crate) fn verdict(&self, name: &str) -> Verdict {
        let found = self
            .verdicts()
            .into_iter()
            .find(|verdict| verdict.name.ends_with(name));
        found.unwrap_or_else(|| panic!("no verdict on {name}: {}", self.whole()))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        let unstated = [
            ("standard output", &self.stdout, &self.stdout_stated),
            ("standard error", &self.stderr, &self.stderr_stated),
        ];
        for (name, text, stated) in unstated {
            assert!(
                stated.get() || text.is_empty(),
                "{name} was to be empty: {}",
                self.whole()
            );
        }
    }
}
