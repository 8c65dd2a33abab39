//! What declaring a test looks at beside its variant and the content of files that are sources: the same for all tests of a
//! command. Who knows that it is as it was need not declare a test again.
//!
//! | what | why |
//! |---|---|
//! | this program | it is the function that declares |
//! | settings, hosts that build, where data, recipes and providers are | they are its arguments |
//! | emulators with their answers, Python, kernel, processor, accelerator, runtime | `host.…` of keys is made of them |
//! | which program each name stands for | a program that is found where none was is a new field of the key |
//! | names, kinds and links of all that is below providers, recipes and QEMU's folders | modules, imports, recipes, sources of builds and firmware are looked for there |
//!
//! What modules import, what they need and what a recipe says is read from files that are sources, or that
//! [`TestSetup::looked_into`] names.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::os::unix::fs::PermissionsExt;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cache::{Digest, Identity};
use vtbuild_engine::spec::Spec;
use walkdir::{DirEntry, WalkDir};

use super::{TestPayload, TestSetup};

/// Folders of a provider that no module is looked for in. Recipes and what is built from sources may have such too.
const WITHOUT_MODULES: [&str; 2] = [".git", "__pycache__"];
/// The folder that is no part of what is built.
const WITHOUT_SOURCES: [&str; 1] = [".git"];

impl TestSetup {
    /// The digest of all that; `programs` are the names of programs that tests were found to look for. Nothing where this
    /// program itself cannot be looked at. `left_out` are folders that programs write to while they run.
    #[must_use]
    pub fn surroundings(&self, programs: &BTreeSet<String>, left_out: &[Utf8PathBuf]) -> Option<Digest> {
        let build = Identity::of(&std::fs::metadata("/proc/self/exe").ok()?);
        let (facts, tools) = (&self.facts, &self.facts.tools);
        let mut text = format!(
            "{build:?}\n{} {} {:?} {}\n{:?}\n{:?}\n{:?} {} {:?}\n{:?} {:?}\n{:?}\n",
            facts.backend,
            facts.data_dir,
            facts.recipes,
            facts.python,
            self.providers,
            facts.hosts,
            tools.python,
            tools.kernel,
            tools.cpu,
            facts.accel,
            facts.runtime,
            tools.emulators,
        );
        for program in programs {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{program} {:?}", tools.found(program));
        }
        let answers = tools.emulators.values().map(|emulator| &emulator.answers);
        for provider in &self.providers {
            shape(&provider.root, &WITHOUT_MODULES, left_out, &mut text);
            for folder in provider.deps_dirs(&facts.backend) {
                shape(&folder, &WITHOUT_SOURCES, left_out, &mut text);
            }
        }
        let folders = facts
            .recipes
            .iter()
            .chain(answers.flat_map(|answers| &answers.data_dirs));
        for folder in folders.collect::<BTreeSet<_>>() {
            shape(folder, &[], left_out, &mut text);
        }
        Some(Digest::of(text.as_bytes()))
    }

    /// The names of the programs that were looked for so far.
    #[must_use]
    pub fn programs(&self) -> BTreeSet<String> {
        self.facts.tools.looked_for()
    }

    /// Files beside its sources that the declaration of an action has read: what is kept of a test's modules' needs. Nothing
    /// where they could not be looked through.
    #[must_use]
    pub fn looked_into(&self, spec: &Spec) -> Option<Vec<Utf8PathBuf>> {
        let payload = spec.payload.downcast_ref::<TestPayload>();
        let Some(payload) = payload.filter(|_| self.facts.runtime.is_none()) else {
            return Some(Vec::new());
        };
        let kept = self.facts.survey.kept(payload.modules.files());
        (kept.len() == payload.modules.files().count()).then_some(kept)
    }
}

/// What there is below a folder but for folders called as in `without`, whatever it says. Links are followed: modules are
/// found behind them.
fn shape(folder: &Utf8Path, without: &[&str], left_out: &[Utf8PathBuf], text: &mut String) {
    let _ = writeln!(text, "{folder}");
    let wanted = |entry: &DirEntry| {
        let name = entry.file_name().to_str().unwrap_or_default();
        !without.contains(&name) && !left_out.iter().any(|path| entry.path() == path.as_std_path())
    };
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    for entry in entries.into_iter().filter_entry(wanted) {
        let _ = match entry {
            Ok(entry) => {
                let mode = entry
                    .metadata()
                    .map_or(0, |metadata| metadata.permissions().mode() & 0o111);
                let link = entry
                    .path_is_symlink()
                    .then(|| std::fs::read_link(entry.path()).ok());
                let kind = entry.file_type();
                let kind = (
                    kind.is_dir(),
                    kind.is_file(),
                    if kind.is_dir() { 0 } else { mode },
                );
                writeln!(text, "{} {kind:?} {link:?}", entry.path().display())
            }
            Err(error) => writeln!(text, "{error}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_kinds_and_links_count_and_content_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let now = || {
            let mut text = String::new();
            shape(root, &WITHOUT_MODULES, &[root.join("results")], &mut text);
            text
        };
        std::fs::create_dir_all(root.join("tests/.git")).unwrap();
        std::fs::write(root.join("tests/a.py"), "import b").unwrap();
        let first = now();
        std::fs::write(root.join("tests/a.py"), "import c").unwrap();
        std::fs::write(root.join("tests/.git/HEAD"), "").unwrap();
        std::fs::create_dir_all(root.join("results/job")).unwrap();
        assert_eq!(now(), first);
        let changes: [fn(&Utf8Path); 4] = [
            |root| std::fs::write(root.join("tests/b.py"), "").unwrap(),
            |root| std::os::unix::fs::symlink("tests", root.join("more")).unwrap(),
            |root| {
                std::fs::set_permissions(root.join("tests/b.py"), PermissionsExt::from_mode(0o755)).unwrap();
            },
            |root| std::fs::remove_file(root.join("tests/b.py")).unwrap(),
        ];
        let mut before = first;
        for change in changes {
            change(root);
            let after = now();
            assert_ne!(after, before);
            before = after;
        }
    }
}
