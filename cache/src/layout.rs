//! Where things lie in a store's directory, and how the directory comes to be.
//!
//! ```text
//! VERSION            the layout's name; another one is refused
//! cas/ab/cdef…       blobs by digest, mode 0444
//! index/             the LMDB environment
//! locks/             files whose bytes are locked: keys that are reserved, the right to remove blobs
//! quarantine/        corrupted blobs and unusable indexes, kept for a look
//! tmp/<process>/     blobs being written, and a list of those in use; locked while the process lives
//! ```

use std::fs;
use std::io::{ErrorKind, Write};

use camino::{Utf8Path, Utf8PathBuf};

use crate::digest::Digest;
use crate::error::{StoreError, errno_at, io_at};
use crate::lock::{FileLock, Mode, Place};

/// The layout this program reads and writes.
pub(crate) const VERSION: &str = "vtbuild cache, layout 1";

/// Free space below which a store is not opened, in bytes: its index could not be written.
const SPARE_BYTES: u64 = 256 * 1024;

/// The file in a process's folder that is locked while it lives.
const ALIVE: &str = "alive";

/// The file in a process's folder that lists the blobs it uses.
const PINS: &str = "pins";

/// The paths of a store.
#[derive(Debug)]
pub(crate) struct Layout {
    root: Utf8PathBuf,
    tmp: Utf8PathBuf,
    /// Held while this process lives: tells others that `tmp` is not left over.
    _alive: FileLock,
}

impl Layout {
    /// Creates what is missing, checks the version, and removes what dead processes left.
    pub(crate) fn create(root: &Utf8Path) -> Result<Self, StoreError> {
        make_root(root)?;
        check_version(root)?;
        for folder in ["cas", "index", "locks", "quarantine", "tmp"] {
            make_dir(&root.join(folder))?;
        }
        let _opening = FileLock::wait(&root.join("locks/open"), Place::ONLY, Mode::Exclusive)?;
        check_space(root)?;
        sweep(&root.join("tmp"))?;
        let name = format!("{}-{:016x}", std::process::id(), fastrand::u64(..));
        let tmp = root.join("tmp").join(name);
        fs::create_dir(&tmp).map_err(io_at("create", &tmp))?;
        let alive = FileLock::wait(&tmp.join(ALIVE), Place::ONLY, Mode::Exclusive)?;
        Ok(Self {
            root: root.to_owned(),
            tmp,
            _alive: alive,
        })
    }

    pub(crate) fn root(&self) -> &Utf8Path {
        &self.root
    }

    pub(crate) fn index(&self) -> Utf8PathBuf {
        self.root.join("index")
    }

    pub(crate) fn cas(&self) -> Utf8PathBuf {
        self.root.join("cas")
    }

    pub(crate) fn blob(&self, digest: &Digest) -> Utf8PathBuf {
        let hex = digest.to_string();
        let (folder, file) = hex.split_at(2);
        let mut path = self.cas();
        path.push(folder);
        path.push(file);
        path
    }

    /// The file whose bytes are the locks of keys.
    pub(crate) fn key_locks(&self) -> Utf8PathBuf {
        self.root.join("locks/keys")
    }

    /// The lock of whoever removes blobs, shared by those who begin to use some.
    pub(crate) fn removing(&self) -> Utf8PathBuf {
        self.root.join("locks/removing")
    }

    /// The lock of whoever collects garbage.
    pub(crate) fn collecting(&self) -> Utf8PathBuf {
        self.root.join("locks/gc")
    }

    /// The file that lists what this process uses.
    pub(crate) fn pins(&self) -> Utf8PathBuf {
        self.tmp.join(PINS)
    }

    /// The lists of all processes that live.
    pub(crate) fn pins_of_all(&self) -> Result<Vec<Utf8PathBuf>, StoreError> {
        let tmp = self.root.join("tmp");
        let mut lists = Vec::new();
        for entry in tmp.read_dir_utf8().map_err(io_at("list", &tmp))? {
            let folder = entry.map_err(io_at("list", &tmp))?.into_path();
            let list = folder.join(PINS);
            let dead = || FileLock::try_now(&folder.join(ALIVE), Place::ONLY, Mode::Exclusive);
            if list.is_file() && dead()?.is_none() {
                lists.push(list);
            }
        }
        Ok(lists)
    }

