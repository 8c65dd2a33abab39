//! From arguments to a plan: the selected variants as a graph, and what is known of each of its actions.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use tokio::runtime::{Handle, Runtime};
use vtbuild_cache::Store;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::plan::{Plan, PlanOptions};
use vtbuild_engine::reason::Reason;
use vtbuild_engine::resolve::{ResolveError, Resolver};
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::spec::ActionId;
use vtbuild_engine::variant::Variant;

use crate::analysis::Analysis;
use crate::cli::{ActionArgs, HostArgs, SelectArgs};
use crate::command::warn;
use crate::execution;
use crate::exit::Failure;
use crate::recall::Selected;
use crate::wiring::Wiring;
use crate::workspace::{Workspace, downloads};

/// How many tests are taken without being insisted upon.
pub const MOST: usize = 10_000;

/// What a plan is made for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose {
    /// Completes "that is too many to …".
    pub doing: &'static str,
    /// Whether what is wanted runs again, whatever the cache knows.
    pub again: bool,
    /// Whether it is carried out, and fetches what is missing: what `--locked` forbids of that is told first.
    pub fetch: bool,
}

impl Purpose {
    /// To look at what would happen.
    pub fn look(doing: &'static str) -> Self {
        let (again, fetch) = (false, false);
        Self { doing, again, fetch }
    }
}

/// A graph with a plan.
pub struct Planned {
    /// Workspace and configuration.
    pub analysis: Analysis,
    /// What is selected.
    pub foreseen: Foreseen,
    /// For what has to wait.
    pub runtime: Runtime,
}

impl Planned {
    /// The plan of what the arguments mean.
    pub fn of(args: &ActionArgs, purpose: Purpose) -> Result<Self, Failure> {
        let (analysis, store, runtime) = begin(args)?;
        let workspace = &analysis.workspace;
        let mut variants = if args.all {
            analysis.variants(None)?
        } else {
            analysis.at_most(MOST, purpose.doing)?
        };
        if everything(&args.select) {
            tell_left_out(leave_out_manual(&mut variants));
        }
        let foreseen = Foreseen::of(workspace, &variants, store, runtime.handle(), args, purpose)?;
        Ok(Self {
            analysis,
            foreseen,
            runtime,
        })
    }

    /// The same, where what earlier commands noted of variants that are in the cache stands for declaring them: those are no part
    /// of the graph. `asked` is the folder of jobs that was asked for.
    pub fn recalling(args: &ActionArgs, purpose: Purpose, asked: Option<&Utf8Path>) -> Result<Self, Failure> {
        let (analysis, store, runtime) = begin(args)?;
        if !args.all {
            analysis.refuse_more(MOST, purpose.doing)?;
        }
        let workspace = &analysis.workspace;
        let resolver = Arc::new(execution::resolver(store, workspace));
        let mut selected = Selected::of(
            &analysis,
            args,
            &resolver,
            results(workspace, asked),
            runtime.handle(),
        )?;
        tell_left_out(selected.left_out());
        let wiring = selected.rules(runtime.handle())?;
        let wiring = wiring.with_guest_states(args.states.policy());
        let graph = selected.graph(&wiring)?;
        let foreseen = Foreseen::planned(workspace, wiring, graph, resolver.clone(), args, purpose)?;
        let foreseen = selected.finish(foreseen)?;
        Ok(Self {
            analysis,
            foreseen,
            runtime,
        })
    }
}

/// The workspace with its configuration, its cache, and what waits for children.
fn begin(args: &ActionArgs) -> Result<(Analysis, Store, Runtime), Failure> {
    let analysis = Analysis::of(&args.select)?;
    let problems = analysis.workspace.problems.iter();
    problems.for_each(|problem| warn(&problem.to_string()));
    let store = execution::open_store(&analysis.workspace)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    Ok((analysis, store, runtime))
}

/// The folder of a workspace's jobs, `asked` for or not.
pub fn results(workspace: &Workspace, asked: Option<&Utf8Path>) -> Utf8PathBuf {
    asked.map_or_else(|| workspace.root.join("job-results"), Utf8Path::to_owned)
}

