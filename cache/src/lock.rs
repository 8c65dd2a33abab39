//! Locks between processes: `flock` on a file, gone with the process that held it.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{StoreError, errno_at, io_at};

/// Whether several may hold the lock at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// A lock that is held. Dropping it releases it; so does the death of the process.
#[derive(Debug)]
pub(crate) struct FileLock {
    file: File,
    path: Utf8PathBuf,
    mode: Mode,
}

impl FileLock {
    /// Takes the lock, waiting for as long as others hold it.
    pub(crate) fn wait(path: &Utf8Path, mode: Mode) -> Result<Self, StoreError> {
        let lock = Self::take(path, mode, true)?;
        Ok(lock.expect("taking a lock with waiting ends with the lock or with an error"))
    }

    /// Takes the lock if nobody holds it against us.
    pub(crate) fn try_now(path: &Utf8Path, mode: Mode) -> Result<Option<Self>, StoreError> {
        Self::take(path, mode, false)
    }

    /// Holders remove the file they locked, so the one we locked may no longer be the one the name stands for: then the
    /// lock is worth nothing, and we begin again.
    fn take(path: &Utf8Path, mode: Mode, wait: bool) -> Result<Option<Self>, StoreError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        loop {
            let file = options.open(path).map_err(io_at("open lock", path))?;
            if !flock_file(&file, operation(mode, wait)).map_err(errno_at("take lock", path))? {
                return Ok(None);
            }
            if is_named(&file, path).map_err(io_at("inspect lock", path))? {
                return Ok(Some(Self {
                    file,
                    path: path.to_owned(),
                    mode,
                }));
            }
        }
    }
}

/// Whether the lock was to be had.
fn flock_file(file: &File, operation: FlockOperation) -> Result<bool, Errno> {
    loop {
        match flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Whether `path` still stands for the open file.
fn is_named(file: &File, path: &Utf8Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok(named.ino() == ours.ino() && named.dev() == ours.dev()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The name is removed while the lock is held exclusively: whoever locked the same file meanwhile sees that the
        // name is gone and begins again. A shared holder has to get it exclusively first, and leaves it otherwise.
        let alone = self.mode == Mode::Exclusive
            || flock(&self.file, FlockOperation::NonBlockingLockExclusive).is_ok();
        if alone {
            // Failing to remove it costs an empty file, which the next holder removes.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn operation(mode: Mode, wait: bool) -> FlockOperation {
    match (mode, wait) {
        (Mode::Shared, true) => FlockOperation::LockShared,
        (Mode::Shared, false) => FlockOperation::NonBlockingLockShared,
        (Mode::Exclusive, true) => FlockOperation::LockExclusive,
        (Mode::Exclusive, false) => FlockOperation::NonBlockingLockExclusive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(dir: &tempfile::TempDir) -> Utf8PathBuf {
        Utf8Path::from_path(dir.path()).unwrap().join("lock")
    }

    #[test]
    fn an_exclusive_lock_keeps_everybody_out_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let held = FileLock::wait(&path(&dir), Mode::Exclusive).unwrap();
        assert!(FileLock::try_now(&path(&dir), Mode::Exclusive).unwrap().is_none());
        assert!(FileLock::try_now(&path(&dir), Mode::Shared).unwrap().is_none());
        drop(held);
        assert!(!path(&dir).exists());
        assert!(FileLock::try_now(&path(&dir), Mode::Exclusive).unwrap().is_some());
    }

    #[test]
    fn shared_holders_keep_the_lock_until_the_last_goes() {
        let dir = tempfile::tempdir().unwrap();
        let first = FileLock::wait(&path(&dir), Mode::Shared).unwrap();
        let second = FileLock::wait(&path(&dir), Mode::Shared).unwrap();
        drop(first);
        assert!(FileLock::try_now(&path(&dir), Mode::Exclusive).unwrap().is_none());
        drop(second);
        assert!(FileLock::try_now(&path(&dir), Mode::Exclusive).unwrap().is_some());
    }

    #[test]
    fn at_most_one_holds_it_however_many_compete() {
        use std::sync::atomic::{AtomicUsize, Ordering};
        let dir = tempfile::tempdir().unwrap();
        let (inside, rounds) = (AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let lock = FileLock::wait(&path(&dir), Mode::Exclusive).unwrap();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        rounds.fetch_add(1, Ordering::SeqCst);
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(rounds.into_inner(), 400);
    }
}
