//! `qemu-img`.

use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::report::{CheckOutcome, ImageInfo};
use super::spec::{ImageSpec, Preallocation};
use super::templates::Templates;
use crate::process::{Command, Exit, Launcher, Output, OutputError};
use crate::qemu::Qemu;

/// How long one call may take. Converting a large image on a slow disk takes minutes.
const PATIENCE: Duration = Duration::from_secs(3600);

/// Why an image could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// `qemu-img` does not run, or not to its end.
    #[error("{doing} {path}: {source}")]
    Run {
        /// What was to be done.
        doing: &'static str,
        /// With which image.
        path: Utf8PathBuf,
        /// Why.
        source: OutputError,
    },
    /// `qemu-img` refuses.
    #[error("{doing} {path}: qemu-img ended with {exit} and said: {stderr}")]
    Refused {
        /// What was to be done.
        doing: &'static str,
        /// With which image.
        path: Utf8PathBuf,
        /// How it ended.
        exit: Exit,
        /// Its own words.
        stderr: String,
    },
    /// `qemu-img` reports something else than it should.
    #[error("read what qemu-img reports about {path}: {source}")]
    Report {
        /// The image.
        path: Utf8PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// An empty overlay cannot be copied.
    #[error("copy an empty overlay to {path}: {source}")]
    Copy {
        /// The overlay.
        path: Utf8PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A new image has no size.
    #[error("create {path}: its size is not known; set `image_size`")]
    NoSize {
        /// The image.
        path: Utf8PathBuf,
    },
}

/// An image to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Create {
    /// The format.
    pub format: String,
    /// Size in bytes; may be absent with a backing file.
    pub size: Option<u64>,
    /// Cluster size in bytes.
    pub cluster_size: Option<u64>,
    /// How much is allocated.
    pub preallocation: Option<Preallocation>,
    /// Backing file and its format.
    pub backing: Option<(Utf8PathBuf, String)>,
    /// Further options, `key=value,key=value`.
    pub options: Option<String>,
}

impl Create {
    /// The image that the parameters describe, on top of nothing.
    pub fn of(spec: &ImageSpec) -> Create {
        Create {
            format: spec.format.clone(),
            size: spec.size,
            cluster_size: spec.cluster_size,
            preallocation: spec.preallocation,
            backing: None,
            options: spec.options.clone(),
        }
    }

    fn args(&self, path: &Utf8Path) -> Vec<String> {
        let mut args: Vec<String> = ["create", "-q", "-f", &self.format].map(str::to_owned).into();
        if let Some((file, format)) = &self.backing {
            args.extend(["-b", file.as_str(), "-F", format].map(str::to_owned));
        }
        let mut options = Vec::new();
        options.extend(self.cluster_size.map(|size| format!("cluster_size={size}")));
        options.extend(
            self.preallocation
                .map(|kind| format!("preallocation={}", kind.name())),
        );
        options.extend(self.options.clone());
        if !options.is_empty() {
            args.extend(["-o".to_owned(), options.join(",")]);
        }
        args.push(path.to_string());
        args.extend(self.size.map(|size| size.to_string()));
        args
    }
}

/// The program `qemu-img`.
#[derive(Debug, Clone)]
pub struct QemuImg {
    launcher: Launcher,
    program: Utf8PathBuf,
    templates: Option<Templates>,
}

impl QemuImg {
    /// The one of this installation.
    pub fn new(launcher: &Launcher, qemu: &Qemu) -> QemuImg {
        QemuImg {
            launcher: launcher.clone(),
            program: qemu.img.clone(),
            templates: None,
        }
    }

    /// The same, which copies its overlays from `templates` where that has them.
    #[must_use]
    pub fn with_templates(self, templates: &Templates) -> QemuImg {
        QemuImg {
            templates: Some(templates.clone()),
            ..self
        }
    }

    /// Where the program is.
    pub(super) fn program(&self) -> &Utf8Path {
        &self.program
    }

