//! A test's own data folder.
//!
//! It looks like the data folder of the workspace, but every image in it is a file of the test's own: a qcow2 overlay on an
//! immutable original, a copy where the parameters want another format or a chain upon it, or a fresh image. Whatever else the data
//! folder holds is linked. The folder lies in the action's scratch folder and goes with it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use thiserror::Error;
use tokio::sync::Mutex;
use vtbuild_engine::cancel::Cancel;
use vtbuild_engine::outcome::Artefact;
use vtbuild_engine::resolve::FILE_OUTPUT;
use vtbuild_engine::rule::Job;
use vtbuild_providers::desk::{ImageError, ImageSource, OpenImage};
use vtbuild_providers::image::{Create, ImageSpec, QemuImg};
use vtbuild_providers::params::Params;

use super::declare::HostFacts;
use super::images::{ImageUse, Origin, is_served};
use crate::image::DISK;

/// The format of recipes' disks and of overlays.
const QCOW2: &str = "qcow2";

/// Why a data folder could not be made.
#[derive(Debug, Error)]
pub(crate) enum FolderError {
    /// The file system refuses.
    #[error("make the test's data folder: {path}: {source}")]
    Io {
        path: Utf8PathBuf,
        source: std::io::Error,
    },
    /// An image cannot be made.
    #[error("{0}")]
    Image(String),
}

/// When an image was written to last, as we say of one that nobody has touched since it was made. A time as coarse as the
/// file system's could not tell a test that writes at once.
const UNTOUCHED: SystemTime = SystemTime::UNIX_EPOCH;

/// Which machine's copy of which file.
type Place = (Option<String>, Utf8PathBuf);

/// An overlay and the immutable image under it.
pub(crate) struct Covered {
    /// The overlay.
    pub(crate) file: Utf8PathBuf,
    /// What it lies on.
    pub(crate) base: Utf8PathBuf,
    base_format: String,
}

/// A test's data folder.
pub(crate) struct DataFolder {
    root: Utf8PathBuf,
    real: Utf8PathBuf,
    img: QemuImg,
    /// Machines that have images of their own.
    machines: BTreeSet<String>,
    /// Machines whose states bring the overlays.
    resumed: Vec<String>,
    open: Mutex<BTreeMap<Place, OpenImage>>,
    /// What overlays lie on.
    bases: std::sync::Mutex<BTreeMap<Place, (Utf8PathBuf, String)>>,
    /// The same by machine and object, for chains, which name objects.
    objects: Mutex<BTreeMap<(Option<String>, String), OpenImage>>,
    /// Images of the workspace that the test turned out to use without having declared them.
    found: std::sync::Mutex<Vec<Utf8PathBuf>>,
}

impl DataFolder {
    /// Makes the folder below `scratch`, with all images that `uses` names; but overlays of the machines `resumed` are left to
    /// [`take_over`](Self::take_over), or to [`cover_the_rest`](Self::cover_the_rest).
    pub(crate) async fn make(
        job: &Job,
        scratch: &Utf8Path,
        facts: &HostFacts,
        img: QemuImg,
        uses: &[ImageUse],
        resumed: Vec<String>,
    ) -> Result<Arc<Self>, FolderError> {
        let real = &facts.data_dir;
        let folder = Self {
            root: scratch.join("data"),
            real: real.clone(),
            img,
            machines: uses.iter().filter_map(|image| image.vm.clone()).collect(),
            resumed,
            open: Mutex::default(),
            bases: std::sync::Mutex::default(),
            objects: Mutex::default(),
            found: std::sync::Mutex::default(),
        };
        make_folder(&folder.root)?;
        for image in uses {
            folder.prepare(job, image).await?;
        }
        folder
            .link_the_rest(job.cancel.clone(), facts.cache.clone())
            .await?;
        Ok(Arc::new(folder))
    }

