//! The rule of downloads: a definition goes in, its file lies in the data folder afterwards.
//!
//! A download is an action as long as its file is missing; the file itself, which people may also bring by hand, is what
//! images stand on. Nothing is kept in the store: the file is looked at again in each run, as every file in the data folder.
//!
//! | enters the key | why |
//! |---|---|
//! | the digest that is locked, or else the publisher's; without either, the address | what comes |
//! | the file, and how it is unpacked | what is made of it |
//!
//! Whoever fetches, this rule or a command, does so by [`Source::get`].

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::json;
use tokio::sync::oneshot;
use vtbuild_engine::event::Sink;
use vtbuild_engine::outcome::{Keep, Outcome, Status};
use vtbuild_engine::rule::{DeclareError, Job, Rule};
use vtbuild_engine::spec::{Declared, RuleName, Spec};
use vtbuild_engine::variant::Variant;
use vtbuild_providers::download::{Download, DownloadError, Expected, Fetcher, Listener, Pin, Progress};
use vtbuild_providers::process::Launcher;

/// The rule's name and version.
pub const NAME: RuleName = RuleName {
    name: "download",
    version: 1,
};
/// The part that a download plays for the file that it makes.
pub(crate) const ROLE: &str = "download";
/// What is said of a download whose digest nobody knows, after its name.
pub const UNKNOWN: &str = "has no digest: what comes is believed, and locked in vtbuild.lock";
/// How often progress is told.
const OFTEN: Duration = Duration::from_secs(5);

/// Remembers what downloads were when they were first fetched.
pub trait Pins: Send + Sync {
    /// What a download must be, where that is known.
    ///
    /// # Errors
    /// [`DownloadError::Pin`] when the memory cannot be read.
    fn pin(&self, download: &Download) -> Result<Option<Pin>, DownloadError>;

    /// Remembers what it is.
    ///
    /// # Errors
    /// [`DownloadError::Pin`] when the memory cannot be written.
    fn keep(&self, download: &Download, pin: &Pin) -> Result<(), DownloadError>;
}

/// Where downloads are brought to, and what must be known of them.
#[derive(Clone)]
pub struct Source {
    /// Starts the programs that unpack.
    pub launcher: Launcher,
    /// The data folder.
    pub data_dir: Utf8PathBuf,
    /// What they were before.
    pub pins: Arc<dyn Pins>,
    /// How long a server may be silent.
    pub silence: Duration,
}

impl Source {
    /// Makes the file of a download be there, unless it is, and gives what it is. Blocks while bytes come. `progress` may
    /// end it; what has come stays for the next time.
    ///
    /// # Errors
    /// When no address gives what it must be.
    pub async fn get(&self, download: &Download, progress: &mut Listener<'_>) -> Result<Pin, DownloadError> {
        let pin = self.pins.pin(download)?;
        let fetcher = Fetcher::new(self.launcher.clone(), self.data_dir.clone(), self.silence);
        let got = fetcher.get(download, pin.as_ref(), progress).await?;
        if pin.is_none() {
            self.pins.keep(download, &got)?;
        }
        Ok(got)
    }
}

/// The downloads of a workspace whose files are missing, by those files.
#[derive(Clone, Debug, Default)]
pub struct Missing(BTreeMap<Utf8PathBuf, Arc<Spec>>);

impl Missing {
    /// Those among `downloads`, each with its pin, whose files are not below `data_dir`.
    pub fn of(downloads: impl IntoIterator<Item = (Download, Option<Pin>)>, data_dir: &Utf8Path) -> Self {
        let mut missing = BTreeMap::new();
        for (download, pin) in downloads {
            let files = [Some(&download.destination), download.unpacked.as_ref()];
            let absent = files
                .into_iter()
                .flatten()
                .filter(|file| !data_dir.join(file).exists());
            let absent: Vec<Utf8PathBuf> = absent.cloned().collect();
            let spec = Arc::new(spec(download, pin.as_ref()));
            for file in absent {
                // Of two that make one file, the first is taken.
                missing.entry(file).or_insert_with(|| spec.clone());
            }
        }
        Self(missing)
    }

    /// The action that makes a file of the data folder.
    pub(crate) fn making(&self, file: &Utf8Path) -> Option<&Arc<Spec>> {
        self.0.get(file)
    }
}

fn spec(download: Download, pin: Option<&Pin>) -> Spec {
    let digest = match (pin, &download.expected) {
        (Some(pin), _) => Some(format!("sha256 {}", pin.sha256)),
        (None, Some(Expected::Sum(sum))) => Some(format!("{} {}", sum.algorithm.name(), sum.hex)),
        (None, Some(Expected::Listed(..)) | None) => None,
    };
    let declared =
        |name: &str, value: Option<String>| -> Declared { (Arc::from(name), value.map(Arc::from)) };
    let unpacked = download.unpacked.as_ref().map(ToString::to_string);
    let program = download.unpack_with.as_ref().map(|words| words.join(" "));
    let mut spec = Spec::new(NAME, format!("download {}", download.name));
    spec.title = Arc::from(download.name.as_str());
    spec.declared = Box::new([
        declared("destination", Some(download.destination.to_string())),
        declared("destination_uncompressed", unpacked),
        declared("digest", digest.clone()),
        declared("uncompress_cmd", program),
        declared("url", digest.is_none().then(|| download.urls[0].clone())),
    ]);
    let from = format!("{} from {}", download.wanted(), download.urls[0]);
    let trusted = pin.is_none() && download.expected.is_none();
    let unknown = trusted.then(|| format!("it {UNKNOWN}"));
    spec.remarks = [from].into_iter().chain(unknown).map(Arc::from).collect();
    spec.payload = Arc::new(download);
    spec
}

