//! A disk that is full, and one that is read-only: clear errors, nothing half-written, and it goes on
//! afterwards.
//!
//! Each test mounts a small file system in a mount namespace of its own, so that nothing is left behind
//! whatever happens. Where that is not permitted, the test says that it was skipped.

mod support;

use camino::Utf8PathBuf;
use support::{Place, child_arguments, child_command, record};
use vtbuild_cache::{Digest, Store, StoreError, Take};

/// Runs one ignored test of this binary with a small tmpfs mounted on the place's `disk`.
fn in_namespace(child: &str) {
    let place = Place::new();
    let disk = place.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let unshare = ["--map-root-user", "--mount"];
    let probe = support::command("unshare")
        .args(unshare)
        .args(["mount", "-t", "tmpfs", "none", disk.as_str()])
        .output();
    if !probe.as_ref().is_ok_and(|output| output.status.success()) {
        skipped(child, &format!("{probe:?}"));
        return;
    }
    let mut command = child_command("unshare", &place, disk.as_str());
    command.args(unshare).args([
        "sh",
        "-c",
        "mount -t tmpfs -o size=4m none \"$0\" && exec \"$@\"",
        disk.as_str(),
    ]);
    command
        .arg(std::env::current_exe().unwrap())
        .args([child, "--exact", "--ignored", "--nocapture"]);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

#[expect(clippy::print_stderr, reason = "a skipped test has to be seen")]
fn skipped(test: &str, why: &str) {
    eprintln!("SKIPPED {test}: no file system can be mounted in a namespace here: {why}");
}

#[test]
fn a_full_disk_is_told_and_survived() {
    in_namespace("child_fills_the_disk");
}

#[test]
#[ignore = "the child of another test"]
fn child_fills_the_disk() {
    let disk = Utf8PathBuf::from(child_arguments().1);
    let cache = disk.join("cache");
    let store = Store::open(&cache).unwrap();
    let first = store.put_bytes(b"first").unwrap();
    let good = record("good", "//good", &[("out", first)]);
    store.publish(&good, store.reserve(&good.key).unwrap()).unwrap();

    let file = disk.join("large");
    std::fs::write(&file, vec![1; 1 << 20]).unwrap();
    let big = |number: u32| [number.to_le_bytes().as_slice(), &[7; 1 << 19]].concat();
    let error = (0..100)
        .find_map(|number| store.put_bytes(&big(number)).err())
        .expect("the disk is small");
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert!(
        error.to_string().contains(cache.as_str()) && error.to_string().contains("no space left"),
        "{error}"
    );
    let error = store.put_file(&file, Take::Copy).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert_eq!(std::fs::read(&file).unwrap().len(), 1 << 20);

    fill(&disk);
    let error = (0..200)
        .find_map(|number| publish_large(&store, number).err())
        .expect("the index cannot grow");
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");
    assert_eq!(
        store.lookup(&good.key).unwrap(),
        Some(good.clone()),
        "what was published is still served"
    );
    drop(store);

    let error = Store::open(&cache).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error:?}");

    std::fs::remove_file(disk.join("filler")).unwrap();
    std::fs::remove_file(&file).unwrap();
    let store = Store::open(&cache).unwrap();
    assert_eq!(store.notices(), []);
    assert_eq!(store.lookup(&good.key).unwrap(), Some(good));
    publish_large(&store, 1000).unwrap();
    assert_eq!(store.read_blob(&first.digest).unwrap(), b"first");
}

fn publish_large(store: &Store, number: u32) -> Result<(), StoreError> {
    let name = format!("large {number}");
    let mut record = record(&name, &name, &[]);
    record.evidence = "evidence ".repeat(5000).into();
    store.publish(&record, store.reserve(&Digest::of(name.as_bytes()))?)
}

/// Takes all the space that is left.
fn fill(disk: &camino::Utf8Path) {
    use std::io::Write;
    let mut filler = std::fs::File::create(disk.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
}

#[test]
fn a_read_only_disk_is_told() {
    in_namespace("child_finds_the_disk_read_only");
}

#[test]
#[ignore = "the child of another test"]
fn child_finds_the_disk_read_only() {
    let disk = Utf8PathBuf::from(child_arguments().1);
    let cache = disk.join("cache");
    drop(Store::open(&cache).unwrap());
    let remount = support::command("mount")
        .args(["-o", "remount,ro", disk.as_str()])
        .status()
        .unwrap();
    assert!(remount.success());
    for place in [cache, disk.join("new")] {
        let error = Store::open(&place).unwrap_err();
        assert!(
            matches!(&error, StoreError::Unwritable { path, .. } if path.starts_with(&place)),
            "{error:?}"
        );
        assert!(
            error.to_string().contains("choose another cache directory"),
            "{error}"
        );
    }
}
