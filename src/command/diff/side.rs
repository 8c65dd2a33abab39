//! One of two states of a configuration: a folder, a file, or a revision of a git repository.

use std::fs;
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{Count, Diagnostic, ExpandOptions, Program, Variants};
use vtbuild_engine::shelf::unit;

use crate::analysis::{Analysis, wrong};
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
    program: Program,
}

impl Side {
    /// Reads the configuration that a word of the command line means.
    pub fn of(word: &str, args: &DiffArgs) -> Result<Self, Failure> {
        let path = Utf8Path::new(word);
        let program = if path.is_dir() && path.join(ROOT).is_file() {
            file(&path.join(ROOT), &args.select)
        } else if path.is_dir() {
            folder(path, &args.select)
        } else if path.is_file() {
            file(path, &args.select)
        } else {
            revision(word, args)
        };
        Ok(Self {
            name: word.to_owned(),
            program: program?,
        })
    }

    /// Its variants.
    pub fn variants(&self) -> Variants {
        self.program.variants(&ExpandOptions::default())
    }

    /// How many they are.
    pub fn count(&self) -> Result<Count, Failure> {
        self.program
            .count(&ExpandOptions::default())
            .map_err(|error| wrong(&error))
    }
}

/// The configuration of a workspace.
fn folder(dir: &Utf8Path, select: &SelectArgs) -> Result<Program, Failure> {
    let place = PlaceArgs {
        workspace: Some(dir.to_owned()),
        ..select.config.place.clone()
    };
    let mut select = select.clone();
    select.config.place = place;
    Ok(Analysis::of(&select)?.program)
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

/// The configuration of the workspace as it was in a revision. Nothing is checked out: the revision's files are unpacked
/// into a scratch folder.
fn revision(word: &str, args: &DiffArgs) -> Result<Program, Failure> {
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
    let scratch = Scratch::make(&workspace.cache)?;
    let tree = scratch.path.join("tree");
    let read = unpack(Utf8Path::new(&top), &commit, &tree).and_then(|()| {
        let dir = tree.join(&prefix);
        if !dir.is_dir() {
            let message = format!("{word} has no folder {prefix}, where the workspace is now");
            return Err(Failure::new(Exit::Usage, message));
        }
        folder(&dir, &args.select)
    });
    // A folder that stays is found and removed by the next run.
    let _ = fs::remove_dir_all(&scratch.path);
    read.map_err(|failure| Failure {
        message: failure.message.replace(&format!("{tree}/"), &format!("{word}:")),
        ..failure
    })
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
