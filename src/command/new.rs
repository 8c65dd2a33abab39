//! `vtbuild new`: the beginning of a test provider, and of a test. What it writes passes as it is.

use std::fmt::Write;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_providers::provider::TestProvider;

use super::print;
use crate::cli::{NewArgs, NewCommand, PlaceArgs};
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;

const README: &str = include_str!("new/provider.md");
const TEST: &str = include_str!("new/test.py.txt");

/// Writes the files of a new provider or test.
pub fn new(args: &NewArgs) -> Result<Exit, Failure> {
    let made = match &args.command {
        NewCommand::Provider { dir, name, place } => provider(dir, name.as_deref(), place)?,
        NewCommand::Test {
            name,
            provider,
            backend,
            place,
        } => test(name, provider.as_deref(), backend, place)?,
    };
    print(&made)?;
    Ok(Exit::Good)
}

fn usage(message: impl Into<String>) -> Failure {
    Failure::new(Exit::Usage, message)
}

/// Writes a file that must not be there yet, and the folders above it.
fn write(path: &Utf8Path, text: &str) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::environment(format!("failed to write {path}: {error}"));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut file = std::fs::File::create_new(path).map_err(failed)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).map_err(failed)
}

fn provider(dir: &Utf8Path, name: Option<&str>, place: &PlaceArgs) -> Result<String, Failure> {
    let workspace = Workspace::open(place)?;
    let root = &workspace.root;
    let folder = clean(&root.join(dir));
    let name = name.or(folder.file_name()).unwrap_or_default();
    let label = |letter: char| letter.is_ascii_alphanumeric() || ['-', '_'].contains(&letter);
    if name.is_empty() || !name.chars().all(label) {
        return Err(usage(format!(
            "`{name}` cannot be a provider's name: it begins the names of tests, and may hold letters, digits, - and _; give another with --name"
        )));
    }
    let definition = root.join("test-providers.d").join(format!("{name}.ini"));
    let tests = folder.join("generic/tests");
    if let Some(there) = [&definition, &tests].into_iter().find(|path| path.exists()) {
        return Err(usage(format!(
            "there is a {there} already; choose another folder or --name"
        )));
    }
    let mut made = String::new();
    if !root.join("vtbuild.toml").exists() {
        write(
            &root.join("vtbuild.toml"),
            "# This folder is a workspace of vtbuild.\n",
        )?;
        made.push_str("made vtbuild.toml\n");
    }
    let uri = match folder.strip_prefix(root) {
        Ok(inside) => format!("../{inside}"),
        Err(_) => format!("file://{folder}"),
    };
    write(&folder.join("README.md"), &README.replace("NAME", name))?;
    let cfg = tests.join("cfg");
    std::fs::create_dir_all(&cfg)
        .map_err(|error| Failure::environment(format!("failed to make {cfg}: {error}")))?;
    // Last: from here on the provider is known.
    let text = format!(
        "# The test provider {name}: its tests are called {name}.TEST.\n[provider]\nuri: {uri}\n\n[generic]\nsubdir: generic/\n"
    );
    write(&definition, &text)?;
    for path in [&definition, &folder.join("README.md"), &cfg] {
        // Writing to a string cannot fail.
        let _ = writeln!(made, "made {}", shown(path, root));
    }
    // With another one there, a new test has to say whose it is.
    let whose = match own(&workspace).as_slice() {
        [] => String::new(),
        _ => format!(" --provider {name}"),
    };
    let _ = writeln!(made, "next: vtbuild new test uptime{whose}");
    Ok(made)
}

fn test(name: &str, provider: Option<&str>, backend: &str, place: &PlaceArgs) -> Result<String, Failure> {
    let workspace = Workspace::open(place)?;
    let first = name
        .chars()
        .next()
        .is_some_and(|letter| letter.is_ascii_alphabetic() || letter == '_');
    if !first
        || !name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    {
        return Err(usage(format!(
            "`{name}` cannot be a test's name: it is the name of a Python module, letters, digits and _"
        )));
    }
    let provider = chosen(&workspace, provider)?;
    let folder = provider.backend(backend).ok_or_else(|| {
        usage(format!(
            "the test provider {} has no tests for {backend}: name the folder in a section [{backend}] of its definition file",
            provider.name
        ))
    })?;
    let (python, cfg) = (
        folder.join(format!("tests/{name}.py")),
        folder.join(format!("tests/cfg/{name}.cfg")),
    );
    if let Some(there) = [&python, &cfg].into_iter().find(|path| path.exists()) {
        return Err(usage(format!("there is a {there} already")));
    }
    let backends = if backend == "generic" {
        "qemu libvirt"
    } else {
        backend
    };
    write(&python, &TEST.replace("NAME", name))?;
    write(
        &cfg,
        &format!("- {name}:\n    virt_test_type = {backends}\n    type = {name}\n"),
    )?;
    let mut made = String::new();
    for path in [&python, &cfg] {
        let _ = writeln!(made, "made {}", shown(path, &workspace.root));
    }
    let _ = writeln!(made, "next: vtbuild //{}.{name}", provider.name);
    Ok(made)
}

/// The providers that a test can be added to: what comes from git is a copy that nobody edits.
fn own(workspace: &Workspace) -> Vec<&TestProvider> {
    let defined = workspace.defined.iter();
    let folders = defined.filter(|defined| defined.commit.is_none());
    folders.map(|defined| &defined.provider).collect()
}

/// The provider of that name, or the only one that is the workspace's own.
fn chosen<'w>(workspace: &'w Workspace, name: Option<&str>) -> Result<&'w TestProvider, Failure> {
    let own = own(workspace);
    let names: Vec<&str> = own.iter().map(|provider| provider.name.as_str()).collect();
    match (name, own.as_slice()) {
        (_, []) => {
            workspace
                .problems
                .iter()
                .for_each(|problem| super::warn(&problem.to_string()));
            Err(usage(
                "the workspace has no test provider of its own; begin one with `vtbuild new provider`",
            ))
        }
        (None, [only]) => Ok(only),
        (None, _) => Err(usage(format!(
            "say which test provider gets it, with --provider: {}",
            names.join(", ")
        ))),
        (Some(name), _) => own
            .iter()
            .find(|provider| provider.name == name)
            .copied()
            .ok_or_else(|| {
                usage(format!(
                    "there is no test provider {name} here (there is: {})",
                    names.join(", ")
                ))
            }),
    }
}

fn shown<'p>(path: &'p Utf8Path, root: &Utf8Path) -> &'p Utf8Path {
    path.strip_prefix(root).unwrap_or(path)
}

/// A path without `.` and `..`, which need not exist yet.
fn clean(path: &Utf8Path) -> Utf8PathBuf {
    let mut clean = Utf8PathBuf::new();
    for part in path.components() {
        match part {
            camino::Utf8Component::ParentDir => drop(clean.pop()),
            camino::Utf8Component::CurDir => {}
            part => clean.push(part),
        }
    }
    clean
}
