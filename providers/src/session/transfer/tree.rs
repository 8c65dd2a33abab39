//! The copying routine, over two trees that may be anywhere.

use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Copied, TransferError, TransferOptions, glob};

/// Deeper than any real tree.
const DEEPEST: usize = 100;
/// Large, so that sftp keeps many requests on the way at once.
const BLOCK: usize = 1 << 20;

/// What stands at a path, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File { mode: u32, size: u64 },
    Directory { mode: u32 },
    Special,
}

/// One side of a copy.
pub(super) trait Tree {
    /// "host" or "guest".
    fn side(&self) -> &'static str;
    /// What is there; `None` where nothing is.
    fn kind(&self, path: &str) -> Result<Option<Kind>, TransferError>;
    /// The names in a directory, without `.` and `..`, in any order. Not checked yet.
    fn list(&self, directory: &str) -> Result<Vec<String>, TransferError>;
    /// Makes a directory that its owner may write to.
    fn make_directory(&self, path: &str) -> Result<(), TransferError>;
    fn reader<'a>(&'a self, path: &str) -> Result<Box<dyn Read + 'a>, TransferError>;
    fn writer<'a>(&'a self, path: &str, size: u64) -> Result<Box<dyn Sink + 'a>, TransferError>;
    fn set_mode(&self, path: &str, mode: u32) -> Result<(), TransferError>;
    /// When a file was last changed, in seconds since 1970, where that is asked of this side.
    fn modified(&self, _path: &str) -> Option<u32> {
        None
    }
    /// Sets what [`Tree::modified`] told of the other side.
    fn set_modified(&self, path: &str, seconds: u32) -> Result<(), TransferError>;
}

/// A file being written.
pub(super) trait Sink: Write {
    /// Makes sure that all of it arrived.
    fn finish(self: Box<Self>) -> std::io::Result<()>;
}

/// Counts what goes by, holds it back to the rate, and stops it at the deadline.
pub(super) struct Meter {
    files: AtomicU64,
    bytes: AtomicU64,
    started: Instant,
    deadline: Instant,
    options: TransferOptions,
}

impl Meter {
    pub(super) fn new(deadline: Instant, options: TransferOptions) -> Self {
        Self {
            files: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            started: Instant::now(),
            deadline,
            options,
        }
    }

    pub(super) fn copied(&self) -> Copied {
        Copied {
            files: self.files.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
        }
    }

    pub(super) fn timeout(&self) -> TransferError {
        TransferError::Timeout {
            patience: self.options.patience,
            done: self.copied(),
        }
    }

    fn check(&self) -> Result<(), TransferError> {
        if Instant::now() >= self.deadline {
            Err(self.timeout())
        } else {
            Ok(())
        }
    }

    fn pass(&self, bytes: u64) -> Result<(), TransferError> {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if let Some(rate) = self.options.rate.filter(|rate| *rate > 0) {
            let due = self.started + Duration::from_secs_f64(total as f64 / rate as f64);
            std::thread::sleep(due.min(self.deadline).saturating_duration_since(Instant::now()));
        }
        self.check()
    }

    fn block(&self) -> usize {
        // A limited copy goes in small steps, ten a second or more.
        self.options
            .rate
            .map_or(BLOCK, |rate| (rate / 10).clamp(1 << 10, BLOCK as u64) as usize)
    }
}

/// Copies `source`, a path or a pattern, to `target` as `scp -r` would.
pub(super) fn copy(
    from: &dyn Tree,
    source: &str,
    to: &dyn Tree,
    target: &str,
    meter: &Meter,
) -> Result<(), TransferError> {
    let sources = expand(from, source)?;
    let into_directory = matches!(to.kind(target)?, Some(Kind::Directory { .. }));
    if !into_directory && (sources.len() > 1 || target.ends_with('/')) {
        return Err(TransferError::NoDirectory {
            side: to.side(),
            path: target.to_owned(),
        });
    }
    for source in &sources {
        let target = if into_directory {
            target_in(from, source, target)?
        } else {
            target.to_owned()
        };
        copy_one(Route { from, to, meter }, source, &target, 0)?;
    }
    Ok(())
}

/// The paths that a source stands for. A file that is called like a pattern is itself.
fn expand(tree: &dyn Tree, source: &str) -> Result<Vec<String>, TransferError> {
    let none = || TransferError::NoSource {
        side: tree.side(),
        pattern: source.to_owned(),
    };
    if tree.kind(source)?.is_some() {
        return Ok(vec![source.to_owned()]);
    }
    if !glob::is_pattern(source) {
        return Err(none());
    }
    let (root, parts) = match source.strip_prefix('/') {
        Some(rest) => ("/", rest),
        None => ("", source),
    };
    let mut found = vec![root.to_owned()];
    for part in parts.split('/').filter(|part| !part.is_empty()) {
        found = expand_part(tree, &found, part)?;
    }
    if found.is_empty() { Err(none()) } else { Ok(found) }
}

