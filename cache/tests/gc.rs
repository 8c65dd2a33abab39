//! Collection keeps what is kept, pinned or new, and leaves no record without its blobs.

mod support;

use std::time::Duration;

use support::{Place, record, run_child};
use vtbuild_cache::{Blob, Digest, Limits, Record, Report, Store, StoreError};

const SIZE: usize = 64 * 1024;

/// Stores a blob of 64 KiB under a record that took `seconds`.
fn stored(store: &Store, name: &str, seconds: f64) -> (Record, Blob) {
    let blob = store
        .put_bytes(&name.as_bytes().repeat(SIZE / name.len()))
        .unwrap();
    let record = Record {
        seconds,
        ..record(name, &format!("//{name}"), &[("image", blob)])
    };
    store
        .publish(&record, store.reserve(&record.key).unwrap())
        .unwrap();
    (record, blob)
}

/// Limits without a time of grace, so that what the test just stored can go.
fn at_most(max_bytes: u64) -> Limits {
    Limits {
        max_bytes,
        grace: Duration::ZERO,
    }
}

fn nothing(_: &Digest) -> bool {
    false
}

#[test]
fn the_cheapest_to_make_again_goes_first_together_with_its_record() {
    let place = Place::new();
    let store = place.store();
    let (dear, dear_blob) = stored(&store, "dear", 600.0);
    let (cheap, cheap_blob) = stored(&store, "baed", 1.0);

    let report = store.gc_within(at_most(SIZE as u64), &nothing).unwrap();
    let expected = Report {
        before_bytes: 2 * SIZE as u64,
        after_bytes: SIZE as u64,
        blobs_removed: 1,
        records_removed: 1,
        in_use: 0,
        lost_seconds: 1.0,
    };
    assert_eq!(report, expected);
    assert_eq!(store.lookup(&cheap.key).unwrap(), None);
    assert_eq!(
        store.last("//baed").unwrap().unwrap().manifest,
        cheap.manifest,
        "history outlives the record"
    );
    assert_eq!(store.notices(), [], "the record went with its blob");
    assert!(!store.has_blob(&cheap_blob.digest) && store.has_blob(&dear_blob.digest));
    assert_eq!(store.lookup(&dear.key).unwrap(), Some(dear));
    let stat = store.stat().unwrap();
    assert_eq!(
        (stat.blobs, stat.blob_bytes, stat.records, stat.labels),
        (1, SIZE as u64, 1, 2)
    );
    assert!(stat.index_bytes > 0);
}

#[test]
fn what_is_kept_or_new_stays_whatever_the_limit() {
    let place = Place::new();
    let store = place.store();
    let (_, kept) = stored(&store, "kept", 1.0);
    let (_, new) = stored(&store, "new!", 1.0);
    let report = store.gc(0, &nothing).unwrap();
    assert_eq!((report.blobs_removed, report.after_bytes), (0, 2 * SIZE as u64));
    let report = store
        .gc_within(at_most(0), &|digest| *digest == kept.digest)
        .unwrap();
    assert_eq!((report.blobs_removed, report.after_bytes), (1, SIZE as u64));
    assert!(store.has_blob(&kept.digest) && !store.has_blob(&new.digest));
}

#[test]
fn a_blob_pinned_here_stays_until_the_pin_goes() {
    let place = Place::new();
    let store = place.store();
    let (record, blob) = stored(&store, "used", 1.0);
    let pin = store.use_blob(&blob.digest).unwrap();
    let report = store.gc_within(at_most(0), &nothing).unwrap();
    assert_eq!((report.blobs_removed, report.in_use), (0, 1));
    assert_eq!(std::fs::read(pin.path()).unwrap().len(), SIZE);
    assert!(store.lookup(&record.key).unwrap().is_some());
    drop(pin);
    assert_eq!(store.gc_within(at_most(0), &nothing).unwrap().blobs_removed, 1);
    assert!(matches!(
        store.use_blob(&blob.digest),
        Err(StoreError::Missing { .. })
    ));
}

#[test]
fn a_blob_pinned_by_another_process_stays_until_that_process_dies() {
    let place = Place::new();
    let store = place.store();
    let (_, blob) = stored(&store, "used", 1.0);
    let mut child = run_child("child_pins_and_waits", &place, &blob.digest.to_string());
    support::wait_for("the child's pin", || place.path().join("ready").exists());

    assert_eq!(store.gc_within(at_most(0), &nothing).unwrap().in_use, 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.gc_within(at_most(0), &nothing).unwrap().blobs_removed, 1);
}

#[test]
#[ignore = "the child of another test"]
fn child_pins_and_waits() {
    let (place, digest) = support::child_arguments();
    let store = Store::open(&place.join("cache")).unwrap();
    let _pin = store.use_blob(&digest.parse().unwrap()).unwrap();
    std::fs::write(place.join("ready"), "").unwrap();
    support::pause(Duration::from_secs(600));
}
