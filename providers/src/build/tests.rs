//! Builds with a shell of this host as the target: quick, and everything but the transport is real.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use camino::{Utf8Path, Utf8PathBuf};

use super::*;

/// A shell of this host whose home is a folder of the test.
pub(super) struct LocalShell {
    home: Utf8PathBuf,
}

impl Target for LocalShell {
    fn run(&self, script: &str, input: Input<'_>, output: &mut dyn Write) -> io::Result<Ended> {
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env("HOME", &self.home)
            .env_remove("XDG_CACHE_HOME")
            .current_dir(&self.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take();
        match input {
            Input::Empty => stdin = None,
            Input::All(write) => {
                write(stdin.as_mut().expect("asked for"))?;
                stdin = None;
            }
            Input::Held(write) => write(stdin.as_mut().expect("asked for"))?,
        }
        io::copy(&mut child.stdout.take().expect("asked for"), output)?;
        let mut stderr = String::new();
        child
            .stderr
            .take()
            .expect("asked for")
            .read_to_string(&mut stderr)?;
        let status = child.wait()?.code().unwrap_or(128);
        drop(stdin);
        Ok(Ended { status, stderr })
    }
}

const MAKEFILE: &str = "all: prog sub/data\nprog: prog.in\n\tsed 's/#.*//' prog.in > prog; chmod +x prog\n\
    sub/data:\n\techo $(WHAT) > sub/data\n";

struct Site {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
    target: LocalShell,
}

impl Site {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8PathBuf::from_path_buf(dir.path().to_owned()).unwrap();
        for folder in ["home", "app/sub"] {
            fs::create_dir_all(root.join(folder)).unwrap();
        }
        let site = Self {
            target: LocalShell {
                home: root.join("home"),
            },
            root,
            _dir: dir,
        };
        site.write("Makefile", MAKEFILE);
        site.write("prog.in", "#!/bin/sh\necho hello # a comment\n");
        site.write("sub/run.sh", "#!/bin/sh\n");
        fs::set_permissions(
            site.root.join("app/sub/run.sh"),
            fs::Permissions::from_mode(0o755),
        )
        .unwrap();
        symlink("sub/run.sh", site.root.join("app/link")).unwrap();
        site
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.root.join("app").join(name), text).unwrap();
    }

    fn order(&self) -> Order {
        let scratch = self.root.join("scratch");
        let _ = fs::remove_dir_all(&scratch);
        fs::create_dir(&scratch).unwrap();
        Order {
            tree: SourceTree::scan(&self.root.join("app")).unwrap(),
            flags: vec!["WHAT=two words".into()],
            output: Vec::new(),
            id: "app1".into(),
            place: "this host".into(),
            scratch,
        }
    }

    /// The result, and what `make` printed.
    fn build(&self, order: &Order) -> (Result<Built, BuildError>, Vec<String>) {
        let mut lines = Vec::new();
        let built = build(&self.target, order, &mut |line| lines.push(line.to_owned()));
        (built, lines)
    }

    fn good(&self) -> Built {
        self.build(&self.order()).0.unwrap()
    }

    fn unpacked(&self, built: &Built) -> Utf8PathBuf {
        let folder = self.root.join("unpacked");
        let _ = fs::remove_dir_all(&folder);
        unpack(&built.archive, &folder, None).unwrap();
        folder
    }
}

#[test]
fn what_make_produced_comes_back_and_nothing_else() {
    let site = Site::new();
    let (built, lines) = site.build(&site.order());
    let built = built.unwrap();
    assert_eq!(built.products, ["prog", "sub/data"]);
    let folder = site.unpacked(&built);
    assert_eq!(
        fs::read_to_string(folder.join("sub/data")).unwrap(),
        "two words\n"
    );
    let mode = fs::metadata(folder.join("prog")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o755);
    assert!(
        lines.iter().any(|line| line.contains("sed 's/#.*//'")),
        "{lines:?}"
    );
    assert!(
        built.toolchain.starts_with("architecture: "),
        "{}",
        built.toolchain
    );
    assert!(built.toolchain.contains("make: GNU Make"), "{}", built.toolchain);
    // Five files and links, and the folder.
    assert_eq!((built.mirrored.sent, built.mirrored.unchanged), (5, 0));
    let left: Vec<_> = fs::read_dir(site.root.join("home/.cache/vtbuild/deps/app1"))
        .unwrap()
        .collect();
    assert!(left.iter().all(|entry| {
        !entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_str()
            .unwrap()
            .starts_with("out.")
    }));
}

