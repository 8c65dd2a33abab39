//! What a test turned out to read: parameters, by its Python and by what builds its machines; files of its provider and of
//! the data folder, there or not; what it asked of the host.

use std::sync::Arc;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::observe::Read;
use vtbuild_engine::spec::Spec;
use vtbuild_providers::host::protocol::{Verdict, Watched};
use vtbuild_providers::params::Params;
use vtbuild_providers::provider::TestProvider;

use super::around::{POST, PRE};
use super::declare::name_in;

/// The name that files of the data folder begin with. No provider is called so.
pub const DATA_ROOT: &str = "@data";
/// Folders that no program is given on purpose, though they lie in one that it is given.
const LEFT_OUT: [&str; 2] = [".git", "__pycache__"];

/// Where the files are that a test may look at.
#[derive(Clone, Copy)]
pub(super) struct Roots<'a> {
    /// Those of tests.
    pub(super) providers: &'a [TestProvider],
    /// That of images and other data.
    pub(super) data_dir: &'a Utf8Path,
}

impl Roots<'_> {
    /// The folders that the test host watches; `own` is the test's own data folder.
    pub(super) fn watched(&self, own: &Utf8Path) -> Vec<Watched> {
        let provider = |provider: &TestProvider| Watched {
            folder: provider.root.clone(),
            name: provider.name.clone(),
            own: false,
        };
        let data = |folder: &Utf8Path, own| Watched {
            folder: folder.to_owned(),
            name: DATA_ROOT.to_owned(),
            own,
        };
        let providers = self.providers.iter().map(provider);
        providers
            .chain([data(self.data_dir, false), data(own, true)])
            .collect()
    }

    /// Where a file of this name is.
    fn path(&self, name: &str) -> Option<Utf8PathBuf> {
        let (root, inside) = name.split_once('/')?;
        let provider = || self.providers.iter().find(|provider| provider.name == root);
        let folder = if root == DATA_ROOT {
            self.data_dir
        } else {
            &provider()?.root
        };
        Some(folder.join(inside))
    }

    /// The file of a provider at `path`.
    fn file(&self, path: Utf8PathBuf) -> Option<Read> {
        let name = self.name(&path)?;
        Some(Read::File { name, path })
    }

    fn name(&self, path: &Utf8Path) -> Option<String> {
        let mut providers = self.providers.iter();
        let provider = providers.find(|provider| path.starts_with(&provider.root))?;
        Some(name_in(provider, path))
    }
}

/// Everything that was read beside what `spec` declared. `params` are those that the rule worked with.
pub(super) fn observed(
    verdict: &Verdict,
    params: &Params,
    (spec, module_paths): (&Spec, &[Utf8PathBuf]),
    roots: Roots<'_>,
) -> Vec<Read> {
    let core = params.reads();
    let python = &verdict.reads;
    let asked = core.keys.iter().chain(python.keys.keys());
    let views = core.suffixes.iter().chain(&python.scans);
    let mut reads: Vec<Read> = asked
        .filter(|name| is_parameter(name))
        .map(|name| Read::Param(Arc::from(name.as_str())))
        .chain(views.map(|object| Read::Suffix(Arc::from(object.as_str()))))
        .chain((python.all || exported(params)).then_some(Read::Everything))
        .chain(looked_at(verdict, roots))
        .collect();
    for module in &verdict.modules {
        let Some(Read::File { name, path }) = roots.file(module.clone()) else {
            continue;
        };
        if spec.sources.binary_search_by(|s| (*s.name).cmp(&name)).is_err() {
            reads.extend(in_front(&path, module_paths, roots));
            reads.push(Read::File { name, path });
        }
    }
    reads.sort();
    reads.dedup();
    reads
}

/// Whether a name is that of a parameter: not one of the maps that tell where a variant was written down, nor `dep`.
pub(super) fn is_parameter(name: &str) -> bool {
    !name.starts_with('_') && name != "dep"
}

/// Whether a command of the host was given all parameters in its environment.
fn exported(params: &Params) -> bool {
    [PRE, POST].iter().any(|key| params.text(key).is_some())
}

/// Files that the test looked at by itself, and the folders of deps that it asked for.
fn looked_at(verdict: &Verdict, roots: Roots<'_>) -> Vec<Read> {
    let files = &verdict.files;
    let placed = |name: &String| Some((name.clone(), roots.path(name)?));
    let read = files.read.iter().filter_map(placed);
    let mut reads: Vec<Read> = read.map(|(name, path)| Read::File { name, path }).collect();
    reads.extend(files.absent.iter().cloned().map(Read::Absent));
    let listed = files.listed.iter().filter_map(placed);
    reads.extend(listed.map(|(name, path)| Read::Listing { name, path }));
    let deps = verdict
        .deps
        .iter()
        .filter_map(|dep| Some((roots.name(dep)?, dep.clone())));
    for (name, path) in files.trees.iter().filter_map(placed).chain(deps) {
        below(&name, &path, &mut reads);
    }
    reads
}

/// A folder with all that is in it, or a file.
fn below(name: &str, path: &Utf8Path, reads: &mut Vec<Read>) {
    let walk = walkdir::WalkDir::new(path).sort_by_file_name().into_iter();
    let wanted = |entry: &walkdir::DirEntry| !LEFT_OUT.iter().any(|name| entry.file_name() == *name);
    for entry in walk.filter_entry(wanted).flatten() {
        let is_folder = entry.file_type().is_dir();
        let Ok(found) = Utf8PathBuf::from_path_buf(entry.into_path()) else {
            continue;
        };
        let inside = found.strip_prefix(path).unwrap_or(Utf8Path::new(""));
        let name = if inside.as_str().is_empty() {
            name.to_owned()
        } else {
            format!("{name}/{inside}")
        };
        let path = found;
        reads.push(if is_folder {
            Read::Listing { name, path }
        } else {
            Read::File { name, path }
        });
    }
}

/// The places where Python looked for a module before it found `module`: a file there would be loaded instead.
fn in_front(module: &Utf8Path, module_paths: &[Utf8PathBuf], roots: Roots<'_>) -> Vec<Read> {
    let mut absent = Vec::new();
    for (at, folder) in module_paths.iter().enumerate() {
        let Ok(inside) = module.strip_prefix(folder) else {
            continue;
        };
        let package = inside.with_extension("").join("__init__.py");
        let earlier = module_paths[..at].iter();
        let places = earlier
            .flat_map(|earlier| [earlier.join(inside), earlier.join(&package)])
            .chain([folder.join(&package)]);
        absent.extend(places.filter(|place| place != module && !place.exists()));
    }
    absent
        .iter()
        .filter_map(|place| Some(Read::Absent(roots.name(place)?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_is_looked_for_where_it_would_come_first() {
        let provider = TestProvider::in_folder("mine", "/p".into());
        let roots = Roots {
            providers: &[provider],
            data_dir: "/data".into(),
        };
        let paths = ["/p", "/p/qemu", "/p/generic"].map(Utf8PathBuf::from);
        let absent = in_front("/p/generic/lib/late.py".into(), &paths, roots);
        for name in [
            "mine/qemu/lib/late.py",
            "mine/lib/late.py",
            "mine/generic/lib/late/__init__.py",
        ] {
            assert!(absent.contains(&Read::Absent(name.into())), "{name}: {absent:?}");
        }
        assert!(!absent.contains(&Read::Absent("mine/generic/lib/late.py".into())));
    }
}
