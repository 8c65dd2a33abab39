//! The rule of the packages beneath our own: upstream's, from PyPI, pinned by digest.
//!
//! A virtual environment is made and filled by pip in the action's scratch folder; its packages become one archive in the
//! store. What enters the key is the list of pins and the interpreter, so that the packages are installed once for each of
//! these and never again. A test that needs them finds them unpacked in a folder of the cache that nobody writes to, and
//! has no program of theirs on its `PATH`. No network means that this action fails, and with it the tests that need it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use vtbuild_engine::outcome::{Keep, Outcome, Produced, Status};
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{Claim, RuleName, SourceFile, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::process::{Command, Launcher};
use vtbuild_providers::qemu::find_program;

use crate::{asked, steps};

/// The rule's name and version.
pub const NAME: RuleName = RuleName {
    name: "python",
    version: 1,
};
/// The one output: an archive of packages.
pub const PACKAGES: &str = "packages.tar";

/// Memory that pip and the compiler take, in MiB.
const MEMORY_MIB: u32 = 256;
/// How long an interpreter may take to say what it is.
const ASKING: Duration = Duration::from_secs(30);
/// What an interpreter is asked.
const QUESTION: &str = "import sys; print(sys.executable, sys.implementation.cache_tag, '.'.join(map(str, sys.version_info[:3])))";

/// A Python interpreter of this host.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Interpreter {
    /// The program itself, where `python3` leads to.
    pub path: Utf8PathBuf,
    /// The name that compiled files carry, and the version: `cpython-311 3.11.7`.
    pub identity: String,
}

impl Interpreter {
    /// What `python3` is on this host. Its answer is kept below `memory`.
    ///
    /// # Errors
    /// When there is none, or it does not answer.
    pub async fn find(launcher: &Launcher, memory: &Utf8Path) -> Result<Self, String> {
        let program = find_program("python3").ok_or("find python3: it is not installed")?;
        // `python3` may be a script that chooses: what it chose before may be gone.
        let is_there = |known: &Self| known.path.is_file();
        asked::once(&program, memory, is_there, Self::ask(launcher)).await
    }

    async fn ask(launcher: &Launcher) -> Result<Self, String> {
        let asked = launcher
            .output(Command::new("python3").args(["-I", "-c", QUESTION]), ASKING)
            .await
            .map_err(|error| format!("{error} (is python3 installed?)"))?;
        let words: Vec<&str> = asked.stdout.split_whitespace().collect();
        match words[..] {
            [path, tag, version] if asked.exit.success() => Ok(Self {
                path: path.into(),
                identity: format!("{tag} {version}"),
            }),
            _ => Err(format!(
                "find out what python3 is: it said {:?} {:?}",
                asked.stdout.trim(),
                asked.stderr.trim()
            )),
        }
    }
}

/// What the packages are made from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recipe {
    /// Who runs them.
    pub interpreter: Interpreter,
    /// The folder of our Python packages, which holds the pins and the program that does the work.
    pub host: Utf8PathBuf,
}

impl Recipe {
    fn pins(&self) -> Utf8PathBuf {
        self.host.join("upstream-requirements.txt")
    }

    fn program(&self) -> Utf8PathBuf {
        self.host.join("vtbuild_host/make_environment.py")
    }
}

/// The action that makes the packages.
#[must_use]
pub fn spec(recipe: &Recipe) -> Spec {
    let identity = &recipe.interpreter.identity;
    let mut spec = Spec::new(NAME, format!("upstream packages for {identity}"));
    spec.declared = Box::new([(Arc::from("interpreter"), Some(Arc::from(identity.as_str())))]);
    spec.sources = Box::new([
        SourceFile::new("host/make_environment.py", &recipe.program()),
        SourceFile::new("host/upstream-requirements.txt", &recipe.pins()),
    ]);
    spec.claim = Claim {
        memory_mib: MEMORY_MIB,
        vcpus: 1,
    };
    spec.payload = Arc::new(recipe.clone());
    spec
}

/// The rule.
pub struct PythonRule {
    launcher: Launcher,
}

impl PythonRule {
    /// A rule that starts programs with `launcher`.
    #[must_use]
    pub fn new(launcher: Launcher) -> Self {
        Self { launcher }
    }
}

#[async_trait]
impl Rule for PythonRule {
    fn name(&self) -> RuleName {
        NAME
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        Err(DeclareError::of(
            variant,
            "no variant is an installation of packages; tests need one",
        ))
    }

    async fn execute(&self, job: Job) -> Outcome {
        match make(&self.launcher, &job).await {
            Ok(path) => Outcome {
                outputs: vec![Produced {
                    name: PACKAGES.into(),
                    path,
                }],
                keep: Keep::Store,
                ..Outcome::pass()
            },
            Err(reason) => Outcome::ended(Status::Error, reason),
        }
    }
}

async fn make(launcher: &Launcher, job: &Job) -> Result<Utf8PathBuf, String> {
    let recipe = job
        .spec
        .payload
        .downcast_ref::<Recipe>()
        .expect("a python action carries its recipe");
    let (work, out) = (job.scratch.join("work"), job.scratch.join(PACKAGES));
    std::fs::create_dir_all(&work).map_err(|error| format!("failed to make {work}: {error}"))?;
    let log = job.logs.join("pip.log");
    let command = Command::new(&recipe.interpreter.path)
        .args(["-I", "-B"])
        .args([
            recipe.program().as_str(),
            recipe.pins().as_str(),
            work.as_str(),
            out.as_str(),
        ])
        .dir(&job.scratch);
    let exit = steps::run(launcher, job, command, &["PIP_"], &log).await?;
    if exit.success() {
        return Ok(out);
    }
    let said = std::fs::read_to_string(&log).unwrap_or_default();
    let last = said.trim().lines().last().unwrap_or("it said nothing");
    Err(format!(
        "failed to install upstream's packages: {last}; the whole log is {log}"
    ))
}

/// The packages that `job` was given as its input `role`, unpacked below `trees`.
pub(crate) async fn unpacked(job: &Job, role: &str, trees: &Utf8Path) -> Result<Utf8PathBuf, String> {
    let archive = job
        .artefact(role, PACKAGES)
        .ok_or_else(|| "find upstream's packages: their action made none".to_owned())?
        .clone();
    let trees = trees.to_owned();
    let unpacking = tokio::task::spawn_blocking(move || crate::tree::of(&archive, &trees));
    let tree = unpacking
        .await
        .map_err(|error| format!("unpack upstream's packages: {error}"))?;
    tree.map_err(|error| error.to_string())
}
