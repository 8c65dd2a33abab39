//! Locks between processes: one byte of a file for each thing that can be locked, gone with the process that
//! held it.
//!
//! The locks are those of open file descriptions (`F_OFD_SETLK`): threads of one process keep each other out
//! as processes do. A byte is named by a digest, so no file has to be made and removed for each lock, which
//! on a journalling file system costs more than everything else that publishing a record does.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;

use camino::Utf8Path;

use crate::digest::Digest;
use crate::error::{StoreError, io_at};

/// Whether several may hold the lock at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Shared,
    Exclusive,
}

/// Which byte of a lock file stands for the thing that is locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(i64);

impl Place {
    /// For a file that stands for one thing only.
    pub(crate) const ONLY: Self = Self(0);
}

impl From<&Digest> for Place {
    /// Two digests that agree in their first 62 bits would share a lock: one would wait for the other, no
    /// more.
    fn from(digest: &Digest) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = *digest.as_bytes();
        Self(i64::from_be_bytes([a & 0x3f, b, c, d, e, f, g, h]))
    }
}

/// A lock that is held. Dropping it releases it; so does the death of the process.
#[derive(Debug)]
pub(crate) struct FileLock {
    _file: File,
}

impl FileLock {
    /// Takes the lock, waiting for as long as others hold it.
    pub(crate) fn wait(path: &Utf8Path, place: Place, mode: Mode) -> Result<Self, StoreError> {
        let file = open(path)?;
        loop {
            match lock(&file, place, mode, libc::F_OFD_SETLKW) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(io_at("take lock", path)(error)),
            }
        }
    }

    /// Takes the lock if nobody holds it against us.
    pub(crate) fn try_now(path: &Utf8Path, place: Place, mode: Mode) -> Result<Option<Self>, StoreError> {
        let file = open(path)?;
        match lock(&file, place, mode, libc::F_OFD_SETLK) {
            Ok(()) => Ok(Some(Self { _file: file })),
            // POSIX lets a system answer with either.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(None),
            Err(error) => Err(io_at("take lock", path)(error)),
        }
    }
}

/// Each lock has an open file description of its own, closed on exec, so that it ends with its holder.
fn open(path: &Utf8Path) -> Result<File, StoreError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(io_at("open lock", path))
}

fn lock(file: &File, Place(start): Place, mode: Mode, command: libc::c_int) -> io::Result<()> {
    let kind = match mode {
        Mode::Shared => libc::F_RDLCK,
        Mode::Exclusive => libc::F_WRLCK,
    };
    let range = libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: start,
        l_len: 1,
        l_pid: 0,
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and these two commands read one
    // `flock` structure, which lives until the call returns.
    let answer = unsafe { libc::fcntl(file.as_raw_fd(), command, &raw const range) };
    if answer == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;

    use super::*;

    fn path(dir: &tempfile::TempDir) -> Utf8PathBuf {
        Utf8Path::from_path(dir.path()).unwrap().join("lock")
    }

    #[test]
    fn an_exclusive_lock_keeps_everybody_out_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let held = FileLock::wait(&path(&dir), Place::ONLY, Mode::Exclusive).unwrap();
        assert!(
            FileLock::try_now(&path(&dir), Place::ONLY, Mode::Exclusive)
                .unwrap()
                .is_none()
        );
        assert!(
            FileLock::try_now(&path(&dir), Place::ONLY, Mode::Shared)
                .unwrap()
                .is_none()
        );
        drop(held);
        assert!(
            FileLock::try_now(&path(&dir), Place::ONLY, Mode::Exclusive)
                .unwrap()
                .is_some()
        );
    }

    #[test]
    fn shared_holders_keep_the_lock_until_the_last_goes() {
        let dir = tempfile::tempdir().unwrap();
        let first = FileLock::wait(&path(&dir), Place::ONLY, Mode::Shared).unwrap();
        let second = FileLock::wait(&path(&dir), Place::ONLY, Mode::Shared).unwrap();
        drop(first);
        assert!(
            FileLock::try_now(&path(&dir), Place::ONLY, Mode::Exclusive)
                .unwrap()
                .is_none()
        );
        drop(second);
        assert!(
            FileLock::try_now(&path(&dir), Place::ONLY, Mode::Exclusive)
                .unwrap()
                .is_some()
        );
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
                        let lock = FileLock::wait(&path(&dir), Place::ONLY, Mode::Exclusive).unwrap();
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

    #[test]
    fn other_places_of_the_file_are_other_locks() {
        let dir = tempfile::tempdir().unwrap();
        let places = [b"a", b"b", b"c"].map(|name| Place::from(&Digest::of(name)));
        let held = places.map(|place| {
            FileLock::try_now(&path(&dir), place, Mode::Exclusive)
                .unwrap()
                .unwrap()
        });
        assert!(
            FileLock::try_now(&path(&dir), places[1], Mode::Shared)
                .unwrap()
                .is_none()
        );
        drop(held);
        assert!(
            FileLock::try_now(&path(&dir), places[1], Mode::Exclusive)
                .unwrap()
                .is_some()
        );
        assert_eq!(std::fs::metadata(path(&dir)).unwrap().len(), 0);
    }
}
