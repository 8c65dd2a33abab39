//! Random edits of a small workspace, run after run in one cache: what a dry run predicts is what an account of all that
//! ever ran, kept here from scratch, says; and what then runs is what was predicted.

mod support;

use std::collections::BTreeSet;

use proptest::prelude::*;
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
            Edit::Comment(value) => self.comment = value,
            Edit::Turn => self.turned = !self.turned,
        }
    }

    fn write(&self, sandbox: &Sandbox) {
        let block = |at: usize| {
            format!(
                "        - t{at}:\n            type = m{at}\n            key = {}\n",
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
            let weather = if reads_weather(at) {
                "\n    params['weather']"
            } else {
                ""
            };
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
        }
    }

    /// Everything that the result of one test may depend on.
    fn depends(&self, test: usize) -> [u8; 5] {
        let import = self.imports[test];
        let at = u8::try_from(test).unwrap();
        [
            at,
            self.keys[test],
            u8::try_from(import).unwrap(),
            self.libraries[import],
            if reads_weather(test) { self.weather } else { 0 },
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
            prop_assert_eq!(&predicted(&sandbox), &expected, "after {:?}", edits);
            let ran: BTreeSet<String> = sandbox.run("//... --jobs 2").exit(0).ran().into_iter().collect();
            prop_assert_eq!(&ran, &expected, "after {:?}", edits);
        }
    }
}
