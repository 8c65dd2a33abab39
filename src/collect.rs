//! How large the cache may be, what lies in it beside results, and the collection at the end of a run.

use std::time::Duration;

use camino::Utf8Path;
use vtbuild_cache::{Aside, Limits, MadeAgain, Report, Store};

use crate::command::{note, plural, warn};
use crate::exit::{Exit, Failure};
use crate::recall;
use crate::report::seconds;
use crate::workspace::Workspace;

/// How large a cache may be where nobody says, in bytes. On a small disk it is half of what is free or occupied by it.
pub const USUAL: u64 = 20 << 30;

/// How many results are named that were made again.
const NAMED: usize = 3;

/// What lies in a cache beside results, and about how long it takes to make it again.
pub fn asides(cache: &Utf8Path) -> Vec<Aside> {
    let aside = |kind, folder: &str, seconds, seconds_a_mib| Aside {
        kind,
        folder: cache.join(folder),
        seconds,
        seconds_a_mib,
    };
    vec![
        // Fetched again over a network, of which nobody knows how quick it is.
        aside("mirror of a provider", "providers/mirrors", 5.0, 1.0),
        aside("checkout of a provider", "providers/checkouts", 0.5, 0.02),
        aside("guest state at hand", "states", 1.0, 0.002),
        aside("unpacked packages", "trees", 0.5, 0.05),
        aside("answers of QEMU", "probes", 1.0, 0.0),
        aside("needs of tests", "needs", 0.2, 0.0),
        aside("read configuration", "programs", 1.5, 0.0),
        aside("notes of what passed", recall::FOLDER, 2.0, 1.0),
        aside("files of this program", "bundled", 0.3, 0.0),
    ]
}

/// How large the cache of a workspace may be, in bytes: asked for on the command line, else by `cache-size` in vtbuild.toml,
/// else the usual.
pub fn limit(workspace: &Workspace, store: &Store) -> Result<u64, Failure> {
    let asked = workspace.cache_size.as_deref().map(|text| ("--cache-size", text));
    let settings = workspace.settings.cache_size.as_deref();
    if let Some((what, text)) = asked.or(settings.map(|text| ("cache-size in vtbuild.toml", text))) {
        return size(text).ok_or_else(|| no_size(what, text));
    }
    let free = rustix::fs::statvfs(workspace.cache.as_std_path());
    let free = free.map_or(u64::MAX, |found| found.f_bavail.saturating_mul(found.f_frsize));
    let occupied = store.bytes(&asides(&workspace.cache))?;
    Ok(USUAL.min(free.saturating_add(occupied) / 2))
}

/// A text that should be a size and is none.
pub fn no_size(what: &str, text: &str) -> Failure {
    let message = format!("{what} {text} is no size; write it like 500M or 20G");
    Failure::new(Exit::Usage, message)
}

/// A size in bytes from text such as `20G`; powers of 1024.
pub fn size(text: &str) -> Option<u64> {
    let (number, unit) = match text.char_indices().last()? {
        (at, unit) if unit.is_ascii_alphabetic() => (&text[..at], unit.to_ascii_uppercase()),
        _ => (text, 'B'),
    };
    let shift = match unit {
        'B' => 0,
        'K' => 10,
        'M' => 20,
        'G' => 30,
        'T' => 40,
        _ => return None,
    };
    number.trim().parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// A size as people read it.
pub fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
}

/// Makes the cache as small as it should be once a run has put something into it. What went wrong with that is no failure
/// of the run.
pub fn after_run(workspace: &Workspace, store: &Store) {
    if let Err(failure) = collect(workspace, store) {
        warn(&format!("the cache was not made smaller: {}", failure.message));
    }
}

fn collect(workspace: &Workspace, store: &Store) -> Result<(), Failure> {
    let again = store.made_again();
    let limit = limit(workspace, store)?;
    let limits = Limits {
        asides: asides(&workspace.cache),
        ..Limits::of(limit)
    };
    if store.bytes(&limits.asides)? <= limit {
        return Ok(());
    }
    let report = store.gc(&limits)?;
    if !report.gone.is_empty() {
        note(&summary(&report, limit));
    }
    if !again.is_empty() {
        warn(&thrash(&again, limit, report.before_bytes));
    }
    Ok(())
}

/// What a collection did, in one line.
pub fn summary(report: &Report, limit: u64) -> String {
    let freed = report.before_bytes - report.after_bytes;
    let mut text = format!(
        "cache: collected {} ({}, {} to make again); {} of {} are occupied",
        plural(&report.gone.len(), "thing"),
        bytes(freed),
        seconds(report.lost_seconds),
        bytes(report.after_bytes),
        bytes(limit),
    );
    if report.after_bytes > limit {
        text.push_str(&format!(
            ", the rest is in use or was within the last ten minutes ({})",
            plural(&report.in_use, "thing")
        ));
    }
    text
}

/// That the cache is too small, how that shows, and what would do.
fn thrash(again: &[MadeAgain], limit: u64, needed: u64) -> String {
    let named = again.iter().take(NAMED).map(|made| {
        let (label, took, ago) = (&made.label, seconds(made.seconds), age(made.ago));
        format!("{label} ({took}, collected {ago} ago)")
    });
    let named: Vec<String> = named.collect();
    let more = match again.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let lost: f64 = again.iter().map(|made| made.seconds).sum();
    format!(
        "the cache is too small: {} that it had collected took {} to make again: {}{more}\n  its limit is {}; {} would have kept all of it: --cache-size {}, or cache-size in vtbuild.toml",
        plural(&again.len(), "result"),
        seconds(lost),
        named.join(", "),
        bytes(limit),
        bytes(needed),
        round_up(needed),
    )
}

fn age(ago: Duration) -> String {
    match ago.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds / 60),
        seconds @ 7200..172_800 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// The next larger size that is quickly written.
fn round_up(bytes: u64) -> String {
    let (unit, name) = if bytes > 2 << 30 { (30, "G") } else { (20, "M") };
    format!("{}{name}", (bytes >> unit) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("20G"), Some(20 << 30));
        assert_eq!(size("512k"), Some(512 << 10));
        assert_eq!(size("7"), Some(7));
        for wrong in ["", "G", "1X", "-1M", "99999999999T"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_cache_that_is_too_small_says_what_would_do() {
        let made = |label: &str| MadeAgain {
            label: label.to_owned(),
            seconds: 30.0,
            ago: Duration::from_secs(7300),
        };
        let again = ["a", "b", "c", "d"].map(made);
        let text = thrash(&again, 1 << 30, (5 << 30) + 1);
        for part in [
            "4 results",
            "a (30.00 s, collected 2 h ago)",
            "and 1 more",
            "--cache-size 6G",
        ] {
            assert!(text.contains(part), "{part} is missing from {text}");
        }
        assert_eq!(round_up(1 << 30), "1025M");
    }
}
