//! A workspace: the folder with `vtbuild.toml`, and what it says about guests, tests and data.

pub mod downloads;
pub mod sources;

use std::collections::BTreeMap;
use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use vtbuild_providers::provider::TestProvider;
use vtbuild_providers::session::HostKey;
use vtbuild_rules::deps::BuildHost;

use crate::bundled::Bundled;
use crate::cli::PlaceArgs;
use crate::exit::{Exit, Failure};
use crate::report::diagnostics;
use sources::{Defined, Fetch, Problem};

/// The name of the file that makes a folder a workspace.
const FILE: &str = "vtbuild.toml";

/// What `vtbuild.toml` may say. All of it may be left out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The backend: `qemu`.
    pub vt_type: String,
    /// The guest that tests run in.
    pub guest_os: String,
    /// The folder that `image_name` and the like are relative to.
    pub data_dir: Utf8PathBuf,
    /// Filters: lines `only FILTER`.
    pub only: Vec<String>,
    /// Filters: lines `no FILTER`.
    pub no: Vec<String>,
    /// Parameters of every variant.
    pub params: BTreeMap<String, String>,
    /// Configuration text that is added at the end, before what the command line asks for.
    pub config: String,
    /// Whether the built-in test provider is there.
    pub bundled_tests: bool,
    /// How large the cache may be, such as `20G`.
    pub cache_size: Option<String>,
    /// Hosts that build what tests need, by name.
    pub hosts: BTreeMap<String, HostSettings>,
}

/// A host that builds what tests need.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostSettings {
    /// Its host name or address.
    pub address: String,
    /// The port of its ssh server.
    #[serde(default = "ssh_port")]
    pub port: u16,
    /// The user's name there.
    pub user: String,
    /// The private key, relative to the workspace; `~/` is the home folder.
    pub key: Utf8PathBuf,
    /// The fingerprint of its host key.
    pub fingerprint: Option<String>,
    /// The file that has its host key, where that is not `~/.ssh/known_hosts`.
    pub known_hosts: Option<Utf8PathBuf>,
}

fn ssh_port() -> u16 {
    22
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            vt_type: "qemu".into(),
            guest_os: "JeOS.12".into(),
            data_dir: ".".into(),
            only: Vec::new(),
            no: Vec::new(),
            params: BTreeMap::new(),
            config: String::new(),
            bundled_tests: true,
            cache_size: None,
            hosts: BTreeMap::new(),
        }
    }
}

/// A workspace and what belongs to it.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// Its folder.
    pub root: Utf8PathBuf,
    /// What its file says.
    pub settings: Settings,
    /// The cache's folder.
    pub cache: Utf8PathBuf,
    /// How large it may be, where that was asked for.
    pub cache_size: Option<String>,
    /// The files that the program carries.
    pub bundled: Bundled,
    /// The test providers that can be used: the bundled one, then the others in the order of their names.
    pub providers: Vec<TestProvider>,
    /// The providers that come from definition files, with their commits.
    pub defined: Vec<Defined>,
    /// The providers that are left out, and why.
    pub problems: Vec<Problem>,
}

impl Workspace {
    /// The workspace that the arguments mean, with all its test providers: what git has and we do not is fetched.
    pub fn open(place: &PlaceArgs) -> Result<Self, Failure> {
        let fetch = if place.locked {
            Fetch::Locked
        } else {
            Fetch::Missing
        };
        Self::open_with(place, fetch)
    }

    /// The same without a network: providers that are not fetched yet are left out.
    pub fn open_offline(place: &PlaceArgs) -> Result<Self, Failure> {
        Self::open_with(place, Fetch::Never)
    }

