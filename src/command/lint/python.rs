//! Mistakes in a provider's Python, as `ruff` finds them where it is installed.

use std::process::Command;

use camino::{Utf8Path, Utf8PathBuf};
use serde::Deserialize;
use vtbuild_cfg::{Class, Diagnostic, Location, Severity};
use vtbuild_providers::qemu::find_program;

/// The code of these findings.
const CODE: &str = "python";
/// What is looked for where a provider does not say so itself: syntax errors, unknown names and the like, no style.
const RULES: &str = "E9,F";
/// Files in which a provider would say so.
const SETTINGS: [&str; 3] = ["ruff.toml", ".ruff.toml", "pyproject.toml"];
/// Where it comes from.
const MISSING: &str =
    "Python files were not looked at: ruff is not there (`pip install ruff`, or your distribution's package)";

/// One finding, as ruff's JSON has it.
#[derive(Deserialize)]
struct Finding {
    code: Option<String>,
    filename: Utf8PathBuf,
    location: Option<At>,
    message: String,
}

#[derive(Deserialize)]
struct At {
    row: u32,
    column: u32,
}

/// What was found in some folders, and why there may be more.
#[derive(Default)]
pub struct Findings {
    /// In the order of files and lines.
    pub found: Vec<Diagnostic>,
    /// What kept us from looking, in one line.
    pub note: Option<String>,
}

/// Looks through the Python files below the folders.
pub fn look(folders: &[Utf8PathBuf], workspace: &Utf8Path) -> Findings {
    let mut findings = Findings::default();
    let folders: Vec<&Utf8PathBuf> = folders.iter().filter(|folder| has_python(folder)).collect();
    if folders.is_empty() {
        return findings;
    }
    let Some(ruff) = find_program("ruff") else {
        findings.note = Some(MISSING.into());
        return findings;
    };
    for folder in folders {
        match check(&ruff, folder, workspace) {
            Ok(found) => findings.found.extend(found),
            Err(problem) => {
                findings.note = Some(format!("Python files were not looked at: failed to {problem}"));
            }
        }
    }
    findings
}

fn has_python(folder: &Utf8Path) -> bool {
    let entries = folder.read_dir_utf8().into_iter().flatten().flatten();
    entries
        .map(camino::Utf8DirEntry::into_path)
        .any(|path| match path.symlink_metadata() {
            Ok(meta) if meta.is_dir() => has_python(&path),
            _ => path.extension() == Some("py"),
        })
}

fn check(ruff: &Utf8Path, folder: &Utf8Path, workspace: &Utf8Path) -> Result<Vec<Diagnostic>, String> {
    let mut command = Command::new(ruff);
    command.args(["check", "--output-format", "json", "--no-cache", "--quiet"]);
    if !has_settings(folder, workspace) {
        command.args(["--isolated", "--select", RULES]);
    }
    let output = command
        .arg(folder)
        .output()
        .map_err(|error| format!("run {ruff}: {error}"))?;
    let found: Vec<Finding> = serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        format!(
            "run {ruff}: it ended with {} and said: {}",
            output.status,
            said.trim()
        )
    })?;
    let mut found: Vec<Diagnostic> = found.into_iter().map(diagnostic).collect();
    let at = |it: &Diagnostic| (it.location.file.clone(), it.location.line, it.location.column);
    found.sort_by_key(at);
    Ok(found)
}

/// Whether the folder, or one above it in the workspace, has settings of its own.
fn has_settings(folder: &Utf8Path, workspace: &Utf8Path) -> bool {
    let above = folder
        .ancestors()
        .take_while(|dir| *dir == folder || dir.starts_with(workspace));
    let says = |path: Utf8PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        !path.ends_with("pyproject.toml") && path.exists() || text.contains("[tool.ruff")
    };
    above
        .flat_map(|dir| SETTINGS.map(|name| dir.join(name)))
        .any(says)
}

fn diagnostic(finding: Finding) -> Diagnostic {
    let at = finding.location.unwrap_or(At { row: 1, column: 1 });
    let code = finding
        .code
        .map(|code| format!(" (ruff {code})"))
        .unwrap_or_default();
    Diagnostic {
        severity: Severity::Warning,
        class: Class::Other,
        code: CODE,
        message: format!("{}{code}", finding.message),
        location: Location {
            file: finding.filename.as_str().into(),
            line: at.row,
            column: at.column,
            length: 1,
            bytes: 0..0,
            text: String::new(),
        },
        help: None,
        notes: Vec::new(),
        included_from: Vec::new(),
        missing: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn findings_of_any_age_of_ruff_are_understood() {
        let text = r#"[
            {"code": "F821", "filename": "/p/a.py", "location": {"row": 3, "column": 5}, "message": "Undefined name `x`", "cell": null, "new": {}},
            {"code": null, "filename": "/p/b.py", "location": {"row": 1, "column": 7}, "message": "SyntaxError: Expected ')'"}
        ]"#;
        let found: Vec<Finding> = serde_json::from_str(text).unwrap();
        let shown: Vec<String> = found
            .into_iter()
            .map(diagnostic)
            .map(|it| {
                format!(
                    "{}:{}:{} {}",
                    it.location.file, it.location.line, it.location.column, it.message
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/p/a.py:3:5 Undefined name `x` (ruff F821)",
                "/p/b.py:1:7 SyntaxError: Expected ')'"
            ]
        );
    }

    #[test]
    fn settings_of_a_provider_stand() {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap();
        let provider = root.join("mine");
        std::fs::create_dir_all(&provider).unwrap();
        assert!(!has_settings(&provider, root));
        std::fs::write(root.join("pyproject.toml"), "[project]\n").unwrap();
        assert!(!has_settings(&provider, root));
        std::fs::write(root.join("pyproject.toml"), "[tool.ruff.lint]\n").unwrap();
        assert!(has_settings(&provider, root));
        std::fs::remove_file(root.join("pyproject.toml")).unwrap();
        std::fs::write(provider.join(".ruff.toml"), "").unwrap();
        assert!(has_settings(&provider, root));
    }
}
