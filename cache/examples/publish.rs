//! Publishes the results that standard input lists, as if they had been made: one JSON object a line with `key`, `label` and
//! `reads` (names and values of parameters). For measuring how long it takes to look them up: `publish CACHE < results`.

#![expect(clippy::print_stdout, reason = "a program for scripts")]

use std::collections::BTreeMap;
use std::io::BufRead;

use camino::Utf8PathBuf;
use serde::Deserialize;
use vtbuild_cache::{Digest, Manifest, Observed, Record, Store};

/// How many results are written at once.
const BATCH: usize = 512;

#[derive(Deserialize)]
struct Line {
    key: Digest,
    label: String,
    reads: BTreeMap<String, String>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cache = std::env::args().nth(1).ok_or("usage: publish CACHE < results")?;
    let store = Store::open(&Utf8PathBuf::from(cache))?;
    let lines = std::io::stdin().lock().lines();
    let mut records = Vec::new();
    let mut published = 0;
    for line in lines {
        records.push(record(serde_json::from_str(&line?)?));
        if records.len() == BATCH {
            published += publish(&store, &mut records)?;
        }
    }
    published += publish(&store, &mut records)?;
    println!("{published} results published");
    Ok(())
}

fn publish(store: &Store, records: &mut Vec<Record>) -> Result<usize, Box<dyn std::error::Error>> {
    let mut reserved = Vec::with_capacity(records.len());
    for record in records.iter() {
        reserved.push((record, store.reserve(&record.key)?));
    }
    let published = reserved.len();
    store.publish_many(reserved)?;
    records.clear();
    Ok(published)
}

fn record(line: Line) -> Record {
    let observed = line.reads.iter().map(|(name, value)| Observed {
        name: format!("param:{name}"),
        digest: Some(Digest::of(value.as_bytes())),
    });
    Record {
        key: line.key,
        rule: "test".to_owned(),
        label: line.label,
        status: "PASS".to_owned(),
        outputs: Vec::new(),
        inputs: Vec::new(),
        observed: observed.collect(),
        manifest: Manifest::default(),
        seconds: 1.0,
        finished_unix_ms: 1,
        host: "nowhere".to_owned(),
        evidence: serde_json::Value::Null,
    }
}
