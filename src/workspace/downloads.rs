//! The downloads that a workspace defines, and fetching them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use indicatif::{ProgressBar, ProgressStyle};
use vtbuild_engine::graph::Graph;
use vtbuild_providers::download::{Download, DownloadError, Pin, Progress};
use vtbuild_providers::process::Launcher;
use vtbuild_rules::download::{self, Missing, Pins, Source, UNKNOWN};

use super::Workspace;
use crate::command::{note, warn};
use crate::exit::{Exit, Failure};
use crate::lock::Lock;

/// The folder of definition files.
pub const FOLDER: &str = "shared/downloads";
/// How often progress is told where there is no terminal.
const OFTEN: Duration = Duration::from_secs(5);

/// The downloads of a workspace in the order of their names, and what is wrong with other definitions.
pub fn downloads(root: &Utf8Path) -> (Vec<Download>, Vec<DownloadError>) {
    let mut found = BTreeMap::<String, Download>::new();
    let mut wrong = Vec::new();
    let files = super::ini_files(&root.join(FOLDER));
    for read in files.iter().flat_map(|file| Download::read(file)) {
        match read {
            Ok(download) => match found.entry(download.name.clone()) {
                Entry::Vacant(place) => drop(place.insert(download)),
                Entry::Occupied(first) => wrong.push(DownloadError::Malformed {
                    reason: format!("[{}] is in {} already", download.name, first.get().place),
                    place: download.place,
                }),
            },
            Err(error) => wrong.push(error),
        }
    }
    (found.into_values().collect(), wrong)
}

/// Warns of definitions that are left out.
pub fn tell(wrong: &[DownloadError]) {
    wrong.iter().for_each(|error| warn(&format!("failed to {error}")));
}

/// The download that makes a file of the data folder.
pub fn download_of(root: &Utf8Path, file: &Utf8Path) -> Option<Download> {
    let (downloads, _) = downloads(root);
    downloads
        .into_iter()
        .find(|download| download.wanted() == file || download.destination == *file)
}

/// How long a server may be silent while somebody waits for a run.
pub const SILENCE: Duration = Duration::from_secs(30);

/// The downloads of a workspace whose files are missing: actions make them.
pub fn missing(workspace: &Workspace) -> Result<Missing, Failure> {
    let (found, wrong) = downloads(&workspace.root);
    tell(&wrong);
    if found.is_empty() {
        return Ok(Missing::default());
    }
    let lock = Lock::read(&workspace.root)?;
    let with_pins = found.into_iter().map(|download| {
        let pin = lock.pin(&download);
        (download, pin)
    });
    Ok(Missing::of(with_pins, &workspace.data_dir()))
}

/// Where the downloads of a workspace are brought to. They are locked in `vtbuild.lock`.
pub fn source(workspace: &Workspace, silence: Duration) -> Source {
    Source {
        launcher: Launcher::this_program(),
        data_dir: workspace.data_dir(),
        pins: Arc::new(Locked {
            root: workspace.root.clone(),
            turn: Mutex::default(),
        }),
        silence,
    }
}

/// The pins in the lock of the workspace at `root`.
struct Locked {
    root: Utf8PathBuf,
    /// Two downloads may end at once.
    turn: Mutex<()>,
}

impl Pins for Locked {
    fn pin(&self, download: &Download) -> Result<Option<Pin>, DownloadError> {
        let lock = Lock::read(&self.root).map_err(|failure| unlocked(download, failure))?;
        Ok(lock.pin(download))
    }

    fn keep(&self, download: &Download, pin: &Pin) -> Result<(), DownloadError> {
        // Nothing that could break half-way is kept under it.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let written = Lock::read(&self.root).and_then(|mut lock| {
            lock.set_pin(download, pin);
            lock.save()
        });
        written.map_err(|failure| unlocked(download, failure))
    }
}

fn unlocked(download: &Download, failure: Failure) -> DownloadError {
    DownloadError::Pin {
        name: download.name.clone(),
        reason: failure.message,
    }
}

/// Refuses a graph with downloads that `--locked` forbids to fetch.
pub fn check_locked(workspace: &Workspace, graph: &Graph) -> Result<(), Failure> {
    let specs = graph.order().iter().map(|&id| graph.spec(id));
    let mut downloads = specs.filter(|spec| spec.rule == download::NAME).peekable();
    if downloads.peek().is_none() {
        return Ok(());
    }
    let lock = Lock::read(&workspace.root)?;
    downloads
        .map(|spec| download::download_of(spec))
        .find(|download| lock.pin(download).is_none())
        .map_or(Ok(()), |download| Err(not_locked(download)))
}

fn not_locked(download: &Download) -> Failure {
    Failure::new(
        Exit::Config,
        format!(
            "vtbuild.lock has no digest for {} ({}), and --locked forbids to add one\n  help: run `vtbuild download get {}` and commit vtbuild.lock",
            download.name, download.place, download.name
        ),
    )
}

/// Fetches a download, and locks what it is.
pub fn get(
    workspace: &Workspace,
    download: &Download,
    silence: Duration,
    locked: bool,
) -> Result<Pin, Failure> {
    let pin = Lock::read(&workspace.root)?.pin(download);
    if pin.is_none() && locked {
        return Err(not_locked(download));
    }
    if pin.is_none() && download.expected.is_none() {
        note(&format!("{} {UNKNOWN}", download.name));
    }
    let source = source(workspace, silence);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut view = View::default();
    let got = runtime.block_on(source.get(download, &mut |progress| {
        view.show(&download.name, progress);
        ControlFlow::Continue(())
    }));
    view.end();
    got.map_err(|error| failure(&error))
}

/// A failed download on its way to the user.
pub fn failure(error: &DownloadError) -> Failure {
    let exit = match error {
        DownloadError::Malformed { .. } | DownloadError::Outside { .. } => Exit::Config,
        _ => Exit::Environment,
    };
    Failure::new(exit, format!("failed to {error}"))
}

/// What a person sees of a transfer.
#[derive(Default)]
struct View {
    bar: Option<ProgressBar>,
    told: Option<(String, Instant)>,
}

impl View {
    fn show(&mut self, name: &str, progress: Progress<'_>) {
        let new = self.told.as_ref().is_none_or(|(url, _)| url != progress.url);
        if new {
            note(&format!("downloading {name} from {}", progress.url));
            self.told = Some((progress.url.to_owned(), Instant::now()));
            self.bar = std::io::stderr().is_terminal().then(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_length(progress.total.unwrap_or(progress.done));
            bar.set_position(progress.done);
        } else if let Some((_, at)) = self.told.as_mut().filter(|(_, at)| at.elapsed() > OFTEN) {
            *at = Instant::now();
            note(&format!("{name}: {progress}"));
        }
    }

    fn end(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta}");
    ProgressBar::new(0).with_style(style.expect("a template of ours"))
}
