//! Providers that live in git repositories: a bare mirror of each repository, and one read-only folder for each commit used.
//!
//! ```text
//! FOLDER/mirrors/NAME-DIGEST.git    a mirror, named by the address; only `fetch` touches the network
//! FOLDER/checkouts/COMMIT/          the files of one commit; made beside and renamed, never changed
//! FOLDER/trusted/DIGEST             a tag, its commit and the key that was found to have signed it
//! ```
//!
//! All work is done by the host's `git`, which asks nothing: no prompt, no password helper of a desktop.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

use super::definition::GitSource;
use super::error::ProviderError;
use super::signature::{self, Doubt};
use crate::process::{Command, Launcher, Output};

/// How long a question to a remote repository may take.
const ASK: Duration = Duration::from_secs(60);
/// How long a transfer may take; one that stands still is given up by git itself long before.
const TRANSFER: Duration = Duration::from_secs(1800);
/// How long a command without a network may take.
const LOCAL: Duration = Duration::from_secs(300);
/// How many names are told where one is not found.
const NAMED: usize = 8;
/// Variables that would point git to another repository.
const MISLEADING: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_NAMESPACE",
    "GIT_CEILING_DIRECTORIES",
];
/// How everything is fetched.
const FETCH: [&str; 4] = ["fetch", "-q", "--no-write-fetch-head", "--no-auto-maintenance"];
/// Settings of every call, against hooks, helpers and transfers that stand still.
const SETTINGS: [&str; 6] = [
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.auto=0",
    "protocol.ext.allow=never",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=60",
];

/// Mirrors and checkouts below one folder, which processes and workspaces share.
#[derive(Clone, Debug)]
pub struct Repositories {
    launcher: Launcher,
    folder: Utf8PathBuf,
}

impl Repositories {
    /// Repositories below `folder`, which is made when it is needed.
    #[must_use]
    pub fn new(launcher: Launcher, folder: Utf8PathBuf) -> Self {
        Self { launcher, folder }
    }

    /// The folder of a commit's files, where they are there and nothing about them needs to be found out first.
    #[must_use]
    pub fn ready(&self, source: &GitSource, commit: &str) -> Option<Utf8PathBuf> {
        let folder = self.checkout_of(commit);
        let trusted =
            source.pubkey.is_none() || self.trust(source, commit).is_some_and(|path| path.is_file());
        (is_commit(commit) && trusted && folder.is_dir()).then_some(folder)
    }

    /// Fetches what the definition asks for, and the commit that is locked where one is. Where that is a tag or a commit,
    /// it comes without its history if the server allows that; else all branches and tags come.
    ///
    /// # Errors
    /// When the repository cannot be reached or git refuses.
    pub async fn fetch(&self, source: &GitSource, locked: Option<&str>) -> Result<(), ProviderError> {
        let mirror = self.mirror_of(source);
        let _turn = self.turn(&mirror)?;
        let failed = |reason: String| ProviderError::Fetch {
            place: source.place.clone(),
            url: source.url.clone(),
            reason,
        };
        let asked = ["ls-remote", "--symref", "--", &source.url, "HEAD"];
        let head = self.git(None, &asked, ASK).await?;
        if !head.exit.success() {
            return Err(failed(said(&head)));
        }
        if !mirror.is_dir() {
            self.must(None, &["init", "-q", "--bare", mirror.as_str()], &failed)
                .await?;
        }
        if self.fetch_alone(source, &mirror, locked).await? {
            return Ok(());
        }
        let all = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"];
        let words = [&FETCH[..], &["--prune", "--", &source.url], &all].concat();
        let output = self.git(Some(&mirror), &words, TRANSFER).await?;
        if !output.exit.success() {
            return Err(failed(said(&output)));
        }
        self.point_head(&mirror, &head.stdout, &failed).await?;
        let lone = source.reference.as_deref().filter(|name| is_commit(name));
        if let Some(commit) = lone
            && !self.has(&mirror, commit).await?
        {
            let words = [&FETCH[..], &["--", &source.url, commit]].concat();
            let output = self.git(Some(&mirror), &words, TRANSFER).await?;
            tracing::debug!(commit, answer = said(&output), "asked for a commit of no branch");
        }
        Ok(())
    }

