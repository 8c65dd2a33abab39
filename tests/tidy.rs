//! House rules that a compiler does not check: documented modules, files and functions that fit a head, printing only where
//! people are spoken to, and a text that speaks of the project alone.

use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// Lines of a file, its unit tests included.
const FILE_LINES: usize = 600;
/// Lines of a function.
const FUNCTION_LINES: usize = 80;

fn root() -> &'static Utf8Path {
    Utf8Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Utf8Path, ending: &str) -> Vec<Utf8PathBuf> {
    let skipped =
        |name: &str| ["target", ".git", "node_modules", "__pycache__", "job-results"].contains(&name);
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter();
    walk.filter_entry(|entry| !skipped(&entry.file_name().to_string_lossy()))
        .flatten()
        .filter(|entry| entry.file_type().is_file())
        .filter_map(|entry| Utf8PathBuf::from_path_buf(entry.into_path()).ok())
        .filter(|path| path.as_str().ends_with(ending))
        .collect()
}

fn sources() -> Vec<(Utf8PathBuf, String)> {
    let read = |path: Utf8PathBuf| {
        let text = fs::read_to_string(&path).expect("a source file is UTF-8");
        (
            path.strip_prefix(root()).expect("below the root").to_owned(),
            text,
        )
    };
    let found: Vec<_> = files_below(root(), ".rs").into_iter().map(read).collect();
    assert!(found.len() > 50, "only {} source files were found", found.len());
    found
}

fn fail_if_any(what: &str, wrong: &[String]) {
    assert!(wrong.is_empty(), "{what}:\n  {}", wrong.join("\n  "));
}

#[test]
fn every_module_says_what_it_is_for() {
    let undocumented =
        |(path, text): (Utf8PathBuf, String)| (!text.starts_with("//!")).then(|| path.to_string());
    let wrong: Vec<String> = sources().into_iter().filter_map(undocumented).collect();
    fail_if_any("modules without `//!` docs on their first line", &wrong);
}

#[test]
fn files_stay_small() {
    let long = |(path, text): (Utf8PathBuf, String)| {
        let lines = text.lines().count();
        (lines > FILE_LINES).then(|| format!("{path}: {lines} lines"))
    };
    let wrong: Vec<String> = sources().into_iter().filter_map(long).collect();
    fail_if_any(
        &format!("files longer than {FILE_LINES} lines: each is probably two rooms"),
        &wrong,
    );
}

/// Collects functions that are too long.
struct Functions<'a> {
    path: &'a Utf8Path,
    long: Vec<String>,
}

impl Functions<'_> {
    fn measure(&mut self, name: &syn::Ident, block: &syn::Block) {
        let span = block.span();
        let lines = span.end().line - span.start().line + 1;
        if lines > FUNCTION_LINES {
            self.long.push(format!(
                "{}:{}: `{name}` has {lines} lines",
                self.path,
                span.start().line
            ));
        }
    }
}

impl<'ast> Visit<'ast> for Functions<'_> {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.measure(&function.sig.ident, &function.block);
        visit::visit_impl_item_fn(self, function);
    }
}

#[test]
fn functions_stay_small() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut functions = Functions {
            path: &path,
            long: Vec::new(),
        };
        functions.visit_file(&file);
        wrong.append(&mut functions.long);
    }
    fail_if_any(&format!("functions longer than {FUNCTION_LINES} lines"), &wrong);
}

#[test]
fn only_the_program_prints() {
    let prints = ["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("];
    let may = |path: &Utf8Path| {
        let part = |name: &str| path.components().any(|component| component.as_str() == name);
        part("tests") || part("tests.rs") || part("benches") || part("examples") || path == "build.rs"
    };
    let mut wrong = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| !may(path)) {
        let lines = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.trim_start().starts_with("//"));
        let found = lines.filter(|(_, line)| prints.iter().any(|print| line.contains(print)));
        wrong.extend(found.map(|(number, _)| format!("{path}:{number}")));
    }
    fail_if_any(
        "printing outside `src/report` and `src/command` (use a reporter)",
        &wrong,
    );
}

#[test]
fn nothing_is_left_unfinished() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("unimpl", "emented!("),
        concat!("to", "do!("),
    ];
    let mut wrong = Vec::new();
    let texts = [".rs", ".py", ".md", ".sh", ".cfg", ".toml"];
    for path in texts.iter().flat_map(|ending| files_below(root(), ending)) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let found = (1..)
            .zip(text.lines())
            .filter(|(_, line)| marks.iter().any(|mark| line.contains(mark)));
        let own = path.ends_with("tests/tidy.rs")
            || path.ends_with("clippy.toml")
            || path == root().join("Cargo.toml");
        wrong.extend(
            found
                .filter(|_| !own)
                .map(|(number, _)| format!("{path}:{number}")),
        );
    }
    fail_if_any("work left unfinished", &wrong);
}

#[test]
fn links_inside_the_docs_lead_somewhere() {
    let mut wrong = Vec::new();
    for path in files_below(root(), ".md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            let outside = file.is_empty() || file.contains("://") || file.contains(' ');
            if !outside && !path.parent().unwrap_or(root()).join(file).exists() {
                wrong.push(format!("{path}: {target}"));
            }
        }
    }
    fail_if_any("dead links", &wrong);
}
