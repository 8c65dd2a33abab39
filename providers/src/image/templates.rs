//! Empty overlays, made once and copied.
//!
//! Most tests need an empty overlay on the same few images. `qemu-img` takes a process and several flushes to the disk for
//! each, which a busy disk answers in tenths of a second; an overlay that goes with its test need not survive anything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::sync::Mutex;

use super::tool::{ImageError, QemuImg};

/// What an empty overlay holds follows from this: who made it, on what, and how large that was. The file below it may be a
/// person's, who may replace it while we run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    program: Utf8PathBuf,
    base: Utf8PathBuf,
    format: String,
    length: u64,
    modified: SystemTime,
}

/// The empty overlays of a run. Clones share them.
#[derive(Debug, Clone)]
pub struct Templates {
    folder: Utf8PathBuf,
    made: Arc<Mutex<BTreeMap<Of, Utf8PathBuf>>>,
}

impl Templates {
    /// None yet; they will lie in `folder`, which is made when it is needed and removed by its owner.
    #[must_use]
    pub fn new(folder: Utf8PathBuf) -> Self {
        Self {
            folder,
            made: Arc::default(),
        }
    }

    /// Makes the overlay `path` on `base`.
    pub(super) async fn overlay(
        &self,
        img: &QemuImg,
        (base, format): (&Utf8Path, &str),
        path: &Utf8Path,
    ) -> Result<(), ImageError> {
        let failed = |source| ImageError::Copy {
            path: path.to_owned(),
            source,
        };
        // Where the base is no plain file (a device has a length of 0 here), only qemu-img knows its size.
        let Some(of) = self.of(img, base, format) else {
            return img.overlay_anew(base, format, path).await;
        };
        let template = {
            let mut made = self.made.lock().await;
            if let Some(template) = made.get(&of) {
                template.clone()
            } else {
                std::fs::create_dir_all(&self.folder).map_err(failed)?;
                let template = self.folder.join(format!("{}.qcow2", made.len()));
                img.overlay_anew(base, format, &template).await?;
                made.insert(of, template.clone());
                template
            }
        };
        std::fs::copy(&template, path).map(drop).map_err(failed)
    }

    fn of(&self, img: &QemuImg, base: &Utf8Path, format: &str) -> Option<Of> {
        let found = std::fs::metadata(base).ok().filter(std::fs::Metadata::is_file)?;
        Some(Of {
            program: img.program().to_owned(),
            base: base.to_owned(),
            format: format.to_owned(),
            length: found.len(),
            modified: found.modified().ok()?,
        })
    }
}