/// The download that an action of this rule is about.
///
/// # Panics
/// For an action of another rule.
#[must_use]
pub fn download_of(spec: &Spec) -> &Download {
    spec.payload
        .downcast_ref()
        .expect("a download action carries its definition")
}

/// Fetches downloads.
pub struct DownloadRule {
    source: Source,
}

impl DownloadRule {
    /// A rule that fetches as `source` says.
    #[must_use]
    pub fn new(source: Source) -> Self {
        Self { source }
    }
}

#[async_trait]
impl Rule for DownloadRule {
    fn name(&self) -> RuleName {
        NAME
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        Err(DeclareError::of(
            variant,
            "no variant is a download; its images may be",
        ))
    }

    async fn execute(&self, job: Job) -> Outcome {
        let ended = fetch(self.source.clone(), &job);
        tokio::select! {
            // What is under way ends by itself at the next bytes, and goes on there the next time.
            reason = job.cancel.cancelled() => Outcome::ended(Status::Interrupt, reason.to_string()),
            ended = ended => match ended {
                Ok(Ok(pin)) => Outcome {
                    keep: Keep::Afresh,
                    evidence: json!({ "sha256": pin.sha256, "size": pin.size }),
                    ..Outcome::pass()
                },
                Ok(Err(error)) => Outcome::ended(Status::Error, format!("failed to {error}")),
                Err(_) => Outcome::ended(Status::Error, "failed to download: the transfer broke down"),
            },
        }
    }
}

/// Fetches on a thread of its own, which nobody waits for when the action is stopped.
fn fetch(source: Source, job: &Job) -> oneshot::Receiver<Result<Pin, DownloadError>> {
    let (sender, receiver) = oneshot::channel();
    let (download, cancel) = (download_of(&job.spec).clone(), job.cancel.clone());
    let mut told = Told::new(job.events.clone());
    std::thread::spawn(move || {
        let got = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|source| DownloadError::Disk {
                path: download.destination.clone(),
                source,
            })
            .and_then(|runtime| {
                runtime.block_on(source.get(&download, &mut |progress| {
                    told.hear(progress);
                    match cancel.reason() {
                        Some(_) => ControlFlow::Break(()),
                        None => ControlFlow::Continue(()),
                    }
                }))
            });
        // Nobody waits any more where the action was stopped.
        let _ = sender.send(got);
    });
    receiver
}

/// What was told of a transfer, and when.
struct Told {
    events: Sink,
    last: Option<(String, Instant)>,
}

impl Told {
    fn new(events: Sink) -> Self {
        Self { events, last: None }
    }

    fn hear(&mut self, progress: Progress<'_>) {
        let new = self.last.as_ref().is_none_or(|(url, _)| url != progress.url);
        let late = self.last.as_ref().is_some_and(|(_, at)| at.elapsed() > OFTEN);
        if new {
            self.events.step(format!("downloading from {}", progress.url));
        } else if late {
            self.events.step(progress.to_string());
        }
        if new || late {
            self.last = Some((progress.url.to_owned(), Instant::now()));
        }
    }
}

#[cfg(test)]
mod tests {
    use vtbuild_providers::ini::Place;

    use super::*;

    fn download(name: &str, expected: Option<Expected>) -> Download {
        Download {
            name: name.to_owned(),
            place: Place {
                path: "it.ini".into(),
                line: Some(1),
            },
            title: name.to_owned(),
            urls: vec![format!("http://localhost/{name}")],
            expected,
            destination: "images/it.raw.xz".into(),
            unpacked: Some("images/it.raw".into()),
            unpack_with: None,
        }
    }

    #[test]
    fn what_is_locked_decides_the_key_and_an_address_only_where_nothing_else_does() {
        let locked = Pin {
            sha256: "ab".repeat(32),
            size: 7,
        };
        let known = spec(download("it", None), Some(&locked));
        assert_eq!(
            known.read("digest"),
            Some(format!("sha256 {}", locked.sha256).as_str())
        );
        assert_eq!(known.read("url"), None);
        let unknown = spec(download("it", None), None);
        assert_eq!(
            (unknown.read("digest"), unknown.read("url")),
            (None, Some("http://localhost/it"))
        );
    }

    #[test]
    fn only_missing_files_are_made() {
        let data = tempfile::tempdir().unwrap();
        let data_dir = Utf8Path::from_path(data.path()).unwrap();
        let both = || [(download("it", None), None), (download("other", None), None)];
        let missing = Missing::of(both(), data_dir);
        for file in ["images/it.raw", "images/it.raw.xz"] {
            assert_eq!(&*missing.making(Utf8Path::new(file)).unwrap().title, "it");
        }
        assert!(missing.making(Utf8Path::new("images/else.raw")).is_none());
        std::fs::create_dir(data_dir.join("images")).unwrap();
        std::fs::write(data_dir.join("images/it.raw"), "").unwrap();
        let missing = Missing::of(both(), data_dir);
        assert!(missing.making(Utf8Path::new("images/it.raw")).is_none());
    }
}
