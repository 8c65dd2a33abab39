//! The modules that a test's `type` names, and what comes with them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8PathBuf;
use vtbuild_engine::spec::{SourceFile, Spec};
use vtbuild_providers::params::Params;
use vtbuild_providers::provider::{TestProvider, imports_of};

use super::declare::{HostFacts, name_in};
use crate::image::{self, Recipe};

/// The modules of a test and the folders around them.
#[derive(Debug, Default)]
pub(super) struct Modules {
    /// Those that are there, by their names in `type`.
    pub(super) found: Vec<(String, Utf8PathBuf)>,
    /// The names of those that are nowhere.
    pub(super) missing: Vec<String>,
    /// Folders that they import from.
    pub(super) import_dirs: Vec<Utf8PathBuf>,
    /// Folders with what they need beside them.
    pub(super) deps_dirs: Vec<Utf8PathBuf>,
    /// The last one's provider and where that is.
    pub(super) provider: Option<(String, Utf8PathBuf)>,
    /// They and all that they import, sorted.
    pub(super) sources: Vec<SourceFile>,
}

impl Modules {
    /// Looks for the modules in all providers, or in the one that the parameters name.
    pub(super) fn of(params: &Params, facts: &HostFacts, providers: &[TestProvider]) -> Self {
        let named = params.text("provider");
        let candidates = || {
            let is_named = |provider: &&TestProvider| named.is_none_or(|name| name == provider.name);
            providers.iter().filter(is_named)
        };
        let mut modules = Self::default();
        let mut sources = BTreeMap::new();
        for kind in params.objects("type") {
            let found = candidates().find_map(|it| Some((it, it.module(&facts.backend, kind)?)));
            let Some((provider, module)) = found else {
                modules.missing.push(kind.to_owned());
                continue;
            };
            let paths = provider.module_paths(&facts.backend);
            let files = facts.survey.files(&module).cloned();
            for file in files.unwrap_or_else(|| imports_of(&module, &paths)) {
                sources.insert(name_in(provider, &file), file);
            }
            modules.found.push((kind.to_owned(), module));
            let folders = paths.into_iter().filter(|path| path.is_dir());
            modules.import_dirs.extend(folders);
            modules.deps_dirs.extend(provider.deps_dirs(&facts.backend));
            modules.provider = Some((provider.name.clone(), provider.root.clone()));
        }
        modules.import_dirs = unique(modules.import_dirs);
        modules.deps_dirs = unique(modules.deps_dirs);
        let sources = sources
            .into_iter()
            .map(|(name, path)| SourceFile::new(name, &path));
        modules.sources = sources.collect();
        modules
    }

    /// The files of those that are there.
    pub(super) fn files(&self) -> impl Iterator<Item = &Utf8PathBuf> {
        self.found.iter().map(|(_, path)| path)
    }
}

fn unique(paths: Vec<Utf8PathBuf>) -> Vec<Utf8PathBuf> {
    let mut seen = BTreeSet::new();
    paths
        .into_iter()
        .filter(|path| seen.insert(path.clone()))
        .collect()
}

/// Modules and recipes that were looked for already: of thousands of variants many have the same.
#[derive(Default)]
pub(crate) struct Known {
    /// By `type` and `provider`.
    modules: Answers<(Option<String>, Option<String>), Modules>,
    /// By the recipe's name and the size asked for.
    images: Answers<(String, Option<String>), Spec>,
}

/// Answers by their questions.
type Answers<Q, A> = Mutex<HashMap<Q, Arc<A>>>;

impl Known {
    /// As [`Modules::of`], once for each question.
    pub(super) fn modules(
        &self,
        params: &Params,
        facts: &HostFacts,
        providers: &[TestProvider],
    ) -> Arc<Modules> {
        let asked = |key: &str| params.text(key).map(str::to_owned);
        let question = (asked("type"), asked("provider"));
        let mut known = self.modules.lock().unwrap_or_else(PoisonError::into_inner);
        let modules = known.entry(question);
        modules
            .or_insert_with(|| Arc::new(Modules::of(params, facts, providers)))
            .clone()
    }

    /// The action that makes a recipe's image, the same one each time.
    pub(super) fn image(
        &self,
        recipe: &str,
        size: Option<&str>,
        facts: &HostFacts,
    ) -> Result<Arc<Spec>, String> {
        let question = (recipe.to_owned(), size.map(str::to_owned));
        let mut known = self.images.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(spec) = known.get(&question) {
            return Ok(spec.clone());
        }
        let found = Recipe::named(recipe, &facts.recipes).map_err(|error| format!("failed to {error}"))?;
        let spec = Arc::new(image::spec(&found, size, &facts.tools));
        known.insert(question, spec.clone());
        Ok(spec)
    }
}
