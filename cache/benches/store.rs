//! How fast a store of 100,000 records answers, and what a record costs on disk.
//!
//! `cargo bench -p vtbuild-cache [-- RECORDS]`

use std::time::{Duration, Instant};

use camino::Utf8Path;
use vtbuild_cache::{
    Blob, Digest, Fields, Keyed, Output, Record, Store, Take, Value, digest_of, manifest_of,
};

/// Records written in one transaction; each holds a lock file open until then.
const BATCH: usize = 500;

/// What a variant's test declares, in number: the median of the parameters a test reads, and the tools and images.
struct Action(usize);

impl Keyed for Action {
    fn domain(&self) -> &'static str {
        "action"
    }

    fn fields(&self, sink: &mut dyn Fields) {
        sink.put("rule", Value::Text("test"));
        sink.put("version", Value::Number(1));
        sink.open("params");
        for name in [
            "mem",
            "smp",
            "image_name",
            "nic_model",
            "drive_format",
            "migration_protocol",
        ] {
            sink.put(name, Value::Text(name));
        }
        sink.put("variant", Value::Number(self.0 as u64));
        sink.close();
        sink.put("image", Value::Digest(Digest::of(b"image")));
        sink.put("module", Value::Digest(Digest::of(b"module")));
    }
}

fn record(number: usize, blob: Blob) -> Record {
    let action = Action(number);
    Record {
        key: digest_of(&action),
        rule: "test".to_owned(),
        label: format!("//io-github-autotest-qemu.migrate.default.tcp.variant{number}"),
        status: "PASS".to_owned(),
        outputs: vec![Output {
            name: "log".to_owned(),
            digest: blob.digest,
            size: blob.size,
        }],
        inputs: Vec::new(),
        observed: Vec::new(),
        manifest: manifest_of(&action),
        seconds: 31.34,
        finished_unix_ms: 1_700_000_000_000,
        host: "host".to_owned(),
        evidence: serde_json::json!({ "runs": 1 }),
    }
}

fn timed<T>(what: &str, count: usize, body: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let answer = body();
    let took = start.elapsed();
    say(&format!(
        "{what:<44}{:>9.1} ms {:>12.0} a second",
        millis(took),
        count as f64 / took.as_secs_f64()
    ));
    answer
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[expect(clippy::print_stdout, reason = "a benchmark reports on its output")]
fn say(line: &str) {
    println!("{line}");
}

fn main() {
    let count = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let dir = Utf8Path::from_path(dir.path()).expect("a path in UTF-8");
    let cache = dir.join("cache");
    let store = Store::open(&cache).expect("a new store");
    let blobs: Vec<_> = (0..100_u32)
        .map(|number| store.put_bytes(&number.to_le_bytes()).expect("a blob"))
        .collect();
    let records: Vec<_> = (0..count)
        .map(|number| record(number, blobs[number % blobs.len()]))
        .collect();
    let keys: Vec<_> = records.iter().map(|record| record.key).collect();

    timed("keys computed", count, || {
        (0..count)
            .map(|number| digest_of(&Action(number)))
            .collect::<Vec<_>>()
    });
    timed("records published, 500 in a transaction", count, || {
        fill(&store, &records);
    });
    one_by_one(&store, blobs[0]);
    drop(store);

    // Without this note, as after a crash, the whole index is looked through.
    std::fs::remove_file(cache.join("index/left")).expect("a closed index");
    drop(timed("store opened after a crash", 1, || Store::open(&cache)).expect("reopened"));
    let store = timed("store opened", 1, || Store::open(&cache)).expect("reopened");
    let hits = timed("light look-ups, in one transaction", count, || {
        store.lookup_many(&keys)
    })
    .expect("look-ups");
    assert!(
        hits.iter().all(|of_key| !of_key.is_empty()),
        "every record was published"
    );
    timed("whole records, each in its own transaction", count, || {
        keys.iter()
            .for_each(|key| assert!(store.lookup(key).expect("a look-up").is_some()));
    });
    let bytes = store.stat(&[]).expect("a stat").index_bytes;
    say(&format!(
        "{:<44}{:>9} bytes",
        "index, for each record",
        bytes / count as u64
    ));
    files(&store, dir);
    hashing(&store, dir);
}

fn fill(store: &Store, records: &[Record]) {
    for batch in records.chunks(BATCH) {
        let reserved = batch
            .iter()
            .map(|record| (record, store.reserve(&record.key).expect("a reservation")));
        store.publish_many(reserved).expect("published");
    }
}

fn one_by_one(store: &Store, blob: Blob) {
    let records: Vec<_> = (0..200).map(|number| record(usize::MAX - number, blob)).collect();
    timed("records published one by one", records.len(), || {
        for record in &records {
            let reservation = store.reserve(&record.key).expect("a reservation");
            store.publish(record, reservation).expect("published");
        }
    });
}

/// Digests of many small files, the first time and when nothing changed.
fn files(store: &Store, dir: &Utf8Path) {
    let paths: Vec<_> = (0..2000)
        .map(|number| dir.join(format!("file{number}")))
        .collect();
    let long_ago = std::time::SystemTime::now() - Duration::from_secs(60);
    for path in &paths {
        std::fs::write(path, path.as_str()).expect("a file");
        let file = std::fs::File::options().write(true).open(path).expect("the file");
        file.set_modified(long_ago).expect("a time of change");
    }
    // The time of inode change cannot be set; it has to be old enough by itself.
    std::thread::sleep(Duration::from_millis(2100));
    timed("files hashed", paths.len(), || store.file_digests(&paths)).expect("hashed");
    timed("files unchanged", paths.len(), || store.file_digests(&paths)).expect("looked at");
}

fn hashing(store: &Store, dir: &Utf8Path) {
    let path = dir.join("image");
    std::fs::write(&path, vec![7; 256 << 20]).expect("a large file");
    timed("MiB of a file copied in", 256, || {
        store.put_file(&path, Take::Copy)
    })
    .expect("stored");
    timed("MiB of a file moved in", 256, || {
        store.put_file(&path, Take::Move)
    })
    .expect("stored");
}
