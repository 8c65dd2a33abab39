//! The language server's advice, renaming beyond configuration files, speed on a large set, and a client that others wrote.

#[path = "lsp/asks.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod asks;
#[path = "lsp/editor.rs"]
#[allow(dead_code, reason = "each test binary uses its own part")]
mod editor;
mod support;

use std::time::{Duration, Instant};

use asks::{code, edited, rename_params};
use camino::{Utf8Path, Utf8PathBuf};
use editor::{Editor, position, uri};
use lsp_types::{Diagnostic, DiagnosticSeverity, Position, Range, TextEdit};
use serde_json::{Value, json};
use support::{Sandbox, real_program, skipped};

/// How long an edit's mistakes may take to be told in a large set, by a build that is made to be fast.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The diagnostics of a version, once one with this code is among them.
fn until(editor: &mut Editor, path: &Utf8Path, version: i32, wanted: &str) -> Vec<Diagnostic> {
    loop {
        let found = editor.diagnostics(path, version);
        if found.iter().any(|one| code(one) == wanted) {
            return found;
        }
    }
}

fn shown(found: &[Diagnostic]) -> Vec<(&str, u32, DiagnosticSeverity)> {
    let one = |one| (code(one), one.range.start.line, one.severity.unwrap());
    found.iter().map(one).collect()
}

const HASTY: &str = "\
k = 1
k = 2
variants:
    - a:
        only nobody
    - b:
        x = 1
\tname = x
";

#[test]
fn advice_comes_when_the_editor_is_quiet_and_moves_with_the_text() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("own/hasty.cfg");
    let mut editor = Editor::open_advised(&sandbox);
    editor.open_text(&path, HASTY);
    assert_eq!(editor.diagnostics(&path, 1), [], "nothing is wrong with it");
    let found = until(&mut editor, &path, 1, "never-matches");
    let (warning, information) = (DiagnosticSeverity::WARNING, DiagnosticSeverity::INFORMATION);
    let shown_first = shown(&found);
    for expected in [
        ("shadowed-assignment", 0, warning),
        ("never-matches", 4, warning),
        ("tab", 7, warning),
        ("reserved-key", 7, information),
    ] {
        assert!(shown_first.contains(&expected), "{expected:?} in {shown_first:?}");
    }
    // At once what stood below moves down, and the edited line has no advice any more.
    let start = Position::new(1, 0);
    editor.change(&path, 2, Range::new(start, Position::new(1, 5)), "# k\n# = 2");
    let moved = editor.diagnostics(&path, 2);
    assert!(
        shown(&moved).contains(&("never-matches", 5, warning)),
        "{moved:?}"
    );
    // Then what is so no more is gone.
    let settled = loop {
        let found = editor.diagnostics(&path, 2);
        if found.iter().all(|one| code(one) != "shadowed-assignment") {
            break found;
        }
    };
    assert!(shown(&settled).contains(&("tab", 8, warning)), "{settled:?}");
    editor.quit();
}

#[test]
fn who_wants_no_advice_gets_none() {
    let sandbox = Sandbox::new();
    let path = sandbox.path("own/hasty.cfg");
    let mut editor = Editor::open_workspace(&sandbox);
    editor.open_text(&path, HASTY);
    assert_eq!(editor.diagnostics(&path, 1), []);
    std::thread::sleep(Duration::from_millis(1_500));
    // Whatever had been told before would come first.
    editor.change(&path, 2, Range::default(), "oops\n");
    assert_eq!(shown(&editor.diagnostics(&path, 2)).len(), 1);
    assert!(editor.has_heard_all(), "nothing was said beside that");
    editor.quit();
}

const TESTS: &str = "\
- one:
    type = plain
- two: one
    type = plain
";

