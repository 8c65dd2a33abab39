//! Scratch folders of runs: one a run, in the cache, so that outputs can be renamed into the store. A folder whose lock
//! nobody holds was left by a run that is gone.
//!
//! Sockets live below it, and their paths must fit 108 bytes, of which tests and helper programs want half. So they are made by
//! way of a link in the folder for temporary files, where that is shorter: the kernel counts what it is given, not what it is.

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

/// The folder of sockets in a scratch folder.
const SOCKETS: &str = "s";
/// How the names of links to such folders begin.
const LINK: &str = "vtbuild-";

fn runs(cache: &Utf8Path) -> Utf8PathBuf {
    cache.join("runs")
}

/// Where links are; `None` where its name is no text.
#[expect(
    clippy::disallowed_methods,
    reason = "the link is given to the janitor, and needs a short path"
)]
fn temporary() -> Option<Utf8PathBuf> {
    Utf8PathBuf::from_path_buf(std::env::temp_dir()).ok()
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
        // Short as well: where no link can be made, sockets have this path.
        let path = runs(cache).join(format!("{}-{nanos:x}", std::process::id()));
        let failed = |error: std::io::Error| {
            Failure::environment(format!("failed to make the scratch folder {path}: {error}"))
        };
        std::fs::create_dir_all(&path).map_err(failed)?;
        let lock = File::create(path.join(LOCK)).map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        Ok(Self { path, _lock: lock })
    }

    /// The link to its folder of sockets, where one makes their paths shorter. It has to go when the folder goes.
    pub fn link(&self) -> Option<Utf8PathBuf> {
        let link = temporary()?.join(format!("{LINK}{}", self.path.file_name()?));
        let sockets = self.sockets();
        let shorter = link.as_str().len() < sockets.as_str().len();
        let made = shorter && std::fs::create_dir(&sockets).is_ok();
        (made && std::os::unix::fs::symlink(&sockets, &link).is_ok()).then_some(link)
    }

    /// Its folder of sockets.
    pub fn sockets(&self) -> Utf8PathBuf {
        self.path.join(SOCKETS)
    }
}

/// The scratch folders whose runs are gone, and the links to such.
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
    let ours = |link: &Utf8PathBuf| {
        let named = link.file_name().is_some_and(|name| name.starts_with(LINK));
        let target = named.then(|| link.read_link_utf8().ok()).flatten();
        target.is_some_and(|target| {
            let run = target.parent().filter(|run| run.parent() == Some(&runs(cache)));
            run.is_some_and(|run| !run.exists() || paths.iter().any(|path| path == run))
        })
    };
    let links = temporary().and_then(|dir| dir.read_dir_utf8().ok());
    let links = links.into_iter().flatten().flatten();
    let mut links: Vec<_> = links.map(camino::Utf8DirEntry::into_path).filter(ours).collect();
    links.sort();
    paths.append(&mut links);
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

    #[test]
    fn a_link_to_sockets_is_abandoned_with_its_run() {
        let dir = tempfile::tempdir().unwrap();
        let long = "a-folder-whose-name-is-longer-than-that-of-any-folder-for-temporary-files/".repeat(2);
        let cache = &Utf8Path::from_path(dir.path()).unwrap().join(long);
        let scratch = Scratch::make(cache).unwrap();
        let link = scratch.link().unwrap();
        assert!(link.is_dir() && link.as_str().len() < scratch.sockets().as_str().len());
        assert!(abandoned(cache).is_empty());
        let path = scratch.path.clone();
        drop(scratch);
        assert_eq!(abandoned(cache), [path.clone(), link.clone()]);
        assert!(abandoned(Utf8Path::new("/another/cache")).is_empty());
        std::fs::remove_dir_all(&path).unwrap();
        assert_eq!(abandoned(cache), std::slice::from_ref(&link));
        let next = Scratch::make(cache).unwrap();
        assert!(!link.is_symlink());
        assert!(next.link().is_some_and(|link| std::fs::remove_file(link).is_ok()));
    }
}
