//! What runs again after an edit, and that what comes out is what a fresh session finds.

use std::collections::BTreeMap;
use std::fs;

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use vtbuild_engine::outline::Outline;
use vtbuild_engine::session::{ExtraLine, Layout, ProviderLayout, Session};
use vtbuild_engine::variant::Variant;

/// A workspace with two configuration folders and one provider.
struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// `tests` tests of eight variants each.
    fn new(tests: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let it = Self { folder };
        it.write("first/readme.txt", "looked at before `second`\n");
        let tests_cfg = "include base.cfg\ninclude subtests.cfg\ninclude guest-os.cfg\n";
        it.write("second/tests.cfg", tests_cfg);
        it.write("second/base.cfg", "mem = 512\nvms = vm1\n");
        it.write("second/guest-os/Linux.cfg", "- Linux:\n    os_type = linux\n");
        it.write(
            "second/guest-os/Linux/Jeos.cfg",
            "- Jeos:\n    image_name = jeos\n",
        );
        it.write(
            "second/guest-os/Windows.cfg",
            "- Windows:\n    os_type = windows\n",
        );
        for number in 0..tests {
            it.write(&test(number), &text(number, 30));
        }
        it
    }

    fn path(&self, file: &str) -> Utf8PathBuf {
        let root = Utf8Path::from_path(self.folder.path()).expect("a path in UTF-8");
        root.join(file)
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().expect("a file is in a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn session(&self) -> Session {
        Session::new(Layout {
            config_dirs: vec![self.path("first"), self.path("second")],
            backend: "qemu".into(),
            providers: vec![ProviderLayout {
                name: "own".into(),
                specific: Vec::new(),
                generic: vec![self.path("tests")],
            }],
        })
    }
}

fn test(number: usize) -> String {
    format!("tests/t{number:02}.cfg")
}

fn text(number: usize, timeout: u32) -> String {
    let mut text =
        format!("- t{number:02}:\n    type = t{number:02}\n    timeout = {timeout}\n    variants:\n");
    for inner in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        text.push_str(&format!(
            "        - {inner}:\n            case = ${{type}}-{inner}\n"
        ));
    }
    text
}

fn guest() -> Vec<ExtraLine> {
    vec![ExtraLine {
        origin: "--guest-os".into(),
        text: "only Linux".into(),
    }]
}

fn select(session: &Session) -> Vec<Variant> {
    session.select(&guest()).expect("the configuration is good")
}

/// What ran while the selection was made anew, with how often.
fn runs_after_edit(session: &mut Session) -> BTreeMap<String, usize> {
    session.take_runs();
    session.refresh();
    select(session);
    session.take_runs()
}

fn runs(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected
        .iter()
        .map(|&(name, count)| (name.to_owned(), count))
        .collect()
}

fn value<'v>(variant: &'v Variant, key: &str) -> Option<&'v str> {
    let found = variant.params.iter().find(|(known, _)| **known == *key);
    found.map(|(_, value)| &**value)
}

/// A workspace of twelve tests, selected once.
fn warm() -> (Workspace, Session) {
    let workspace = Workspace::new(12);
    let session = workspace.session();
    assert_eq!(select(&session).len(), 12 * 8);
    (workspace, session)
}

/// The names of what an edit reached: gone, new, and made of other statements.
fn reached(session: &Session, before: &Outline) -> [Vec<String>; 3] {
    let now = session.outline(&guest()).expect("the configuration is good");
    let reached = now.since(before);
    let name = |variant: &vtbuild_cfg::Variant| variant.name().to_owned();
    let rest = |there: bool| {
        let rest = reached.rest.iter().filter(move |(old, _)| old.is_some() == there);
        rest.map(|(_, new)| name(new)).collect()
    };
    let removed = reached.removed.iter().map(|variant| name(variant)).collect();
    [removed, rest(false), rest(true)]
}

#[test]
fn what_an_edit_reached_is_told_without_computing_anything() {
    let (workspace, mut session) = warm();
    let before = session.outline(&guest()).expect("the configuration is good");
    assert_eq!(before.len(), 12 * 8);
    assert_eq!(reached(&session, &before), [const { Vec::<String>::new() }; 3]);
    session.take_runs();
    workspace.write(&test(3), &text(3, 60).replace("- h:", "- i:"));
    session.refresh();
    let [removed, added, altered] = reached(&session, &before);
    assert_eq!((removed.len(), added.len(), altered.len()), (1, 1, 7));
    assert!(
        removed[0].contains("t03).h") && added[0].contains("t03).i"),
        "{removed:?} {added:?}"
    );
    assert!(altered.iter().all(|name| name.contains("t03).")), "{altered:?}");
    assert_eq!(session.take_runs().get("expanded"), None);
}

#[test]
fn nothing_runs_when_nothing_changed() {
    let (_workspace, mut session) = warm();
    assert_eq!(runs_after_edit(&mut session), runs(&[]));
}

