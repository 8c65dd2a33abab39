//! From definition files to test providers: folders as they are, repositories at the commit that is locked.

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::hold;
use vtbuild_providers::process::Launcher;
use vtbuild_providers::provider::{Definition, GitSource, ProviderError, Repositories, Source, TestProvider};

use crate::command::note;
use crate::exit::{Exit, Failure};
use crate::lock::{Lock, LockedProvider};

/// The folder of definition files.
const FOLDER: &str = "test-providers.d";

/// What may be done to have all providers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fetch {
    /// What is locked or new is fetched where it is missing.
    Missing,
    /// The same, but nothing that would change `vtbuild.lock`.
    Locked,
    /// Only what is there is used.
    Never,
}

/// A test provider that is left out.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Its name.
    pub name: String,
    /// What is wrong: fits after "failed to".
    pub reason: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "failed to {}", self.reason)
    }
}

/// What became of a definition.
#[derive(Clone, Debug)]
pub struct Defined {
    /// The definition.
    pub definition: Definition,
    /// The commit, where it comes from git.
    pub commit: Option<String>,
    /// The provider.
    pub provider: TestProvider,
}

/// The definition files of a workspace, sorted.
pub fn definition_files(root: &Utf8Path) -> Vec<Utf8PathBuf> {
    super::ini_files(&root.join(FOLDER))
}

/// The providers that a workspace defines. One that cannot be used is left out; the others work.
pub fn providers(
    root: &Utf8Path,
    cache: &Utf8Path,
    fetch: Fetch,
) -> Result<(Vec<Defined>, Vec<Problem>), Failure> {
    let files = definition_files(root);
    let (mut found, mut problems) = (Vec::new(), Vec::new());
    if files.is_empty() {
        return Ok((found, problems));
    }
    let mut lock = Lock::read(root)?;
    let repositories = repositories(cache);
    for path in &files {
        let defined = Definition::read(path)
            .map_err(Refused::Provider)
            .and_then(|definition| defined(definition, &repositories, &mut lock, fetch));
        match defined {
            Ok(defined) => found.push(defined),
            Err(Refused::Provider(error)) => problems.push(Problem {
                name: path.file_stem().unwrap_or_default().to_owned(),
                reason: error.to_string(),
            }),
            Err(Refused::Locked(failure)) => return Err(failure),
        }
    }
    if fetch == Fetch::Missing {
        let names: Vec<&str> = files.iter().filter_map(|path| path.file_stem()).collect();
        lock.keep_providers(|name| names.contains(&name));
        lock.save()?;
    }
    Ok((found, problems))
}

/// The place in the cache where repositories are kept.
pub fn repositories(cache: &Utf8Path) -> Repositories {
    Repositories::new(Launcher::this_program(), cache.join("providers"))
}

/// Why there is no provider: it cannot be used, or nothing can, because the lock must not change.
enum Refused {
    Provider(ProviderError),
    Locked(Failure),
}

impl From<ProviderError> for Refused {
    fn from(error: ProviderError) -> Self {
        Self::Provider(error)
    }
}

fn defined(
    definition: Definition,
    repositories: &Repositories,
    lock: &mut Lock,
    fetch: Fetch,
) -> Result<Defined, Refused> {
    let source = match &definition.source {
        Source::Folder(folder) => {
            let provider = definition.provider(folder)?;
            return Ok(Defined {
                definition,
                commit: None,
                provider,
            });
        }
        Source::Git(source) => source,
    };
    let locked = lock.commit(&definition.name, source).map(str::to_owned);
    let ready = locked
        .as_ref()
        .and_then(|commit| repositories.ready(source, commit))
        .filter(|root| hold(root));
    let (commit, root) = match (locked, ready) {
        (Some(commit), Some(root)) => (commit, root),
        _ if fetch == Fetch::Never => {
            return Err(Refused::Provider(ProviderError::NotFetched {
                place: source.place.clone(),
            }));
        }
        (Some(commit), None) => {
            let root = wait_for(at_commit(repositories, &definition.name, source, &commit))?;
            (commit, root)
        }
        (None, _) if fetch == Fetch::Locked => return Err(Refused::Locked(not_locked(&definition))),
        (None, _) => {
            let (commit, root) = wait_for(newest(repositories, &definition.name, source))?;
            lock.set(LockedProvider::new(&definition.name, source, commit.clone()));
            (commit, root)
        }
    };
    let provider = definition.provider(&root)?;
    Ok(Defined {
        definition,
        commit: Some(commit),
        provider,
    })
}

fn not_locked(definition: &Definition) -> Failure {
    let Definition { name, place, .. } = definition;
    Failure::new(
        Exit::Config,
        format!(
            "vtbuild.lock names no commit for what {place} asks for, and --locked forbids to add one\n  help: run `vtbuild providers update {name}` and commit vtbuild.lock"
        ),
    )
}

/// The files of a locked commit, fetched if need be.
async fn at_commit(
    repositories: &Repositories,
    name: &str,
    source: &GitSource,
    commit: &str,
) -> Result<Utf8PathBuf, ProviderError> {
    hold_mirror(repositories, source);
    if !repositories.knows(source, commit).await? {
        note(&format!("fetching the test provider {name} from {}", source.url));
        repositories.fetch(source, Some(commit)).await?;
        if !repositories.knows(source, commit).await? {
            return Err(ProviderError::NoSuchCommit {
                place: source.place.clone(),
                wanted: format!("the commit {commit} of vtbuild.lock"),
                url: source.url.clone(),
                known: "other commits; `vtbuild providers update` takes the newest".into(),
            });
        }
    }
    held(repositories.checkout(source, commit).await?)
}

/// Keeps a mirror from being collected while it is read. One that is not there yet is made, and new ones stay.
fn hold_mirror(repositories: &Repositories, source: &GitSource) {
    let _ = hold(&repositories.mirror_of(source));
}

/// Keeps a checkout from being collected as long as this process works with it.
fn held(root: Utf8PathBuf) -> Result<Utf8PathBuf, ProviderError> {
    if hold(&root) {
        return Ok(root);
    }
    let source = std::io::Error::other("another process has just collected it; try again");
    Err(ProviderError::Cache { path: root, source })
}

/// What a definition means by now.
pub async fn newest(
    repositories: &Repositories,
    name: &str,
    source: &GitSource,
) -> Result<(String, Utf8PathBuf), ProviderError> {
    hold_mirror(repositories, source);
    note(&format!("fetching the test provider {name} from {}", source.url));
    repositories.fetch(source, None).await?;
    let commit = repositories.resolve(source).await?;
    let root = held(repositories.checkout(source, &commit).await?)?;
    Ok((commit, root))
}

/// Waits for work that starts processes, from anywhere: a runtime may be at work already around us.
pub fn wait_for<T: Send>(
    work: impl Future<Output = Result<T, ProviderError>> + Send,
) -> Result<T, ProviderError> {
    let alone = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|source| ProviderError::Cache {
            path: "a runtime".into(),
            source,
        })?;
        runtime.block_on(work)
    };
    std::thread::scope(|scope| scope.spawn(alone).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
