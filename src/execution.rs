//! Carrying a plan out: a scratch folder with its janitor, the stream of events, and the signals that end it.

use std::sync::Arc;

use camino::Utf8PathBuf;
use vtbuild_cache::Store;
use vtbuild_engine::cancel::{Canceller, cancellation};
use vtbuild_engine::event::events;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::plan::Plan;
use vtbuild_engine::resolve::{Facts, Resolver, Roots};
use vtbuild_engine::schedule::run::{Places, Run, RunOptions, Summary};
use vtbuild_providers::process::{Duties, Launcher};
use vtbuild_rules::test::{DATA_ROOT, host_fact};

use crate::collect;
use crate::command::warn;
use crate::exit::{Exit, Failure};
use crate::report::{self, Reporter};
use crate::scratch::Scratch;
use crate::wiring::Wiring;
use crate::workspace::Workspace;

/// Opens the cache and says what was found wrong with it.
pub fn open_store(workspace: &Workspace) -> Result<Store, Failure> {
    let store = Store::open(&workspace.cache)?;
    store
        .notices()
        .iter()
        .for_each(|notice| warn(&notice.to_string()));
    Ok(store)
}

/// Where the files of providers and of the data folder are on this host.
fn roots(workspace: &Workspace) -> Roots {
    workspace
        .providers
        .iter()
        .map(|provider| (provider.name.clone(), provider.root.clone()))
        .chain([(DATA_ROOT.to_owned(), workspace.data_dir())])
        .collect()
}

/// Who says what the cache knows today.
pub fn resolver(store: Store, workspace: &Workspace) -> Resolver {
    Resolver::new(store, roots(workspace)).with_facts(Facts(Arc::new(host_fact)))
}

/// A plan and everything that it is carried out with.
pub struct Execution<'a> {
    /// The workspace.
    pub workspace: &'a Workspace,
    /// The rules.
    pub wiring: Wiring,
    /// What is to be done.
    pub graph: Arc<Graph>,
    /// Where records are.
    pub resolver: Arc<Resolver>,
    /// What is known already.
    pub plan: Plan,
    /// How.
    pub options: RunOptions,
    /// The folder where logs stay; none: they go with the scratch folder.
    pub job: Option<Utf8PathBuf>,
    /// Who is told what happens.
    pub reporters: Vec<Box<dyn Reporter>>,
    /// Who may stop it; without anybody signals do.
    pub canceller: Option<Canceller>,
}

impl Execution<'_> {
    /// Carries it out. Nothing of it is left afterwards but logs and what the cache keeps.
    pub async fn carry_out(self) -> Result<Summary, Failure> {
        let scratch = Scratch::make(&self.workspace.cache)?;
        // A run of hits starts no process at all.
        let (janitor, sockets) = if self.plan.hits() + self.plan.idle() < self.graph.len() {
            let link = scratch.link();
            let doomed = link
                .iter()
                .fold(Duties::default().remove(&scratch.path), Duties::remove);
            let janitor = Launcher::this_program().janitor(doomed).await;
            let janitor = janitor.map_err(|error| Failure::environment(format!("failed to {error}")))?;
            (Some(janitor), link.unwrap_or_else(|| scratch.sockets()))
        } else {
            (None, scratch.sockets())
        };
        let store = self.resolver.store();
        let noted = store
            .touch(&self.plan.blobs())
            .and_then(|()| store.touch_records(&self.plan.traces()));
        if let Err(error) = noted {
            warn(&format!("failed to note what of the cache is used: {error}"));
        }
        let (sink, stream) = events();
        let relay = tokio::spawn(report::relay(stream, self.reporters));
        let (rules, interpreters) = self.wiring.rules(sockets);
        let run = Run {
            rules,
            places: Places {
                scratch: scratch.path.join("a"),
                job: self.job.unwrap_or_else(|| scratch.path.join("job")),
            },
            options: self.options,
            events: sink,
            graph: self.graph,
            plan: self.plan,
            resolver: self.resolver.clone(),
            canceller: match self.canceller {
                Some(canceller) => canceller,
                None => listen_for_signals()?,
            },
        };
        let summary = run.go().await;
        interpreters.finish().await;
        // The stream has ended: every sender went with the run.
        let _ = relay.await;
        self.resolver
            .store()
            .notices()
            .iter()
            .for_each(|notice| warn(&notice.to_string()));
        if let Some(janitor) = janitor {
            let _ = janitor.finish().await;
        }
        // Without a janitor nobody else removes it; with one it is gone already.
        let _ = std::fs::remove_dir_all(&scratch.path);
        if summary.ran > 0 {
            collect::after_run(self.workspace, self.resolver.store());
        }
        Ok(summary)
    }
}

/// SIGINT, SIGTERM and SIGHUP stop the run in good order.
fn listen_for_signals() -> Result<Canceller, Failure> {
    let (canceller, _) = cancellation();
    let stop = canceller.clone();
    on_signal(move |name| stop.cancel(name))?;
    Ok(canceller)
}

/// Tells of the first SIGINT, SIGTERM or SIGHUP; a second one ends the process at once, and the guards of its children then do
/// the rest. For inside of a runtime.
pub fn on_signal(told: impl FnOnce(&'static str) + Send + 'static) -> Result<(), Failure> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate, mut hangup) = (
        signal(SignalKind::interrupt())?,
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
    );
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => "SIGINT",
            _ = terminate.recv() => "SIGTERM",
            _ = hangup.recv() => "SIGHUP",
        }
    };
    tokio::spawn(async move {
        told(next().await);
        next().await;
        end_at_once();
    });
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "asked for twice: the guards end the children and remove the scratch folder"
)]
fn end_at_once() -> ! {
    std::process::exit(Exit::Interrupted as i32)
}
