//! States at hand: unpacked once on the local disk, where QEMU reads memory from and layers are copied from.
//!
//! An unpacked state costs a second to make again, so the collection of garbage begins with those that no process holds.

use std::fs;
use std::io;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::outcome::Artefact;

use super::archive::{DESCRIPTION, Description, MEMORY};
use crate::test::folder::{DataFolder, copy};
use crate::test::images::ImageUse;
use crate::tree;

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

    /// The prompt of the shell that waits in the guest, where one does.
    pub(crate) fn standing(&self) -> Option<&str> {
        self.description.standing.as_deref()
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
