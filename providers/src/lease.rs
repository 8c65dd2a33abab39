//! Parts of this host that one test at a time may change, whichever run it belongs to.
//!
//! A lease is a lock on a file that stands for the part. The system takes it back from a process that dies; who has changed
//! something hands the lease to the janitor that changes it back ([`Duties::hold`](crate::process::Duties::hold)), so that
//! nobody else begins before that is done.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

/// Where the system keeps locks.
const LOCKS: &str = "/run/lock";
/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Why a lease could not be had.
#[derive(Debug, thiserror::Error)]
#[error("lock {path}, which stands for {part} of this host: {source}")]
pub struct LeaseError {
    part: String,
    path: Utf8PathBuf,
    source: io::Error,
}

/// The right to change a part of this host, until it is dropped.
#[derive(Debug)]
pub struct Lease(File);

impl Lease {
    /// Waits for the lease of `part`; calls `waiting` where somebody has it.
    ///
    /// # Errors
    /// When the file that stands for it cannot be opened or locked.
    pub async fn take(part: &str, waiting: impl FnOnce()) -> Result<Self, LeaseError> {
        Self::take_in(&folder(), part, waiting).await
    }

    async fn take_in(folder: &Utf8Path, part: &str, waiting: impl FnOnce()) -> Result<Self, LeaseError> {
        let path = folder.join(part);
        let failed = |source| LeaseError {
            part: part.to_owned(),
            path: path.clone(),
            source,
        };
        let file = open(folder, &path).map_err(failed)?;
        let mut waiting = Some(waiting);
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => {
                    if let Some(tell) = waiting.take() {
                        tell();
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                Err(TryLockError::Error(source)) => return Err(failed(source)),
            }
        }
    }
}

impl From<Lease> for OwnedFd {
    fn from(lease: Lease) -> Self {
        lease.0.into()
    }
}

/// The folder that all users of this host lock in.
#[expect(
    clippy::disallowed_methods,
    reason = "a lock of the host must outlast the scratch folder of a run"
)]
fn folder() -> Utf8PathBuf {
    let system = Utf8Path::new(LOCKS);
    let shared = Utf8PathBuf::from_path_buf(std::env::temp_dir());
    let base = if system.is_dir() {
        system.to_owned()
    } else {
        shared.unwrap_or_else(|_| "/tmp".into())
    };
    base.join("vtbuild-leases")
}

fn open(folder: &Utf8Path, path: &Utf8Path) -> io::Result<File> {
    if !folder.is_dir() {
        std::fs::create_dir_all(folder)?;
        std::fs::set_permissions(folder, PermissionsExt::from_mode(0o1777))?;
    }
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o666)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[tokio::test]
    async fn one_at_a_time_has_it_and_the_next_one_waits() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap().join("leases");
        let first = Lease::take_in(&folder, "memory", || panic!("nobody has it")).await;
        let first = first.unwrap();
        let another = Lease::take_in(&folder, "network", || panic!("nobody has this one")).await;
        drop(another.unwrap());
        let (told, hand_over) = (AtomicBool::new(false), AtomicBool::new(false));
        let wait = async {
            let second = Lease::take_in(&folder, "memory", || told.store(true, Ordering::SeqCst)).await;
            assert!(hand_over.load(Ordering::SeqCst), "the first had it still");
            second.unwrap()
        };
        let give = async {
            while !told.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            hand_over.store(true, Ordering::SeqCst);
            drop(first);
        };
        let (second, ()) = tokio::join!(wait, give);
        drop(OwnedFd::from(second));
    }

    #[tokio::test]
    async fn what_cannot_be_locked_is_told_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Utf8Path::from_path(dir.path()).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("memory")).unwrap();
        let error = Lease::take_in(folder, "memory", || ()).await.unwrap_err();
        assert!(
            error.to_string().contains(folder.join("memory").as_str()),
            "{error}"
        );
    }
}
