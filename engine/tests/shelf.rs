//! A shelf answers as the files would, whatever happens to them or to it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use tempfile::TempDir;
use vtbuild_cfg::{ExpandOptions, Program, canonical_dump};
use vtbuild_engine::session::{ExtraLine, Layout, ProviderLayout, Session};
use vtbuild_engine::shelf::{Shelf, unit};

/// A configuration set on disk and a shelf beside it.
struct Place {
    _dir: TempDir,
    root: Utf8PathBuf,
}

impl Place {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Utf8PathBuf::try_from(dir.path().to_owned()).expect("UTF-8");
        let place = Place { _dir: dir, root };
        files.iter().for_each(|(name, text)| place.write(name, text));
        place
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        self.root.join(name)
    }

    /// Writes a file and makes it look old enough that its times can be trusted to change with it.
    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        fs::write(&path, text).expect("a file");
        let file = fs::File::options().write(true).open(&path).expect("the file");
        file.set_modified(SystemTime::now() - Duration::from_secs(10))
            .expect("a time");
    }

    fn shelf(&self) -> Shelf {
        Shelf::new(&self.root.join("cache")).with_small_ones()
    }

    fn dump(&self) -> Result<Vec<String>, String> {
        dumps(self.shelf().load(&self.path("tests.cfg")))
    }

    fn dump_files(&self) -> Result<Vec<String>, String> {
        dumps(Program::link(&self.path("tests.cfg"), &mut unit))
    }

    /// What the shelf holds.
    fn kept(&self) -> Vec<Utf8PathBuf> {
        let mut paths: Vec<_> = self
            .path("cache/programs")
            .read_dir_utf8()
            .into_iter()
            .flatten()
            .map(|entry| entry.expect("an entry").into_path())
            .collect();
        paths.sort();
        paths
    }

    /// Changes the one kept file.
    fn spoil(&self, spoil: impl FnOnce(&mut Vec<u8>)) {
        let kept = self.kept();
        assert_eq!(kept.len(), 1, "{kept:?}");
        let mut bytes = fs::read(&kept[0]).expect("the kept file");
        spoil(&mut bytes);
        fs::remove_file(&kept[0]).expect("its folder can be written");
        fs::write(&kept[0], bytes).expect("its folder can be written");
    }
}

fn dumps(program: Result<Program, Vec<vtbuild_cfg::Diagnostic>>) -> Result<Vec<String>, String> {
    let program = program.map_err(|errors| errors[0].to_string())?;
    let dump = |variant: vtbuild_cfg::Variant| {
        let mut out = String::new();
        canonical_dump(&variant, &mut out).expect("it applies");
        out
    };
    let variants = program.variants(&ExpandOptions::default());
    Ok(variants
        .map(|variant| dump(variant.expect("it expands")))
        .collect())
}

const SET: [(&str, &str); 2] = [
    (
        "tests.cfg",
        "include more.cfg\nvariants:\n  - a:\n      x = 1\n  - b:\n      x = 2\n",
    ),
    ("more.cfg", "y = ${x}\nvariants:\n  - one:\n  - two:\n"),
];

/// A change time cannot be set, so a file counts as settled only after this.
fn settle() {
    std::thread::sleep(Duration::from_millis(2100));
}

#[test]
fn a_second_look_is_answered_from_the_shelf() {
    let place = Place::new(&SET);
    settle();
    let first = place.dump().expect("correct");
    assert_eq!(first, place.dump_files().expect("correct"));
    let kept = place.kept();
    assert_eq!(kept.len(), 1);
    let made = fs::metadata(&kept[0]).expect("kept");
    assert_eq!(made.permissions().mode() & 0o222, 0, "nobody may write to it");
    assert_eq!(place.dump().expect("correct"), first);
    let again = fs::metadata(&kept[0]).expect("kept");
    assert_eq!(
        made.modified().expect("a time"),
        again.modified().expect("a time"),
        "it was not made again"
    );
    // An edit that keeps size and time is seen all the same.
    let more = place.path("more.cfg");
    let time = fs::metadata(&more).expect("a file").modified().expect("a time");
    place.write("more.cfg", &SET[1].1.replace("two", "six"));
    let file = fs::File::options().write(true).open(&more).expect("a file");
    file.set_modified(time).expect("a time");
    assert_ne!(place.dump().expect("correct"), first);
    assert_eq!(place.dump(), place.dump_files());
}

