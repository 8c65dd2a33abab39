//! The incremental front end. Everything of `salsa` stays in this folder.
//!
//! Inputs are files and folders as they were last looked at, absent ones included: a file that is looked for in three
//! places and found in the third is noticed when it appears in the first. Queries are pure:
//!
//! ```text
//! Source --parsed--> text with places --+
//! Folder, Source --subtests, guest_os--> generated text, parsed
//!                                       +--> program --> (expanded outside: results are not worth keeping twice)
//! ```

mod inputs;
mod queries;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};

pub(crate) use inputs::{FileText, Folder, FolderList, Setup, Source};
pub(crate) use queries::{program, program_of};

/// How queries reach inputs that they find out about while they run.
#[salsa::db]
pub(crate) trait Db: salsa::Database {
    /// The file at `path` as an input, read now if nobody has asked for it before.
    fn source(&self, path: &Utf8Path) -> Source;
    /// The folder at `path`, likewise.
    fn folder(&self, path: &Utf8Path) -> Folder;
}

/// The inputs that were asked for so far.
#[derive(Default)]
struct Known {
    sources: HashMap<Utf8PathBuf, Source>,
    folders: HashMap<Utf8PathBuf, Folder>,
}

/// The database of one session.
#[salsa::db]
#[derive(Clone, Default)]
pub(crate) struct Database {
    storage: salsa::Storage<Self>,
    known: Arc<Mutex<Known>>,
}

#[salsa::db]
impl salsa::Database for Database {}

#[salsa::db]
impl Db for Database {
    fn source(&self, path: &Utf8Path) -> Source {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(source) = known.sources.get(path) {
            return *source;
        }
        let source = Source::new(self, path.to_owned(), FileText::read(path));
        known.sources.insert(path.to_owned(), source);
        source
    }

    fn folder(&self, path: &Utf8Path) -> Folder {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(folder) = known.folders.get(path) {
            return *folder;
        }
        let folder = Folder::new(self, path.to_owned(), FolderList::read(path));
        known.folders.insert(path.to_owned(), folder);
        folder
    }
}

impl Database {
    /// Looks at every known file and folder again and sets those that changed. Returns the paths that did.
    pub(crate) fn refresh(&mut self) -> Vec<Utf8PathBuf> {
        use salsa::Setter;
        let (sources, folders) = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            (known.sources.clone(), known.folders.clone())
        };
        let mut changed = Vec::new();
        for (path, source) in sources {
            let text = FileText::read(&path);
            // An input is set only when it differs: setting it would re-run what reads it.
            if *source.text(self) != text {
                source.set_text(self).to(text);
                changed.push(path);
            }
        }
        for (path, folder) in folders {
            let list = FolderList::read(&path);
            if *folder.list(self) != list {
                folder.set_list(self).to(list);
                changed.push(path);
            }
        }
        changed.sort();
        changed
    }
}