    /// Adds what the workspace's folder has besides. It may be a large one, so nobody else waits for that.
    async fn link_the_rest(&self, cancel: Cancel, cache: Utf8PathBuf) -> Result<(), FolderError> {
        let (ours, theirs) = (self.root.clone(), self.real.clone());
        let Ok(real) = theirs.canonicalize_utf8() else {
            return Ok(());
        };
        let mut links = Links {
            cache,
            cancel,
            above: Vec::new(),
        };
        let done = tokio::task::spawn_blocking(move || links.add(&ours, &theirs, &real));
        done.await
            .map_err(|error| FolderError::Image(error.to_string()))?
    }

    /// Where the folder is.
    pub(crate) fn path(&self) -> &Utf8Path {
        &self.root
    }

    /// Images that were used without having been declared.
    pub(super) fn found(&self) -> Vec<Utf8PathBuf> {
        lock(&self.found).clone()
    }

    /// The file of an image of a machine as the test left it, and its format; `None` where the test removed it.
    pub(crate) async fn left(&self, image: &ImageUse) -> Option<OpenImage> {
        let open = self.open.lock().await;
        let found = open.get(&(image.vm.clone(), image.spec.file.clone()))?;
        found.file.is_file().then(|| found.clone())
    }

    /// Whether an image holds what it held when it was made for the test.
    pub(crate) fn is_untouched(image: &OpenImage) -> bool {
        let modified = std::fs::metadata(&image.file).and_then(|file| file.modified());
        modified.is_ok_and(|modified| modified == UNTOUCHED)
    }

    /// Writes what an image holds, all layers of it, to one file of the image's own format.
    pub(super) async fn flatten(
        &self,
        image: &OpenImage,
        format: &str,
        to: &Utf8Path,
    ) -> Result<(), FolderError> {
        let from = (image.file.as_path(), image.format.as_str());
        let done = self.img.convert(from, (to, format), false).await;
        done.map_err(|error| FolderError::Image(error.to_string()))
    }

    /// The overlay of an image, and what is under it; `None` where it has none.
    pub(crate) async fn layer(&self, image: &ImageUse) -> Option<Covered> {
        let place = (image.vm.clone(), image.spec.file.clone());
        let (base, base_format) = lock(&self.bases).get(&place).cloned()?;
        let open = self.open.lock().await;
        let open = open.get(&place).filter(|open| open.format == QCOW2)?;
        Some(Covered {
            file: open.file.clone(),
            base,
            base_format,
        })
    }

    /// Puts a copy of `layer`, which lay on `base` when it was made, in the place of an image's overlay. `base` may be
    /// elsewhere by now, and holds the same.
    pub(crate) async fn take_over(
        &self,
        image: &ImageUse,
        layer: &Utf8Path,
        base: &Utf8Path,
    ) -> Result<(), FolderError> {
        let covered = self.covered(image).await?;
        copy(layer, &covered.file).map_err(|source| FolderError::Io {
            path: covered.file.clone(),
            source,
        })?;
        if base == covered.base {
            return Ok(());
        }
        let base = (covered.base.as_path(), covered.base_format.as_str());
        let rebased = self.img.rebase(&covered.file, base, true).await;
        rebased.map_err(|error| FolderError::Image(error.to_string()))
    }

    /// Makes an image's overlay anew: nothing has been written to it then.
    pub(crate) async fn renew(&self, image: &ImageUse) -> Result<(), FolderError> {
        let covered = self.covered(image).await?;
        let made = self
            .img
            .overlay(&covered.base, &covered.base_format, &covered.file);
        made.await
            .map_err(|error| FolderError::Image(error.to_string()))?;
        mark_untouched(&covered.file)
    }

    /// Makes the overlays of a machine that its state was to bring.
    pub(crate) async fn cover_the_rest(&self, vm: &str, uses: &[ImageUse]) -> Result<(), FolderError> {
        for image in uses.iter().filter(|image| image.vm.as_deref() == Some(vm)) {
            if self.layer(image).await.is_some_and(|layer| !layer.file.exists()) {
                self.renew(image).await?;
            }
        }
        Ok(())
    }