const SETTINGS: &str = "\
bundled-tests = false
only = ['one..JeOS, (subtest=two)']
no = [\"two.\\u0074hree\"]
config = \"\"\"
two:
    naps = 1
\"\"\"

[params]
two = \"two\"
";

#[test]
fn renaming_reaches_the_filters_of_the_settings() {
    let sandbox = Sandbox::new();
    sandbox.provide(TESTS);
    sandbox.write("vtbuild.toml", SETTINGS);
    let (path, toml) = (
        sandbox.path("mine/generic/tests/cfg/all.cfg"),
        sandbox.path("vtbuild.toml"),
    );
    let mut editor = Editor::open_advised(&sandbox);
    editor.open(&path);
    editor.change(&path, 7, Range::default(), "");
    let params = serde_json::to_value(rename_params(&path, position(TESTS, "two", 0, 1), "second")).unwrap();
    let answer = editor.ask("textDocument/rename", params).unwrap();
    assert_eq!(answer.get("changes"), None, "{answer}");
    let changes = answer["documentChanges"].as_array().unwrap();
    let of = |path: &Utf8Path| -> (Value, Vec<TextEdit>) {
        let uri = uri(path);
        let file = changes
            .iter()
            .find(|file| file["textDocument"]["uri"] == uri.as_str());
        let file = file.unwrap_or_else(|| panic!("{path} in {answer}"));
        let edits = serde_json::from_value(file["edits"].clone()).unwrap();
        (file["textDocument"]["version"].clone(), edits)
    };
    let (version, edits) = of(&path);
    assert_eq!(
        (version, edited(TESTS, edits)),
        (json!(7), TESTS.replace("two", "second"))
    );
    let (version, edits) = of(&toml);
    let expected = SETTINGS
        .replace("=two)", "=second)")
        .replace("\"two.", "\"second.")
        .replace("\ntwo:", "\nsecond:");
    assert_eq!((version, edited(SETTINGS, edits)), (Value::Null, expected));
    assert_eq!(changes.len(), 2);
    editor.quit();
}

/// The large set beside this project, if the environment names one.
fn corpus() -> Option<Utf8PathBuf> {
    let folder = std::env::var("VTBUILD_CORPUS").ok()?;
    Some(Utf8PathBuf::from(folder).join("qemu/cfg")).filter(|folder| folder.is_dir())
}

#[test]
fn mistakes_in_a_large_set_are_told_at_once() {
    let Some(set) = corpus() else {
        return skipped("the language server on a large set: VTBUILD_CORPUS names no corpus");
    };
    let sandbox = Sandbox::new();
    for entry in set.read_dir_utf8().unwrap().flatten() {
        let text = std::fs::read_to_string(entry.path()).unwrap();
        sandbox.write(&format!("own/{}", entry.file_name()), &text);
    }
    let mut editor = Editor::open_advised(&sandbox);
    for (name, from) in [("subtests.cfg", 30_000), ("base.cfg", 200)] {
        let path = sandbox.path(&format!("own/{name}"));
        editor.open(&path);
        editor.diagnostics(&path, 1);
        let mut times = Vec::new();
        for version in (2..22).step_by(2) {
            let at = Position::new(from, 0);
            let started = Instant::now();
            editor.change(&path, version, Range::new(at, at), "oops\n");
            let found = editor.diagnostics(&path, version);
            times.push(started.elapsed());
            assert!(found.iter().any(|one| one.range.start.line == from), "{found:?}");
            editor.change(&path, version + 1, Range::new(at, Position::new(from + 1, 0)), "");
            editor.diagnostics(&path, version + 1);
        }
        times.sort();
        #[expect(clippy::print_stdout, reason = "a measurement, for who asks to see it")]
        {
            let (usual, worst) = (times[5], times[9]);
            println!("{name}: an edit's mistakes after {usual:?}, at worst {worst:?}");
        }
        if !cfg!(debug_assertions) {
            assert!(times[5] < AT_ONCE, "{name}: {times:?}");
        }
    }
    editor.quit();
}

#[test]
fn neovim_gets_along_with_it() {
    if real_program("nvim").is_none() {
        return skipped("the language server in Neovim: there is no nvim");
    }
    let sandbox = Sandbox::new();
    sandbox.write("own/main.cfg", asks::MAIN);
    sandbox.write("own/guests.cfg", asks::GUESTS);
    sandbox.write("drive.lua", include_str!("lsp/neovim.lua"));
    let mut command = sandbox.command("nvim");
    command
        .args(["--headless", "-u", "NONE", "-i", "NONE", "-n"])
        .args(["-c", "luafile drive.lua", "own/main.cfg"])
        .env("VTBUILD", env!("CARGO_BIN_EXE_vtbuild"));
    let output = command.output().unwrap();
    assert!(sandbox.path("report.json").exists(), "{output:?}");
    let report: Value = serde_json::from_str(&sandbox.read("report.json")).unwrap();
    assert_eq!(report["failed"], Value::Null, "{report}");
    // A mistake was typed behind the last line, and told at its place.
    assert_eq!(report["mistake"]["lnum"], 11, "{report}");
    assert_eq!(report["mistake"]["severity"], 1);
    assert_eq!(report["left"], 0, "its correction cleared it");
    assert!(
        report["definition"]
            .as_str()
            .unwrap()
            .ends_with("own/guests.cfg:2"),
        "{report}"
    );
    assert!(
        report["hover"].as_str().unwrap().contains("variant small"),
        "{report}"
    );
    // It has applied what it was told, in both files, and written neither.
    let joined = |name: &str| report[name].as_str().unwrap().to_owned() + "\n";
    assert_eq!(joined("main"), asks::MAIN.replace("small", "tiny"));
    assert_eq!(joined("guests"), asks::GUESTS.replace("small", "tiny"));
    assert_eq!(sandbox.read("own/main.cfg"), asks::MAIN);
    assert_eq!(report["code"], 0, "the server ends well");
}