    /// Fetches tag and commit without their history where nothing else is asked for. Says whether it could.
    async fn fetch_alone(
        &self,
        source: &GitSource,
        mirror: &Utf8Path,
        locked: Option<&str>,
    ) -> Result<bool, ProviderError> {
        let pinned = source.reference.as_deref();
        let tag = pinned.filter(|name| !is_commit(name));
        let tag = tag.map(|name| format!("+refs/tags/{name}:refs/tags/{name}"));
        let commit = pinned.filter(|name| is_commit(name)).or(locked);
        let wanted: Vec<&str> = tag.as_deref().into_iter().chain(commit).collect();
        // A mirror that has the history needs little to go on with it, and must not be cut.
        let whole = !mirror.join("shallow").is_file() && self.has_any(mirror).await?;
        if wanted.is_empty() || whole {
            return Ok(false);
        }
        let words = [
            &FETCH[..],
            &["--depth=1", "--no-tags", "--", &source.url],
            &wanted,
        ]
        .concat();
        let output = self.git(Some(mirror), &words, TRANSFER).await?;
        tracing::debug!(
            ?wanted,
            answer = said(&output),
            "asked for a commit without its history"
        );
        Ok(output.exit.success())
    }

    /// Whether a mirror has any branch or tag.
    async fn has_any(&self, mirror: &Utf8Path) -> Result<bool, ProviderError> {
        let words = ["for-each-ref", "--count=1", "--format=%(refname)"];
        let output = self.git(Some(mirror), &words, LOCAL).await?;
        Ok(!output.stdout.trim().is_empty())
    }

    /// Whether the mirror has a commit already.
    ///
    /// # Errors
    /// When git cannot be run.
    pub async fn knows(&self, source: &GitSource, commit: &str) -> Result<bool, ProviderError> {
        let mirror = self.mirror_of(source);
        Ok(mirror.is_dir() && self.has(&mirror, commit).await?)
    }

    /// The commit that the definition means, as the mirror has it.
    ///
    /// # Errors
    /// When tag, commit or branch is not there.
    pub async fn resolve(&self, source: &GitSource) -> Result<String, ProviderError> {
        let mirror = self.mirror_of(source);
        let (wanted, names) = match (&source.reference, &source.branch) {
            (Some(tag), _) if source.pubkey.is_some() => {
                (format!("the tag `{tag}`"), vec![format!("refs/tags/{tag}")])
            }
            (Some(name), _) => (
                format!("the tag or commit `{name}`"),
                vec![format!("refs/tags/{name}"), name.clone()],
            ),
            (None, Some(branch)) => (
                format!("the branch `{branch}`"),
                vec![format!("refs/heads/{branch}")],
            ),
            (None, None) => ("a commit".into(), vec!["HEAD".into()]),
        };
        for name in &names {
            if let Some(commit) = self.commit_of(&mirror, name).await? {
                return Ok(commit);
            }
        }
        let kind = if source.reference.is_some() {
            "refs/tags"
        } else {
            "refs/heads"
        };
        Err(ProviderError::NoSuchCommit {
            place: source.place.clone(),
            wanted,
            url: source.url.clone(),
            known: self.names(&mirror, kind).await?,
        })
    }

    /// The folder with the files of a commit that the mirror has. Where the definition names a key, the tag must be signed
    /// with it and mean this commit.
    ///
    /// # Errors
    /// When the signature is bad, or the files cannot be written.
    pub async fn checkout(&self, source: &GitSource, commit: &str) -> Result<Utf8PathBuf, ProviderError> {
        let mirror = self.mirror_of(source);
        self.verify(source, &mirror, commit).await?;
        let folder = self.checkout_of(commit);
        if folder.is_dir() {
            return Ok(folder);
        }
        let above = self.folder.join("checkouts");
        let broken = |path: &Utf8Path| {
            let path = path.to_owned();
            move |source| ProviderError::Cache { path, source }
        };
        fs::create_dir_all(&above).map_err(broken(&above))?;
        let beside = tempfile::Builder::new()
            .prefix(".new")
            .tempdir_in(&above)
            .map_err(broken(&above))?;
        let tree = Utf8PathBuf::try_from(beside.path().join("tree"))
            .map_err(|error| broken(&above)(error.into_io_error()))?;
        fs::create_dir(&tree).map_err(broken(&tree))?;
        let failed = |reason: String| ProviderError::Fetch {
            place: source.place.clone(),
            url: source.url.clone(),
            reason,
        };
        let work = format!("--work-tree={tree}");
        let index = format!("{tree}.index");
        for words in [
            &["read-tree", commit][..],
            &[&work, "checkout-index", "-q", "-a", "-f"],
        ] {
            let command = self.command(Some(&mirror), words).env("GIT_INDEX_FILE", &index);
            let output = self.launcher.output(command, LOCAL).await?;
            if !output.exit.success() {
                return Err(failed(said(&output)));
            }
        }
        protect(&tree).map_err(broken(&tree))?;
        match fs::rename(&tree, &folder) {
            // Somebody else was quicker; theirs is the same.
            Err(_) if folder.is_dir() => Ok(folder),
            renamed => renamed.map_err(broken(&folder)).map(|()| folder.clone()),
        }
    }

