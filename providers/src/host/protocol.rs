//! The messages that are not requests: start, notes, errors.

use std::collections::BTreeMap;

use camino::Utf8PathBuf;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::process::Limits;

/// The number in `start.protocol`. The other side refuses another one.
pub const PROTOCOL: u32 = 1;

/// Everything that a test host is told at first.
#[derive(Clone, Debug, Serialize)]
pub struct Start {
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The variant's name.
    pub name: String,
    /// Its short name.
    pub shortname: String,
    /// The variant's dict: strings, `dep` as a list, the two maps; in insertion order.
    pub params: Map<String, Value>,
    /// The modules of `type`, run one after the other.
    pub modules: Vec<TestModule>,
    /// Folders for the test's own imports.
    pub module_paths: Vec<Utf8PathBuf>,
    /// Folders searched by `data_dir.get_deps_dir`.
    pub deps_dirs: Vec<Utf8PathBuf>,
    /// What was built for the test before it began.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deps_builds: Vec<DepsBuild>,
    /// Folders of the test, absolute.
    pub dirs: Dirs,
    /// `debug.log`.
    pub log: Utf8PathBuf,
    /// The machines that exist when the body starts.
    pub vms: Vec<StartedVm>,
    /// The programs in use.
    pub qemu: Programs,
    /// How guests run: `kvm` or `tcg`.
    pub accelerator: &'static str,
    /// What the test may take of the host.
    #[serde(skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// A folder for what QEMU's programs answer, where such answers are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probes: Option<Utf8PathBuf>,
    /// Folders whose files count where the test looks at them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<Watched>,
}

/// A folder whose files count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Watched {
    /// Where it is.
    pub folder: Utf8PathBuf,
    /// What the names of its files begin with.
    pub name: String,
    /// Whether it is the test's own copy, in which only links lead to what counts.
    pub own: bool,
}

/// Programs that were built from a folder of sources.
#[derive(Clone, Debug, Serialize)]
pub struct DepsBuild {
    /// The folder of sources.
    pub source: Utf8PathBuf,
    /// A folder of the test's own with what was built.
    pub folder: Utf8PathBuf,
    /// What `make` was told.
    pub make_flags: Vec<String>,
    /// Whether the sources are in `folder` too.
    pub with_source: bool,
}

/// One module of a test.
#[derive(Clone, Debug, Serialize)]
pub struct TestModule {
    /// As `type` names it.
    pub name: String,
    /// The file.
    pub path: Utf8PathBuf,
}

/// Folders of the test.
#[derive(Clone, Debug, Serialize)]
pub struct Dirs {
    /// For the test's own files, kept.
    pub debugdir: Utf8PathBuf,
    /// The test's results.
    pub logdir: Utf8PathBuf,
    /// The same, under its other name.
    pub outputdir: Utf8PathBuf,
    /// Gone after the test.
    pub tmpdir: Utf8PathBuf,
    /// What `test.bindir` is.
    pub bindir: Utf8PathBuf,
    /// What `test.srcdir` is.
    pub srcdir: Utf8PathBuf,
    /// Images and the like.
    pub data_dir: Utf8PathBuf,
    /// The working directory.
    pub workdir: Utf8PathBuf,
}

/// A machine that exists when the body starts.
#[derive(Clone, Debug, Serialize)]
pub struct StartedVm {
    /// Its name.
    pub name: String,
    /// Its view of the parameters, where that is not what `object_params` gives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<BTreeMap<String, String>>,
}

/// Paths of QEMU's programs.
#[derive(Clone, Debug, Serialize)]
pub struct Programs {
    /// The emulator.
    pub binary: Utf8PathBuf,
    /// `qemu-img`.
    pub img: Utf8PathBuf,
    /// `qemu-io`.
    pub io: Option<Utf8PathBuf>,
}

/// What a test says about itself without waiting for an answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
pub enum Note {
    /// How it ended.
    Verdict(Box<Verdict>),
    /// What it is doing now.
    Step {
        /// In its own words.
        text: String,
    },
    /// What is to be kept with its result.
    Whiteboard {
        /// Free text.
        text: String,
    },
}

/// A test's status, as the test host maps exceptions to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[expect(missing_docs, reason = "the field's own names")]
pub enum Status {
    Pass,
    Fail,
    Error,
    Warn,
    Skip,
    Cancel,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The status.
    pub status: Status,
    /// Why, in one line.
    pub reason: Option<String>,
    /// The exception's class.
    pub class: Option<String>,
    /// Where it was raised.
    pub traceback: Option<String>,
    /// Every file that was loaded from the provider's folders.
    #[serde(default)]
    pub modules: Vec<Utf8PathBuf>,
    /// Every path that `data_dir.get_deps_dir` gave.
    #[serde(default)]
    pub deps: Vec<Utf8PathBuf>,
    /// What the test asked its parameters; everything, where that is not told.
    #[serde(default = "Reads::everything")]
    pub reads: Reads,
    /// Which files it looked at.
    #[serde(default)]
    pub files: Files,
    /// Names that the test asked for and this host does not have, where it did not end well.
    #[serde(default)]
    pub missing: Vec<String>,
}

/// Files that a test looked at by itself, by the names that [`Watched`] gives them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Files {
    /// Opened, or found where they were looked for.
    pub read: Vec<String>,
    /// Looked for and not there.
    pub absent: Vec<String>,
    /// Folders whose names were read.
    pub listed: Vec<String>,
    /// Folders that were handed to a program or a guest with all that is in them.
    pub trees: Vec<String>,
}

/// What a test asked its parameters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reads {
    /// Names and the values found; `None` for a name that is absent.
    pub keys: BTreeMap<String, Option<Value>>,
    /// Suffixes looked for by `object_params`.
    pub scans: Vec<String>,
    /// Whether it went through all of them.
    pub all: bool,
}

impl Reads {
    /// Of a test of which nobody recorded what it asked.
    fn everything() -> Self {
        Self {
            all: true,
            ..Self::default()
        }
    }
}

/// Why a request was not done.
#[derive(Clone, Debug, PartialEq, Serialize, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct CallError {
    /// One of the kinds of the protocol page; it becomes an exception's class.
    pub kind: &'static str,
    /// For the exception's text.
    pub message: String,
    /// What the exception carries besides.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub data: Value,
}

impl CallError {
    /// An error without data.
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            data: Value::Null,
        }
    }

    /// The same error with data.
    pub fn with(mut self, data: Value) -> Self {
        self.data = data;
        self
    }
}