    /// A new name for something being written, on the store's file system.
    pub(crate) fn scratch(&self) -> Utf8PathBuf {
        self.tmp.join(format!("{:016x}", fastrand::u64(..)))
    }

    /// A new name in the quarantine folder, beginning with `what`.
    pub(crate) fn quarantine(&self, what: &str) -> Utf8PathBuf {
        self.quarantine_dir()
            .join(format!("{what}-{:08x}", fastrand::u32(..)))
    }

    /// Where corrupted files are kept for a look.
    pub(crate) fn quarantine_dir(&self) -> Utf8PathBuf {
        self.root.join("quarantine")
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // What stays behind is swept by the next process that opens the store.
        let _ = fs::remove_dir_all(&self.tmp);
    }
}

fn make_root(root: &Utf8Path) -> Result<(), StoreError> {
    match fs::create_dir_all(root) {
        Ok(()) => Ok(()),
        Err(error) if matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotADirectory) => {
            Err(StoreError::NotADirectory {
                path: root.to_owned(),
            })
        }
        Err(error) => Err(unwritable(root)(error)),
    }
}

pub(crate) fn make_dir(path: &Utf8Path) -> Result<(), StoreError> {
    match fs::create_dir(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(unwritable(path)(error)),
        _ => Ok(()),
    }
}

/// While a store is being opened, whatever is not a lack of space means that it cannot be written.
fn unwritable(path: &Utf8Path) -> impl FnOnce(std::io::Error) -> StoreError {
    let convert = io_at("create", path);
    move |error| match convert(error) {
        StoreError::Io { path, source, .. } => StoreError::Unwritable { path, source },
        other => other,
    }
}

fn check_version(root: &Utf8Path) -> Result<(), StoreError> {
    let path = root.join("VERSION");
    match fs::read_to_string(&path) {
        Ok(found) if found.trim_end() == VERSION => Ok(()),
        Ok(found) => {
            let found = found
                .lines()
                .next()
                .unwrap_or_default()
                .chars()
                .take(60)
                .collect();
            Err(StoreError::WrongVersion {
                path: root.to_owned(),
                found,
                supported: VERSION,
            })
        }
        Err(error) if error.kind() == ErrorKind::NotFound => write_version(root, &path),
        Err(error) => Err(io_at("read", &path)(error)),
    }
}

/// Writes the version beside and renames it, so that no other process reads half of it.
fn write_version(root: &Utf8Path, path: &Utf8Path) -> Result<(), StoreError> {
    let beside = root.join(format!("VERSION.{:016x}", fastrand::u64(..)));
    let write = || {
        let mut file = fs::File::create_new(&beside)?;
        writeln!(file, "{VERSION}")?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&beside);
        unwritable(path)(error)
    })
}

/// Whether `path` is on a file system that other hosts may be using (NFS, CIFS, SMB, 9p).
pub(crate) fn is_on_network(path: &Utf8Path) -> bool {
    const NETWORK: [u32; 4] = [0x6969, 0xFF53_4D42, 0xFE53_4D42, 0x0102_1997];
    // The kernel's magic numbers have 32 bits, whatever the width and sign of the field.
    rustix::fs::statfs(path.as_std_path()).is_ok_and(|found| NETWORK.contains(&(found.f_type as u32)))
}

/// A map of a file that cannot grow kills the process that writes to it, so lack of space has to be seen
/// before.
fn check_space(root: &Utf8Path) -> Result<(), StoreError> {
    let space = rustix::fs::statvfs(root.as_std_path()).map_err(errno_at("inspect", root))?;
    if space.f_bavail.saturating_mul(space.f_frsize) < SPARE_BYTES {
        return Err(StoreError::DiskFull {
            path: root.to_owned(),
        });
    }
    Ok(())
}

/// Removes the folders of processes that are gone. The caller holds the lock that everybody opens under.
fn sweep(tmp: &Utf8Path) -> Result<(), StoreError> {
    for entry in tmp.read_dir_utf8().map_err(io_at("list", tmp))? {
        let folder = entry.map_err(io_at("list", tmp))?.into_path();
        if !folder.is_dir() || FileLock::try_now(&folder.join(ALIVE), Place::ONLY, Mode::Exclusive)?.is_some()
        {
            // Another process may be sweeping what the same death left.
            let _ = fs::remove_dir_all(&folder).or_else(|_| fs::remove_file(&folder));
        }
    }
    Ok(())
}
