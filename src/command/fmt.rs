//! `vtbuild fmt`.

use std::fs;
use std::io::{Read, Write};

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::format::{FormatError, format};

use super::{plural, print};
use crate::cli::FmtArgs;
use crate::exit::{Exit, Failure};
use crate::report::diagnostics;

/// The name that stands for standard input.
const STDIN: &str = "-";

/// Lays files out anew, or says which ones are not laid out so.
pub fn fmt(args: &FmtArgs) -> Result<Exit, Failure> {
    if args.files.iter().any(|file| file == STDIN) {
        return stdin(args);
    }
    let mut files = Vec::new();
    for path in &args.files {
        below(path, &mut files)?;
    }
    let mut changed = String::new();
    let mut errors = Vec::new();
    for file in &files {
        match one(file, args.check) {
            Ok(true) => changed.push_str(&format!("{file}\n")),
            Ok(false) => {}
            // The other files are laid out all the same.
            Err(failure) if failure.exit == Exit::Config => errors.push(failure.message),
            Err(failure) => return Err(failure),
        }
    }
    print(&changed)?;
    match (errors.is_empty(), args.check && !changed.is_empty()) {
        (false, _) => Err(Failure::config(errors.join("\n"))),
        (true, true) => Err(Failure::new(
            Exit::Failed,
            format!(
                "{} not in the canonical layout: `vtbuild fmt` mends that",
                plural(&changed.lines().count(), "file")
            ),
        )),
        (true, false) => Ok(Exit::Good),
    }
}

/// The configuration files that a path of the command line means.
fn below(path: &Utf8Path, files: &mut Vec<Utf8PathBuf>) -> Result<(), Failure> {
    if !path.is_dir() {
        if !path.is_file() {
            return Err(Failure::new(Exit::Usage, format!("there is no file {path}")));
        }
        files.push(path.to_owned());
        return Ok(());
    }
    let failed = |error| Failure::environment(format!("failed to read the folder {path}: {error}"));
    let mut inner = Vec::new();
    for entry in path.read_dir_utf8().map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let kind = entry.file_type().map_err(failed)?;
        let is_file = kind.is_file() && entry.path().extension() == Some("cfg");
        if is_file || (kind.is_dir() && !entry.file_name().starts_with('.')) {
            inner.push(entry.into_path());
        }
    }
    inner.sort();
    inner.iter().try_for_each(|path| below(path, files))
}

/// Lays one file out. Returns whether it was laid out otherwise before.
fn one(file: &Utf8Path, check: bool) -> Result<bool, Failure> {
    let text =
        fs::read(file).map_err(|error| Failure::environment(format!("failed to read {file}: {error}")))?;
    let laid_out = format(file.as_str(), &text).map_err(|error| refused(file.as_str(), &error))?;
    let changed = laid_out.as_bytes() != text;
    if changed && !check {
        replace(file, &laid_out)
            .map_err(|error| Failure::environment(format!("failed to write {file}: {error}")))?;
    }
    Ok(changed)
}

/// Puts a new text in a file's place: written beside it first, so that the file is never there by half.
fn replace(file: &Utf8Path, text: &str) -> std::io::Result<()> {
    // Through links: the file that is meant, not the link, is laid out.
    let file = file.canonicalize_utf8()?;
    let beside = file.with_extension(format!("cfg.{}", std::process::id()));
    let permissions = fs::metadata(&file)?.permissions();
    let mut out = fs::File::create(&beside)?;
    let written = out
        .write_all(text.as_bytes())
        .and_then(|()| out.set_permissions(permissions))
        .and_then(|()| fs::rename(&beside, &file));
    if written.is_err() {
        // What went wrong before is the better thing to tell.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn refused(file: &str, error: &FormatError) -> Failure {
    Failure::config(match error {
        FormatError::Broken(found) => diagnostics::render(found),
        error => format!("{file}: failed to {error}; it is left as it is"),
    })
}

fn stdin(args: &FmtArgs) -> Result<Exit, Failure> {
    if args.files.len() > 1 {
        return Err(Failure::new(
            Exit::Usage,
            "`-` means standard input and goes with no other file",
        ));
    }
    let mut text = Vec::new();
    std::io::stdin().lock().read_to_end(&mut text)?;
    let laid_out = format("<stdin>", &text).map_err(|error| refused("<stdin>", &error))?;
    if !args.check {
        print(&laid_out)?;
        return Ok(Exit::Good);
    }
    Ok(if laid_out.as_bytes() == text {
        Exit::Good
    } else {
        Exit::Failed
    })
}