    async fn verify(&self, source: &GitSource, mirror: &Utf8Path, commit: &str) -> Result<(), ProviderError> {
        let (Some(pubkey), Some(tag)) = (&source.pubkey, &source.reference) else {
            return Ok(());
        };
        let bad = |reason: String| ProviderError::Signature {
            place: source.place.clone(),
            tag: tag.clone(),
            reason,
        };
        let trust = self
            .trust(source, commit)
            .ok_or_else(|| bad(format!("the key {pubkey} cannot be read")))?;
        if trust.is_file() {
            return Ok(());
        }
        if self
            .commit_of(mirror, &format!("refs/tags/{tag}"))
            .await?
            .as_deref()
            != Some(commit)
        {
            return Err(bad(format!(
                "it was moved since {commit} was locked; `vtbuild providers update` takes the new one"
            )));
        }
        let signer = signature::verify(self, mirror, tag, pubkey).await;
        let signer = signer.map_err(|doubt| match doubt {
            Doubt::Unsigned(reason) => bad(reason),
            Doubt::Unknown(error) => error,
        })?;
        let keep = |path: &Utf8Path| {
            fs::create_dir_all(path.parent().unwrap_or(path))?;
            fs::write(path, signer)
        };
        keep(&trust).map_err(|source| ProviderError::Cache { path: trust, source })
    }

    /// The file that says that the definition's tag means `commit` and is signed with its key; `None` without a key.
    fn trust(&self, source: &GitSource, commit: &str) -> Option<Utf8PathBuf> {
        let key = fs::read(source.pubkey.as_ref()?).ok()?;
        let tag = source.reference.as_ref()?;
        let mut hasher = Sha256::new();
        for part in [key.as_slice(), tag.as_bytes(), commit.as_bytes()] {
            hasher.update((part.len() as u64).to_le_bytes());
            hasher.update(part);
        }
        Some(
            self.folder
                .join("trusted")
                .join(HEXLOWER.encode(&hasher.finalize())),
        )
    }

    /// Makes the mirror's HEAD the remote's: a branch, or a commit where it is detached.
    async fn point_head(
        &self,
        mirror: &Utf8Path,
        answer: &str,
        failed: &impl Fn(String) -> ProviderError,
    ) -> Result<(), ProviderError> {
        let mut lines = answer.lines().filter_map(|line| line.split_once('\t'));
        let (what, _) = lines.find(|(_, name)| *name == "HEAD").unwrap_or_default();
        let words = match what.strip_prefix("ref: ") {
            Some(branch) => vec!["symbolic-ref", "HEAD", branch],
            None if is_commit(what) => vec!["update-ref", "--no-deref", "HEAD", what],
            None => return Ok(()),
        };
        self.must(Some(mirror), &words, failed).await
    }

    async fn has(&self, mirror: &Utf8Path, commit: &str) -> Result<bool, ProviderError> {
        Ok(is_commit(commit) && self.commit_of(mirror, commit).await?.is_some())
    }

    async fn commit_of(&self, mirror: &Utf8Path, name: &str) -> Result<Option<String>, ProviderError> {
        let name = format!("{name}^{{commit}}");
        let words = ["rev-parse", "--verify", "-q", "--end-of-options", &name];
        let output = self.git(Some(mirror), &words, LOCAL).await?;
        let found = output.stdout.lines().last().unwrap_or_default().trim().to_owned();
        Ok((output.exit.success() && is_commit(&found)).then_some(found))
    }

