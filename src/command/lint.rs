//! `vtbuild lint`.

mod keys;
mod python;
mod report;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use vtbuild_cfg::{Diagnostic, Program};
use vtbuild_engine::session::Session;
use vtbuild_engine::shelf::unit;

use super::print;
use crate::analysis::layout;
use crate::cli::{LintArgs, PlaceArgs};
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;
use report::{is_note, message, severity, shown};

/// The file that a folder's configuration begins with.
const ROOT: &str = "tests.cfg";

/// What is looked at, and how its files are shown.
struct Subject {
    program: Result<Program, Vec<Diagnostic>>,
    /// Files below it are shown relative to it.
    root: Utf8PathBuf,
    /// Findings in files below it are nobody's here to mend.
    foreign: Option<Utf8PathBuf>,
    /// Folders with Python that reads keys.
    python: Vec<Utf8PathBuf>,
    /// Those of them that are the workspace's own to mend.
    own: Vec<Utf8PathBuf>,
}

/// Prints warnings and errors.
pub fn lint(args: &LintArgs) -> Result<Exit, Failure> {
    let subject = subject(args)?;
    let python = python::look(&subject.own, &subject.root);
    let mut found = match &subject.program {
        Err(errors) => errors.clone(),
        Ok(program) => {
            let mut found = vtbuild_cfg::lint::lint(program);
            if args.pedantic || !subject.python.is_empty() {
                found.extend(keys::unread(program, &subject.python));
            }
            let foreign = |warning: &Diagnostic| {
                let file = Utf8Path::new(&*warning.location.file);
                subject
                    .foreign
                    .as_ref()
                    .is_some_and(|root| file.starts_with(root))
            };
            found.retain(|warning| !foreign(warning));
            found
        }
    };
    found.extend(python.found);
    let text = if args.json {
        found.iter().map(|it| as_json(it, &subject.root)).collect()
    } else {
        let most = if args.all { usize::MAX } else { args.most };
        let mut text = report::text(&found, &subject.root, most);
        text.extend(python.note.map(|note| format!("note: {note}\n")));
        text
    };
    print(&text)?;
    Ok(match () {
        () if subject.program.is_err() => Exit::Config,
        () if found.iter().any(|it| !is_note(it)) => Exit::Failed,
        () => Exit::Good,
    })
}

fn subject(args: &LintArgs) -> Result<Subject, Failure> {
    match &args.path {
        None => of_workspace(&args.place),
        Some(dir) if dir.join("vtbuild.toml").is_file() => of_workspace(&PlaceArgs {
            workspace: Some(dir.clone()),
            ..args.place.clone()
        }),
        Some(dir) if dir.is_dir() => match dir.join(ROOT) {
            file if file.is_file() => Ok(of_file(&file)),
            _ => Err(Failure::new(
                Exit::Usage,
                format!("there is neither vtbuild.toml nor {ROOT} in {dir}; name a configuration file"),
            )),
        },
        Some(file) if file.exists() => Ok(of_file(file)),
        Some(file) => Err(Failure::new(Exit::Usage, format!("there is no file {file}"))),
    }
}

fn of_workspace(place: &PlaceArgs) -> Result<Subject, Failure> {
    let workspace = Workspace::open(place)?;
    let session = Session::new(layout(&workspace));
    let mut python: Vec<Utf8PathBuf> = workspace
        .providers
        .iter()
        .map(|provider| provider.root.clone())
        .collect();
    let bundled = workspace.bundled.provider();
    let own = python.iter().filter(|root| **root != bundled).cloned().collect();
    python.push(workspace.bundled.python());
    Ok(Subject {
        program: session.program(&[]).map_err(|found| found.to_vec()),
        foreign: workspace.bundled.sets().parent().map(Utf8Path::to_owned),
        root: workspace.root,
        python,
        own,
    })
}

fn of_file(file: &Utf8Path) -> Subject {
    Subject {
        program: Program::link(file, &mut unit),
        root: Utf8PathBuf::new(),
        foreign: None,
        python: Vec::new(),
        own: Vec::new(),
    }
}

fn as_json(diagnostic: &Diagnostic, root: &Utf8Path) -> String {
    let at = &diagnostic.location;
    let object = json!({
        "file": shown(&at.file, root),
        "line": at.line,
        "column": at.column,
        "severity": severity(diagnostic),
        "code": diagnostic.code,
        "message": message(diagnostic, root),
        "help": diagnostic.help,
    });
    format!("{object}\n")
}
