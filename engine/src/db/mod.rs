//! The incremental front end. Everything of `salsa` stays in this folder.
//!
//! Inputs are files and folders as they were last looked at, absent ones included: a file that is looked for in three
//! places and found in the third is noticed when it appears in the first. Queries are pure:
//!
//! ```text
//! Source ------------------------------> parsed --> items --+--> linked --> selected --> shard, shard, ...
//! Folder, Source --> generated text ---> parsed --> items --+       |
//!                                          +---- places ------------+--> program
//! ```
//!
//! A text laid over a path stands for the file there, as if it were on disk.
//!
//! An edit is stopped as early as its meaning allows. Comments and layout end at `items`, which has no places and is
//! compared by content; only `program`, that diagnostics and provenance ask for, reads places. An edit of a statement
//! links and searches again, and makes the parameters again of those shards that the statement is part of.

mod inputs;
mod queries;
mod shards;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::Identity;

pub(crate) use inputs::{FileText, Folder, FolderList, Setup, Source};
pub(crate) use queries::{
    Broken, file, foreign_tests, generated_subtests, located, program, program_from, program_of,
};
pub(crate) use shards::{Selection, Stretch, expanded, outlined, selected, with_lines};

use crate::shelf::Read;
use crate::variant::Texts;

/// How queries reach inputs that they find out about while they run.
#[salsa::db]
pub(crate) trait Db: salsa::Database {
    /// The file at `path` as an input, read now if nobody has asked for it before.
    fn source(&self, path: &Utf8Path) -> Source;
    /// The folder at `path`, likewise.
    fn folder(&self, path: &Utf8Path) -> Folder;
    /// The texts that variants share.
    fn texts(&self) -> MutexGuard<'_, Texts>;
}

/// How often each query ran, by its name.
pub(crate) type Runs = BTreeMap<String, usize>;

/// The inputs that were asked for so far, and the texts that stand for files.
#[derive(Default)]
struct Known {
    sources: HashMap<Utf8PathBuf, (Source, Option<Identity>)>,
    folders: HashMap<Utf8PathBuf, Folder>,
    overlay: HashMap<Utf8PathBuf, Arc<String>>,
}

impl Known {
    fn text(&self, path: &Utf8Path) -> (FileText, Option<Identity>) {
        match self.overlay.get(path) {
            Some(text) => (FileText::Text(text.clone()), None),
            None => FileText::read(path),
        }
    }

    fn list(&self, path: &Utf8Path) -> FolderList {
        let mut list = FolderList::read(path);
        for file in self.overlay.keys().filter(|file| file.parent() == Some(path)) {
            list.add(file.file_name().unwrap_or_default());
        }
        list
    }
}

/// The database of one session.
#[salsa::db]
#[derive(Clone)]
pub(crate) struct Database {
    storage: salsa::Storage<Self>,
    known: Arc<Mutex<Known>>,
    texts: Arc<Mutex<Texts>>,
    runs: Arc<Mutex<Runs>>,
}

impl Default for Database {
    fn default() -> Self {
        let runs: Arc<Mutex<Runs>> = Arc::default();
        let counted = runs.clone();
        let count = move |event: salsa::Event| {
            if let salsa::EventKind::WillExecute { database_key } = event.kind {
                let shown = format!("{database_key:?}");
                let name = shown.split('(').next().unwrap_or_default().to_owned();
                *lock(&counted).entry(name).or_default() += 1;
            }
        };
        Self {
            storage: salsa::Storage::new(Some(Box::new(count))),
            known: Arc::default(),
            texts: Arc::default(),
            runs,
        }
    }
}

/// What the locks guard stays whole whatever panics.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[salsa::db]
impl salsa::Database for Database {}

#[salsa::db]
impl Db for Database {
    fn source(&self, path: &Utf8Path) -> Source {
        let mut known = lock(&self.known);
        if let Some((source, _)) = known.sources.get(path) {
            return *source;
        }
        let (text, identity) = known.text(path);
        let source = Source::new(self, path.to_owned(), text);
        known.sources.insert(path.to_owned(), (source, identity));
        source
    }

    fn folder(&self, path: &Utf8Path) -> Folder {
        let mut known = lock(&self.known);
        if let Some(folder) = known.folders.get(path) {
            return *folder;
        }
        let folder = Folder::new(self, path.to_owned(), known.list(path));
        known.folders.insert(path.to_owned(), folder);
        folder
    }

    fn texts(&self) -> MutexGuard<'_, Texts> {
        lock(&self.texts)
    }
}

impl Database {
    /// Looks at every known file and folder again and sets those that changed. Returns the paths that did.
    pub(crate) fn refresh(&mut self) -> Vec<Utf8PathBuf> {
        let (sources, folders) = {
            let known = lock(&self.known);
            (known.sources.clone(), known.folders.clone())
        };
        self.look_at(sources, folders)
    }

    /// Lays a text over a path, or takes it away again. Then the disk counts.
    pub(crate) fn overlay(&mut self, path: &Utf8Path, text: Option<Arc<String>>) {
        let (source, folder) = {
            let mut known = lock(&self.known);
            match text {
                Some(text) => known.overlay.insert(path.to_owned(), text),
                None => known.overlay.remove(path),
            };
            let source = known.sources.get_key_value(path);
            let folder = path
                .parent()
                .and_then(|parent| known.folders.get_key_value(parent));
            (
                source.map(|(path, source)| (path.clone(), *source)),
                folder.map(|(path, folder)| (path.clone(), *folder)),
            )
        };
        self.look_at(source, folder);
    }

    fn look_at(
        &mut self,
        sources: impl IntoIterator<Item = (Utf8PathBuf, (Source, Option<Identity>))>,
        folders: impl IntoIterator<Item = (Utf8PathBuf, Folder)>,
    ) -> Vec<Utf8PathBuf> {
        use salsa::Setter;
        let mut changed = Vec::new();
        for (path, (source, _)) in sources {
            let (text, identity) = lock(&self.known).text(&path);
            lock(&self.known).sources.insert(path.clone(), (source, identity));
            // An input is set only when it differs: setting it would re-run what reads it.
            if *source.text(self) != text {
                source.set_text(self).to(text);
                changed.push(path);
            }
        }
        for (path, folder) in folders {
            let list = lock(&self.known).list(&path);
            if *folder.list(self) != list {
                folder.set_list(self).to(list);
                changed.push(path);
            }
        }
        if !changed.is_empty() {
            self.texts().forget_unused();
        }
        changed.sort();
        changed
    }

    /// The paths that were looked at, sorted.
    pub(crate) fn looked_at(&self) -> Vec<Utf8PathBuf> {
        let known = lock(&self.known);
        let mut paths: Vec<_> = known
            .sources
            .keys()
            .chain(known.folders.keys())
            .cloned()
            .collect();
        paths.sort();
        paths
    }

    /// All that was looked at, sorted by path; nothing if some of it could not be read.
    pub(crate) fn reads(&self) -> Option<Vec<Read>> {
        let known = lock(&self.known);
        let sources = known.sources.iter();
        let files =
            sources.map(|(path, (source, identity))| Read::of_file(path, source.text(self), *identity));
        let mut reads = files.collect::<Option<Vec<_>>>()?;
        let folders = known.folders.iter();
        reads.extend(folders.map(|(path, folder)| Read::of_folder(path, folder.list(self))));
        reads.sort_by(|one, other| one.path.cmp(&other.path));
        Some(reads)
    }

    /// How often each query ran since this was last asked.
    pub(crate) fn take_runs(&self) -> Runs {
        std::mem::take(&mut *lock(&self.runs))
    }
}
