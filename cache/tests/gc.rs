//! Collection keeps what is in use or new, weighs the rest, and leaves no record without its blobs.

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use support::{Place, record, run_child};
use vtbuild_cache::{Aside, Blob, Digest, Gone, Hit, Limits, Record, Report, Store, StoreError, hold};

const SIZE: usize = 64 * 1024;

/// Stores a blob of 64 KiB under a record that took `seconds` and read `inputs`; the store keeps nothing of it in use.
fn stored(store: &Store, name: &str, seconds: f64, inputs: &[Blob]) -> (Record, Blob) {
    let blob = store
        .put_bytes(&name.as_bytes().repeat(SIZE / name.len()))
        .unwrap();
    let record = Record {
        seconds,
        inputs: inputs.iter().map(|input| input.digest).collect(),
        ..record(name, &format!("//{name}"), &[("image", blob)])
    };
    store
        .publish(&record, store.reserve(&record.key).unwrap())
        .unwrap();
    store.release().unwrap();
    (record, blob)
}

/// Limits without a time of grace, so that what the test just stored can go.
fn at_most(max_bytes: usize) -> Limits {
    Limits {
        grace: Duration::ZERO,
        ..Limits::of(max_bytes as u64)
    }
}

fn names(report: &Report) -> Vec<&str> {
    report.gone.iter().map(|gone| gone.name.as_str()).collect()
}

#[test]
fn the_cheapest_to_make_again_goes_first_together_with_its_record() {
    let place = Place::new();
    let store = place.store();
    let (dear, dear_blob) = stored(&store, "dear", 600.0, &[]);
    let (cheap, cheap_blob) = stored(&store, "baed", 1.0, &[]);

    let limits = at_most(SIZE);
    let foreseen = store.gc(&Limits {
        dry_run: true,
        ..limits.clone()
    });
    assert!(store.has_blob(&cheap_blob.digest), "a dry run removes nothing");
    let report = store.gc(&limits).unwrap();
    let gone = Gone {
        kind: "test".to_owned(),
        name: "//baed".to_owned(),
        bytes: SIZE as u64,
    };
    let expected = Report {
        before_bytes: 2 * SIZE as u64,
        after_bytes: SIZE as u64,
        gone: vec![gone],
        records_removed: 1,
        in_use: 0,
        lost_seconds: 1.0,
    };
    assert_eq!(report, expected);
    let foreseen = foreseen.unwrap();
    assert_eq!(
        (foreseen.gone, foreseen.after_bytes),
        (report.gone, report.after_bytes)
    );
    assert_eq!(store.lookup(&cheap.key).unwrap(), None);
    assert_eq!(
        store.last("//baed").unwrap().unwrap().manifest,
        cheap.manifest,
        "history outlives the record"
    );
    assert_eq!(store.notices(), [], "the record went with its blob");
    assert!(!store.has_blob(&cheap_blob.digest) && store.has_blob(&dear_blob.digest));
    assert_eq!(store.lookup(&dear.key).unwrap(), Some(dear));
    let stat = store.stat(&[]).unwrap();
    assert_eq!(
        (stat.blobs, stat.blob_bytes, stat.records, stat.labels),
        (1, SIZE as u64, 1, 2)
    );
    let kind = &stat.kinds[0];
    assert_eq!(
        (kind.name.as_str(), kind.count, kind.bytes),
        ("test", 1, SIZE as u64)
    );
    assert!(stat.index_bytes > 0);
}

#[test]
fn what_much_stands_on_stays_longer_than_what_took_longer() {
    let place = Place::new();
    let store = place.store();
    let (_, image) = stored(&store, "image", 10.0, &[]);
    stored(&store, "alone", 60.0, &[]);
    let (_, disk) = stored(&store, "disk", 20.0, &[image]);
    stored(&store, "test", 90.0, &[disk]);
    let report = store.gc(&at_most(0)).unwrap();
    assert_eq!(names(&report), ["//alone", "//test", "//disk", "//image"]);
}

#[test]
fn what_is_in_use_or_new_stays_whatever_the_limit() {
    let place = Place::new();
    let store = place.store();
    let (kept, blob) = stored(&store, "kept", 1.0, &[]);
    stored(&store, "new!", 1.0, &[]);
    let report = store.gc(&Limits::of(0)).unwrap();
    assert_eq!(
        (report.gone.len(), report.after_bytes, report.in_use),
        (0, 2 * SIZE as u64, 2)
    );
    assert_eq!(store.lookup_many(&[kept.key]).unwrap()[0].len(), 1);
    let report = store.gc(&at_most(0)).unwrap();
    assert_eq!((names(&report), report.in_use), (vec!["//new!"], 1));
    assert!(store.has_blob(&blob.digest));
    // The next collection in this process may have it.
    store.release().unwrap();
    assert_eq!(names(&store.gc(&at_most(0)).unwrap()), ["//kept"]);
    assert!(matches!(
        store.use_blob(&blob.digest),
        Err(StoreError::Missing { .. })
    ));
}

