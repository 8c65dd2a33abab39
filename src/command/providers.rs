//! `vtbuild providers`: where tests come from.

use std::fmt::Write;

use serde_json::json;
use vtbuild_providers::provider::{Definition, Source, TestProvider};

use super::{plural, print, warn};
use crate::analysis::Analysis;
use crate::cli::{PlaceArgs, ProvidersArgs, ProvidersCommand, SelectArgs};
use crate::exit::{Exit, Failure};
use crate::lock::{Lock, LockedProvider};
use crate::workspace::Workspace;
use crate::workspace::sources::{definition_files, newest, repositories, wait_for};

/// How much of a commit is shown where it is one of many words.
const SHORT: usize = 12;

/// Lists, updates, or shows what the providers come to.
pub fn providers(args: &ProvidersArgs) -> Result<Exit, Failure> {
    match &args.command {
        ProvidersCommand::List { place, json } => list(place, *json),
        ProvidersCommand::Update { names, place } => update(names, place),
        ProvidersCommand::Subtests { vt_type, place } => subtests(vt_type.as_ref(), place),
    }
}

fn list(place: &PlaceArgs, as_json: bool) -> Result<Exit, Failure> {
    let workspace = Workspace::open(place)?;
    let mut text = String::new();
    for provider in &workspace.providers {
        let defined = workspace
            .defined
            .iter()
            .find(|defined| defined.definition.name == provider.name);
        let from = defined.map_or("built in".to_owned(), |defined| origin(&defined.definition));
        let commit = defined.and_then(|defined| defined.commit.as_deref());
        if as_json {
            let backends = provider.backends().map(|(name, folder)| {
                let (configs, modules) = provider.counts(name);
                json!({ "name": name, "folder": folder, "configs": configs, "modules": modules })
            });
            let object = json!({
                "name": provider.name,
                "from": from,
                "commit": commit,
                "root": provider.root,
                "backends": backends.collect::<Vec<_>>(),
            });
            text.push_str(&format!("{object}\n"));
        } else {
            text.push_str(&shown(provider, &from, commit));
        }
    }
    for problem in &workspace.problems {
        if as_json {
            let object = json!({ "name": problem.name, "problem": problem.to_string() });
            text.push_str(&format!("{object}\n"));
        } else {
            text.push_str(&format!("{}\n    problem  {problem}\n", problem.name));
        }
    }
    print(&text)?;
    Ok(if workspace.problems.is_empty() {
        Exit::Good
    } else {
        Exit::Failed
    })
}

fn shown(provider: &TestProvider, from: &str, commit: Option<&str>) -> String {
    let mut text = format!("{}\n    from     {from}\n", provider.name);
    // Writing to a string cannot fail.
    if let Some(commit) = commit {
        let _ = writeln!(text, "    commit   {commit}");
    }
    let _ = writeln!(text, "    in       {}", provider.root);
    for (name, _) in provider.backends() {
        let (configs, modules) = provider.counts(name);
        let _ = writeln!(
            text,
            "    backend  {name}: {}, {}",
            plural(&configs, "configuration file"),
            plural(&modules, "Python module")
        );
    }
    text
}

/// Where a provider comes from, as its definition has it.
fn origin(definition: &Definition) -> String {
    match &definition.source {
        Source::Folder(folder) => format!("{folder}, as it is"),
        Source::Git(git) => {
            let wanted = match (&git.reference, &git.branch) {
                (Some(reference), _) => format!(", ref {reference}"),
                (None, Some(branch)) => format!(", branch {branch}"),
                (None, None) => String::new(),
            };
            let signed = git.pubkey.as_ref().and_then(|path| path.file_name());
            let signed = signed
                .map(|key| format!(", signed with {key}"))
                .unwrap_or_default();
            format!("{}{wanted}{signed}", git.url)
        }
    }
}

/// Fetches what the definitions mean by now, and locks it; all of them where no name is given.
pub fn update(names: &[String], place: &PlaceArgs) -> Result<Exit, Failure> {
    if place.locked {
        let message = "`providers update` changes vtbuild.lock, which --locked forbids";
        return Err(Failure::new(Exit::Usage, message));
    }
    let workspace = Workspace::open_offline(place)?;
    let files = definition_files(&workspace.root);
    let known: Vec<&str> = files.iter().filter_map(|path| path.file_stem()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let message = format!(
            "no test provider `{unknown}` is defined in {}/test-providers.d; there are: {}",
            workspace.root,
            known.join(", ")
        );
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut lock = Lock::read(&workspace.root)?;
    let repositories = repositories(&workspace.cache);
    let mut broken = false;
    let mut fail = |problem: String| {
        warn(&format!("failed to {problem}"));
        broken = true;
    };
    for path in &files {
        let name = path.file_stem().unwrap_or_default();
        if !names.is_empty() && !names.iter().any(|wanted| wanted == name) {
            continue;
        }
        let definition = match Definition::read(path) {
            Ok(definition) => definition,
            Err(error) => {
                fail(error.to_string());
                continue;
            }
        };
        let Source::Git(source) = &definition.source else {
            print(&format!("{name}: a folder, always as it is\n"))?;
            continue;
        };
        let before = lock.commit(name, source).map(str::to_owned);
        let found = wait_for(newest(&repositories, name, source));
        match found.and_then(|(commit, root)| definition.provider(&root).map(|_| commit)) {
            Ok(commit) => {
                let new = &commit[..SHORT];
                let line = match before {
                    Some(before) if before == commit => format!("{name}: {new}, as before\n"),
                    Some(before) => format!("{name}: {} -> {new}\n", &before[..SHORT]),
                    None => format!("{name}: {new}\n"),
                };
                print(&line)?;
                lock.set(LockedProvider::new(name, source, commit));
            }
            Err(error) => fail(error.to_string()),
        }
    }
    lock.keep_providers(|name| known.contains(&name));
    lock.save()?;
    Ok(if broken { Exit::Environment } else { Exit::Good })
}

fn subtests(vt_type: Option<&String>, place: &PlaceArgs) -> Result<Exit, Failure> {
    let mut select = SelectArgs::default();
    select.config.vt_type = vt_type.cloned();
    select.config.place = place.clone();
    let session = Analysis::session(&select)?;
    print(session.subtests())?;
    Ok(Exit::Good)
}
