//! What tests need beyond our own test host, found without running them.
//!
//! The test host's own scanner (`providers/python/vtbuild_host/needs.py`) reads a test's module and all that it imports inside
//! its provider, and asks our packages which of the names used they have. Its answer follows from these files and from our
//! packages alone, so it is kept below the cache, under their digest: a second run asks nothing.
//!
//! What only running can tell is remembered likewise: the names that a test missed in the layered runtime.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use vtbuild_cache::Digest;
use vtbuild_engine::variant::Variant;
use vtbuild_providers::host::Runtime;
use vtbuild_providers::memo;
use vtbuild_providers::provider::{TestProvider, imports_of};

/// What a test module lacks in each runtime. Names are spelled as a person would look them up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Needs {
    /// What our own package alone does not have.
    pub own: BTreeSet<String>,
    /// What our core does not have.
    pub layered: BTreeSet<String>,
    /// Python packages that are nowhere.
    pub python: BTreeSet<String>,
    /// Why the module can be run in none: a slip in its syntax or in what it imports, or no `run`.
    pub broken: BTreeSet<String>,
}

impl Needs {
    /// The first runtime that lacks nothing; upstream's packages are taken to have everything.
    #[must_use]
    pub fn runtime(&self) -> Runtime {
        match (self.own.is_empty(), self.layered.is_empty()) {
            (true, _) => Runtime::Own,
            (false, true) => Runtime::Layered,
            (false, false) => Runtime::Upstream,
        }
    }

    /// What is missing in `runtime`.
    #[must_use]
    pub fn missing_in(&self, runtime: Runtime) -> &BTreeSet<String> {
        static NOTHING: BTreeSet<String> = BTreeSet::new();
        match runtime {
            Runtime::Own => &self.own,
            Runtime::Layered => &self.layered,
            Runtime::Upstream => &NOTHING,
        }
    }

    fn merge(&mut self, other: &Self) {
        self.own.extend(other.own.iter().cloned());
        self.layered.extend(other.layered.iter().cloned());
        self.python.extend(other.python.iter().cloned());
        self.broken.extend(other.broken.iter().cloned());
    }
}

/// Why tests could not be looked through.
#[derive(Debug, thiserror::Error)]
#[error("find out what the tests need: {0}")]
pub struct SurveyError(String);

/// What is known of the test modules of some variants.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    modules: BTreeMap<Utf8PathBuf, Needs>,
    places: BTreeMap<Utf8PathBuf, Utf8PathBuf>,
    files: BTreeMap<Utf8PathBuf, BTreeSet<Utf8PathBuf>>,
}

/// What a survey works with.
pub struct SurveySetup<'a> {
    /// Where tests come from.
    pub providers: &'a [TestProvider],
    /// The backend of the tests.
    pub backend: &'a str,
    /// The folder of our Python packages.
    pub python: &'a Utf8Path,
    /// Their content.
    pub python_digest: Digest,
    /// Where answers are kept.
    pub memory: &'a Utf8Path,
}

/// One module, and where what is known of it is kept.
struct Asked {
    module: Utf8PathBuf,
    files: BTreeSet<Utf8PathBuf>,
    /// The folders that it imports from, in their order.
    folders: Vec<Utf8PathBuf>,
    place: Utf8PathBuf,
}

impl Survey {
    /// Looks through the modules of `variants`. Asks Python only about what was never asked.
    ///
    /// # Errors
    /// When Python does not answer.
    pub async fn of(variants: &[Variant], setup: &SurveySetup<'_>) -> Result<Self, SurveyError> {
        let mut survey = Self::default();
        let mut open = Vec::new();
        let mut digests = BTreeMap::new();
        for (provider, module) in modules(variants, setup) {
            let folders = provider.module_paths(setup.backend);
            let files = imports_of(&module, &folders);
            let place = setup.memory.join(key(&files, setup.python_digest, &mut digests));
            survey.places.insert(module.clone(), place.clone());
            survey.files.insert(module.clone(), files.clone());
            match memo::recall(&place) {
                Some(needs) => drop(survey.modules.insert(module, needs)),
                None => open.push(Asked {
                    module,
                    files,
                    folders,
                    place,
                }),
            }
        }
        if !open.is_empty() {
            let answers = ask(&open, setup.python).await.map_err(SurveyError)?;
            for (asked, needs) in open.into_iter().zip(answers) {
                memo::remember(&asked.place, &needs);
                survey.modules.insert(asked.module, needs);
            }
        }
        Ok(survey)
    }