#[test]
fn what_lies_beside_is_weighed_with_the_rest() {
    let place = Place::new();
    let store = place.store();
    stored(&store, "blob", 10.0, &[]);
    let folder = place.cache().join("trees");
    for name in ["dear", "held", "cheap"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    for (name, size) in [("dear", 1), ("held", SIZE), ("cheap", 4 * SIZE)] {
        std::fs::write(folder.join(name).join("file"), vec![1; size]).unwrap();
    }
    assert!(hold(&folder.join("held")));
    let limits = Limits {
        asides: vec![Aside {
            kind: "tree",
            folder: folder.clone(),
            seconds: 5.0,
            seconds_a_mib: 0.0,
        }],
        ..at_most(0)
    };
    let report = store.gc(&limits).unwrap();
    assert_eq!(names(&report), ["cheap", "//blob", "dear"]);
    assert_eq!((report.in_use, report.gone[0].kind.as_str()), (1, "tree"));
    assert!(!folder.join("dear").exists() && folder.join("held/file").is_file());
    assert_eq!(store.bytes(&limits.asides).unwrap(), report.after_bytes);
}

#[test]
fn who_makes_again_what_was_collected_is_told() {
    let place = Place::new();
    let store = place.store();
    let (image, _) = stored(&store, "image", 30.0, &[]);
    assert_eq!(store.made_again(), []);
    store.gc(&at_most(0)).unwrap();
    stored(&store, "image", 31.0, &[]);
    let again = store.made_again();
    assert_eq!(again.len(), 1);
    assert_eq!(
        (again[0].label.as_str(), again[0].seconds),
        (image.label.as_str(), 31.0)
    );
    assert!(again[0].ago < Duration::from_secs(3600));
    assert_eq!(store.made_again(), [], "told once");
    store.forget(&image.key).unwrap();
    stored(&store, "image", 31.0, &[]);
    assert_eq!(store.made_again(), [], "nobody collected it this time");
}

/// Keeps a record without outputs that took `seconds`, long ago; the store keeps nothing of it in use.
fn verdict(store: &Store, name: &str, seconds: f64) -> Record {
    let record = Record {
        seconds,
        ..record(name, &format!("//{name}"), &[])
    };
    store
        .publish(&record, store.reserve(&record.key).unwrap())
        .unwrap();
    store.release().unwrap();
    record
}

#[test]
fn records_without_outputs_are_weighed_one_by_one() {
    let place = Place::new();
    let store = place.store();
    let [dear, cheap, served, used] = [("dear", 600.0), ("baed", 1.0), ("seen", 0.5), ("used", 0.5)]
        .map(|(name, seconds)| verdict(&store, name, seconds));
    let all = store.bytes(&[]).unwrap();
    let kinds = store.stat(&[]).unwrap().kinds;
    assert_eq!(kinds.len(), 1);
    assert_eq!(
        (kinds[0].name.as_str(), kinds[0].count, kinds[0].bytes),
        ("verdict without files", 4, all)
    );

    // One that a plan was served stays, and so does one whose use was noted within the time of grace.
    store.lookup_many(&[served.key]).unwrap();
    store.touch_records(&[used.trace()]).unwrap();
    let limits = Limits::of(all - 1);
    let foreseen = store.gc(&Limits {
        dry_run: true,
        ..limits.clone()
    });
    assert_eq!(store.bytes(&[]).unwrap(), all, "a dry run removes nothing");
    let report = store.gc(&limits).unwrap();
    assert_eq!(
        names(&report),
        ["//baed"],
        "the least worth goes, and no more than needed"
    );
    assert_eq!(foreseen.unwrap().gone, report.gone);
    assert_eq!((report.records_removed, report.lost_seconds), (1, 1.0));
    assert_eq!(report.before_bytes - report.after_bytes, report.gone[0].bytes);
    assert_eq!(store.bytes(&[]).unwrap(), report.after_bytes);
    assert_eq!(store.lookup(&cheap.key).unwrap(), None);
    assert_eq!(
        store.last("//baed").unwrap().unwrap().manifest,
        cheap.manifest,
        "history outlives the record"
    );

    let report = store.gc(&Limits::of(0)).unwrap();
    assert_eq!((names(&report), report.in_use), (vec!["//dear"], 2));
    for (record, there) in [(&dear, false), (&served, true), (&used, true)] {
        assert_eq!(
            store.lookup(&record.key).unwrap().is_some(),
            there,
            "{}",
            record.label
        );
    }
    verdict(&store, "dear", 601.0);
    assert_eq!(store.made_again().len(), 1, "it should not have been collected");
    store.forget(&dear.key).unwrap();
    assert_eq!(
        store.stat(&[]).unwrap().kinds[0].count,
        2,
        "what is forgotten takes no room"
    );
}

#[test]
fn a_blob_used_by_another_process_stays_until_that_process_dies() {
    let place = Place::new();
    let store = place.store();
    let (_, blob) = stored(&store, "used", 1.0, &[]);
    let mut child = run_child("child_uses_and_waits", &place, &blob.digest.to_string());
    support::wait_for("the child's use", || place.path().join("ready").exists());

    let report = store.gc(&at_most(0)).unwrap();
    assert_eq!((report.gone.len(), report.in_use), (0, 1));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(store.gc(&at_most(0)).unwrap().gone.len(), 1);
}

#[test]
#[ignore = "the child of another test"]
fn child_uses_and_waits() {
    let (place, digest) = support::child_arguments();
    let store = Store::open(&place.join("cache")).unwrap();
    store.use_blob(&digest.parse().unwrap()).unwrap();
    std::fs::write(place.join("ready"), "").unwrap();
    support::pause(Duration::from_secs(600));
}

/// One process makes and serves results while another collects everything that nobody uses.
#[test]
fn nothing_is_taken_from_a_process_at_work() {
    let place = Place::new();
    let store = place.store();
    let mut child = run_child("child_makes_and_serves", &place, "");
    let mut collected = 0;
    while child.try_wait().unwrap().is_none() {
        collected += store.gc(&at_most(0)).unwrap().gone.len();
    }
    assert!(child.wait().unwrap().success(), "the child missed something");
    assert!(collected > 0, "what the child let go of was collected meanwhile");
}

#[test]
#[ignore = "the child of another test"]
fn child_makes_and_serves() {
    let (place, _) = support::child_arguments();
    let store = Store::open(&place.join("cache")).unwrap();
    for round in 0..60 {
        // The same few contents again and again: they are put while they are being collected.
        let blobs: Vec<Blob> = (0..4)
            .map(|at| store.put_bytes(format!("content {at}").as_bytes()).unwrap())
            .collect();
        let outputs: Vec<_> = blobs.iter().map(|blob| ("out", *blob)).collect();
        let made = record(&format!("key {}", round % 3), "//made", &outputs);
        store.publish(&made, store.reserve(&made.key).unwrap()).unwrap();
        for _ in 0..3 {
            assert_eq!(store.lookup_many(&[made.key]).unwrap()[0].len(), 1);
            assert!(blobs.iter().all(|blob| store.has_blob(&blob.digest)));
        }
        store.release().unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever there is and whatever the limit: what a plan was served stays, no record is left without its blobs, no
    /// blob without a reason, and nothing goes that need not.
    #[test]
    fn what_a_plan_needs_is_never_collected(
        results in prop::collection::vec((0_u8..12, prop::collection::vec(0_u8..8, 0..3), 0_u32..100), 1..16),
        planned in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        limit in 0_usize..12,
    ) {
        let place = Place::new();
        let store = place.store();
        let mut keys = Vec::new();
        for (name, outputs, seconds) in &results {
            let blob = |at: &u8| store.put_bytes(&vec![*at; 4096]).unwrap();
            let outputs: Vec<_> = outputs.iter().map(|at| ("out", blob(at))).collect();
            let made = Record {
                seconds: f64::from(*seconds),
                ..record(&format!("key {name}"), &format!("//{name}"), &outputs)
            };
            store.publish(&made, store.reserve(&made.key).unwrap()).unwrap();
            keys.push(made.key);
        }
        store.release().unwrap();
        let planned: Vec<Digest> = planned.iter().map(|at| *at.get(&keys)).collect();
        let served = store.lookup_many(&planned).unwrap();

        let report = store.gc(&at_most(limit * 4096)).unwrap();
        prop_assert_eq!(store.lookup_many(&planned).unwrap(), served.clone());
        prop_assert_eq!(store.bytes(&[]).unwrap(), report.after_bytes);
        for key in &keys {
            for hit in store.lookup_many(&[*key]).unwrap().into_iter().flatten() {
                prop_assert!(hit.blobs().all(|blob| store.has_blob(&blob)));
            }
        }
        if report.after_bytes > limit as u64 * 4096 {
            let needed: BTreeSet<Digest> = served.iter().flatten().flat_map(Hit::blobs).collect();
            prop_assert_eq!(store.blobs().unwrap().collect::<BTreeSet<_>>(), needed);
        }
        let last = report.gone.last().map_or(0, |gone| gone.bytes);
        prop_assert!(report.gone.is_empty() || report.after_bytes + last > limit as u64 * 4096);
        prop_assert_eq!(store.notices(), []);
    }
}
