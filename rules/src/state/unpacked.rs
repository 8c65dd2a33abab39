//! States at hand: unpacked once on the local disk, where QEMU reads memory from and layers are copied from.
//!
//! An unpacked state costs a second to make again, so the collection of garbage begins with these.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::outcome::Artefact;

use super::archive::{DESCRIPTION, Description, MEMORY};
use crate::test::folder::{DataFolder, copy};
use crate::test::images::ImageUse;
use crate::tree;

/// A state that was used so recently may be in use.
const GRACE: Duration = Duration::from_secs(600);

/// An unpacked state.
#[derive(Debug)]
pub(crate) struct Unpacked {
    folder: Utf8PathBuf,
    description: Description,
}

impl Unpacked {
    /// The state in `archive`, at hand below `states`.
    pub(crate) async fn of(archive: &Artefact, states: &Utf8Path) -> Result<Self, String> {
        let (archive, states) = (archive.clone(), states.to_owned());
        let unpacking = tokio::task::spawn_blocking(move || {
            let folder = tree::of(&archive, &states).map_err(|error| error.to_string())?;
            let path = folder.join(DESCRIPTION);
            let read = fs::read(&path).map_err(|error| format!("read {path}: {error}"))?;
            let description = serde_json::from_slice(&read).map_err(|e| format!("understand {path}: {e}"))?;
            // Without the note it only goes earlier.
            let _ = File::open(&folder).and_then(|folder| folder.set_modified(SystemTime::now()));
            Ok(Self { folder, description })
        });
        unpacking
            .await
            .map_err(|error| format!("unpack a state: {error}"))?
    }

    /// The file with memory and devices.
    pub(crate) fn memory(&self) -> Utf8PathBuf {
        self.folder.join(MEMORY)
    }

    /// Whether it holds a layer of this image.
    pub(crate) fn covers(&self, image: &str) -> bool {
        self.description.layers.contains_key(image)
    }

    /// Puts copies of the layers in the place of the overlays of `images`, and what the guest had printed into `logs`.
    pub(crate) async fn lay_out(
        &self,
        folder: &DataFolder,
        images: &[&ImageUse],
        logs: &Utf8Path,
    ) -> Result<(), String> {
        for image in images {
            let name = &image.spec.name;
            let layer = self.description.layers.get(name);
            let layer = layer.ok_or_else(|| format!("find the layer of {name} in the state"))?;
            let file = self.folder.join(&layer.file);
            folder
                .take_over(image, &file, &layer.base)
                .await
                .map_err(|error| error.to_string())?;
        }
        for name in &self.description.logs {
            let (from, to) = (self.folder.join(name), logs.join(name));
            copy(&from, &to).map_err(|error| format!("copy {from} to {to}: {error}"))?;
        }
        Ok(())
    }

    /// Takes back what [`lay_out`](Self::lay_out) did, and the unpacked state with it: it was no good.
    pub(crate) async fn undo(
        self,
        folder: &DataFolder,
        images: &[&ImageUse],
        logs: &Utf8Path,
    ) -> Result<(), String> {
        for name in &self.description.logs {
            let path = logs.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(format!("remove {path}: {error}"));
                }
                _ => {}
            }
        }
        // Another process may be removing it, too.
        let _ = remove(&self.folder);
        for image in images {
            folder.renew(image).await.map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Removes a folder under another name: whoever looks for it meanwhile finds all of it or nothing.
fn remove(folder: &Utf8Path) -> io::Result<()> {
    let parent = folder.parent().unwrap_or(Utf8Path::new("/"));
    let away = tempfile::Builder::new().prefix(".old-").tempdir_in(parent)?;
    fs::rename(folder, away.path())
}

/// What the unpacked states below `states` occupy on disk, in bytes.
#[must_use]
pub fn unpacked_bytes(states: &Utf8Path) -> u64 {
    let files = walkdir::WalkDir::new(states).into_iter().flatten();
    let on_disk = files.filter_map(|entry| entry.metadata().ok());
    on_disk
        .filter(fs::Metadata::is_file)
        .map(|metadata| metadata.blocks() * 512)
        .sum()
}

/// Removes unpacked states below `states`, those that were not used for longest first, until `room` bytes are free of them.
/// One that may be in use stays. Returns how many bytes went.
#[must_use]
pub fn collect(states: &Utf8Path, room: u64) -> u64 {
    let mut found: Vec<(SystemTime, Utf8PathBuf)> = Vec::new();
    for entry in states.read_dir_utf8().into_iter().flatten().flatten() {
        let used = entry.metadata().and_then(|metadata| metadata.modified());
        found.extend(used.ok().map(|used| (used, entry.into_path())));
    }
    found.sort();
    let mut freed = 0;
    for (used, folder) in found {
        let fresh = SystemTime::now()
            .duration_since(used)
            .is_ok_and(|age| age < GRACE);
        if freed >= room || fresh {
            continue;
        }
        let bytes = unpacked_bytes(&folder);
        if remove(&folder).is_ok() {
            freed += bytes;
        }
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_was_not_used_for_longest_goes_first_and_fresh_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        let states = Utf8Path::from_path(dir.path()).unwrap();
        for (name, hours) in [("a", 3_u64), ("b", 9), ("c", 0)] {
            let folder = states.join(name);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join(MEMORY), vec![1; 64 << 10]).unwrap();
            let used = SystemTime::now() - Duration::from_secs(hours * 3600);
            File::open(&folder).unwrap().set_modified(used).unwrap();
        }
        assert!(unpacked_bytes(states) >= 3 * (64 << 10));
        assert!(collect(states, 1) >= 64 << 10);
        let left = || {
            let mut names: Vec<String> = states
                .read_dir_utf8()
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_owned())
                .collect();
            names.sort();
            names
        };
        assert_eq!(left(), ["a", "c"]);
        let _ = collect(states, u64::MAX);
        assert_eq!(left(), ["c"]);
    }
}
