//! Which of a provider's own files a Python module imports, found without running it.
//!
//! Every `import` and `from … import` statement counts, wherever it stands: in a function, under a condition, after a
//! semicolon. What is named in a way that only running can tell (`importlib.import_module(name)`) is not found here; the test
//! host reports every file that was really loaded, and that is checked too before a result is served again.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use camino::{Utf8Path, Utf8PathBuf};
use fancy_regex::Regex;

static STATEMENT: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = r"(?m)(?:^|[;:])[ \t]*(?:from[ \t]+(?P<from>\.*[\w.]*)[ \t]+import[ \t]*(?P<names>\([^)]*\)|[^\n#;]*)|import[ \t]+(?P<import>[^\n#;]+))";
    Regex::new(pattern).expect("a pattern of ours")
});

/// `module` and all files below `paths` that it imports, directly or through others, sorted. A file that cannot be read
/// counts, and imports nothing.
#[must_use]
pub fn imports_of(module: &Utf8Path, paths: &[Utf8PathBuf]) -> BTreeSet<Utf8PathBuf> {
    let mut found = BTreeSet::new();
    let mut queue = vec![module.to_owned()];
    while let Some(file) = queue.pop() {
        if !found.insert(file.clone()) {
            continue;
        }
        let text = std::fs::read(&file).unwrap_or_default();
        for name in names(&String::from_utf8_lossy(&text)) {
            queue.extend(files_of(&name, &file, paths));
        }
    }
    found
}

/// The dotted names that a text imports. `from a import b` may mean the module `a.b`: both are named.
fn names(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for statement in STATEMENT.captures_iter(text).flatten() {
        if let Some(list) = statement.name("import") {
            names.extend(listed(list.as_str()));
        }
        if let (Some(from), Some(list)) = (statement.name("from"), statement.name("names")) {
            let from = from.as_str();
            names.push(from.to_owned());
            let dot = if from.ends_with('.') { "" } else { "." };
            names.extend(listed(list.as_str()).map(|name| format!("{from}{dot}{name}")));
        }
    }
    names
}

fn listed(list: &str) -> impl Iterator<Item = String> {
    let names = list
        .trim()
        .trim_start_matches('(')
        .trim_end_matches(')')
        .split(',');
    names
        .filter_map(|name| name.split_whitespace().next())
        .map(str::to_owned)
}

/// The files that importing a dotted name in `importer` loads: the packages on the way and the module itself.
fn files_of(name: &str, importer: &Utf8Path, paths: &[Utf8PathBuf]) -> Vec<Utf8PathBuf> {
    let dots = name.len() - name.trim_start_matches('.').len();
    let parts: Vec<&str> = name
        .trim_start_matches('.')
        .split('.')
        .filter(|part| !part.is_empty())
        .collect();
    if dots > 0 {
        let base = importer.ancestors().nth(dots);
        return base.map(|base| loaded(base, &parts)).unwrap_or_default();
    }
    paths
        .iter()
        .map(|base| loaded(base, &parts))
        .find(|files| !files.is_empty())
        .unwrap_or_default()
}

fn loaded(base: &Utf8Path, parts: &[&str]) -> Vec<Utf8PathBuf> {
    let mut files = Vec::new();
    let mut folder = base.to_owned();
    for part in parts {
        let module = folder.join(format!("{part}.py"));
        folder = folder.join(part);
        let package = folder.join("__init__.py");
        let found = [package, module].into_iter().find(|file| file.is_file());
        if found.is_none() && !folder.is_dir() {
            break;
        }
        files.extend(found);
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_import_is_found() {
        let text = "import os, a.b as c\nfrom x import (y,\n  z as w)\ndef f():\n    from . import near; import far\n";
        let names = names(text);
        for name in ["os", "a.b", "x", "x.y", "x.z", ".near", "far"] {
            assert!(names.iter().any(|n| n == name), "{name} is not in {names:?}");
        }
    }

    #[test]
    fn imports_are_followed_inside_the_provider_alone() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        std::fs::create_dir_all(root.join("provider/sub")).unwrap();
        let write = |name: &str, text: &str| std::fs::write(root.join(name), text).unwrap();
        write("test.py", "import logging\nfrom provider import one\n");
        write("provider/__init__.py", "");
        write(
            "provider/one.py",
            "from .sub.two import f\nfrom provider.one import g\n",
        );
        write("provider/sub/two.py", "import nowhere\n");
        write("provider/other.py", "");
        let found = imports_of(&root.join("test.py"), &[root.to_owned()]);
        let names: Vec<_> = found
            .iter()
            .map(|file| file.strip_prefix(root).unwrap().as_str())
            .collect();
        assert_eq!(
            names,
            [
                "provider/__init__.py",
                "provider/one.py",
                "provider/sub/two.py",
                "test.py"
            ]
        );
    }
}
