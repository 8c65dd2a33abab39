//! Several processes on one store, and processes that are killed in the middle.

mod support;

use std::io::Write;
use std::time::Duration;

use camino::Utf8Path;
use support::{Place, child_arguments, record, run_child, wait_for};
use vtbuild_cache::{Digest, Lookup, Store, Take};

const PROCESSES: usize = 6;
const KEYS: usize = 30;

/// Each process wants every record; each record must be made exactly once, and all must find the same one.
#[test]
fn processes_that_compete_make_each_record_once() {
    let place = Place::new();
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| run_child("child_wants_every_record", &place, &number.to_string()))
        .collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = place.store();
    let keys: Vec<_> = (0..KEYS)
        .map(|number| Digest::of(format!("key {number}").as_bytes()))
        .collect();
    assert!(
        store
            .lookup_many(&keys)
            .unwrap()
            .iter()
            .all(|of_key| !of_key.is_empty())
    );
    let made = std::fs::read_to_string(place.path().join("made")).unwrap();
    let mut made: Vec<_> = made.lines().collect();
    made.sort_unstable();
    let count = made.len();
    made.dedup();
    assert_eq!((made.len(), count), (KEYS, KEYS));
    assert_eq!(store.notices(), []);
}

#[test]
#[ignore = "the child of another test"]
fn child_wants_every_record() {
    let (place, number) = child_arguments();
    let store = Store::open(&place.join("cache")).unwrap();
    let first: usize = number.parse().unwrap();
    for number in (0..KEYS).map(|step| (first * 5 + step) % KEYS) {
        let name = format!("key {number}");
        match store.lookup_or_reserve(&Digest::of(name.as_bytes())).unwrap() {
            Lookup::Hit(found) => assert_eq!(found.label, format!("//test{number}")),
            Lookup::Miss(reservation) => {
                append(&place.join("made"), &name);
                let blob = store.put_bytes(format!("output of {name}").as_bytes()).unwrap();
                let record = record(&name, &format!("//test{number}"), &[("out", blob)]);
                store.publish(&record, reservation).unwrap();
            }
        }
    }
    assert_eq!(store.notices(), []);
}

fn append(path: &Utf8Path, line: &str) {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    file.write_all(format!("{line}\n").as_bytes()).unwrap();
}

/// Kills a process at many moments of storing and publishing. Whatever is there afterwards must be whole.
#[test]
fn a_process_killed_while_publishing_leaves_nothing_half_done() {
    let place = Place::new();
    drop(place.store());
    for round in 0..12_u64 {
        let mut child = run_child("child_stores_and_publishes", &place, &round.to_string());
        let ready = place.path().join(format!("ready{round}"));
        wait_for("the child", || ready.exists());
        support::pause(Duration::from_millis(7 * round));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let store = place.store();
    assert_eq!(store.notices(), []);
    let blobs: Vec<_> = walk(&place.cache().join("cas"));
    assert!(!blobs.is_empty(), "no child got as far as storing a blob");
    for blob in blobs {
        let hex = format!(
            "{}{}",
            blob.parent().unwrap().file_name().unwrap(),
            blob.file_name().unwrap()
        );
        store.verify_blob(&hex.parse().unwrap()).unwrap();
    }
    for key in (0..12).map(|round| Digest::of(format!("held {round}").as_bytes())) {
        assert!(
            store.try_reserve(&key).unwrap().is_some(),
            "a lock outlived its process"
        );
    }
    let left: Vec<_> = place
        .cache()
        .join("tmp")
        .read_dir_utf8()
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "only the folder of this process: {left:?}");
}

#[test]
#[ignore = "the child of another test"]
fn child_stores_and_publishes() {
    let (place, round) = child_arguments();
    let store = Store::open(&place.join("cache")).unwrap();
    let _held = store
        .reserve(&Digest::of(format!("held {round}").as_bytes()))
        .unwrap();
    std::fs::write(place.join(format!("ready{round}")), "").unwrap();
    for number in 0..10_000 {
        let name = format!("round {round} key {number}");
        let path = place.join(format!("file{round}"));
        std::fs::write(&path, name.repeat(50_000)).unwrap();
        let blob = store
            .put_file(&path, if number % 2 == 0 { Take::Move } else { Take::Copy })
            .unwrap();
        let record = record(&name, &name, &[("out", blob)]);
        store
            .publish(&record, store.reserve(&record.key).unwrap())
            .unwrap();
    }
}

fn walk(dir: &Utf8Path) -> Vec<camino::Utf8PathBuf> {
    let folders = dir.read_dir_utf8().unwrap().flatten();
    folders
        .flat_map(|folder| {
            folder
                .path()
                .read_dir_utf8()
                .unwrap()
                .flatten()
                .map(camino::Utf8DirEntry::into_path)
        })
        .collect()
}