#[test]
fn only_what_changed_travels_and_what_is_gone_is_removed() {
    let site = Site::new();
    let first = fs::read(site.good().archive).unwrap();
    let again = site.good();
    assert_eq!((again.mirrored.sent, again.mirrored.unchanged), (0, 5));
    assert_eq!(fs::read(&again.archive).unwrap(), first, "the same bytes");

    site.write("prog.in", "#!/bin/sh\necho hello # another comment\n");
    let commented = site.good();
    assert_eq!((commented.mirrored.sent, commented.mirrored.removed), (1, 0));
    assert_eq!(
        fs::read(&commented.archive).unwrap(),
        first,
        "a comment changes no bytes"
    );

    site.write("prog.in", "#!/bin/sh\necho good bye\n");
    site.write("extra", "");
    let changed = site.good();
    assert_eq!((changed.mirrored.sent, changed.mirrored.bytes), (2, 24));
    assert_ne!(fs::read(&changed.archive).unwrap(), first);

    fs::remove_file(site.root.join("app/extra")).unwrap();
    fs::remove_file(site.root.join("app/link")).unwrap();
    fs::remove_dir_all(site.root.join("app/sub")).unwrap();
    site.write("sub", "now a file");
    site.write("Makefile", "all:\n\techo x > made\n");
    let smaller = site.good();
    assert_eq!(smaller.products, ["made"]);
    let files = site.root.join("home/.cache/vtbuild/deps/app1/files");
    let left = SourceTree::scan(&files).unwrap_err();
    assert!(
        matches!(left, TreeError::Unfit { .. }),
        "only our list is left beside them: {left}"
    );
    fs::remove_file(files.join(MIRROR_LIST)).unwrap();
    let left = SourceTree::scan(&files).unwrap();
    assert_eq!(
        left.entries,
        SourceTree::scan(&site.root.join("app")).unwrap().entries
    );
}

#[test]
fn a_mirror_that_was_spoilt_is_mended() {
    let site = Site::new();
    let first = fs::read(site.good().archive).unwrap();
    let files = site.root.join("home/.cache/vtbuild/deps/app1/files");
    fs::write(files.join("prog.in"), "spoilt").unwrap();
    fs::remove_file(files.join("link")).unwrap();
    fs::create_dir(files.join("link")).unwrap();
    let mended = site.good();
    assert_eq!((mended.mirrored.sent, mended.mirrored.removed), (2, 1));
    assert_eq!(fs::read(mended.archive).unwrap(), first);
}

#[test]
fn a_stranger_s_file_in_the_mirror_is_never_built() {
    let site = Site::new();
    site.good();
    fs::write(
        site.root.join("home/.cache/vtbuild/deps/app1/files/GNUmakefile"),
        "all:\n\techo evil > evil\n",
    )
    .unwrap();
    let error = site.build(&site.order()).0.unwrap_err();
    assert!(
        error.to_string().contains("does not stay what it should be"),
        "{error}"
    );
    assert!(!error.is_in_the_sources());
}

#[test]
fn errors_are_the_compilers_own_words() {
    let site = Site::new();
    site.write(
        "Makefile",
        "all:\n\t@echo one; echo 'prog.c:3:5: error: no such thing' >&2; echo '  3 | x'; exit 4\n",
    );
    let (built, lines) = site.build(&site.order());
    let error = built.unwrap_err();
    assert!(error.is_in_the_sources());
    let BuildError::Make { status, said, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*status, 2);
    assert!(said[0].starts_with("prog.c:3:5: error:"), "{said:?}");
    assert!(lines.contains(&"one".to_owned()) && lines.iter().all(|line| !line.contains("vtbuild:")));
    // What failed is built anew when it is asked for again.
    site.write("Makefile", "all:\n\techo x > made\n");
    assert_eq!(site.good().products, ["made"]);
}

#[test]
fn outputs_can_be_named_sources_among_them() {
    let site = Site::new();
    let order = Order {
        output: vec!["prog".into(), "*.sh".into()],
        ..site.order()
    };
    let built = site.build(&order).0.unwrap();
    assert_eq!(built.products, ["prog", "sub/run.sh"]);
    let order = Order {
        output: vec!["nothing*".into()],
        ..site.order()
    };
    let error = site.build(&order).0.unwrap_err().to_string();
    assert!(error.contains("`make` produced prog, sub/data"), "{error}");
    site.write("Makefile", "all:\n\ttrue\n");
    let error = site.build(&site.order()).0.unwrap_err();
    assert!(matches!(error, BuildError::Nothing { .. }), "{error}");
}

#[test]
fn a_lost_connection_takes_make_with_it() {
    let site = Site::new();
    site.good();
    site.write(
        "Makefile",
        &format!("all:\n\t@echo $$$$ > ../pid; echo {READY}; sleep 300\n"),
    );
    let order = site.order();
    let target = Hasty(LocalShell {
        home: site.root.join("home"),
    });
    let started = std::time::Instant::now();
    assert!(build(&target, &order, &mut |_| ()).is_err());
    assert!(started.elapsed().as_secs() < 60);
    let pid = fs::read_to_string(site.root.join("home/.cache/vtbuild/deps/app1/pid")).unwrap();
    let gone = || !Utf8Path::new("/proc").join(pid.trim()).join("cwd").exists();
    let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !gone() && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(gone(), "make's child {pid} still runs");
}

/// What the recipe prints once its shell's id is on the disk.
const READY: &str = "recipe is under way";

/// A target whose connection breaks as soon as `make` has printed [`READY`].
struct Hasty(LocalShell);

impl Target for Hasty {
    fn run(&self, script: &str, input: Input<'_>, output: &mut dyn Write) -> io::Result<Ended> {
        let Input::Held(write) = input else {
            return self.0.run(script, input, output);
        };
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env("HOME", &self.0.home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().expect("asked for");
        write(&mut stdin)?;
        let mut lines = BufReader::new(child.stdout.take().expect("asked for")).lines();
        assert!(lines.any(|line| line.is_ok_and(|line| line == READY)));
        drop(stdin);
        child.wait()?;
        Err(io::ErrorKind::ConnectionReset.into())
    }
}