    async fn covered(&self, image: &ImageUse) -> Result<Covered, FolderError> {
        let none = || FolderError::Image(format!("{} is no overlay", image.role));
        self.layer(image).await.ok_or_else(none)
    }

    async fn prepare(&self, job: &Job, image: &ImageUse) -> Result<(), FolderError> {
        let vm = image.vm.as_deref();
        let inputs: &[Artefact] = match image.origin {
            Origin::Input | Origin::InputOrCreated | Origin::InputIfThere => job.input(&image.role),
            Origin::Created | Origin::Ignored => &[],
        };
        self.link_companions(&image.spec, inputs)?;
        let is_disk = |a: &&Artefact| a.name == DISK || a.name == FILE_OUTPUT || *a.name == image.spec.file;
        let disk = inputs.iter().find(is_disk);
        let path = self.path_for(vm, &image.spec.file).await;
        let file = match (image.origin, disk) {
            (Origin::Ignored, _) | (Origin::InputIfThere, None) => return Ok(()),
            (_, Some(disk)) => {
                // A recipe's disk is qcow2; a file and what a test made have the format that the parameters name.
                let format = if disk.name == DISK && image.spec.format != QCOW2 && is_qcow2(&disk.path) {
                    QCOW2
                } else {
                    &image.spec.format
                };
                if !image.spec.is_bottom() {
                    let place = (image.vm.clone(), image.spec.file.clone());
                    lock(&self.bases).insert(place, (disk.path.clone(), format.to_owned()));
                }
                if gets_overlay(&image.spec) && vm.is_some_and(|vm| self.resumed.iter().any(|it| it == vm)) {
                    make_parent(&path)?;
                    OpenImage {
                        file: path,
                        format: QCOW2.to_owned(),
                    }
                } else {
                    let covered = self.cover(&disk.path, format, &image.spec, path).await?;
                    mark_untouched(&covered.file)?;
                    covered
                }
            }
            (_, None) => {
                let created = self.create(&image.spec, vm, path).await?;
                mark_untouched(&created.file)?;
                created
            }
        };
        self.objects
            .lock()
            .await
            .insert((image.vm.clone(), image.spec.name.clone()), file.clone());
        self.open
            .lock()
            .await
            .insert((image.vm.clone(), image.spec.file.clone()), file);
        Ok(())
    }

    /// Where a machine's copy of an image goes: under the image's own name, unless another machine has that already.
    async fn path_for(&self, vm: Option<&str>, file: &Utf8Path) -> Utf8PathBuf {
        let open = self.open.lock().await;
        let taken = open
            .keys()
            .any(|(other, known)| known == file && other.as_deref() != vm);
        // An absolute name (`image_raw_device`) has no place below the folder.
        let inside = file.strip_prefix("/").unwrap_or(file);
        let path = self.root.join(inside);
        match (taken, vm) {
            (true, Some(vm)) => path.with_file_name(format!("{vm}-{}", path.file_name().unwrap_or("image"))),
            _ => path,
        }
    }

    /// A file to write to instead of `base`: an overlay, or a copy in the format that is wanted.
    async fn cover(
        &self,
        base: &Utf8Path,
        base_format: &str,
        spec: &ImageSpec,
        path: Utf8PathBuf,
    ) -> Result<OpenImage, FolderError> {
        make_parent(&path)?;
        let failed = |error: vtbuild_providers::image::ImageError| FolderError::Image(error.to_string());
        if gets_overlay(spec) {
            self.img.overlay(base, base_format, &path).await.map_err(failed)?;
            return Ok(OpenImage {
                file: path,
                format: QCOW2.to_owned(),
            });
        }
        self.img
            .convert((base, base_format), (&path, &spec.format), false)
            .await
            .map_err(failed)?;
        Ok(OpenImage {
            file: path,
            format: spec.format.clone(),
        })
    }

