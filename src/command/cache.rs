//! `vtbuild cache`.

mod marks;

use std::fmt::Write;

use vtbuild_cache::{Gone, Limits, Stat, Store};

use super::{Output, print};
use crate::cli::{CacheArgs, CacheCommand, PlaceArgs};
use crate::collect::{self, bytes};
use crate::execution::open_store;
use crate::exit::{Exit, Failure};
use crate::report::seconds;
use crate::workspace::Workspace;

/// Looks at the cache, or makes it smaller.
pub fn cache(args: &CacheArgs) -> Result<Exit, Failure> {
    match &args.command {
        None => stat(&args.place, false),
        Some(CacheCommand::Stat { place, json }) => stat(place, *json),
        Some(CacheCommand::Gc {
            place,
            max_size,
            dry_run,
        }) => gc(place, max_size.as_deref(), *dry_run),
        Some(CacheCommand::Marks { place, json }) => marks::list(place, *json),
        Some(CacheCommand::Unmark { place, names, all }) => marks::unmark(place, names, *all),
        Some(CacheCommand::Verify { place }) => verify(place),
    }
}

fn stat(place: &PlaceArgs, json: bool) -> Result<Exit, Failure> {
    let workspace = Workspace::open_offline(place)?;
    let store = open_store(&workspace)?;
    let stat = store.stat(&collect::asides(&workspace.cache))?;
    let limit = collect::limit(&workspace, &store)?;
    print(&if json {
        stat_json(&store, &stat, limit)
    } else {
        stat_text(&store, &stat, limit)
    })?;
    Ok(Exit::Good)
}

fn stat_json(store: &Store, stat: &Stat, limit: u64) -> String {
    let kinds: Vec<_> = stat
        .kinds
        .iter()
        .map(|kind| {
            serde_json::json!({
                "kind": kind.name, "count": kind.count, "bytes": kind.bytes, "seconds": kind.seconds,
            })
        })
        .collect();
    let object = serde_json::json!({
        "dir": store.dir(), "bytes": occupied(stat), "limit_bytes": limit, "kinds": kinds,
        "blobs": stat.blobs, "blob_bytes": stat.blob_bytes, "records": stat.records,
        "labels": stat.labels, "files": stat.files, "index_bytes": stat.index_bytes,
        "quarantine_bytes": stat.quarantine_bytes,
    });
    format!("{object}\n")
}

fn stat_text(store: &Store, stat: &Stat, limit: u64) -> String {
    let mut text = format!(
        "CACHE      : {}\nOCCUPIED   : {} of {}\n",
        store.dir(),
        bytes(occupied(stat)),
        bytes(limit)
    );
    // Writing to a string cannot fail.
    for kind in &stat.kinds {
        let (size, again) = (bytes(kind.bytes), seconds(kind.seconds));
        let _ = writeln!(
            text,
            "  {size:>12}  {:>6} {}, {again} to make again",
            kind.count, kind.name
        );
    }
    let _ = write!(
        text,
        "RECORDS    : {}\nHISTORY    : {} actions\nFILES      : {} digests remembered\nINDEX      : {}\nQUARANTINE : {}\n",
        stat.records,
        stat.labels,
        stat.files,
        bytes(stat.index_bytes),
        bytes(stat.quarantine_bytes),
    );
    text
}

/// What can be collected.
fn occupied(stat: &Stat) -> u64 {
    stat.kinds.iter().map(|kind| kind.bytes).sum()
}

fn gc(place: &PlaceArgs, max_size: Option<&str>, dry_run: bool) -> Result<Exit, Failure> {
    let asked = max_size
        .map(|text| collect::size(text).ok_or_else(|| collect::no_size("--max-size", text)))
        .transpose()?;
    let workspace = Workspace::open_offline(place)?;
    let store = open_store(&workspace)?;
    let limit = match asked {
        Some(limit) => limit,
        None => collect::limit(&workspace, &store)?,
    };
    let report = store.gc(&Limits {
        asides: collect::asides(&workspace.cache),
        dry_run,
        ..Limits::of(limit)
    })?;
    let mut out = Output::new();
    for Gone {
        kind,
        name,
        bytes: size,
    } in &report.gone
    {
        let word = if dry_run { "would remove" } else { "removed" };
        if !out.write(&format!("{word} {kind} {name} ({})\n", bytes(*size)))? {
            return Ok(Exit::Good);
        }
    }
    out.write(&format!("{}\n", collect::summary(&report, limit)))?;
    out.finish()?;
    Ok(Exit::Good)
}

fn verify(place: &PlaceArgs) -> Result<Exit, Failure> {
    let store = open_store(&Workspace::open_offline(place)?)?;
    let (mut good, mut bad) = (0_usize, 0_usize);
    for digest in store.blobs()? {
        match store.verify_blob(&digest) {
            Ok(_) => good += 1,
            Err(error) => {
                bad += 1;
                print(&format!("{error}\n"))?;
            }
        }
    }
    print(&format!(
        "{good} blobs are what their digests say, {bad} are not\n"
    ))?;
    Ok(if bad == 0 { Exit::Good } else { Exit::Environment })
}
