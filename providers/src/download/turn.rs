//! One process at a time fetches a file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};

/// The right to write to a part. Until it is dropped, other processes wait for theirs.
pub(super) struct Turn {
    path: Utf8PathBuf,
    /// Locked as long as it is open.
    _file: File,
}

impl Turn {
    /// Waits until nobody else writes to `part`.
    ///
    /// # Errors
    /// When the lock beside it cannot be made.
    pub(super) fn at(part: &Utf8Path) -> io::Result<Self> {
        let path = Utf8PathBuf::from(format!("{part}.lock"));
        loop {
            let file = File::create(&path)?;
            file.lock()?;
            // Whoever had the turn before removed the file: what is locked by now is not what others will find.
            let held = file.metadata()?.ino();
            if fs::metadata(&path).is_ok_and(|named| named.ino() == held) {
                return Ok(Self { path, _file: file });
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // Before the lock is given back, so that it is this file that goes and no later one.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[test]
    fn one_at_a_time_and_nothing_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let part = Utf8Path::from_path(dir.path()).unwrap().join(".it.part");
        let taken = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let turn = Turn::at(&part).unwrap();
                        assert!(!taken.swap(true, Ordering::SeqCst), "two have the turn");
                        std::thread::yield_now();
                        taken.store(false, Ordering::SeqCst);
                        drop(turn);
                    }
                });
            }
        });
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
