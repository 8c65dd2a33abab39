//! Removing files and folders for good.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at a path.
const PAUSE: Duration = Duration::from_millis(25);

/// Removes a file or a folder with all in it. It is gone when it was found gone `looks` times in a row: one is enough when
/// nobody is left who could write there. Gives up after `patience`.
pub(super) fn until_gone(path: &Path, looks: u32, patience: Duration) {
    let deadline = Instant::now() + patience;
    let mut gone = 0;
    loop {
        match remove(path) {
            Ok(()) => gone += 1,
            Err(_) => gone = 0,
        }
        if gone >= looks || Instant::now() >= deadline {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}

/// Removes a file or a folder; one that is not there counts as removed.
fn remove(path: &Path) -> io::Result<()> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path).inspect_err(|_| unlock(path)),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Makes every folder below `path` writable by its owner, so that the next attempt can remove what is in it.
fn unlock(path: &Path) {
    // Whatever fails here shows when the removal is tried again.
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            unlock(&entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_a_read_only_folder_goes_away() {
        let base = tempfile::tempdir().unwrap();
        let tree = base.path().join("tree");
        fs::create_dir_all(tree.join("locked")).unwrap();
        fs::write(tree.join("locked/file"), "x").unwrap();
        fs::set_permissions(tree.join("locked"), fs::Permissions::from_mode(0o500)).unwrap();
        until_gone(&tree, 2, Duration::from_secs(5));
        assert!(!tree.exists());
    }

    #[test]
    fn a_link_is_removed_and_its_target_stays() {
        let base = tempfile::tempdir().unwrap();
        let (target, link) = (base.path().join("target"), base.path().join("link"));
        fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        until_gone(&link, 1, Duration::from_secs(5));
        assert!(target.exists() && fs::symlink_metadata(&link).is_err());
    }
}
