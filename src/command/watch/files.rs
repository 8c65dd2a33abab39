//! The folders that are watched, and what becomes of files in them.

use std::collections::BTreeSet;

use camino::{Utf8Path, Utf8PathBuf};
use notify::event::{AccessKind, AccessMode, EventKind};
use notify::{ErrorKind, Event, RecommendedWatcher, RecursiveMode, Watcher};

use crate::exit::Failure;

/// Names of folders and files that nobody edits.
const IGNORED: [&str; 2] = ["job-results", "__pycache__"];
/// Endings of files that editors and Python leave.
const ENDINGS: [&str; 5] = ["~", ".swp", ".swx", ".tmp", ".pyc"];

/// Watched folders. Files are watched by their folders: most editors put a new file in the place of the old one.
pub struct Files {
    watcher: RecommendedWatcher,
    watched: BTreeSet<Utf8PathBuf>,
}

impl Files {
    /// Watches nothing yet; `told` will hear of every path that may have changed.
    pub fn new(told: impl Fn(Utf8PathBuf) + Send + 'static) -> Result<Self, Failure> {
        let heard = move |event: notify::Result<Event>| {
            let Ok(event) = event else { return };
            let paths = event.paths.into_iter().filter(|_| changes(event.kind));
            paths
                .filter_map(|path| Utf8PathBuf::from_path_buf(path).ok())
                .filter(|path| !is_ignored(path))
                .for_each(&told);
        };
        Ok(Self {
            watcher: notify::recommended_watcher(heard).map_err(|error| failed(&error))?,
            watched: BTreeSet::new(),
        })
    }

    /// Watches these folders as well. Returns whether one of them was not watched before.
    pub fn watch(&mut self, folders: &BTreeSet<Utf8PathBuf>) -> Result<bool, Failure> {
        let new: Vec<Utf8PathBuf> = folders.difference(&self.watched).cloned().collect();
        let mut any = false;
        for folder in new {
            match self
                .watcher
                .watch(folder.as_std_path(), RecursiveMode::NonRecursive)
            {
                Ok(()) => any |= self.watched.insert(folder),
                // It went meanwhile; its own folder tells when it comes back.
                Err(error) if matches!(error.kind, ErrorKind::PathNotFound) => {}
                Err(error) if !folder.is_dir() => drop(error),
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(any)
    }

    /// Something became of `path`: if it is a folder, it may be another one now, which nobody watches.
    pub fn forget(&mut self, path: &Utf8Path) {
        let below: Vec<Utf8PathBuf> = self
            .watched
            .iter()
            .filter(|watched| {
                watched.starts_with(path) && *watched != path || *watched == path && !path.is_dir()
            })
            .cloned()
            .collect();
        for folder in below {
            // A folder that is gone is not watched any more.
            let _ = self.watcher.unwatch(folder.as_std_path());
            self.watched.remove(&folder);
        }
    }
}

/// A folder and all folders in it.
pub fn below(folder: &Utf8Path, found: &mut BTreeSet<Utf8PathBuf>) {
    let Ok(entries) = folder.read_dir_utf8() else {
        return;
    };
    found.insert(folder.to_owned());
    for entry in entries.flatten() {
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_folder && !is_ignored(entry.path()) {
            below(entry.path(), found);
        }
    }
}

fn changes(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    }
}

fn is_ignored(path: &Utf8Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.starts_with('.') || IGNORED.contains(&name) || ENDINGS.iter().any(|ending| name.ends_with(ending))
}

fn failed(error: &notify::Error) -> Failure {
    let help = match error.kind {
        ErrorKind::MaxFilesWatch => "\n  help: raise the limit: sysctl fs.inotify.max_user_watches=524288",
        _ => "",
    };
    Failure::environment(format!("failed to watch files: {error}{help}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_editors_and_runs_leave_is_ignored() {
        for path in [
            "/w/.git",
            "/w/job-results",
            "/w/.a.cfg.swp",
            "/w/a.cfg~",
            "/w/a.pyc",
            "/w/__pycache__",
        ] {
            assert!(is_ignored(Utf8Path::new(path)), "{path}");
        }
        for path in ["/w/a.cfg", "/w/.hidden/boot.py", "/w/vtbuild.toml"] {
            assert!(!is_ignored(Utf8Path::new(path)), "{path}");
        }
    }
}
