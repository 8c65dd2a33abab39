//! The store through its public interface, in one process.

mod support;

use camino::Utf8Path;
use support::{Place, record};
use vtbuild_cache::{
    Digest, FileState, Last, Lookup, Notice, Observed, Record, Run, Store, StoreError, Take,
};

#[test]
fn a_published_record_is_found_again_by_another_store_on_the_directory() {
    let place = Place::new();
    let blob = place.store().put_bytes(b"image").unwrap();
    let record = record("key", "//boot", &[("image", blob)]);
    let reservation = place.store().reserve(&record.key).unwrap();
    place.store().publish(&record, reservation).unwrap();

    assert_eq!(place.store().lookup(&record.key).unwrap(), Some(record.clone()));
    let other = Digest::of(b"other key");
    let hits = place.store().lookup_many(&[other, record.key]).unwrap();
    assert_eq!(hits, [vec![], vec![record.hit()]]);
    assert_eq!(place.store().read_blob(&blob.digest).unwrap(), b"image");
    assert_eq!(place.store().notices(), []);
}

#[test]
fn a_record_without_its_output_is_a_miss_and_it_is_said() {
    let place = Place::new();
    let blob = place.store().put_bytes(b"image").unwrap();
    let record = record("key", "//boot", &[("image", blob)]);
    let store = place.store();
    store
        .publish(&record, store.reserve(&record.key).unwrap())
        .unwrap();
    std::fs::remove_file(store.blob_path(&blob.digest)).unwrap();

    assert_eq!(store.lookup(&record.key).unwrap(), None);
    assert_eq!(store.lookup_many(&[record.key]).unwrap(), [vec![]]);
    let notices = store.notices();
    assert!(
        matches!(&notices[..], [Notice::OutputMissing { label, .. }] if label == "//boot"),
        "{notices:?}"
    );
}

#[test]
fn publishing_needs_the_keys_own_reservation_and_stored_outputs() {
    let place = Place::new();
    let store = place.store();
    let blob = store.put_bytes(b"image").unwrap();
    let good = record("key", "//boot", &[("image", blob)]);
    let wrong = store.publish(&good, store.reserve(&Digest::of(b"else")).unwrap());
    assert!(matches!(wrong, Err(StoreError::WrongReservation { .. })));

    std::fs::remove_file(store.blob_path(&blob.digest)).unwrap();
    let wrong = store.publish(&good, store.reserve(&good.key).unwrap());
    assert!(matches!(wrong, Err(StoreError::Missing { digest }) if digest == blob.digest));
    assert_eq!(store.lookup(&good.key).unwrap(), None);
}

#[test]
fn a_reservation_is_held_by_one_and_a_waiter_gets_the_record() {
    let place = Place::new();
    let store = place.store();
    let record = record("key", "//boot", &[]);
    let Lookup::Miss(reservation) = store.lookup_or_reserve(&record.key).unwrap() else {
        panic!("not a miss")
    };
    assert!(store.try_reserve(&record.key).unwrap().is_none());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| store.lookup_or_reserve(&record.key).unwrap());
        store.publish(&record, reservation).unwrap();
        let found = waiter.join().unwrap();
        assert!(matches!(found, Lookup::Hit(hit) if *hit == record));
    });
    assert!(store.try_reserve(&record.key).unwrap().is_some());
}

#[test]
fn history_keeps_failures_which_are_never_hits() {
    let place = Place::new();
    let store = place.store();
    let good = record("key", "//boot", &[]);
    store.publish(&good, store.reserve(&good.key).unwrap()).unwrap();
    let run = Run {
        trace: None,
        key: Digest::of(b"failing"),
        status: "FAIL".to_owned(),
        reason: Some("no login".to_owned()),
        seconds: 2.0,
        finished_unix_ms: 5,
        host: "host".to_owned(),
    };
    let failure = Last {
        run,
        manifest: good.manifest.clone(),
    };
    store.record_failure("//boot", &failure).unwrap();

    assert_eq!(store.last("//boot").unwrap(), Some(failure.clone()));
    let statuses: Vec<_> = store
        .runs("//boot")
        .unwrap()
        .into_iter()
        .map(|run| run.status)
        .collect();
    assert_eq!(statuses, ["FAIL", "PASS"]);
    assert_eq!(store.lookup(&failure.run.key).unwrap(), None);
    assert_eq!(store.lookup(&good.key).unwrap(), Some(good));
    assert_eq!(store.last("//other").unwrap(), None);
}

#[test]
fn files_are_stored_read_only_by_move_or_by_copy() {
    let place = Place::new();
    let store = place.store();
    let path = place.path().join("image");
    std::fs::write(&path, "content").unwrap();
    let copied = store.put_file(&path, Take::Copy).unwrap();
    assert_eq!((copied.digest, copied.size), (Digest::of(b"content"), 7));
    assert!(path.exists());
    let moved = store.put_file(&path, Take::Move).unwrap();
    assert_eq!(moved, copied);
    assert!(!path.exists());
    let metadata = std::fs::metadata(store.blob_path(&moved.digest)).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o777,
        0o444
    );
    assert!(matches!(
        store.put_file(place.path(), Take::Copy),
        Err(StoreError::NotAFile { .. })
    ));
    assert!(matches!(
        store.put_file(&path, Take::Move),
        Err(StoreError::Io { .. })
    ));
}

