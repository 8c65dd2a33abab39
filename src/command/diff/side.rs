//! One of two states of a configuration: a folder, a file, or a revision of a git repository.

use std::fs;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{Count, Diagnostic, ExpandOptions, Program, Variants};
use vtbuild_engine::shelf::unit;

use crate::analysis::{Analysis, opened, wrong};
use crate::cli::{DiffArgs, PlaceArgs, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::report::diagnostics;
use crate::scratch::Scratch;
use crate::workspace::Workspace;

/// The file that a folder's configuration begins with.
const ROOT: &str = "tests.cfg";

/// A state of a configuration.
pub struct Side {
    /// How the command line calls it.
    pub name: String,
    read: Read,
    /// Where the files of a revision are for as long as they are needed.
    tree: Option<Tree>,
}

enum Read {
    /// A file alone.
    File(Box<Program>),
    /// A workspace.
    Workspace(Box<Analysis>),
}

impl Side {
    /// Reads the configuration that a word of the command line means.
    pub fn of(word: &str, args: &DiffArgs) -> Result<Self, Failure> {
        let path = Utf8Path::new(word);
        let alone = if path.is_dir() && path.join(ROOT).is_file() {
            Some(path.join(ROOT))
        } else {
            path.is_file().then(|| path.to_owned())
        };
        let (read, tree) = if let Some(path) = alone {
            (Read::File(Box::new(file(&path, &args.select)?)), None)
        } else if path.is_dir() {
            let workspace = folder(path, &args.select)?;
            let analysis = Analysis::in_workspace(workspace, &args.select)?;
            (Read::Workspace(Box::new(analysis)), None)
        } else {
            let (analysis, tree) = revision(word, args)?;
            (Read::Workspace(Box::new(analysis)), Some(tree))
        };
        Ok(Self {
            name: word.to_owned(),
            read,
            tree,
        })
    }

    /// The configuration.
    pub fn program(&self) -> &Program {
        match &self.read {
            Read::File(program) => program,
            Read::Workspace(analysis) => &analysis.program,
        }
    }

    /// The workspace, where it is one.
    pub fn analysis(&self) -> Option<&Analysis> {
        match &self.read {
            Read::File(_) => None,
            Read::Workspace(analysis) => Some(analysis),
        }
    }

    /// Its variants.
    pub fn variants(&self) -> Variants {
        self.program().variants(&ExpandOptions::default())
    }

    /// How many they are.
    pub fn count(&self) -> Result<Count, Failure> {
        self.program()
            .count(&ExpandOptions::default())
            .map_err(|error| wrong(&error))
    }

    /// A failure that is about this side, with its files under the names that people know.
    pub fn rename(&self, failure: &Failure) -> Failure {
        match &self.tree {
            Some(tree) => tree.rename(failure, &self.name),
            None => Failure::new(failure.exit, failure.message.clone()),
        }
    }
}

/// The files of a revision, in a scratch folder that goes with this.
struct Tree(Scratch);

impl Tree {
    fn path(&self) -> Utf8PathBuf {
        self.0.path.join("tree")
    }

    fn rename(&self, failure: &Failure, word: &str) -> Failure {
        let here = format!("{}/", self.path());
        Failure::new(failure.exit, failure.message.replace(&here, &format!("{word}:")))
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // A folder that stays is found and removed by the next run.
        let _ = fs::remove_dir_all(&self.0.path);
    }
}

/// The workspace in a folder.
fn folder(dir: &Utf8Path, select: &SelectArgs) -> Result<Workspace, Failure> {
    let place = PlaceArgs {
        workspace: Some(dir.to_owned()),
        ..select.config.place.clone()
    };
    let mut select = select.clone();
    select.config.place = place;
    opened(&select)
}

/// The configuration of one file and what it includes; no workspace adds to it.
fn file(path: &Utf8Path, select: &SelectArgs) -> Result<Program, Failure> {
    let wrong = |found: Vec<Diagnostic>| Failure::config(diagnostics::render(&found));
    let mut program = Program::link(path, &mut unit).map_err(wrong)?;
    for line in crate::analysis::asked(select)? {
        program = program
            .with_text(&line.origin, &line.text)
            .map_err(|found| Failure::new(Exit::Usage, diagnostics::render(&found)))?;
    }
    Ok(program)
}

/// The workspace as it was in a revision. Nothing is checked out: the revision's files are unpacked into a scratch folder.
/// A provider that is defined by a path into the repository is that of the revision. Images and the like are hardly in git: the
/// data folder is that of today.
fn revision(word: &str, args: &DiffArgs) -> Result<(Analysis, Tree), Failure> {
    let workspace = Workspace::open(&args.select.config.place)?;
    let commit = git(
        &workspace.root,
        &[
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            &format!("{word}^{{commit}}"),
        ],
    )?
    .ok_or_else(|| {
        let message = format!(
            "`{word}` is neither a folder, nor a file, nor a revision of a git repository around {}",
            workspace.root
        );
        Failure::new(Exit::Usage, message)
    })?;
    let prefix = git(&workspace.root, &["rev-parse", "--show-prefix"])?.unwrap_or_default();
    let top = git(&workspace.root, &["rev-parse", "--show-toplevel"])?.unwrap_or_default();
    let tree = Tree(Scratch::make(&workspace.cache)?);
    unpack(Utf8Path::new(&top), &commit, &tree.path())?;
    let dir = tree.path().join(&prefix);
    if !dir.is_dir() {
        let message = format!("{word} has no folder {prefix}, where the workspace is now");
        return Err(Failure::new(Exit::Usage, message));
    }
    let read = folder(&dir, &args.select).and_then(|mut then| {
        then.settings.data_dir = workspace.data_dir();
        for provider in &mut then.providers {
            let copied = provider.copied(Utf8Path::new(&top), &tree.path());
            if copied.root.is_dir() {
                *provider = copied;
            }
        }
        Analysis::in_workspace(then, &args.select)
    });
    let analysis = read.map_err(|failure| tree.rename(&failure, word))?;
    Ok((analysis, tree))
}

/// What git says, or `None` where it says no.
fn git(dir: &Utf8Path, words: &[&str]) -> Result<Option<String>, Failure> {
    let ran = Command::new("git").arg("-C").arg(dir).args(words).output();
    let output = ran.map_err(|error| no_program("git", &error))?;
    let text = String::from_utf8_lossy(&output.stdout).trim_end().to_owned();
    Ok(output.status.success().then_some(text))
}

fn unpack(top: &Utf8Path, commit: &str, tree: &Utf8PathBuf) -> Result<(), Failure> {
    fs::create_dir_all(tree)?;
    let mut git = Command::new("git")
        .arg("-C")
        .arg(top)
        .args(["archive", "--format=tar", commit])
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| no_program("git", &error))?;
    let archive = git.stdout.take().map_or_else(Stdio::null, Stdio::from);
    let unpacked = Command::new("tar")
        .arg("-x")
        .arg("-C")
        .arg(tree)
        .stdin(archive)
        .status()
        .map_err(|error| no_program("tar", &error));
    let packed = git.wait()?;
    if unpacked?.success() && packed.success() {
        Ok(())
    } else {
        Err(Failure::environment(format!(
            "failed to unpack revision {commit} of {top}"
        )))
    }
}

fn no_program(name: &str, error: &std::io::Error) -> Failure {
    Failure::environment(format!("failed to start {name}: {error}; install it"))
}