#[test]
fn an_edit_is_seen_and_touching_is_no_edit() {
    let place = Place::new(&SET);
    let first = place.dump().expect("correct");
    place.write("more.cfg", "y = new\nvariants:\n  - one:\n  - two:\n");
    let second = place.dump().expect("correct");
    assert_ne!(second, first);
    assert_eq!(second, place.dump_files().expect("correct"));
    // The same size and the same content at another time.
    place.write("more.cfg", "y = new\nvariants:\n  - one:\n  - two:\n");
    assert_eq!(place.dump().expect("correct"), second);
    place.write("more.cfg", "y = old\nvariants:\n  - one:\n  - two:\n");
    assert_eq!(place.dump(), place.dump_files());
    assert_ne!(place.dump().expect("correct"), second);
}

#[test]
fn a_file_that_goes_is_an_error_and_comes_back_as_it_was() {
    let place = Place::new(&SET);
    let first = place.dump();
    fs::remove_file(place.path("more.cfg")).expect("it is there");
    let error = place.dump().expect_err("an include is missing");
    assert_eq!(error, place.dump_files().expect_err("an include is missing"));
    fs::create_dir(place.path("more.cfg")).expect("a free name");
    assert_eq!(place.dump(), place.dump_files());
    fs::remove_dir(place.path("more.cfg")).expect("it is empty");
    place.write("more.cfg", SET[1].1);
    assert_eq!(place.dump(), first);
}

#[test]
fn a_spoilt_program_is_made_again() {
    let place = Place::new(&SET);
    // What is kept grows by the times of its files once these have settled.
    settle();
    let first = place.dump().expect("correct");
    let whole = fs::read(&place.kept()[0]).expect("kept");
    for length in [0, 1, 7, 8, 23, 24, 25, whole.len() / 2, whole.len() - 1] {
        place.spoil(|bytes| bytes.truncate(length));
        assert_eq!(place.dump().expect("correct"), first, "cut at {length}");
    }
    for at in (0..whole.len()).step_by(97).chain(0..32) {
        place.spoil(|bytes| bytes[at] ^= 1 << (at % 8));
        assert_eq!(place.dump().expect("correct"), first, "a bit of byte {at}");
        assert_eq!(
            fs::read(&place.kept()[0]).expect("kept").len(),
            whole.len(),
            "it is whole again"
        );
    }
    place.spoil(|bytes| bytes[7] += 1);
    assert_eq!(place.dump().expect("correct"), first, "another format");
    place.spoil(|bytes| bytes.extend_from_slice(b"more"));
    assert_eq!(place.dump().expect("correct"), first, "something after its end");
}

#[test]
fn many_may_share_a_shelf() {
    let place = Place::new(&SET);
    let expected = place.dump_files();
    std::thread::scope(|scope| {
        let work = || (0..20).for_each(|_| assert_eq!(place.dump(), expected));
        (0..4).for_each(|_| {
            scope.spawn(work);
        });
    });
    assert_eq!(place.kept().len(), 1, "nothing half written stays");
}

#[test]
fn a_shelf_that_cannot_be_written_is_no_mistake() {
    let place = Place::new(&SET);
    fs::write(place.path("cache"), "no folder").expect("a file");
    assert_eq!(place.dump(), place.dump_files());
}

#[test]
fn small_sets_are_not_kept() {
    let place = Place::new(&SET);
    let shelf = Shelf::new(&place.path("cache"));
    shelf.load(&place.path("tests.cfg")).expect("correct");
    assert!(place.kept().is_empty());
    place.dump().expect("correct");
    assert_eq!(place.kept().len(), 1);
}

