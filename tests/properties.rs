//! Random edits of a small workspace, run after run in one cache: what a dry run predicts is what an account of all that
//! ever ran, kept here from scratch, says; and what then runs is what was predicted. Both are taken from the notes of earlier
//! commands as far as those hold.

mod support;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8DirEntry, Utf8PathBuf};
use proptest::prelude::*;
use serde_json::Value;
use support::Sandbox;
use support::provider::BARE;

const TESTS: usize = 4;
const LIBRARIES: usize = 2;

/// All that a result may depend on.
#[derive(Clone, Debug, Default)]
struct World {
    /// A parameter of each test.
    keys: [u8; TESTS],
    /// Which library the module of each test imports.
    imports: [usize; TESTS],
    /// A constant in each library.
    libraries: [u8; LIBRARIES],
    /// A parameter of everybody, read by the even tests.
    weather: u8,
    /// A setting of the workspace, read by the odd ones.
    season: u8,
    /// A program that all tests may use.
    tool: u8,
    /// Whether another file is found before a library.
    shadowed: [bool; LIBRARIES],
    /// Whether the last test comes after the first one, which counts for nothing.
    tied: bool,
    /// Counts for nothing: a comment.
    comment: u8,
    /// Counts for nothing: the order of the tests.
    turned: bool,
}

#[derive(Clone, Debug)]
enum Edit {
    Key(usize, u8),
    Import(usize, usize),
    Library(usize, u8),
    Weather(u8),
    Season(u8),
    Tool(u8),
    Shadow(usize),
    Tie,
    Comment(u8),
    Turn,
}

impl World {
    fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Key(test, value) => self.keys[test] = value,
            Edit::Import(test, library) => self.imports[test] = library,
            Edit::Library(library, value) => self.libraries[library] = value,
            Edit::Weather(value) => self.weather = value,
            Edit::Season(value) => self.season = value,
            Edit::Tool(value) => self.tool = value,
            Edit::Shadow(library) => self.shadowed[library] = !self.shadowed[library],
            Edit::Tie => self.tied = !self.tied,
            Edit::Comment(value) => self.comment = value,
            Edit::Turn => self.turned = !self.turned,
        }
    }

    fn write(&self, sandbox: &Sandbox) {
        let block = |at: usize| {
            let dep = if self.tied && at == TESTS - 1 { " t0" } else { "" };
            format!(
                "        - t{at}:{dep}\n            type = m{at}\n            key = {}\n",
                self.keys[at]
            )
        };
        let mut blocks: Vec<String> = (0..TESTS).map(block).collect();
        if self.turned {
            blocks.reverse();
        }
        let text = format!(
            "# {}\n- all:\n    weather = {}\n{BARE}    variants:\n{}",
            self.comment,
            self.weather,
            blocks.concat()
        );
        sandbox.write("mine/generic/tests/cfg/all.cfg", &text);
        for (at, library) in self.imports.iter().enumerate() {
            let weather = if reads_weather(at) { "weather" } else { "season" };
            let weather = format!("\n    params['{weather}']");
            let module = format!(
                "from provider_lib import l{library}\n\n\ndef run(test, params, env):\n    test.log.info(l{library}.X)\n    params['key']{weather}\n"
            );
            sandbox.write(&format!("mine/generic/tests/m{at}.py"), &module);
        }
        for (at, value) in self.libraries.iter().enumerate() {
            sandbox.write(
                &format!("mine/generic/provider_lib/l{at}.py"),
                &format!("X = {value}\n"),
            );
            let shadow = sandbox.path(&format!("mine/qemu/provider_lib/l{at}.py"));
            if self.shadowed[at] {
                std::fs::create_dir_all(shadow.parent().unwrap()).unwrap();
                std::fs::write(&shadow, "X = 'shadow'\n").unwrap();
            } else if shadow.exists() {
                std::fs::remove_file(&shadow).unwrap();
            }
        }
        let settings = format!("bundled-tests = false\n[params]\nseason = \"{}\"\n", self.season);
        sandbox.write("vtbuild.toml", &settings);
        sandbox.program("qemu-img", &format!("exit {}", self.tool));
    }

    /// Everything that the result of one test may depend on.
    fn depends(&self, test: usize) -> [u8; 6] {
        let import = self.imports[test];
        let at = u8::try_from(test).unwrap();
        [
            at,
            self.keys[test],
            u8::try_from(import).unwrap(),
            if self.shadowed[import] {
                u8::MAX
            } else {
                self.libraries[import]
            },
            if reads_weather(test) {
                self.weather
            } else {
                self.season
            },
            self.tool,
        ]
    }
}

fn reads_weather(test: usize) -> bool {
    test.is_multiple_of(2)
}

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let edit = prop_oneof![
        3 => (0..TESTS, 0..3_u8).prop_map(|(test, value)| Edit::Key(test, value)),
        2 => (0..TESTS, 0..LIBRARIES).prop_map(|(test, library)| Edit::Import(test, library)),
        2 => (0..LIBRARIES, 0..3_u8).prop_map(|(library, value)| Edit::Library(library, value)),
        1 => (0..2_u8).prop_map(Edit::Weather),
        1 => (0..2_u8).prop_map(Edit::Season),
        1 => (0..2_u8).prop_map(Edit::Tool),
        1 => (0..LIBRARIES).prop_map(Edit::Shadow),
        1 => Just(Edit::Tie),
        1 => any::<u8>().prop_map(Edit::Comment),
        1 => Just(Edit::Turn),
    ];
    prop::collection::vec(edit, 1..4)
}

