//! An index that was damaged is noticed, set aside and begun anew; blobs stay.

mod support;

use camino::Utf8PathBuf;
use support::{Place, record};
use vtbuild_cache::{Blob, Digest, Notice, Record, Store, StoreError};

/// A store with enough in its index for a tree of several levels, closed again.
fn filled(place: &Place) -> (Vec<Record>, Blob) {
    let store = place.store();
    let blob = store.put_bytes(b"image").unwrap();
    let name = |number: usize| (format!("key {number}"), format!("//test{number}"));
    let records: Vec<_> = (0..400)
        .map(name)
        .map(|(key, label)| record(&key, &label, &[("image", blob)]))
        .collect();
    let reserved = records
        .iter()
        .map(|record| (record, store.reserve(&record.key).unwrap()));
    store.publish_many(reserved).unwrap();
    (records, blob)
}

fn data_file(place: &Place) -> Utf8PathBuf {
    place.cache().join("index/data.mdb")
}

/// Opens the store on its damaged index: it must say so, be empty, keep the blob, and work.
fn assert_rebuilt(place: &Place, records: &[Record], blob: Blob, damage: &str) {
    let store = place.store();
    let notices = store.notices();
    let [Notice::IndexRebuilt { reason, moved_to }] = &notices[..] else {
        panic!("{damage}: {notices:?}")
    };
    assert!(
        !reason.is_empty() && moved_to.join("data.mdb").exists(),
        "{damage}: {notices:?}"
    );
    assert_eq!(store.lookup(&records[0].key).unwrap(), None, "{damage}");
    assert_eq!(store.read_blob(&blob.digest).unwrap(), b"image", "{damage}");
    publish(&store, &records[0]);
    assert_eq!(
        store.lookup(&records[0].key).unwrap().as_ref(),
        Some(&records[0]),
        "{damage}"
    );
}

fn publish(store: &Store, record: &Record) {
    store
        .publish(record, store.reserve(&record.key).unwrap())
        .unwrap();
}

#[test]
fn garbage_in_place_of_the_index_is_set_aside() {
    for garbage in [vec![b'x'; 100], vec![0; 1 << 20], vec![0xff; 1 << 20]] {
        let place = Place::new();
        let (records, blob) = filled(&place);
        std::fs::write(data_file(&place), &garbage).unwrap();
        assert_rebuilt(
            &place,
            &records,
            blob,
            &format!("{} x {}", garbage[0], garbage.len()),
        );
    }
}

#[test]
fn an_index_cut_short_is_set_aside() {
    for kept_percent in [1, 30, 60, 90] {
        let place = Place::new();
        let (records, blob) = filled(&place);
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(data_file(&place))
            .unwrap();
        let size = file.metadata().unwrap().len();
        file.set_len(size * kept_percent / 100).unwrap();
        drop(file);
        assert_rebuilt(&place, &records, blob, &format!("cut to {kept_percent} %"));
    }
}

/// Whatever page is overwritten, with whatever: the store opens, never serves a wrong record, and never dies.
#[test]
fn any_overwritten_page_is_survived_and_nothing_wrong_is_served() {
    let place = Place::new();
    let (records, _) = filled(&place);
    let sound = std::fs::read(data_file(&place)).unwrap();
    let mut told = 0;
    for page in 0..sound.len() / 4096 {
        let mut bytes = sound.clone();
        let byte = [0x00, 0xff, 0x41][page % 3];
        let from = page * 4096 + [0, 8, 16, 700][page % 4];
        bytes[from..(page + 1) * 4096].fill(byte);
        std::fs::write(data_file(&place), &bytes).unwrap();
        let store = place.store();
        for record in &records {
            let found = store.lookup(&record.key).unwrap();
            assert!(found.is_none_or(|found| found == *record));
        }
        publish(&store, &records[0]);
        told += usize::from(!store.notices().is_empty());
    }
    assert!(told > 0);
}

/// Changes bytes inside values, which no structure shows: only the checksum of the value can tell.
#[test]
fn a_damaged_entry_is_removed_and_reported_and_the_others_stay() {
    let place = Place::new();
    let (records, _) = filled(&place);
    let mut bytes = std::fs::read(data_file(&place)).unwrap();
    let label = b"\"label\":\"//test7\"";
    let found: Vec<_> = (0..bytes.len() - label.len())
        .filter(|at| bytes[*at..].starts_with(label))
        .collect();
    assert!(!found.is_empty());
    for at in found {
        bytes[at + label.len() - 2] = b'8';
    }
    std::fs::write(data_file(&place), &bytes).unwrap();

    let store = place.store();
    assert_eq!(store.lookup(&records[7].key).unwrap(), None);
    assert_eq!(store.last("//test7").unwrap(), None);
    let notices = store.notices();
    let tables: Vec<_> = notices
        .iter()
        .map(|notice| match notice {
            Notice::EntryRemoved { table, reason, .. } => {
                assert_eq!(reason, "its checksum is wrong");
                *table
            }
            other => panic!("{other}"),
        })
        .collect();
    assert_eq!(tables, ["records", "labels"]);
    assert_eq!(store.lookup(&records[8].key).unwrap().as_ref(), Some(&records[8]));
    assert_eq!(store.lookup(&records[7].key).unwrap(), None);
    assert_eq!(store.notices(), []);
}

#[test]
fn an_index_directory_that_is_a_file_is_an_error_with_its_path() {
    let place = Place::new();
    drop(place.store());
    let index = place.cache().join("index");
    std::fs::remove_dir_all(&index).unwrap();
    std::fs::write(&index, "").unwrap();
    let error = Store::open(&place.cache()).unwrap_err();
    assert!(error.to_string().contains(index.as_str()), "{error}");
    assert!(!matches!(error, StoreError::Index { .. }));
}

#[test]
fn two_stores_on_one_directory_are_one() {
    let place = Place::new();
    let (one, two) = (place.store(), place.store());
    publish(&one, &record("key", "//boot", &[]));
    assert!(two.lookup(&Digest::of(b"key")).unwrap().is_some());
}
