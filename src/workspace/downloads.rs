//! The downloads that a workspace defines, and fetching them.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use camino::Utf8Path;
use indicatif::{ProgressBar, ProgressStyle};
use vtbuild_engine::graph::Graph;
use vtbuild_engine::resolve::FILE;
use vtbuild_engine::spec::ActionId;
use vtbuild_providers::download::{Download, DownloadError, Fetcher, Pin, Progress};
use vtbuild_providers::process::Launcher;

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
    let (mut found, mut wrong) = (Vec::new(), Vec::new());
    for file in super::ini_files(&root.join(FOLDER)) {
        match Download::read(&file) {
            Ok(downloads) => found.extend(downloads),
            Err(error) => wrong.push(error),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    (found, wrong)
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

/// The files of people that actions stand on, that are missing and that a download makes.
pub fn missing(workspace: &Workspace, graph: &Graph) -> Vec<(ActionId, Download)> {
    let order = graph.order().iter().copied();
    let is_missing = |id: &ActionId| {
        let spec = graph.spec(*id);
        spec.rule == FILE && spec.sources.iter().any(|source| !source.path.exists())
    };
    let download = |id: ActionId| {
        let file = Utf8Path::new(&*graph.spec(id).label);
        Some((id, download_of(&workspace.root, file)?))
    };
    order.filter(is_missing).filter_map(download).collect()
}

/// Fetches those. One that cannot be fetched is warned of: its tests tell that it is missing.
pub fn fetch_missing(workspace: &Workspace, graph: &Graph, locked: bool) -> Result<(), Failure> {
    for (_, download) in missing(workspace, graph) {
        match get(workspace, &download, SILENCE, locked) {
            Ok(_) => {}
            Err(failure) if failure.exit == Exit::Config => return Err(failure),
            Err(failure) => warn(&failure.message),
        }
    }
    Ok(())
}

/// Fetches a download, and locks what it is.
pub fn get(
    workspace: &Workspace,
    download: &Download,
    silence: Duration,
    locked: bool,
) -> Result<Pin, Failure> {
    let mut lock = Lock::read(&workspace.root)?;
    let pin = lock.pin(download);
    if pin.is_none() && locked {
        return Err(Failure::new(
            Exit::Config,
            format!(
                "vtbuild.lock has no digest for {} ({}), and --locked forbids to add one\n  help: run `vtbuild download get {}` and commit vtbuild.lock",
                download.name, download.place, download.name
            ),
        ));
    }
    if pin.is_none() && download.expected.is_none() {
        note(&format!(
            "{} has no digest: what comes is believed, and locked in vtbuild.lock",
            download.name
        ));
    }
    let fetcher = Fetcher::new(Launcher::this_program(), workspace.data_dir(), silence);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut view = View::default();
    let got = runtime.block_on(fetcher.get(download, pin.as_ref(), &mut |progress| {
        view.show(&download.name, progress);
    }));
    view.end();
    let got = got.map_err(|error| failure(&error))?;
    if pin.is_none() {
        lock.set_pin(download, &got);
        lock.save()?;
    }
    Ok(got)
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
            let total = progress.total.map(|total| format!(" of {}", mib(total)));
            note(&format!(
                "{name}: {}{}",
                mib(progress.done),
                total.unwrap_or_default()
            ));
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

/// A number of bytes as people read it.
pub fn mib(bytes: u64) -> String {
    let tenths = bytes * 10 / (1 << 20);
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}