#[test]
fn a_comment_is_parsed_and_no_more() {
    let (workspace, mut session) = warm();
    workspace.write("second/base.cfg", "# What all have.\nmem = 512\nvms = vm1\n");
    assert_eq!(
        runs_after_edit(&mut session),
        runs(&[("parsed", 1), ("items", 1)])
    );
}

#[test]
fn blank_lines_in_a_test_are_parsed_and_no_more() {
    let (workspace, mut session) = warm();
    let spread = text(3, 30).replace("    timeout", "\n\n    timeout");
    workspace.write(&test(3), &spread);
    let expected = [
        ("generated_subtests", 1),
        ("parsed_subtests", 1),
        ("items_subtests", 1),
    ];
    assert_eq!(runs_after_edit(&mut session), runs(&expected));
}

#[test]
fn places_follow_a_comment_though_nothing_is_linked_again() {
    let (workspace, mut session) = warm();
    let place = |session: &Session| {
        let program = session.program(&guest()).expect("the configuration is good");
        let variant = program.variants(&vtbuild_cfg::ExpandOptions::default()).next();
        let variant = variant.expect("one variant").expect("it expands");
        let steps = vtbuild_cfg::provenance::explain(&variant, "mem").expect("it applies");
        steps[0].statement.line
    };
    assert_eq!(place(&session), 1);
    session.take_runs();
    workspace.write("second/base.cfg", "# What all have.\n\nmem = 512\nvms = vm1\n");
    session.refresh();
    assert_eq!(place(&session), 3);
    let expected = [("parsed", 1), ("items", 1), ("program", 1)];
    assert_eq!(session.take_runs(), runs(&expected));
}

#[test]
fn one_key_of_one_test_makes_its_own_shards_again() {
    let (workspace, mut session) = warm();
    session.take_runs();
    let before = select(&workspace.session());
    workspace.write(&test(3), &text(3, 60));
    let mut ran = runs_after_edit(&mut session);
    let shards = ran.remove("expanded").expect("the shard of the test");
    let all = {
        let fresh = workspace.session();
        select(&fresh);
        fresh.take_runs()["expanded"]
    };
    // Eight variants that stand together are in one shard, or in two that a cut parts.
    assert!((1..=2).contains(&shards) && shards < all, "{shards} of {all}");
    let expected = [
        ("generated_subtests", 1),
        ("parsed_subtests", 1),
        ("items_subtests", 1),
        ("linked", 1),
        ("selected", 1),
    ];
    assert_eq!(ran, runs(&expected));
    for (old, new) in before.iter().zip(select(&session)) {
        let edited = new.test_id.starts_with("own.t03");
        assert_eq!(value(&new, "timeout"), Some(if edited { "60" } else { "30" }));
        assert_eq!(*old != new, edited, "{}", new.name);
    }
}

#[test]
fn a_new_test_file_is_noticed() {
    let (workspace, mut session) = warm();
    workspace.write(&test(12), &text(12, 30));
    let ran = runs_after_edit(&mut session);
    assert_eq!(ran.get("generated_subtests"), Some(&1));
    assert_eq!(ran.get("parsed"), None, "no other file is parsed again");
    let selected = select(&session);
    assert_eq!(selected.len(), 13 * 8);
    assert_eq!(selected, select(&workspace.session()));
}

#[test]
fn a_file_that_appears_earlier_in_the_search_order_wins() {
    let (workspace, mut session) = warm();
    assert_eq!(value(&select(&session)[0], "mem"), Some("512"));
    workspace.write("first/base.cfg", "mem = 1024\n");
    let ran = runs_after_edit(&mut session);
    assert_eq!((ran.get("parsed"), ran.get("linked")), (Some(&1), Some(&1)));
    assert_eq!(value(&select(&session)[0], "mem"), Some("1024"));
    fs::remove_file(workspace.path("first/base.cfg")).expect("the file is there");
    session.refresh();
    assert_eq!(value(&select(&session)[0], "mem"), Some("512"));
}

#[test]
fn a_mistake_is_told_with_its_place_and_forgotten_when_mended() {
    let (workspace, mut session) = warm();
    workspace.write("second/base.cfg", "# What all have.\nmem = 512\nonly a , b\n");
    session.refresh();
    let wrong = session.select(&guest()).expect_err("a blank before a comma");
    let at = &wrong[0].location;
    assert_eq!((at.file.ends_with("second/base.cfg"), at.line), (true, 3));
    workspace.write("second/base.cfg", "mem = 512\nvms = vm1\n");
    session.refresh();
    assert_eq!(select(&session), select(&workspace.session()));
}