    /// Creates an image; one that exists is replaced.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn create(&self, path: &Utf8Path, create: &Create) -> Result<(), ImageError> {
        if create.size.is_none() && create.backing.is_none() {
            return Err(ImageError::NoSize {
                path: path.to_owned(),
            });
        }
        self.run("create", path, create.args(path)).await.map(drop)
    }

    /// Creates a qcow2 image that holds nothing but the differences from `base`, which is not written to.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn overlay(
        &self,
        base: &Utf8Path,
        base_format: &str,
        path: &Utf8Path,
    ) -> Result<(), ImageError> {
        match &self.templates {
            Some(templates) => templates.overlay(self, (base, base_format), path).await,
            None => self.overlay_anew(base, base_format, path).await,
        }
    }

    pub(super) async fn overlay_anew(
        &self,
        base: &Utf8Path,
        base_format: &str,
        path: &Utf8Path,
    ) -> Result<(), ImageError> {
        let backing = Some((base.to_owned(), base_format.to_owned()));
        self.create(
            path,
            &Create {
                format: "qcow2".into(),
                backing,
                ..Create::default()
            },
        )
        .await
    }

    /// Describes an image, also one that a machine is using.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn info(&self, path: &Utf8Path) -> Result<ImageInfo, ImageError> {
        let args = ["info", "-U", "--output=json", path.as_str()];
        let output = self.run("describe", path, args).await?;
        serde_json::from_str(&output.stdout).map_err(|source| ImageError::Report {
            path: path.to_owned(),
            source,
        })
    }

    /// Looks an image's own bookkeeping through. Damage is an outcome, not an error.
    ///
    /// # Errors
    /// [`ImageError::Run`].
    pub async fn check(&self, path: &Utf8Path, format: &str) -> Result<CheckOutcome, ImageError> {
        let output = self
            .call(
                "check",
                path,
                ["check", "--output=json", "-f", format, path.as_str()],
            )
            .await?;
        let status = if let Exit::Code(status) = output.exit {
            status
        } else {
            1
        };
        Ok(CheckOutcome::judge(status, &output.stdout, &output.stderr))
    }

    /// Writes the image's whole contents, backing files included, to a new image in another format.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn convert(
        &self,
        from: (&Utf8Path, &str),
        to: (&Utf8Path, &str),
        compress: bool,
    ) -> Result<(), ImageError> {
        let mut args = vec!["convert", "-q", "-f", from.1, "-O", to.1];
        args.extend(compress.then_some("-c"));
        args.extend([from.0.as_str(), to.0.as_str()]);
        self.run("convert", from.0, args).await.map(drop)
    }

    /// Changes the size that a guest sees, in bytes. Making it smaller cuts data off.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn resize(&self, path: &Utf8Path, format: &str, size: u64) -> Result<(), ImageError> {
        let size = size.to_string();
        self.run(
            "resize",
            path,
            ["resize", "-q", "--shrink", "-f", format, path.as_str(), &size],
        )
        .await
        .map(drop)
    }

    /// Has the image stand on another backing file. `unsafe` does not look at the contents: the caller knows that they are
    /// the same.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn rebase(
        &self,
        path: &Utf8Path,
        base: (&Utf8Path, &str),
        unsafe_: bool,
    ) -> Result<(), ImageError> {
        let mut args = vec!["rebase", "-q", "-f", "qcow2", "-b", base.0.as_str(), "-F", base.1];
        args.extend(unsafe_.then_some("-u"));
        args.push(path.as_str());
        self.run("rebase", path, args).await.map(drop)
    }

    /// Takes an internal snapshot.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn snapshot(&self, path: &Utf8Path, name: &str) -> Result<(), ImageError> {
        self.run(
            "take a snapshot of",
            path,
            ["snapshot", "-q", "-c", name, path.as_str()],
        )
        .await
        .map(drop)
    }

    /// Goes back to an internal snapshot.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn apply_snapshot(&self, path: &Utf8Path, name: &str) -> Result<(), ImageError> {
        self.run(
            "go back to a snapshot of",
            path,
            ["snapshot", "-q", "-a", name, path.as_str()],
        )
        .await
        .map(drop)
    }

    /// Removes an internal snapshot.
    ///
    /// # Errors
    /// See [`ImageError`].
    pub async fn delete_snapshot(&self, path: &Utf8Path, name: &str) -> Result<(), ImageError> {
        self.run(
            "remove a snapshot of",
            path,
            ["snapshot", "-q", "-d", name, path.as_str()],
        )
        .await
        .map(drop)
    }

    /// Runs and insists on success.
    async fn run<A: AsRef<std::ffi::OsStr>>(
        &self,
        doing: &'static str,
        path: &Utf8Path,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output, ImageError> {
        let output = self.call(doing, path, args).await?;
        if output.exit.success() {
            return Ok(output);
        }
        let stderr = output.stderr.trim().trim_start_matches("qemu-img: ").to_owned();
        Err(ImageError::Refused {
            doing,
            path: path.to_owned(),
            exit: output.exit,
            stderr,
        })
    }

    async fn call<A: AsRef<std::ffi::OsStr>>(
        &self,
        doing: &'static str,
        path: &Utf8Path,
        args: impl IntoIterator<Item = A>,
    ) -> Result<Output, ImageError> {
        let command = Command::new(&self.program).args(args);
        let output = self.launcher.output(command, PATIENCE).await;
        output.map_err(|source| ImageError::Run {
            doing,
            path: path.to_owned(),
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_a_new_image_are_one_list() {
        let create = Create {
            format: "qcow2".into(),
            size: Some(1 << 30),
            cluster_size: Some(4096),
            preallocation: Some(Preallocation::Metadata),
            backing: Some(("/b.raw".into(), "raw".into())),
            options: Some("compat=1.1".into()),
        };
        assert_eq!(
            create.args("/i.qcow2".into()).join(" "),
            "create -q -f qcow2 -b /b.raw -F raw -o cluster_size=4096,preallocation=metadata,compat=1.1 /i.qcow2 1073741824"
        );
    }
}
