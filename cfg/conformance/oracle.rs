//! The reference implementation, asked through one long-lived process, and this crate, asked in the same terms.

use std::io::{self, BufRead, BufReader, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use serde_json::json;
use vtbuild_cfg::{Class, Diagnostic, Program, Unit, canonical_dump, parse};

use super::grammar::Case;

/// How many variants of a program are compared.
const MOST: usize = 400;
/// How long the reference may take for one program.
const SECONDS: f64 = 5.0;

/// What an implementation makes of a program.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Answer {
    /// The dumps of the variants, without line ends, up to an error.
    pub dumps: Vec<String>,
    /// The error that ended it.
    pub error: Option<Failed>,
    /// Whether there was not enough time.
    #[serde(default)]
    pub slow: bool,
}

/// An error.
#[derive(Clone, Debug, Deserialize)]
pub struct Failed {
    /// The class: `ParserError`, `LexerError`, `MissingIncludeError`, or another of Python's; ours call those `Error`.
    pub class: String,
    /// The message.
    pub message: String,
    /// The file.
    pub file: Option<String>,
    /// The line, counted from 1; -1 (or 0 in ours) where there is none.
    pub line: Option<i64>,
}

/// The class of a panic of ours.
pub const PANIC: &str = "panic";

/// The running reference.
pub struct Oracle {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
    folder: tempfile::TempDir,
}

impl Oracle {
    /// Starts the reference under `python`, the interpreter of a virtual environment that has it.
    ///
    /// # Errors
    /// The interpreter cannot be started.
    pub fn start(python: &Path) -> io::Result<Self> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/conformance/oracle.py");
        let mut child = Command::new(python)
            .arg(script)
            .env("PYTHONHASHSEED", "0")
            .env("PYTHONUTF8", "1")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let requests = child.stdin.take().expect("asked for");
        let answers = BufReader::new(child.stdout.take().expect("asked for"));
        let folder = tempfile::Builder::new().prefix("cartesian").tempdir()?;
        Ok(Oracle {
            child,
            requests,
            answers,
            folder,
        })
    }

    /// What both make of a program: the reference, then this crate.
    ///
    /// # Errors
    /// The files cannot be written, or the reference's process has ended.
    pub fn ask(&mut self, case: &Case) -> io::Result<(Answer, Answer)> {
        for (name, text) in &case.files {
            std::fs::write(self.folder.path().join(name), text)?;
        }
        let folder = Utf8PathBuf::from_path_buf(self.folder.path().to_owned()).expect("a UTF-8 path");
        let root = folder.join(&case.files[0].0);
        let theirs = self.theirs(case, &root)?;
        let ours = catch_unwind(AssertUnwindSafe(|| ours(case, &root))).unwrap_or_else(|_| Answer {
            error: Some(Failed {
                class: PANIC.into(),
                message: "panicked".into(),
                file: None,
                line: None,
            }),
            ..Answer::default()
        });
        for (name, _) in &case.files {
            std::fs::remove_file(folder.join(name))?;
        }
        Ok((theirs, ours))
    }

    fn theirs(&mut self, case: &Case, root: &Utf8Path) -> io::Result<Answer> {
        let request = json!({
            "root": root,
            "lines": case.lines,
            "defaults": case.options.defaults,
            "expand": case.options.expand,
            "keep_dups": case.options.keep_dups,
            "most": MOST,
            "seconds": SECONDS,
        });
        writeln!(self.requests, "{request}")?;
        self.requests.flush()?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(io::Error::other(
                "the reference's process has ended; its own message is above",
            ));
        }
        serde_json::from_str(&line).map_err(io::Error::other)
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn unit(path: &Utf8Path) -> Unit {
    match std::fs::read(path) {
        Ok(text) => Unit::File(parse(path.as_str(), &text)),
        Err(_) => Unit::Absent,
    }
}

fn program(case: &Case, root: &Utf8Path) -> Result<Program, Vec<Diagnostic>> {
    let program = Program::link(root, &mut unit)?;
    let lines: Vec<_> = case
        .lines
        .iter()
        .map(|line| parse("<string>", line.as_bytes()))
        .collect();
    program.with_parsed(&lines, &mut unit)
}

fn ours(case: &Case, root: &Utf8Path) -> Answer {
    let mut answer = Answer::default();
    let program = match program(case, root) {
        Ok(program) => program,
        Err(errors) => {
            answer.error = errors.first().map(describe);
            return answer;
        }
    };
    for variant in program.variants(&case.options).take(MOST) {
        let mut dump = String::new();
        if let Err(error) = variant.and_then(|variant| canonical_dump(&variant, &mut dump)) {
            answer.error = Some(describe(&error));
            break;
        }
        dump.truncate(dump.trim_end_matches('\n').len());
        answer.dumps.push(dump);
    }
    answer
}

fn describe(error: &Diagnostic) -> Failed {
    let place = error.class != Class::Other;
    Failed {
        class: error.class.to_string(),
        message: error.to_string(),
        file: place.then(|| error.location.file.to_string()),
        line: place.then_some(i64::from(error.location.line)),
    }
}
