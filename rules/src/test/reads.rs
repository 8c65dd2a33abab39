//! What a test turned out to read: parameters, by its Python and by what builds its machines; files of its provider.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::observe::Read;
use vtbuild_providers::host::protocol::Verdict;
use vtbuild_providers::params::Params;
use vtbuild_providers::provider::TestProvider;

use super::declare::name_in;

/// Everything that was read beside what the rule declared. `params` are those that the rule worked with.
pub(super) fn observed(verdict: &Verdict, params: &Params, providers: &[TestProvider]) -> Vec<Read> {
    let core = params.reads();
    let python = &verdict.reads;
    let asked = core.keys.iter().chain(python.keys.keys());
    let views = core.suffixes.iter().chain(&python.scans);
    let mut reads: Vec<Read> = asked
        .filter(|name| is_parameter(name))
        .map(|name| Read::Param(Arc::from(name.as_str())))
        .chain(views.map(|object| Read::Suffix(Arc::from(object.as_str()))))
        .chain(python.all.then_some(Read::Everything))
        .chain(files(verdict, providers))
        .collect();
    reads.sort();
    reads.dedup();
    reads
}

/// Whether a name is that of a parameter: not one of the maps that tell where a variant was written down, nor `dep`.
pub(super) fn is_parameter(name: &str) -> bool {
    !name.starts_with('_') && name != "dep"
}

/// Files of providers that were loaded or asked for.
fn files(verdict: &Verdict, providers: &[TestProvider]) -> impl Iterator<Item = Read> {
    let deps = verdict.deps.iter().flat_map(|dep| files_below(dep));
    let loaded = verdict.modules.iter().cloned().chain(deps);
    loaded.filter_map(|path| {
        let provider = providers
            .iter()
            .find(|provider| path.starts_with(&provider.root))?;
        let name = name_in(provider, &path);
        Some(Read::File { name, path })
    })
}

fn files_below(path: &Utf8Path) -> Vec<Utf8PathBuf> {
    let walk = walkdir::WalkDir::new(path)
        .sort_by_file_name()
        .into_iter()
        .flatten();
    walk.filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
        .collect()
}
