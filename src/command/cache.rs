//! `vtbuild cache`.

mod marks;

use vtbuild_engine::shelf::Shelf;
use vtbuild_rules::state;

use super::{plural, print};
use crate::cli::{CacheArgs, CacheCommand, PlaceArgs};
use crate::execution::open_store;
use crate::exit::{Exit, Failure};
use crate::wiring::states_dir;
use crate::workspace::Workspace;

/// Looks at the cache, or makes it smaller.
pub fn cache(args: &CacheArgs) -> Result<Exit, Failure> {
    match &args.command {
        CacheCommand::Stat { place, json } => stat(place, *json),
        CacheCommand::Gc { place, max_size } => gc(place, max_size),
        CacheCommand::Marks { place, json } => marks::list(place, *json),
        CacheCommand::Unmark { place, names, all } => marks::unmark(place, names, *all),
        CacheCommand::Verify { place } => verify(place),
    }
}

fn stat(place: &PlaceArgs, json: bool) -> Result<Exit, Failure> {
    let store = open_store(&Workspace::open_offline(place)?)?;
    let stat = store.stat()?;
    let states = state::unpacked_bytes(&states_dir(store.dir()));
    if json {
        let object = serde_json::json!({
            "dir": store.dir(), "blobs": stat.blobs, "blob_bytes": stat.blob_bytes, "records": stat.records,
            "labels": stat.labels, "files": stat.files, "index_bytes": stat.index_bytes,
            "quarantine_bytes": stat.quarantine_bytes, "state_bytes": states,
        });
        print(&format!("{object}\n"))?;
        return Ok(Exit::Good);
    }
    print(&format!(
        "CACHE      : {}\nBLOBS      : {} ({})\nRECORDS    : {}\nHISTORY    : {} actions\nFILES      : {} digests remembered\nINDEX      : {}\nQUARANTINE : {}\nSTATES     : {} of guests at hand\n",
        store.dir(),
        stat.blobs,
        bytes(stat.blob_bytes),
        stat.records,
        stat.labels,
        stat.files,
        bytes(stat.index_bytes),
        bytes(stat.quarantine_bytes),
        bytes(states),
    ))?;
    Ok(Exit::Good)
}

fn gc(place: &PlaceArgs, max_size: &str) -> Result<Exit, Failure> {
    let limit = size(max_size).ok_or_else(|| {
        Failure::new(
            Exit::Usage,
            format!("--max-size {max_size} is no size; write it like 500M or 20G"),
        )
    })?;
    let workspace = Workspace::open_offline(place)?;
    let store = open_store(&workspace)?;
    // What is at hand of guests' states is made again from their blobs in a second, so it goes first.
    let states = states_dir(&workspace.cache);
    let at_hand = state::unpacked_bytes(&states);
    let over = (store.stat()?.blob_bytes + at_hand).saturating_sub(limit);
    let freed = state::collect(&states, over);
    let report = store.gc(limit.saturating_sub(at_hand - freed.min(at_hand)), &|_| false)?;
    let programs = Shelf::new(&workspace.cache).collect();
    let mut text = format!(
        "removed {} blobs and {} records: {} -> {}; they took {:.0} s to make\n",
        report.blobs_removed,
        report.records_removed,
        bytes(report.before_bytes),
        bytes(report.after_bytes),
        report.lost_seconds,
    );
    if freed > 0 {
        text.push_str(&format!(
            "removed {} of guests' states that were at hand\n",
            bytes(freed)
        ));
    }
    if programs > 0 {
        text.push_str(&format!(
            "removed {} that nobody has used for a week\n",
            plural(&programs, "read configuration")
        ));
    }
    if report.after_bytes > limit {
        text.push_str(&format!(
            "still above {max_size}: {} blobs are in use or too young to go\n",
            report.in_use
        ));
    }
    print(&text)?;
    Ok(Exit::Good)
}

/// A size as people read it.
fn bytes(bytes: u64) -> String {
    indicatif::BinaryBytes(bytes).to_string()
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

/// A size in bytes from text such as `20G`; powers of 1024.
fn size(text: &str) -> Option<u64> {
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

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_powers_of_1024() {
        assert_eq!(size("20G"), Some(20 << 30));
        assert_eq!(size("512k"), Some(512 << 10));
        assert_eq!(size("7"), Some(7));
        for wrong in ["", "G", "1X", "-1M", "99999999999T"] {
            assert_eq!(size(wrong), None, "{wrong}");
        }
    }
}
