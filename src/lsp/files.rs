//! Files: those open in the editor as it has them, all others as they are on disk.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};

use super::document::{Document, Shared};

/// Larger files than this are not looked through for names. They are still read where something includes them.
const INDEXED: u64 = 64 << 20;
/// Folders that hold no configuration, however much else.
const SKIPPED: [&str; 4] = ["job-results", "node_modules", "target", "__pycache__"];
/// How many folders are walked through at most.
const FOLDERS: usize = 20_000;

type Stamp = (Option<SystemTime>, u64);

/// All files that were asked for.
#[derive(Default)]
pub struct Files {
    open: HashMap<Utf8PathBuf, Shared>,
    disk: HashMap<Utf8PathBuf, (Stamp, Shared)>,
}

impl Files {
    /// The editor has this text for a path now.
    pub fn open(&mut self, document: Document) -> Shared {
        let document = Arc::new(document);
        self.open.insert(document.path.clone(), document.clone());
        document
    }

    /// The editor has closed a file: what is on disk counts again.
    pub fn close(&mut self, path: &Utf8Path) {
        self.open.remove(path);
    }

    /// A document that is open in the editor.
    pub fn opened(&self, path: &Utf8Path) -> Option<&Shared> {
        self.open.get(path)
    }

    /// All documents that are open in the editor.
    pub fn all_opened(&self) -> impl Iterator<Item = &Shared> {
        self.open.values()
    }

    /// The document at a path, if there is a file. Folders, pipes and devices are not opened.
    pub fn document(&mut self, path: &Utf8Path) -> Option<Shared> {
        if let Some(document) = self.open.get(path) {
            return Some(document.clone());
        }
        let meta = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
        let stamp = (meta.modified().ok(), meta.len());
        if let Some((known, document)) = self.disk.get(path)
            && *known == stamp
        {
            return Some(document.clone());
        }
        let bytes = std::fs::read(path).ok()?;
        let document = Arc::new(Document::from_bytes(path.to_owned(), &bytes));
        self.disk.insert(path.to_owned(), (stamp, document.clone()));
        Some(document)
    }
}

/// Every `.cfg` file below a folder that is small enough to be looked through, sorted by path.
pub fn configs_below(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    let mut walked = 0;
    while let Some(folder) = folders.pop() {
        walked += 1;
        if walked > FOLDERS {
            break;
        }
        for entry in folder.read_dir_utf8().into_iter().flatten().flatten() {
            let name = entry.file_name();
            // Links to folders are not followed: they may lead around in circles.
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && !name.starts_with('.') && !SKIPPED.contains(&name) => {
                    folders.push(entry.into_path());
                }
                Ok(kind) if !kind.is_dir() && name.ends_with(".cfg") && is_small_file(entry.path()) => {
                    found.push(entry.into_path());
                }
                _ => {}
            }
        }
    }
    found.sort();
    found
}

fn is_small_file(path: &Utf8Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= INDEXED)
}