#[test]
fn a_corrupted_blob_is_set_aside_and_can_be_stored_again() {
    let place = Place::new();
    let store = place.store();
    let blob = store.put_bytes(b"content").unwrap();
    support::overwrite(&store.blob_path(&blob.digest), b"CONTENT");

    let Err(StoreError::Corrupt { digest, quarantine }) = store.use_blob(&blob.digest) else {
        panic!("served")
    };
    assert_eq!(
        (digest, std::fs::read(&quarantine).unwrap().as_slice()),
        (blob.digest, b"CONTENT".as_slice())
    );
    assert!(matches!(&store.notices()[..], [Notice::BlobCorrupted { .. }]));
    assert!(matches!(
        store.use_blob(&blob.digest),
        Err(StoreError::Missing { .. })
    ));

    assert_eq!(store.put_bytes(b"content").unwrap(), blob);
    assert_eq!(
        store.use_blob(&blob.digest).unwrap(),
        store.blob_path(&blob.digest)
    );
}

#[test]
fn file_digests_follow_what_is_at_the_path() {
    let place = Place::new();
    let store = place.store();
    let path = place.path().join("input");
    assert_eq!(store.file_digest(&path).unwrap(), FileState::Absent);
    for content in ["one", "two", "six"] {
        std::fs::write(&path, content).unwrap();
        let expected = FileState::File {
            digest: Digest::of(content.as_bytes()),
            size: 3,
        };
        assert_eq!(store.file_digests(&[&path, &path]).unwrap(), [expected, expected]);
    }
    assert_eq!(store.file_digest(place.path()).unwrap(), FileState::NotAFile);
    assert_eq!(store.file_digest(&path.join("below")).unwrap(), FileState::Absent);
}

#[test]
fn a_directory_that_cannot_hold_a_store_is_refused_with_its_path() {
    let place = Place::new();
    let file = place.path().join("file");
    std::fs::write(&file, "").unwrap();
    let message = |path: &Utf8Path| Store::open(path).unwrap_err().to_string();
    assert!(
        message(&file).contains("is not a directory"),
        "{}",
        message(&file)
    );
    assert!(message(&file.join("below")).contains("is not a directory"));
    let unwritable = message(Utf8Path::new("/proc/vtbuild-cache"));
    assert!(
        unwritable.contains("/proc/vtbuild-cache") && unwritable.contains("choose another"),
        "{unwritable}"
    );
}

#[test]
fn another_layout_is_refused() {
    let place = Place::new();
    let dir = place.path().join("old");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("VERSION"), "vtbuild cache, layout 0\n").unwrap();
    let error = Store::open(&dir).unwrap_err();
    assert!(matches!(&error, StoreError::WrongVersion { found, .. } if found == "vtbuild cache, layout 0"));
}

/// What was observed tells records of one key apart; the newest few stay.
#[test]
fn a_key_has_a_record_for_everything_that_was_observed_under_it() {
    let place = Place::new();
    let store = place.store();
    let publish = |seen: &str| {
        let observed = Observed {
            name: "param:mem".to_owned(),
            digest: Some(Digest::of(seen.as_bytes())),
        };
        let record = Record {
            observed: vec![observed],
            ..record("key", "//boot", &[])
        };
        store
            .publish(&record, store.reserve(&record.key).unwrap())
            .unwrap();
        record
    };
    let [a, b] = ["512", "1024"].map(publish);
    let key = a.key;
    assert_ne!(a.trace(), b.trace());
    assert_eq!(store.lookup_many(&[key]).unwrap(), [[b.hit(), a.hit()]]);
    assert_eq!(store.record_of(&a.trace()).unwrap(), Some(a.clone()));
    assert_eq!(store.lookup(&key).unwrap(), Some(b.clone()));

    // Seen again: it is the newest, and no other is lost.
    let again = publish("512");
    assert_eq!(store.lookup_many(&[key]).unwrap(), [[again.hit(), b.hit()]]);

    for number in 0..8 {
        publish(&number.to_string());
    }
    assert_eq!(store.lookup_many(&[key]).unwrap()[0].len(), 8);
    assert_eq!(store.record_of(&a.trace()).unwrap(), None);
    assert_eq!(store.stat(&[]).unwrap().records, 8);
    assert!(store.forget(&key).unwrap());
    assert_eq!(store.stat(&[]).unwrap().records, 0);
    assert_eq!(store.lookup(&key).unwrap(), None);
}

#[test]
fn a_forgotten_record_is_a_miss_and_its_label_still_knows_what_entered_the_key() {
    let place = Place::new();
    let store = place.store();
    let record = record("key", "//boot", &[]);
    store
        .publish(&record, store.reserve(&record.key).unwrap())
        .unwrap();
    let before = store.last("//boot").unwrap().unwrap();
    assert_eq!(before.manifest, record.manifest);
    assert!(store.forget(&record.key).unwrap());
    assert!(!store.forget(&record.key).unwrap());
    assert_eq!(store.lookup(&record.key).unwrap(), None);
    assert_eq!(store.last("//boot").unwrap(), Some(before));
}

/// A file whose size and time of modification are as before, but not its content.
#[test]
fn a_file_is_remembered_once_it_settled_and_a_change_that_hides_is_seen() {
    let place = Place::new();
    let store = place.store();
    let path = place.path().join("input");
    let state = |content: &str| FileState::File {
        digest: Digest::of(content.as_bytes()),
        size: 3,
    };
    std::fs::write(&path, "one").unwrap();
    assert_eq!(store.file_digest(&path).unwrap(), state("one"));
    assert_eq!(store.stat(&[]).unwrap().files, 0, "just changed: not remembered");

    support::pause(std::time::Duration::from_millis(2050));
    assert_eq!(store.file_digest(&path).unwrap(), state("one"));
    assert_eq!(store.stat(&[]).unwrap().files, 1);

    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    std::fs::write(&path, "two").unwrap();
    std::fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(modified)
        .unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().modified().unwrap(), modified);
    assert_eq!(store.file_digest(&path).unwrap(), state("two"));
}