    /// What the modules lack together.
    #[must_use]
    pub fn needs<'m>(&self, modules: impl IntoIterator<Item = &'m Utf8PathBuf>) -> Needs {
        let mut all = Needs::default();
        for needs in modules.into_iter().filter_map(|module| self.modules.get(module)) {
            all.merge(needs);
        }
        all
    }

    /// The files in which it is kept what modules need, whether or not they are there.
    pub(super) fn kept<'m>(&self, modules: impl Iterator<Item = &'m Utf8PathBuf>) -> Vec<Utf8PathBuf> {
        modules
            .filter_map(|module| self.places.get(module))
            .cloned()
            .collect()
    }

    /// Whether what is kept of all modules' needs is still what was found: another process may have learnt more.
    #[must_use]
    pub fn is_current(&self) -> bool {
        let current = |(module, place): (&Utf8PathBuf, &Utf8PathBuf)| {
            memo::recall::<Needs>(place).as_ref() == self.modules.get(module)
        };
        self.places.iter().all(current)
    }

    /// Whether one of the modules needs upstream's packages.
    #[must_use]
    pub fn needs_packages(&self) -> bool {
        self.modules
            .values()
            .any(|needs| needs.runtime().needs_packages())
    }

    /// A module and all files that it imports inside its provider, where it was looked through.
    pub(super) fn files(&self, module: &Utf8Path) -> Option<&BTreeSet<Utf8PathBuf>> {
        self.files.get(module)
    }

    /// Remembers names that the modules of a test missed in our core, which is the same in both runtimes that have it.
    pub(super) fn remember<'m>(&self, modules: impl IntoIterator<Item = &'m Utf8PathBuf>, missed: &[String]) {
        for module in modules {
            if let (Some(needs), Some(place)) = (self.modules.get(module), self.places.get(module)) {
                let mut needs = needs.clone();
                needs.own.extend(missed.iter().cloned());
                needs.layered.extend(missed.iter().cloned());
                memo::remember(place, &needs);
            }
        }
    }
}

/// The modules of the variants' types, each once.
fn modules<'s>(variants: &[Variant], setup: &SurveySetup<'s>) -> Vec<(&'s TestProvider, Utf8PathBuf)> {
    let mut asked = BTreeSet::new();
    let mut found = BTreeMap::new();
    for variant in variants {
        let value = |key: &str| {
            let entry = variant.params.iter().find(|(name, _)| &**name == key);
            entry.map(|(_, value)| value.clone())
        };
        let Some(types) = value("type") else { continue };
        let named = value("provider");
        if !asked.insert((types.clone(), named.clone())) {
            continue;
        }
        for kind in types.split_whitespace() {
            let candidates = setup
                .providers
                .iter()
                .filter(|p| named.as_ref().is_none_or(|name| **name == *p.name));
            let module = candidates
                .filter_map(|provider| Some((provider, provider.module(setup.backend, kind)?)))
                .next();
            if let Some((provider, module)) = module {
                found.insert(module, provider);
            }
        }
    }
    found
        .into_iter()
        .map(|(module, provider)| (provider, module))
        .collect()
}

/// A name made of all that the answer follows from.
fn key(files: &BTreeSet<Utf8PathBuf>, python: Digest, digests: &mut BTreeMap<Utf8PathBuf, String>) -> String {
    let mut text = format!("{python}\n");
    for file in files {
        // A file that cannot be read imports nothing; where it can be read later, that is another answer.
        let digest = digests.entry(file.clone()).or_insert_with(|| {
            Digest::of_file(file).map_or_else(|_| "absent".to_owned(), |(digest, _)| digest.to_string())
        });
        text.push_str(&format!("{file} {digest}\n"));
    }
    format!("{}.json", Digest::of(text.as_bytes()).short())
}

async fn ask(open: &[Asked], python: &Utf8Path) -> Result<Vec<Needs>, String> {
    let tests: Vec<_> = open
        .iter()
        .map(|asked| json!({"module": asked.module, "files": asked.files, "folders": asked.folders}))
        .collect();
    let request = json!({"tests": tests}).to_string();
    // It reads files, starts nothing, and ends with its input: no guard has to stand behind it.
    let mut child = tokio::process::Command::new("python3")
        .args(["-B", "-s", "-m", "vtbuild_host.needs"])
        .env("PYTHONPATH", python)
        .env_remove("VTBUILD_UPSTREAM")
        .current_dir(python)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("start python3: {error}"))?;
    let mut stdin = child
        .stdin
        .take()
        .expect("standard input was asked for as a pipe");
    let writing = async move {
        // One that ended early says why on its standard error.
        let _ = stdin.write_all(request.as_bytes()).await;
    };
    let ((), output) = tokio::join!(writing, child.wait_with_output());
    let output = output.map_err(|error| format!("hear from python3: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.trim().lines().last().unwrap_or("it said nothing").to_owned();
        return Err(format!("the scanner ended with {}: {last}", output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("understand the scanner: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(own: &[&str], layered: &[&str]) -> Needs {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Needs {
            own: set(own),
            layered: set(layered),
            ..Needs::default()
        }
    }

    #[test]
    fn the_first_runtime_that_lacks_nothing_is_taken() {
        assert_eq!(needs(&[], &[]).runtime(), Runtime::Own);
        assert_eq!(needs(&["virttest.utils_disk"], &[]).runtime(), Runtime::Layered);
        assert_eq!(needs(&["vm.fly"], &["vm.fly"]).runtime(), Runtime::Upstream);
    }

    #[test]
    fn what_was_missed_is_remembered_with_the_module() {
        let dir = tempfile::tempdir().unwrap();
        let place = Utf8Path::from_path(dir.path()).unwrap().join("needs/x.json");
        let module = Utf8PathBuf::from("/p/tests/boot.py");
        let survey = Survey {
            modules: [(module.clone(), needs(&["a"], &[]))].into(),
            places: [(module.clone(), place.clone())].into(),
            files: BTreeMap::new(),
        };
        survey.remember([&module], &["vm.fly".to_owned()]);
        assert_eq!(memo::recall(&place), Some(needs(&["a", "vm.fly"], &["vm.fly"])));
    }
}