#[test]
fn a_text_laid_over_a_file_counts_until_it_is_taken_away() {
    let (workspace, mut session) = warm();
    let base = workspace.path("second/base.cfg");
    let on_disk = "mem = 512\nvms = vm1\n";
    // The same text as on disk is no change at all; a comment is parsed and no more.
    session.take_runs();
    session.overlay(&base, Some(on_disk));
    select(&session);
    assert_eq!(session.take_runs(), runs(&[]));
    session.overlay(&base, Some(&format!("# What all have.\n{on_disk}")));
    select(&session);
    assert_eq!(session.take_runs(), runs(&[("parsed", 1), ("items", 1)]));
    session.overlay(&base, Some("mem = 640\n"));
    assert_eq!(value(&select(&session)[0], "mem"), Some("640"));
    assert_eq!(session.take_runs().get("parsed"), Some(&1), "no other file");
    // Whatever happens on disk meanwhile shows when the text is taken away, and not before.
    workspace.write("second/base.cfg", "mem = 768\n");
    assert_eq!(session.refresh(), [""; 0]);
    assert_eq!(value(&select(&session)[0], "mem"), Some("640"));
    session.overlay(&base, None);
    let back = select(&session);
    assert_eq!(value(&back[0], "mem"), Some("768"));
    assert_eq!(back, select(&workspace.session()));
}

#[test]
fn an_edit_laid_over_one_test_makes_its_own_shards_again() {
    let (workspace, mut session) = warm();
    session.take_runs();
    session.overlay(&workspace.path(&test(3)), Some(&text(3, 60)));
    let edited = select(&session);
    let ran = session.take_runs();
    assert!((1..=2).contains(&ran["expanded"]), "{ran:?}");
    assert_eq!(ran.get("parsed"), None, "no other file is parsed again");
    workspace.write(&test(3), &text(3, 60));
    assert_eq!(edited, select(&workspace.session()));
    // Saved and closed, it is what it was.
    session.take_runs();
    session.overlay(&workspace.path(&test(3)), None);
    select(&session);
    assert_eq!(session.take_runs(), runs(&[]));
}

#[test]
fn a_text_where_no_file_is_yet_is_part_of_the_workspace() {
    let (workspace, mut session) = warm();
    session.overlay(&workspace.path(&test(12)), Some(&text(12, 30)));
    session.overlay(&workspace.path("first/base.cfg"), Some("mem = 1024\n"));
    let unsaved = select(&session);
    assert_eq!((unsaved.len(), value(&unsaved[0], "mem")), (13 * 8, Some("1024")));
    session.overlay(&workspace.path(&test(12)), None);
    session.overlay(&workspace.path("first/base.cfg"), None);
    assert_eq!(select(&session), select(&workspace.session()));
}

/// One edit of a workspace.
#[derive(Clone, Debug)]
enum Edit {
    /// A test's text.
    Test(usize, TestText),
    /// No such test any more.
    Remove(usize),
    /// The file that all share, in the first folder or in the second.
    Base { first: bool, text: &'static str },
    /// No file in the first folder any more.
    Uncover,
}

#[derive(Clone, Debug)]
enum TestText {
    Timeout(u32),
    Comment,
    Filtered,
    Wrong,
}

fn edit() -> impl Strategy<Value = Edit> {
    let test_text = prop_oneof![
        4 => (0u32..4).prop_map(TestText::Timeout),
        2 => Just(TestText::Comment),
        2 => Just(TestText::Filtered),
        1 => Just(TestText::Wrong),
    ];
    let texts = prop::sample::select(vec![
        "mem = 512\n",
        "# nothing\n",
        "mem = 1\nLinux: mem += 2\n",
        "no Jeos\n",
        "mem_max = many\nmem = 1\n",
        "suffix _x\nmem = 3\n",
        "include nowhere.cfg\n",
    ]);
    prop_oneof![
        4 => (0usize..6, test_text).prop_map(|(number, text)| Edit::Test(number, text)),
        1 => (0usize..6).prop_map(Edit::Remove),
        2 => (any::<bool>(), texts).prop_map(|(first, text)| Edit::Base { first, text }),
        1 => Just(Edit::Uncover),
    ]
}

fn apply(workspace: &Workspace, edit: &Edit) {
    match edit {
        Edit::Test(number, change) => {
            let whole = text(*number, 30);
            let text = match change {
                TestText::Timeout(timeout) => text(*number, *timeout),
                TestText::Comment => format!("# A comment.\n\n{whole}"),
                TestText::Filtered => format!("{whole}    no a, Linux..c\n"),
                TestText::Wrong => format!("{whole}    only a , b\n"),
            };
            workspace.write(&test(*number), &text);
        }
        Edit::Remove(number) => remove(&workspace.path(&test(*number))),
        Edit::Base { first, text } => {
            workspace.write(
                if *first {
                    "first/base.cfg"
                } else {
                    "second/base.cfg"
                },
                text,
            );
        }
        Edit::Uncover => remove(&workspace.path("first/base.cfg")),
    }
}

/// Whether it was there or not.
fn remove(path: &Utf8Path) {
    if path.exists() {
        fs::remove_file(path).expect("the file can be removed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn edits_one_by_one_give_what_a_fresh_session_finds(edits in prop::collection::vec(edit(), 1..12)) {
        let workspace = Workspace::new(5);
        let mut session = workspace.session();
        select(&session);
        for edit in &edits {
            apply(&workspace, edit);
            session.refresh();
            let fresh = workspace.session();
            let whole = fresh.program(&guest()).and_then(|program| fresh.variants(&program, None));
            prop_assert_eq!(session.select(&guest()), whole, "after {:?}", edit);
        }
    }
}
