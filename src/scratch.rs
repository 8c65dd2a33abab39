//! Scratch folders of runs: one a run, in the cache, so that outputs can be renamed into the store. A folder whose lock
//! nobody holds was left by a run that is gone.

use std::fs::File;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{FlockOperation, flock};

use crate::exit::Failure;

/// A run's scratch folder. The lock goes with the process, however that ends.
#[derive(Debug)]
pub struct Scratch {
    /// The folder.
    pub path: Utf8PathBuf,
    _lock: File,
}

const LOCK: &str = "lock";

fn runs(cache: &Utf8Path) -> Utf8PathBuf {
    cache.join("runs")
}

impl Scratch {
    /// Makes a folder for this process and removes those of runs that are gone.
    pub fn make(cache: &Utf8Path) -> Result<Self, Failure> {
        for path in abandoned(cache) {
            // Another run may remove it at the same time.
            let _ = std::fs::remove_dir_all(&path);
        }
        let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let nanos = nanos.map_or(0, |since| since.subsec_nanos());
        // Short, because sockets live below it and their paths must fit 108 bytes.
        let path = runs(cache).join(format!("{}-{nanos:x}", std::process::id()));
        let failed = |error: std::io::Error| {
            Failure::environment(format!("failed to make the scratch folder {path}: {error}"))
        };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Self { path, _lock: lock })
    }
}

/// The scratch folders whose runs are gone.
pub fn abandoned(cache: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = runs(cache).read_dir_utf8().into_iter().flatten().flatten();
    let gone = |path: &Utf8PathBuf| match File::open(path.join(LOCK)) {
        Ok(lock) => flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok(),
        // A run that has made its folder and not yet its lock is younger than this look.
        Err(_) => old(path),
    };
    let mut paths: Vec<_> = entries
        .map(camino::Utf8DirEntry::into_path)
        .filter(gone)
        .collect();
    paths.sort();
    paths
}

fn old(path: &Utf8Path) -> bool {
    let modified = std::fs::metadata(path).and_then(|meta| meta.modified());
    let age = modified.ok().and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age.as_secs() > 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_abandoned_when_its_lock_is_free() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Utf8Path::from_path(dir.path()).unwrap();
        let scratch = Scratch::make(cache).unwrap();
        assert!(abandoned(cache).is_empty());
        let path = scratch.path.clone();
        drop(scratch);
        assert_eq!(abandoned(cache), std::slice::from_ref(&path));
        let next = Scratch::make(cache).unwrap();
        assert!(!path.exists() && next.path.exists());
    }
}