fn tell_left_out(count: usize) {
    if count > 0 {
        warn(&format!(
            "{count} variants with `manual = yes` are left out of //...; they run when they are named"
        ));
    }
}

/// Variants as a graph, with what is known of each action.
pub struct Foreseen {
    /// The rules.
    pub wiring: Wiring,
    /// The actions.
    pub graph: Arc<Graph>,
    /// Where records are.
    pub resolver: Arc<Resolver>,
    /// What is known of them.
    pub plan: Plan,
}

impl Foreseen {
    /// What is to be foreseen of these variants of a workspace.
    pub fn of(
        workspace: &Workspace,
        variants: &[Variant],
        store: Store,
        runtime: &Handle,
        args: &ActionArgs,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        let wiring = runtime.block_on(Wiring::of(workspace, variants, args.accel, args.runtime))?;
        let wiring = wiring.with_guest_states(args.states.policy());
        let graph = wiring.graph(variants)?;
        let resolver = execution::resolver(store, workspace).strict(args.strict_keys);
        Self::planned(workspace, wiring, graph, Arc::new(resolver), args, purpose)
    }

    /// The same once it is declared.
    fn planned(
        workspace: &Workspace,
        wiring: Wiring,
        graph: Graph,
        resolver: Arc<Resolver>,
        args: &ActionArgs,
        purpose: Purpose,
    ) -> Result<Self, Failure> {
        if purpose.fetch && args.select.config.place.locked {
            downloads::check_locked(workspace, &graph)?;
        }
        let graph = Arc::new(graph);
        let force = args.force || purpose.again;
        let plan =
            Plan::make(&graph, &resolver, PlanOptions { force }).map_err(|error| unreadable(&error))?;
        Ok(Self {
            wiring,
            graph,
            resolver,
            plan,
        })
    }

    /// What speaks for running an action that waits for others.
    pub fn beforehand(&self, id: ActionId) -> Result<Option<Reason>, Failure> {
        let known = self.resolver.beforehand(self.graph.spec(id));
        known.map_err(|error| unreadable(&error))
    }
}

/// A store or a source that cannot be read, on its way to the user.
pub fn unreadable(error: &ResolveError) -> Failure {
    Failure::environment(format!("failed to {error}"))
}

/// Whether a selection names nothing in particular.
pub fn everything(select: &SelectArgs) -> bool {
    select.targets.iter().any(|target| target == "//...")
}

/// Whether a variant has `manual = yes` (a test that fails on purpose, say, or that needs a hand): it runs when it is named, not
/// with everything.
pub fn is_manual(variant: &Variant) -> bool {
    let mut params = variant.params.iter();
    params.any(|(key, value)| &**key == "manual" && &**value == "yes")
}

/// Leaves those out. Returns how many there are.
pub fn leave_out_manual(variants: &mut Vec<Variant>) -> usize {
    let before = variants.len();
    variants.retain(|variant| !is_manual(variant));
    before - variants.len()
}

/// What the command line lets a run take of the host.
pub fn capacity(args: &HostArgs) -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let cpus = u32::try_from(cpus).unwrap_or(u32::MAX);
    Capacity {
        jobs: args.jobs.unwrap_or(cpus).max(1),
        memory_mib: args.memory.unwrap_or_else(host_memory_mib),
        // A guest that waits costs little, so there may be more virtual CPUs than real ones, but not many.
        vcpus: args.vcpus.unwrap_or(cpus.saturating_mul(2)),
    }
}

/// Three quarters of the host's memory.
fn host_memory_mib() -> u32 {
    let info = rustix::system::sysinfo();
    // The field's width differs between architectures.
    #[expect(clippy::useless_conversion, reason = "`totalram` is not u64 everywhere")]
    let bytes = u64::from(info.totalram) * u64::from(info.mem_unit);
    u32::try_from((bytes / 4 * 3) >> 20).unwrap_or(u32::MAX)
}