    /// Some names of a kind, as they are shown to somebody who asked for another.
    async fn names(&self, mirror: &Utf8Path, kind: &str) -> Result<String, ProviderError> {
        let words = [
            "for-each-ref",
            "--format=%(refname:lstrip=2)",
            "--sort=-creatordate",
            kind,
        ];
        let output = self.git(Some(mirror), &words, LOCAL).await?;
        let names: Vec<&str> = output.stdout.lines().collect();
        let what = if kind == "refs/tags" { "tags" } else { "branches" };
        Ok(match names.len() {
            0 => format!("no {what}"),
            many if many > NAMED => format!("{what} {} and {} more", names[..NAMED].join(", "), many - NAMED),
            _ => format!("{what} {}", names.join(", ")),
        })
    }

    async fn must(
        &self,
        mirror: Option<&Utf8Path>,
        words: &[&str],
        failed: &impl Fn(String) -> ProviderError,
    ) -> Result<(), ProviderError> {
        let output = self.git(mirror, words, LOCAL).await?;
        if output.exit.success() {
            Ok(())
        } else {
            Err(failed(said(&output)))
        }
    }

    async fn git(
        &self,
        mirror: Option<&Utf8Path>,
        words: &[&str],
        time: Duration,
    ) -> Result<Output, ProviderError> {
        Ok(self.launcher.output(self.command(mirror, words), time).await?)
    }

    pub(super) async fn run(&self, command: Command) -> Result<Output, ProviderError> {
        Ok(self.launcher.output(command, LOCAL).await?)
    }

    /// A call of git that can ask nobody anything.
    pub(super) fn command(&self, mirror: Option<&Utf8Path>, words: &[&str]) -> Command {
        let mut command = Command::new("git");
        for setting in SETTINGS {
            command = command.args(["-c", setting]);
        }
        if let Some(mirror) = mirror {
            command = command.arg(format!("--git-dir={mirror}"));
        }
        for name in MISLEADING {
            command = command.without_env(name);
        }
        if std::env::var_os("GIT_SSH_COMMAND").is_none() {
            command = command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30");
        }
        command
            .args(words)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "")
            .env("LC_ALL", "C")
    }

    /// Where the mirror of a repository is, or would be.
    #[must_use]
    pub fn mirror_of(&self, source: &GitSource) -> Utf8PathBuf {
        let digest = HEXLOWER.encode(&Sha256::digest(source.url.as_bytes()));
        let path = source.url.trim_end_matches('/');
        let last = path.rsplit(['/', ':']).next().unwrap_or(path);
        let sound = |c: char| {
            if c.is_ascii_alphanumeric() || c == '-' {
                c
            } else {
                '_'
            }
        };
        let name: String = last
            .trim_end_matches(".git")
            .chars()
            .take(40)
            .map(sound)
            .collect();
        self.folder
            .join("mirrors")
            .join(format!("{name}-{}.git", &digest[..16]))
    }

    fn checkout_of(&self, commit: &str) -> Utf8PathBuf {
        self.folder.join("checkouts").join(commit)
    }

    /// Waits until no other process writes to the mirror.
    fn turn(&self, mirror: &Utf8Path) -> Result<File, ProviderError> {
        let path = Utf8PathBuf::from(format!("{mirror}.lock"));
        let locked = || {
            fs::create_dir_all(mirror.parent().unwrap_or(mirror))?;
            let file = File::create(&path)?;
            file.lock()?;
            Ok(file)
        };
        locked().map_err(|source| ProviderError::Cache {
            path: path.clone(),
            source,
        })
    }
}

/// Whether a text is a whole commit id.
fn is_commit(text: &str) -> bool {
    matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What git had to say, in one line.
pub(super) fn said(output: &Output) -> String {
    let lines = output.stderr.lines().map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).take(4).collect();
    if lines.is_empty() {
        format!("git ended with {}", output.exit)
    } else {
        lines.join("; ")
    }
}

/// Takes away the right to write from everything below a folder.
fn protect(folder: &Utf8Path) -> std::io::Result<()> {
    for entry in folder.read_dir_utf8()? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            protect(entry.path())?;
        } else if kind.is_file() {
            let executable = entry.metadata()?.permissions().mode() & 0o111 != 0;
            let mode = if executable { 0o555 } else { 0o444 };
            fs::set_permissions(entry.path(), fs::Permissions::from_mode(mode))?;
        }
    }
    fs::set_permissions(folder, fs::Permissions::from_mode(0o555))
}
