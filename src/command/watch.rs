//! `vtbuild watch`: on every save the difference that it makes, then the tests that it affects.
//!
//! Two threads, so that a difference is told at once whatever runs: this one looks at files and expands the configuration
//! again, in a session that stays; the other one ([`queue`]) plans, and runs what is affected.

mod files;
mod queue;
mod scene;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use jiff::Zoned;

use super::changes::{Change, Counts};
use super::{plural, print, warn};
use crate::cli::{SelectArgs, WatchArgs};
use crate::execution::on_signal;
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;
use files::Files;
use queue::{Order, Queue};
use scene::{Look, Scene};

/// A save is several events. They are one change when they come closer together than this.
const QUIET: Duration = Duration::from_millis(15);
/// After so long a change is looked at even if more events come.
const PATIENCE: Duration = Duration::from_millis(60);
/// How many variants are told, and how many keys of each.
const VARIANTS: usize = 20;
const KEYS: usize = 10;
/// How many changed files are named.
const FILES: usize = 5;

/// What is said of a mistake that was there from the start.
const WAITING: &str = "the watch begins once that is mended";

/// What is said where there are no tests.
const BARE: &str = "this folder is a configuration set without a workspace: which tests an edit affects is not known, only which variants; a vtbuild.toml and the definition of a test provider make it a workspace";

/// What this thread waits for.
enum Happened {
    /// Something became of a path.
    Event(Utf8PathBuf),
    /// Somebody asked to stop.
    Stop,
}

