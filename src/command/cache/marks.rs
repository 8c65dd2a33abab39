//! `vtbuild cache marks` and `unmark`: what an audit found to be non-deterministic.

use jiff::Timestamp;
use vtbuild_cache::Mark;

use crate::cli::PlaceArgs;
use crate::command::{plural, print};
use crate::execution::open_store;
use crate::exit::{Exit, Failure};
use crate::workspace::Workspace;

/// Lists the marks.
pub(super) fn list(place: &PlaceArgs, json: bool) -> Result<Exit, Failure> {
    let marks = open_store(&Workspace::open_offline(place)?)?.marks()?;
    let mut text = String::new();
    for mark in &marks {
        let line = if json {
            let line = serde_json::to_string(mark);
            line.expect("a mark has string keys and finite depth, so it always serialises")
        } else {
            told(mark)
        };
        text.push_str(&line);
        text.push('\n');
    }
    if !json && marks.is_empty() {
        text.push_str("nothing is marked\n");
    }
    print(&text)?;
    Ok(Exit::Good)
}

/// `test NAME: PASS is recorded, then it came to FAIL (2026-11-23 06:33, key 0123456789ab)`
fn told(mark: &Mark) -> String {
    let found = i64::try_from(mark.found_unix_ms).ok();
    let found = found.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let found = found.map(|time| time.to_zoned(jiff::tz::TimeZone::system()));
    let found = found.map_or_else(String::new, |time| time.strftime("%Y-%m-%d %H:%M").to_string());
    format!(
        "{} {}: {} was recorded, then it came to {} ({found}, key {})",
        mark.rule,
        mark.title,
        mark.was,
        mark.became,
        mark.key.short()
    )
}

/// Takes marks away.
pub(super) fn unmark(place: &PlaceArgs, names: &[String], all: bool) -> Result<Exit, Failure> {
    let store = open_store(&Workspace::open_offline(place)?)?;
    let marks = store.marks()?;
    let named = |mark: &Mark, name: &str| {
        mark.title.contains(name) || mark.label.contains(name) || mark.key.to_string().starts_with(name)
    };
    if let Some(name) = names
        .iter()
        .find(|name| !marks.iter().any(|mark| named(mark, name)))
    {
        let message =
            format!("nothing that is marked is called {name} (`vtbuild cache marks` lists what is)");
        return Err(Failure::new(Exit::Usage, message));
    }
    let mut gone = 0_usize;
    for mark in &marks {
        if all || names.iter().any(|name| named(mark, name)) {
            gone += usize::from(store.unmark(&mark.key)?);
        }
    }
    print(&format!("{} taken away\n", plural(&gone, "mark")))?;
    Ok(Exit::Good)
}