    /// A fresh image, on top of another one of the same machine where `image_chain` says so.
    async fn create(
        &self,
        spec: &ImageSpec,
        vm: Option<&str>,
        path: Utf8PathBuf,
    ) -> Result<OpenImage, FolderError> {
        make_parent(&path)?;
        let mut create = Create::of(spec);
        if let Some(below) = spec.backing() {
            let objects = self.objects.lock().await;
            let base = objects
                .get(&(vm.map(str::to_owned), below.to_owned()))
                .ok_or_else(|| {
                    FolderError::Image(format!(
                        "make {}: its `image_chain` puts it on {below}, which is not there",
                        spec.name
                    ))
                })?;
            create.backing = Some((base.file.clone(), base.format.clone()));
            // As large as what it covers.
            create.size = None;
        }
        let created = self.img.create(&path, &create).await;
        created.map_err(|error| FolderError::Image(error.to_string()))?;
        Ok(OpenImage {
            file: path,
            format: spec.format.clone(),
        })
    }

    /// What a recipe makes beside the disk (kernel, initrd) appears in a folder named after the image.
    fn link_companions(&self, spec: &ImageSpec, inputs: &[Artefact]) -> Result<(), FolderError> {
        let folder = self.root.join(spec.file.with_extension(""));
        for artefact in inputs
            .iter()
            .filter(|artefact| artefact.name != DISK && !artefact.name.contains('/'))
        {
            make_folder(&folder)?;
            link(&artefact.path, &folder.join(&artefact.name))?;
        }
        Ok(())
    }

    async fn find(&self, vm: Option<&str>, spec: &ImageSpec) -> Result<OpenImage, FolderError> {
        let place = (vm.map(str::to_owned), spec.file.clone());
        if let Some(open) = self.open.lock().await.get(&place) {
            return Ok(open.clone());
        }
        // A tool works on the file of whichever machine has it; so does a machine that the test has thought up itself.
        if vm.is_none_or(|vm| !self.machines.contains(vm)) {
            let open = self.open.lock().await;
            if let Some((_, found)) = open.iter().find(|((_, file), _)| *file == spec.file) {
                return Ok(found.clone());
            }
        }
        let path = self.path_for(vm, &spec.file).await;
        let real = self.real.join(&spec.file);
        let open = if path.is_file() {
            // The test made it itself.
            OpenImage {
                file: path,
                format: spec.format.clone(),
            }
        } else if real.exists() {
            lock(&self.found).push(real.clone());
            self.cover(&real, &spec.format, spec, path).await?
        } else if vm.is_none() {
            make_parent(&path)?;
            // A tool that is about to create it.
            return Ok(OpenImage {
                file: path,
                format: spec.format.clone(),
            });
        } else {
            let message = format!("there is no {real}; put it there, or set `create_image = yes`");
            return Err(FolderError::Image(message));
        };
        self.open.lock().await.insert(place, open.clone());
        Ok(open)
    }
}

#[async_trait]
impl ImageSource for DataFolder {
    async fn open(&self, vm: Option<&str>, image: &Params) -> Result<OpenImage, ImageError> {
        let name = image.text("image_name").unwrap_or("(no image_name)").to_owned();
        let failed = |reason: String| ImageError {
            image: name.clone(),
            reason,
        };
        if vm.is_some() && is_served(image) {
            let message = "a machine's image on a server is not part of the built-in test host; upstream's packages have it (`--runtime auto`)";
            return Err(failed(message.into()));
        }
        let spec =
            ImageSpec::from_params(&name, image, Utf8Path::new("")).map_err(|e| failed(e.to_string()))?;
        self.find(vm, &spec)
            .await
            .map_err(|error| failed(error.to_string()))
    }
}

