//! `vtbuild download`: files from outside.

use std::time::Duration;

use serde_json::json;
use vtbuild_providers::download::{Download, Fetcher, Pin, beside, mib};
use vtbuild_providers::process::Launcher;

use super::{print, warn};
use crate::cli::{DownloadArgs, DownloadCommand, PlaceArgs};
use crate::exit::{Exit, Failure};
use crate::lock::Lock;
use crate::workspace::Workspace;
use crate::workspace::downloads::{FOLDER, SILENCE, downloads, failure, get, tell};

/// Lists, fetches or verifies.
pub fn download(args: &DownloadArgs) -> Result<Exit, Failure> {
    match &args.command {
        DownloadCommand::List { place, json } => list(place, *json),
        DownloadCommand::Get {
            names,
            all,
            silence,
            place,
        } => fetch(names, *all, *silence, place),
        DownloadCommand::Verify { names, place } => verify(names, place),
    }
}

fn list(place: &PlaceArgs, as_json: bool) -> Result<Exit, Failure> {
    let workspace = Workspace::open_offline(place)?;
    let (found, wrong) = downloads(&workspace.root);
    let lock = Lock::read(&workspace.root)?;
    let mut text = String::new();
    for download in &found {
        let (state, pin) = (state(&workspace, download), lock.pin(download));
        text.push_str(&if as_json {
            let object = json!({
                "name": download.name,
                "title": download.title,
                "state": state,
                "file": download.wanted(),
                "urls": download.urls,
                "sha256": pin.map(|pin| pin.sha256),
            });
            format!("{object}\n")
        } else {
            let size = pin.map(|pin| format!(", {}", mib(pin.size))).unwrap_or_default();
            format!(
                "{:<24} {state:<8} {}  ({}{size})\n",
                download.name,
                download.wanted(),
                download.title
            )
        });
    }
    print(&text)?;
    tell(&wrong);
    Ok(if wrong.is_empty() {
        Exit::Good
    } else {
        Exit::Config
    })
}

fn state(workspace: &Workspace, download: &Download) -> &'static str {
    let data = workspace.data_dir();
    let fetched = data.join(&download.destination);
    if data.join(download.wanted()).is_file() {
        "there"
    } else if fetched.is_file() {
        "packed"
    } else if beside(&fetched).is_file() {
        "partial"
    } else {
        "missing"
    }
}

/// The downloads that are meant.
fn chosen(workspace: &Workspace, names: &[String], all: bool) -> Result<Vec<Download>, Failure> {
    let (mut found, wrong) = downloads(&workspace.root);
    tell(&wrong);
    let known: Vec<&str> = found.iter().map(|download| download.name.as_str()).collect();
    let there = match known.as_slice() {
        [] => format!("none is defined in {}/{FOLDER}", workspace.root),
        known => format!("there are: {}", known.join(", ")),
    };
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let message = format!("no download is called `{unknown}`; {there}");
        return Err(Failure::new(Exit::Usage, message));
    }
    if names.is_empty() && !all {
        let message = format!("name what to download, or give --all; {there}");
        return Err(Failure::new(Exit::Usage, message));
    }
    found.retain(|download| all || names.contains(&download.name));
    Ok(found)
}

fn fetch(names: &[String], all: bool, silence: u64, place: &PlaceArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open_offline(place)?;
    let mut worst = Exit::Good;
    for download in chosen(&workspace, names, all)? {
        match get(&workspace, &download, Duration::from_secs(silence), place.locked) {
            Ok(pin) => print(&there(&workspace, &download, &pin))?,
            Err(failure) => {
                warn(&failure.message);
                worst = failure.exit;
            }
        }
    }
    Ok(worst)
}

fn there(workspace: &Workspace, download: &Download, pin: &Pin) -> String {
    let path = workspace.data_dir().join(download.wanted());
    format!("{}: {path} (sha256 {})\n", download.name, pin.sha256)
}

fn verify(names: &[String], place: &PlaceArgs) -> Result<Exit, Failure> {
    let workspace = Workspace::open_offline(place)?;
    let lock = Lock::read(&workspace.root)?;
    let fetcher = Fetcher::new(Launcher::this_program(), workspace.data_dir(), SILENCE);
    let mut worst = Exit::Good;
    for download in chosen(&workspace, names, names.is_empty())? {
        let name = &download.name;
        if !workspace.data_dir().join(&download.destination).is_file() {
            print(&format!("{name}: missing\n"))?;
            if !names.is_empty() {
                worst = Exit::Failed;
            }
            continue;
        }
        match fetcher.verify(&download, lock.pin(&download).as_ref()) {
            Ok(_) => print(&format!("{name}: ok\n"))?,
            Err(error) => {
                print(&format!("{name}: WRONG\n"))?;
                warn(&failure(&error).message);
                worst = Exit::Failed;
            }
        }
    }
    Ok(worst)
}