/// The tests that a dry run says would run.
fn predicted(sandbox: &Sandbox) -> BTreeSet<String> {
    let dry = sandbox.run("//... --dry-run").exit(0);
    let line = |line: &str| {
        Some(
            line.strip_prefix("run    test mine.all.")?
                .split_once(':')?
                .0
                .to_owned(),
        )
    };
    dry.stdout().lines().filter_map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, max_shrink_iters: 20, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_in_a_used_cache_is_what_all_that_ran_before_makes_it(rounds in prop::collection::vec(edits(), 2..4)) {
        let sandbox = Sandbox::new();
        sandbox.provide("");
        let (mut world, mut known) = (World::default(), BTreeSet::new());
        for edits in std::iter::once(vec![]).chain(rounds) {
            edits.iter().for_each(|edit| world.edit(edit));
            world.write(&sandbox);
            let missing = (0..TESTS).filter(|test| known.insert(world.depends(*test)));
            let expected: BTreeSet<String> = missing.map(|test| format!("t{test}")).collect();
            let mut foreseen = expected.clone();
            if world.tied && expected.contains("t0") {
                // What it comes after runs first.
                foreseen.remove(&format!("t{}", TESTS - 1));
            }
            prop_assert_eq!(&predicted(&sandbox), &foreseen, "after {:?}", edits);
            let ran: BTreeSet<String> = sandbox.run("//... --jobs 2").exit(0).ran().into_iter().collect();
            prop_assert_eq!(&ran, &expected, "after {:?}", edits);
            // What is noted now speaks for them after the next edits.
            prop_assert_eq!(predicted(&sandbox), BTreeSet::new(), "again after {:?}", edits);
        }
    }
}

/// What a run of everything runs.
fn ran(sandbox: &Sandbox) -> Vec<String> {
    sandbox.run("//... --progress plain").exit(0).ran()
}

/// The files with notes in a sandbox's cache: they are other ones each time that they are written.
fn notes(sandbox: &Sandbox) -> Vec<(Utf8PathBuf, u64)> {
    let entries = sandbox.cache().join("notes").read_dir_utf8().unwrap();
    let file = |entry: Utf8DirEntry| (entry.path().to_owned(), entry.metadata().unwrap().ino());
    entries.map(|entry| file(entry.unwrap())).collect()
}

/// What a run of everything tells, but for what is another in each job.
fn told(sandbox: &Sandbox) -> (Vec<String>, Value, Vec<Value>) {
    let run = sandbox.run("//... --progress plain").exit(0);
    let of_job = |line: &&str| {
        ["JOB ID", "JOB LOG", "TIME"]
            .iter()
            .any(|word| line.starts_with(word))
    };
    let lines = run.stdout().lines().filter(|line| !of_job(line));
    let mut events = sandbox.events();
    for event in &mut events {
        event.as_object_mut().unwrap().remove("at");
    }
    let lines = lines.map(str::to_owned).collect();
    (lines, sandbox.results()["tests"].clone(), events)
}

/// A workspace whose tests have all run.
fn settled(world: &World) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.provide("");
    world.write(&sandbox);
    assert_eq!(ran(&sandbox), ["t0", "t1", "t2", "t3"]);
    sandbox
}

const CFG: &str = "mine/generic/tests/cfg/all.cfg";

#[test]
fn what_notes_speak_for_is_told_as_what_is_declared() {
    let tied = World {
        tied: true,
        ..World::default()
    };
    let sandbox = settled(&tied);
    assert!(ran(&sandbox).is_empty());
    let by_notes = told(&sandbox);
    assert_eq!(by_notes.1.as_array().unwrap().len(), TESTS);
    std::fs::remove_dir_all(sandbox.cache().join("notes")).unwrap();
    assert_eq!(told(&sandbox), by_notes);
    // Those that are tied to each other are declared each time; without, nothing is, and nothing is noted again.
    sandbox.edit(CFG, "- t3: t0\n", "- t3:\n");
    assert!(ran(&sandbox).is_empty());
    let before = notes(&sandbox);
    assert_eq!(before.len(), 1, "one selection was noted: {before:?}");
    let by_notes = told(&sandbox);
    assert_eq!(notes(&sandbox), before);
    std::fs::remove_dir_all(sandbox.cache().join("notes")).unwrap();
    assert_eq!(told(&sandbox), by_notes);
}

#[test]
fn notes_are_believed_only_while_they_are_whole_and_all_is_as_it_was() {
    let sandbox = settled(&World::default());
    assert!(ran(&sandbox).is_empty());
    let place = notes(&sandbox)[0].0.clone();
    let whole = std::fs::read(&place).unwrap();
    for at in [0, 9, 40, whole.len() / 2, whole.len() - 1] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        std::fs::write(&place, &bytes).unwrap();
        assert!(ran(&sandbox).is_empty(), "byte {at}");
        std::fs::write(&place, &bytes[..at]).unwrap();
        assert!(ran(&sandbox).is_empty(), "cut at {at}");
    }
    let forget = |sandbox: &Sandbox| std::fs::remove_dir_all(sandbox.cache().join("index")).unwrap();
    assert!(ran(&sandbox).is_empty());
    forget(&sandbox);
    assert_eq!(ran(&sandbox), ["t0", "t1", "t2", "t3"]);
    assert!(ran(&sandbox).is_empty());
    // A module that is found before the one that was found then, and its end.
    let (own, other) = ("mine/generic/tests/m2.py", "mine/qemu/tests/m2.py");
    sandbox.write(other, &sandbox.read(own));
    assert_eq!(ran(&sandbox), ["t2"]);
    assert!(ran(&sandbox).is_empty());
    std::fs::remove_file(sandbox.path(other)).unwrap();
    assert!(ran(&sandbox).is_empty());
}