    /// The folder of the workspace that the arguments mean, whatever is in it.
    pub fn folder(place: &PlaceArgs) -> Result<Utf8PathBuf, Failure> {
        let here = Utf8PathBuf::try_from(std::env::current_dir()?)
            .map_err(|error| Failure::environment(format!("the current folder is no UTF-8: {error}")))?;
        let root = match &place.workspace {
            Some(dir) if dir.is_dir() => here.join(dir),
            Some(dir) => {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("the workspace {dir} is not a folder"),
                ));
            }
            None => nearest(&here).unwrap_or(here),
        };
        Ok(root.canonicalize_utf8()?)
    }

    fn open_with(place: &PlaceArgs, fetch: Fetch) -> Result<Self, Failure> {
        let root = Self::folder(place)?;
        let settings = settings(&root)?;
        let cache = cache_dir(place.cache_dir.as_deref())?;
        let bundled = Bundled::unpack(&cache)?;
        let (defined, problems) = sources::providers(&root, &cache, fetch)?;
        let own = settings
            .bundled_tests
            .then(|| TestProvider::in_folder("bundled", &bundled.provider()));
        let others = defined.iter().map(|defined| defined.provider.clone());
        let providers = own.into_iter().chain(others).collect();
        Ok(Self {
            root,
            settings,
            cache,
            cache_size: place.cache_size.clone(),
            bundled,
            providers,
            defined,
            problems,
        })
    }

    /// Whether this is a set of configuration files and nothing else: no settings, no provider, and so no tests to run.
    pub fn is_bare_set(&self) -> bool {
        let set = self.root.join(&self.settings.vt_type).join("cfg/subtests.cfg");
        set.is_file() && !self.root.join(FILE).exists() && self.defined.is_empty() && self.problems.is_empty()
    }

    /// The folder that image names and the like are relative to.
    pub fn data_dir(&self) -> Utf8PathBuf {
        // By its parts: the usual `.` is seen by nobody.
        self.root.join(&self.settings.data_dir).components().collect()
    }

    /// The hosts that build what tests need.
    pub fn hosts(&self) -> Result<BTreeMap<String, Arc<BuildHost>>, Failure> {
        let hosts = self.settings.hosts.iter();
        hosts
            .map(|(name, settings)| Ok((name.clone(), Arc::new(self.host(name, settings)?))))
            .collect()
    }

    fn host(&self, name: &str, settings: &HostSettings) -> Result<BuildHost, Failure> {
        let host_key = match &settings.fingerprint {
            Some(fingerprint) if fingerprint.starts_with("SHA256:") => {
                HostKey::Fingerprint(fingerprint.clone())
            }
            Some(other) => {
                return Err(Failure::config(format!(
                    "hosts.{name}.fingerprint in {FILE} is `{other}`; `ssh-keygen -l` prints one as SHA256:…"
                )));
            }
            None => HostKey::Known {
                file: self.file(
                    settings
                        .known_hosts
                        .as_deref()
                        .unwrap_or("~/.ssh/known_hosts".into()),
                ),
                server: (settings.address.clone(), settings.port),
            },
        };
        Ok(BuildHost {
            name: name.to_owned(),
            address: settings.address.clone(),
            port: settings.port,
            user: settings.user.clone(),
            key: self.file(&settings.key),
            host_key,
        })
    }

    /// A file that the settings name: relative to the workspace, or to the home folder after `~/`.
    fn file(&self, name: &Utf8Path) -> Utf8PathBuf {
        match (name.strip_prefix("~"), std::env::var("HOME")) {
            (Ok(inside), Ok(home)) => Utf8PathBuf::from(home).join(inside),
            _ => self.root.join(name),
        }
    }

    /// The folders in which a guest's recipe is looked for: the workspace's own before the bundled one.
    pub fn recipe_dirs(&self) -> Vec<Utf8PathBuf> {
        vec![self.root.join("recipes"), self.bundled.recipes()]
    }

    /// The folders in which a configuration file is looked for: the workspace's own before the bundled ones.
    pub fn config_dirs(&self) -> Vec<Utf8PathBuf> {
        let sets = self.bundled.sets();
        [&self.root, &sets]
            .into_iter()
            .flat_map(|base| {
                [
                    base.join(&self.settings.vt_type).join("cfg"),
                    base.join("shared/cfg"),
                ]
            })
            .collect()
    }
}

/// The definition files of a folder, sorted; none where there is no folder.
fn ini_files(folder: &Utf8Path) -> Vec<Utf8PathBuf> {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    let mut files: Vec<Utf8PathBuf> = entries
        .map(camino::Utf8DirEntry::into_path)
        .filter(|path| path.extension() == Some("ini"))
        .collect();
    files.sort();
    files
}

fn nearest(here: &Utf8Path) -> Option<Utf8PathBuf> {
    here.ancestors()
        .find(|dir| dir.join(FILE).is_file())
        .map(Utf8Path::to_owned)
}

fn settings(root: &Utf8Path) -> Result<Settings, Failure> {
    let path = root.join(FILE);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            toml::from_str(&text).map_err(|error| Failure::config(diagnostics::of_toml(&path, &text, &error)))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(error) => Err(Failure::environment(format!("failed to read {path}: {error}"))),
    }
}

/// The cache's folder: asked for, else `$XDG_CACHE_HOME/vtbuild`, else `~/.cache/vtbuild`.
pub fn cache_dir(asked: Option<&Utf8Path>) -> Result<Utf8PathBuf, Failure> {
    let from = |name: &str| {
        std::env::var(name)
            .ok()
            .filter(|value| !value.is_empty())
            .map(Utf8PathBuf::from)
    };
    let dir = asked
        .map(Utf8Path::to_owned)
        .or_else(|| Some(from("XDG_CACHE_HOME")?.join("vtbuild")))
        .or_else(|| Some(from("HOME")?.join(".cache/vtbuild")))
        .ok_or_else(|| Failure::environment("no place for the cache: set HOME, or give --cache-dir"))?;
    std::fs::create_dir_all(&dir).map_err(|error| {
        Failure::environment(format!(
            "failed to make the cache folder {dir}: {error}; choose another with --cache-dir"
        ))
    })?;
    Ok(dir.canonicalize_utf8()?)
}