/// Whole between any two statements under the lock.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether an image is covered by an overlay, not copied. A device may be far larger than what is on it, and its name cannot be
/// kept anyway. A test that builds a chain looks at the whole of it, and would find one image more than it knows of.
fn gets_overlay(spec: &ImageSpec) -> bool {
    spec.raw_device || (spec.format == QCOW2 && !spec.is_bottom())
}

/// Copies a file that nobody may write to, to one that its owner may.
pub(crate) fn copy(from: &Utf8Path, to: &Utf8Path) -> std::io::Result<()> {
    std::fs::copy(from, to)?;
    std::fs::set_permissions(to, Permissions::from_mode(0o644))
}

/// What is no test data wherever it lies: our own results, the version control's store, what is built.
const NO_DATA: [&str; 3] = ["job-results", ".git", "target"];

/// Links in a test's data folder to what the workspace's has.
struct Links {
    /// No test data either, and the folder that is being made lies in it.
    cache: Utf8PathBuf,
    cancel: Cancel,
    /// The folders that are being gone through, each in the one before it, by their real names.
    above: Vec<Utf8PathBuf>,
}

impl Links {
    /// Links all that `theirs`, whose real name is `real`, has and `ours` has not. Folders that both have are merged.
    fn add(&mut self, ours: &Utf8Path, theirs: &Utf8Path, real: &Utf8Path) -> Result<(), FolderError> {
        // Nothing begins in a folder that is not whole: the job is over.
        if self.cancel.reason().is_some() {
            return Ok(());
        }
        self.above.push(real.to_owned());
        for entry in theirs.read_dir_utf8().into_iter().flatten().flatten() {
            let name = entry.file_name();
            if NO_DATA.contains(&name) {
                continue;
            }
            let (ours, real) = (ours.join(name), real.join(name));
            let theirs = entry.path();
            let kept = std::fs::symlink_metadata(&ours).is_ok();
            if theirs.is_dir() {
                let real = if theirs.is_symlink() {
                    theirs.canonicalize_utf8().unwrap_or(real)
                } else {
                    real
                };
                // A link to a folder around it has no end.
                if real == self.cache || self.above.contains(&real) || (kept && !ours.is_dir()) {
                    continue;
                }
                make_folder(&ours)?;
                self.add(&ours, theirs, &real)?;
            } else if !kept && !is_image(theirs) {
                // An image that nobody declared is covered when it is asked for: a link could be written through.
                link(theirs, &ours)?;
            }
        }
        self.above.pop();
        Ok(())
    }
}

/// Whether a file is a disk image, by its ending.
fn is_image(path: &Utf8Path) -> bool {
    const ENDINGS: [&str; 8] = ["qcow2", "qcow", "raw", "img", "vmdk", "vdi", "vhdx", "qed"];
    path.is_file() && path.extension().is_some_and(|ending| ENDINGS.contains(&ending))
}

fn is_qcow2(path: &Utf8Path) -> bool {
    let mut magic = [0; 4];
    let read =
        std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut magic));
    read.is_ok() && magic == *b"QFI\xfb"
}

fn mark_untouched(path: &Utf8Path) -> Result<(), FolderError> {
    let file = std::fs::File::options().write(true).open(path);
    file.and_then(|file| file.set_modified(UNTOUCHED))
        .map_err(|source| FolderError::Io {
            path: path.to_owned(),
            source,
        })
}

fn make_folder(path: &Utf8Path) -> Result<(), FolderError> {
    std::fs::create_dir_all(path).map_err(|source| FolderError::Io {
        path: path.to_owned(),
        source,
    })
}

fn make_parent(path: &Utf8Path) -> Result<(), FolderError> {
    path.parent().map_or(Ok(()), make_folder)
}

fn link(to: &Utf8Path, at: &Utf8Path) -> Result<(), FolderError> {
    match std::os::unix::fs::symlink(to, at) {
        // Two machines on the same image share what comes with it.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        done => done.map_err(|source| FolderError::Io {
            path: at.to_owned(),
            source,
        }),
    }
}