fn expand_part(tree: &dyn Tree, bases: &[String], part: &str) -> Result<Vec<String>, TransferError> {
    let mut found = Vec::new();
    for base in bases {
        if !glob::is_pattern(part) {
            found.push(join(base, part));
            continue;
        }
        let directory = if base.is_empty() { "." } else { base };
        if matches!(tree.kind(directory)?, Some(Kind::Directory { .. })) {
            let fitting = names(tree, directory)?
                .into_iter()
                .filter(|name| glob::fits(part, name));
            found.extend(fitting.map(|name| join(base, &name)));
        }
    }
    let mut present = Vec::new();
    for path in found {
        if tree.kind(&path)?.is_some() {
            present.push(path);
        }
    }
    Ok(present)
}

/// A directory's names, checked and sorted.
fn names(tree: &dyn Tree, directory: &str) -> Result<Vec<String>, TransferError> {
    let mut names = tree.list(directory)?;
    for name in &names {
        if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
            let (directory, name) = (directory.to_owned(), name.clone());
            return Err(TransferError::BadName {
                side: tree.side(),
                directory,
                name,
            });
        }
    }
    names.sort();
    Ok(names)
}

/// Where in the directory `target` a source goes: under its last name, or all over it for `.`.
fn target_in(from: &dyn Tree, source: &str, target: &str) -> Result<String, TransferError> {
    match source
        .trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap_or_default()
    {
        "" | "." => Ok(target.to_owned()),
        ".." => Err(TransferError::BadName {
            side: from.side(),
            directory: source.to_owned(),
            name: "..".to_owned(),
        }),
        name => Ok(join(target, name)),
    }
}

fn join(base: &str, name: &str) -> String {
    if base.is_empty() || base.ends_with('/') {
        format!("{base}{name}")
    } else {
        format!("{base}/{name}")
    }
}

#[derive(Clone, Copy)]
struct Route<'a> {
    from: &'a dyn Tree,
    to: &'a dyn Tree,
    meter: &'a Meter,
}

fn copy_one(route: Route<'_>, source: &str, target: &str, depth: usize) -> Result<(), TransferError> {
    route.meter.check()?;
    let side = route.from.side();
    match route.from.kind(source)? {
        Some(Kind::File { mode, size }) => {
            copy_file(route, source, target, size)?;
            route.to.set_mode(target, mode)?;
            match route
                .meter
                .options
                .times
                .then(|| route.from.modified(source))
                .flatten()
            {
                Some(seconds) => route.to.set_modified(target, seconds),
                None => Ok(()),
            }
        }
        Some(Kind::Directory { .. }) if depth > DEEPEST => Err(TransferError::TooDeep {
            side,
            path: source.to_owned(),
        }),
        Some(Kind::Directory { mode }) => copy_directory(route, source, target, mode, depth),
        Some(Kind::Special) => Err(TransferError::Special {
            side,
            path: source.to_owned(),
        }),
        None => Err(TransferError::NoSource {
            side,
            pattern: source.to_owned(),
        }),
    }
}

fn copy_directory(
    route: Route<'_>,
    source: &str,
    target: &str,
    mode: u32,
    depth: usize,
) -> Result<(), TransferError> {
    let names = names(route.from, source)?;
    match route.to.kind(target)? {
        Some(Kind::Directory { .. }) => {}
        Some(_) => {
            return Err(TransferError::NoDirectory {
                side: route.to.side(),
                path: target.to_owned(),
            });
        }
        None => route.to.make_directory(target)?,
    }
    for name in names {
        copy_one(route, &join(source, &name), &join(target, &name), depth + 1)?;
    }
    // Last, because the mode may forbid writing.
    route.to.set_mode(target, mode)
}

fn copy_file(route: Route<'_>, source: &str, target: &str, size: u64) -> Result<(), TransferError> {
    let Route { from, to, meter } = route;
    let read_failed = |error: std::io::Error| file_error(from.side(), "read", source, &error);
    let write_failed = |error: std::io::Error| file_error(to.side(), "write", target, &error);
    let mut reader = from.reader(source)?;
    let mut writer = to.writer(target, size)?;
    let mut block = vec![0; meter.block()];
    loop {
        let count = reader.read(&mut block).map_err(read_failed)?;
        if count == 0 {
            break;
        }
        writer.write_all(&block[..count]).map_err(write_failed)?;
        meter.pass(count as u64)?;
    }
    writer.finish().map_err(write_failed)?;
    meter.files.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

pub(super) fn file_error(
    side: &'static str,
    what: &'static str,
    path: &str,
    reason: &dyn std::fmt::Display,
) -> TransferError {
    TransferError::File {
        side,
        what,
        path: path.to_owned(),
        reason: reason.to_string(),
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