/// Watches until somebody stops it.
pub fn watch(args: &WatchArgs) -> Result<Exit, Failure> {
    if args.actions.select.targets.is_empty() {
        let message =
            "name what to watch: `vtbuild watch //migrate..tcp`, or `vtbuild watch //...` for everything";
        return Err(Failure::new(Exit::Usage, message));
    }
    let (tell, happened) = channel();
    let mut files = Files::new({
        let tell = tell.clone();
        // With nobody to tell the watch is over.
        move |path| drop(tell.send(Happened::Event(path)))
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let queue = Queue::start(args, runtime.handle().clone())?;
    let stop = queue.orders();
    let _inside = runtime.enter();
    on_signal(move |name| {
        // Whoever is gone need not be stopped.
        let _ = stop.send(Order::Stop(name));
        let _ = tell.send(Happened::Stop);
    })?;
    let followed = match open(&args.actions.select, &mut files, &happened)? {
        Some(mut scene) => begin(&mut scene, &mut files, &queue)
            .and_then(|()| follow(&mut scene, &mut files, &happened, &queue)),
        None => Ok(()),
    };
    // Only who was asked to stop gets to an end that somebody has to wait for.
    followed.map(|()| queue.join())
}

/// Opens the workspace; where `vtbuild.toml` makes no sense, once that is mended. Nothing once somebody asked to stop.
fn open(
    select: &SelectArgs,
    files: &mut Files,
    happened: &Receiver<Happened>,
) -> Result<Option<Scene>, Failure> {
    let root = Workspace::folder(&select.config.place)?;
    files.watch(&BTreeSet::from([root.join("test-providers.d"), root]))?;
    loop {
        match Scene::open(select) {
            Err(failure) if failure.exit == Exit::Config => warn(&format!("{}\n{WAITING}", failure.message)),
            opened => return opened.map(Some),
        }
        if next(happened).is_none() {
            return Ok(None);
        }
    }
}

/// Watches what belongs to the workspace, and has its selection planned unless something is wrong with it.
fn begin(scene: &mut Scene, files: &mut Files, queue: &Queue) -> Result<(), Failure> {
    files.watch(&scene.folders())?;
    let wrong = scene.first()?;
    // What was found out on the way is watched as well; between the two nothing may get lost.
    files.watch(&scene.folders())?;
    match wrong {
        Some(message) => warn(&format!("{message}\n{WAITING}")),
        None => match scene.selection()? {
            Some(order) => queue.order(order),
            None => {
                warn(BARE);
                let variants = plural(&scene.variants(), "variant");
                print(&format!("watching {variants}; Ctrl-C ends it\n"))?;
            }
        },
    }
    Ok(())
}

/// Looks at every change until somebody asks to stop.
fn follow(
    scene: &mut Scene,
    files: &mut Files,
    happened: &Receiver<Happened>,
    queue: &Queue,
) -> Result<(), Failure> {
    while let Some((began, paths)) = next(happened) {
        for path in &paths {
            files.forget(path);
        }
        let look = scene.look(&paths);
        let reached = tell(scene, &paths, &look, began)?;
        // A folder that is new may have got files before it was watched.
        if files.watch(&scene.folders())? {
            let look = scene.look(&paths);
            tell(scene, &[], &look, Instant::now())?;
        }
        if reached {
            match scene.selection() {
                Ok(selection) => selection.into_iter().for_each(|order| queue.order(order)),
                Err(failure) => warn(&failure.message),
            }
        }
    }
    Ok(())
}

/// The next change: when its first event came, and all its paths. Nothing once somebody asked to stop.
fn next(happened: &Receiver<Happened>) -> Option<(Instant, Vec<Utf8PathBuf>)> {
    let mut paths = Vec::new();
    let Ok(Happened::Event(first)) = happened.recv() else {
        return None;
    };
    let began = Instant::now();
    paths.push(first);
    while began.elapsed() < PATIENCE {
        match happened.recv_timeout(QUIET) {
            Ok(Happened::Event(path)) => paths.push(path),
            Ok(Happened::Stop) | Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => break,
        }
    }
    paths.sort();
    paths.dedup();
    Some((began, paths))
}

/// Says what a change came to. Returns whether there is a selection to be planned.
fn tell(scene: &Scene, paths: &[Utf8PathBuf], look: &Look, began: Instant) -> Result<bool, Failure> {
    let mut text = String::new();
    if !paths.is_empty() {
        // What an editor had only while it saved is gone.
        let there: Vec<&Utf8PathBuf> = paths.iter().filter(|path| path.exists()).collect();
        let there = if there.is_empty() {
            paths.iter().collect()
        } else {
            there
        };
        let named: Vec<&str> = there.iter().take(FILES).map(|path| scene.shown(path)).collect();
        let more = there.len().saturating_sub(FILES);
        let more = if more == 0 {
            String::new()
        } else {
            format!(" and {more} more")
        };
        text = format!(
            "{} {}{more}\n",
            Zoned::now().strftime("%H:%M:%S"),
            named.join(", ")
        );
    }
    let took = format!("{} ms", began.elapsed().as_millis());
    match look {
        Look::Same if paths.is_empty() => return Ok(true),
        Look::Same => text.push_str(&format!("the variants are the same ({took})\n")),
        Look::Broken(message) => {
            let meanwhile = if scene.has_begun() {
                "the variants stay as they were until that is mended"
            } else {
                WAITING
            };
            warn(&format!("{text}{message}\n{meanwhile}"));
            return Ok(false);
        }
        Look::Begun(variants) => {
            text.push_str(&format!(
                "mended: {} selected ({took})\n",
                plural(variants, "variant")
            ));
        }
        Look::Differs {
            changes,
            counts,
            beyond,
        } => text.push_str(&differences(changes, *counts, *beyond, &took)),
    }
    print(&text)?;
    Ok(true)
}

fn differences(changes: &[Change], counts: Counts, beyond: usize, took: &str) -> String {
    let told = changes.iter().take(VARIANTS);
    let mut text: String = told.map(|change| change.text(KEYS)).collect();
    if changes.len() > VARIANTS {
        text.push_str(&format!("and {} more variants\n", changes.len() - VARIANTS));
    }
    if beyond > 0 {
        text.push_str(&format!(
            "and {beyond} more that are made of other statements than before\n"
        ));
    }
    text.push_str(&format!("{counts} ({took})\n"));
    text
}

/// A selection on its way to be planned.
type Variants = Arc<[vtbuild_engine::variant::Variant]>;
