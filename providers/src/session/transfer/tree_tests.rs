//! Copying between two folders of this host, and from a side that lies.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::super::local::Local;
use super::*;

fn meter(patience: Duration, rate: Option<u64>) -> Meter {
    Meter::new(
        Instant::now() + patience,
        TransferOptions {
            patience,
            rate,
            times: true,
        },
    )
}

fn run(source: &str, target: &str) -> Result<Copied, TransferError> {
    let meter = meter(Duration::from_secs(20), None);
    copy(&Local, source, &Local, target, &meter).map(|()| meter.copied())
}

/// A folder with `src/{a.txt,b.log,deep/c.txt}`.
fn folder() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let base = folder.path().to_str().expect("UTF-8").to_owned();
    fs::create_dir_all(format!("{base}/src/deep")).expect("folders");
    fs::write(format!("{base}/src/a.txt"), "a").expect("a file");
    fs::write(format!("{base}/src/b.log"), "bb").expect("a file");
    fs::write(format!("{base}/src/deep/c.txt"), "ccc").expect("a file");
    fs::set_permissions(format!("{base}/src/a.txt"), fs::Permissions::from_mode(0o750)).expect("a mode");
    fs::set_permissions(format!("{base}/src/deep"), fs::Permissions::from_mode(0o555)).expect("a mode");
    (folder, base)
}

#[test]
fn a_directory_is_copied_as_a_new_name_and_into_an_existing_one() {
    let (_guard, base) = folder();
    let (source, target) = (format!("{base}/src"), format!("{base}/dst"));
    assert_eq!(
        run(&source, &target).expect("copied"),
        Copied { files: 3, bytes: 6 }
    );
    assert_eq!(
        fs::read_to_string(format!("{target}/deep/c.txt")).expect("there"),
        "ccc"
    );
    let mode = |path: &str| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&format!("{target}/a.txt")), 0o750);
    assert_eq!(mode(&format!("{target}/deep")), 0o555);
    run(&source, &target).expect("copied again");
    assert!(fs::metadata(format!("{target}/src/a.txt")).is_ok());
}

#[test]
fn a_pattern_stands_for_what_it_fits() {
    let (_guard, base) = folder();
    fs::create_dir(format!("{base}/dst")).expect("a folder");
    assert_eq!(
        run(&format!("{base}/s*/*.txt"), &format!("{base}/dst"))
            .expect("copied")
            .files,
        1
    );
    let copied = run(&format!("{base}/src/*/[a-c].txt"), &format!("{base}/dst/new.txt")).expect("one file");
    assert_eq!(copied, Copied { files: 1, bytes: 3 });
    let error = run(&format!("{base}/src/*.none"), &format!("{base}/dst")).expect_err("fits nothing");
    assert!(matches!(&error, TransferError::NoSource { .. }), "{error}");
    let error =
        run(&format!("{base}/src/*"), &format!("{base}/nowhere")).expect_err("several need a directory");
    assert!(matches!(&error, TransferError::NoDirectory { .. }), "{error}");
}

#[test]
fn devices_and_loops_are_refused() {
    let (_guard, base) = folder();
    let error = run("/dev/null", &format!("{base}/null")).expect_err("a device");
    assert!(matches!(&error, TransferError::Special { .. }), "{error}");
    std::os::unix::fs::symlink(format!("{base}/src"), format!("{base}/src/deep2")).expect("a loop");
    let error = run(&format!("{base}/src"), &format!("{base}/dst")).expect_err("a loop");
    let file_error = matches!(&error, TransferError::File { .. });
    assert!(
        matches!(&error, TransferError::TooDeep { .. }) || file_error,
        "{error}"
    );
}

#[test]
fn the_rate_and_the_deadline_hold() {
    let (_guard, base) = folder();
    fs::write(format!("{base}/big"), vec![0; 60_000]).expect("a file");
    let slow = meter(Duration::from_secs(20), Some(100_000));
    let before = Instant::now();
    copy(
        &Local,
        &format!("{base}/big"),
        &Local,
        &format!("{base}/big2"),
        &slow,
    )
    .expect("copied");
    assert!(
        before.elapsed() >= Duration::from_millis(500),
        "{:?}",
        before.elapsed()
    );
    let late = meter(Duration::from_millis(100), Some(100_000));
    let error = copy(
        &Local,
        &format!("{base}/big"),
        &Local,
        &format!("{base}/big3"),
        &late,
    )
    .expect_err("late");
    assert!(
        matches!(&error, TransferError::Timeout { done, .. } if done.bytes < 60_000),
        "{error}"
    );
}

/// A guest whose directory lists what it likes.
struct Liar(&'static str);

impl Tree for Liar {
    fn side(&self) -> &'static str {
        "guest"
    }
    fn kind(&self, path: &str) -> Result<Option<Kind>, TransferError> {
        let directory = path == "/data";
        Ok(Some(if directory {
            Kind::Directory { mode: 0o755 }
        } else {
            Kind::File { mode: 0o644, size: 4 }
        }))
    }
    fn list(&self, _directory: &str) -> Result<Vec<String>, TransferError> {
        Ok(vec!["good".to_owned(), self.0.to_owned()])
    }
    fn reader<'a>(&'a self, _path: &str) -> Result<Box<dyn Read + 'a>, TransferError> {
        Ok(Box::new(&b"evil"[..]))
    }
    fn make_directory(&self, path: &str) -> Result<(), TransferError> {
        Err(file_error("guest", "make", path, &"read-only"))
    }
    fn writer<'a>(&'a self, path: &str, _size: u64) -> Result<Box<dyn Sink + 'a>, TransferError> {
        Err(file_error("guest", "write", path, &"read-only"))
    }
    fn set_mode(&self, path: &str, _mode: u32) -> Result<(), TransferError> {
        Err(file_error("guest", "change", path, &"read-only"))
    }

    fn set_modified(&self, path: &str, _seconds: u32) -> Result<(), TransferError> {
        Err(file_error("guest", "change", path, &"read-only"))
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused_before_anything_is_written() {
    for name in ["../evil", "..", ".", "", "a/b", "/etc/passwd", "nul\0"] {
        let (_guard, base) = folder();
        fs::create_dir(format!("{base}/inner")).expect("a folder");
        let meter = meter(Duration::from_secs(20), None);
        for source in ["/data", "/data/*"] {
            let target = format!("{base}/inner");
            let result = match source {
                "/data" => copy(&Liar(name), source, &Local, &target, &meter),
                _ => expand_part(&Liar(name), &["/data".to_owned()], "*").map(|_| ()),
            };
            let error = result.expect_err("refused");
            assert!(
                matches!(&error, TransferError::BadName { .. }),
                "{name:?}: {error}"
            );
        }
        assert_eq!(
            fs::read_dir(format!("{base}/inner")).expect("there").count(),
            0,
            "{name:?}"
        );
        assert!(!fs::exists(format!("{base}/evil")).expect("answers"));
    }
}
