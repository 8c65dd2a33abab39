//! What lies beside the blobs: files and folders that are made again when they are missing.
//!
//! Such a thing is used where it lies, so nobody looks it up and its last use is its time of change. A process that works
//! with a folder holds it ([`hold`]): a lock of the folder itself, gone with the process. What is collected is renamed away
//! first, so that nobody sees half of it.

use std::collections::HashMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{StoreError, io_at};
use crate::layout::Layout;

/// A folder beside the blobs in which each entry can be made again, independent of the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Aside {
    /// What people call such an entry, such as `provider checkout`.
    pub kind: &'static str,
    /// The folder.
    pub folder: Utf8PathBuf,
    /// How long it takes to make any entry again, in seconds.
    pub seconds: f64,
    /// How much longer that takes for each MiB of it, in seconds.
    pub seconds_a_mib: f64,
}

/// One entry of an [`Aside`].
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) kind: &'static str,
    pub(super) path: Utf8PathBuf,
    pub(super) bytes: u64,
    pub(super) seconds: f64,
    pub(super) idle: Duration,
}

impl Aside {
    /// What is there now. What cannot be looked at is not there.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let now = SystemTime::now();
        let entries = self.folder.read_dir_utf8().into_iter().flatten().flatten();
        let mut found = Vec::new();
        for entry in entries {
            let Ok(metadata) = fs::symlink_metadata(entry.path()) else {
                continue;
            };
            let bytes = bytes_at(entry.path(), &metadata);
            // Nothing is gained by removing the lock beside a mirror.
            if bytes == 0 {
                continue;
            }
            let used = metadata.modified().unwrap_or(now);
            found.push(Entry {
                kind: self.kind,
                seconds: self.seconds + self.seconds_a_mib * bytes as f64 / f64::from(1 << 20),
                bytes,
                idle: now.duration_since(used).unwrap_or_default(),
                path: entry.into_path(),
            });
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found
    }
}

/// The folders that this process holds.
static HELD: LazyLock<Mutex<HashMap<Utf8PathBuf, File>>> = LazyLock::new(Mutex::default);

/// Keeps a folder beside the blobs from being collected up to the end of this process, and notes that it is in use. `false`
/// where it is not there, or about to go: whoever needs it makes it again.
#[must_use]
pub fn hold(folder: &Utf8Path) -> bool {
    let mut held = HELD.lock().unwrap_or_else(PoisonError::into_inner);
    // Somebody who has the folder may have removed it himself.
    if held.get(folder).is_some_and(|file| is_at(file, folder)) {
        return true;
    }
    let Ok(file) = File::open(folder) else {
        return false;
    };
    // Where there are no such locks nobody has one either.
    let taken = flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK);
    if taken || !is_at(&file, folder) {
        return false;
    }
    // A folder of somebody else is used all the same.
    let _ = file.set_times(FileTimes::new().set_modified(SystemTime::now()));
    held.insert(folder.to_owned(), file);
    true
}

/// Whether what was opened is still what a path leads to.
fn is_at(file: &File, path: &Utf8Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    let opened = file.metadata().map(identity).ok();
    opened.is_some() && opened == fs::symlink_metadata(path).map(identity).ok()
}

/// Removes an entry unless somebody holds it; whether it is gone.
pub(super) fn remove(layout: &Layout, path: &Utf8Path) -> Result<bool, StoreError> {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return Ok(true);
    };
    if !metadata.is_dir() {
        return gone(fs::remove_file(path)).map_err(io_at("remove", path));
    }
    let Ok(file) = File::open(path) else {
        return Ok(true);
    };
    if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    // A folder that cannot be written cannot be moved either: its `..` is in it.
    let away = layout.scratch();
    let moved = file
        .set_permissions(Permissions::from_mode(0o700))
        .and_then(|()| fs::rename(path, &away));
    if !gone(moved).map_err(io_at("move away", path))? {
        return Ok(true);
    }
    remove_tree(&away).map_err(io_at("remove", &away))?;
    Ok(true)
}

/// Another collector may have been quicker.
fn gone(done: std::io::Result<()>) -> std::io::Result<bool> {
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        done => Ok(done.is_ok()),
    }
}

/// Removes a folder in which nothing may be written.
fn remove_tree(folder: &Utf8Path) -> std::io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o700))?;
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir(folder)
}

/// What a file, or everything in a folder, occupies on disk, in bytes, as far as it can be read.
pub(super) fn bytes_at(path: &Utf8Path, metadata: &fs::Metadata) -> u64 {
    if !metadata.is_dir() {
        return metadata.blocks() * 512;
    }
    let entries = path.read_dir_utf8().into_iter().flatten().flatten();
    let bytes = |entry: camino::Utf8DirEntry| {
        let metadata = fs::symlink_metadata(entry.path());
        metadata.map_or(0, |metadata| bytes_at(entry.path(), &metadata))
    };
    metadata.blocks() * 512 + entries.map(bytes).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, Layout, Utf8PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::try_from(dir.path().to_owned()).unwrap();
        let layout = Layout::create(&root.join("cache")).unwrap();
        let folder = root.join("cache/trees/one");
        fs::create_dir_all(folder.join("below")).unwrap();
        fs::write(folder.join("below/file"), [7; 10_000]).unwrap();
        for locked in [folder.join("below"), folder.clone()] {
            fs::set_permissions(locked, Permissions::from_mode(0o555)).unwrap();
        }
        (dir, layout, folder)
    }

    #[test]
    fn a_folder_that_nobody_may_write_is_removed_whole() {
        let (_dir, layout, folder) = place();
        let aside = Aside {
            kind: "tree",
            folder: folder.parent().unwrap().to_owned(),
            seconds: 1.0,
            seconds_a_mib: 1024.0,
        };
        let entries = aside.entries();
        assert!(entries.len() == 1 && entries[0].bytes >= 10_000 && entries[0].seconds > 10.0);
        assert!(remove(&layout, &folder).unwrap() && !folder.exists());
        assert!(remove(&layout, &folder).unwrap(), "gone already");
        assert!(!hold(&folder), "what is gone cannot be held");
    }

    #[test]
    fn a_held_folder_stays() {
        let (_dir, layout, folder) = place();
        let before = FileTimes::new().set_modified(SystemTime::UNIX_EPOCH);
        File::open(&folder).unwrap().set_times(before).unwrap();
        assert!(hold(&folder) && hold(&folder));
        assert!(!remove(&layout, &folder).unwrap() && folder.join("below/file").exists());
        let used = fs::metadata(&folder).unwrap().modified().unwrap();
        assert!(used > SystemTime::UNIX_EPOCH, "holding it notes that it is used");
    }
}