/// A workspace with a provider, whose test definitions become a generated file.
fn workspace() -> Place {
    Place::new(&[
        (
            "own/tests.cfg",
            "include base.cfg\ninclude subtests.cfg\nno never\n",
        ),
        ("shared/base.cfg", "image = x\n"),
        ("tp/boot.cfg", "- boot:\n    type = boot\n"),
        ("tp/deep/reboot.cfg", "- reboot:\n    type = ${image}\n"),
    ])
}

fn session(place: &Place) -> Session {
    Session::new(Layout {
        config_dirs: vec![place.path("own"), place.path("shared")],
        backend: "qemu".into(),
        providers: vec![ProviderLayout {
            name: "tp".into(),
            specific: Vec::new(),
            generic: vec![place.path("tp")],
        }],
    })
}

fn lines() -> [ExtraLine; 1] {
    [ExtraLine {
        origin: "a line".into(),
        text: "only boot, reboot, third".into(),
    }]
}

/// What a session finds, with the places of filters, which come from the files.
fn found(session: &Session) -> Result<String, String> {
    let program = session.program(&lines()).map_err(|found| found[0].to_string())?;
    let filters = vtbuild_cfg::provenance::filters_in_force(&program);
    let variants = session
        .variants(&program, None)
        .map_err(|found| found[0].to_string())?;
    Ok(format!("{filters:?} {variants:?}"))
}

#[test]
fn a_workspace_is_kept_with_all_that_was_looked_for() {
    let place = workspace();
    let look = || found(&session(&place).with_shelf(place.shelf()));
    let first = look().expect("correct");
    assert_eq!(first, found(&session(&place)).expect("correct"));
    assert!(first.contains("tests.cfg"), "{first}");
    assert_eq!(place.kept().len(), 1);
    assert_eq!(look().expect("correct"), first);
    // A file that was looked for and not there, a new test, a test that goes.
    place.write("own/base.cfg", "image = y\n");
    let own = look().expect("correct");
    assert_ne!(own, first);
    assert_eq!(own, found(&session(&place)).expect("correct"));
    place.write("tp/deep/third.cfg", "- third:\n");
    let third = look().expect("correct");
    assert_ne!(third, own);
    assert_eq!(third, found(&session(&place)).expect("correct"));
    fs::remove_file(place.path("tp/boot.cfg")).expect("it is there");
    assert_eq!(look(), found(&session(&place)));
    assert_ne!(look().expect("correct"), third);
}

#[test]
fn a_session_that_looks_again_reads_files() {
    let place = workspace();
    found(&session(&place).with_shelf(place.shelf())).expect("correct");
    let mut session_of_shelf = session(&place).with_shelf(place.shelf());
    let first = found(&session_of_shelf).expect("correct");
    place.write("shared/base.cfg", "image = z\n");
    session_of_shelf.refresh();
    let second = found(&session_of_shelf).expect("correct");
    assert_ne!(second, first);
    assert_eq!(second, found(&session(&place)).expect("correct"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn a_shelf_is_never_behind_the_files(edits in prop::collection::vec((0..3_usize, 0..6_usize), 1..8)) {
        let place = Place::new(&SET);
        let texts = [
            "y = 1\n", "y = 2\n", "variants:\n  - one:\n      y = 3\n", "only a\n", "y = = :\nvariants\n", "",
        ];
        for (file, text) in edits {
            let name = ["more.cfg", "tests.cfg", "third.cfg"][file];
            match (file, text) {
                (0, 5) => { let _ = fs::remove_file(place.path(name)); }
                (1, text) => place.write(name, &format!("{}include third.cfg\n{}", SET[0].1, texts[text])),
                (_, text) => place.write(name, texts[text]),
            }
            prop_assert_eq!(place.dump(), place.dump_files());
        }
    }
}

#[test]
fn paths_are_relative_to_where_one_is() {
    let place = Place::new(&SET);
    // Another folder with the same file names asks another question: full paths differ.
    let other = Place::new(&[("tests.cfg", "z = 1\n")]);
    place.dump().expect("correct");
    let there = place.shelf().load(Utf8Path::new(&other.path("tests.cfg")));
    assert_eq!(dumps(there), other.dump_files());
}
