//! Only what was read counts: no sequence of edits gives an answer that running would not give, and none runs more than it
//! must. The rule here is a reader whose way through its parameters, files, folders and questions to the host depends on what
//! it finds there; edits come before a run, between its plan and its start, and while it reads.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use vtbuild_cache::{Digest, Store};
use vtbuild_engine::cancel::cancellation;
use vtbuild_engine::event::events;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::observe::{Offered, Read};
use vtbuild_engine::outcome::{Outcome, Produced};
use vtbuild_engine::plan::{Forecast, Plan, PlanOptions};
use vtbuild_engine::reason::Reason;
use vtbuild_engine::resolve::{Facts, Resolver, Roots};
use vtbuild_engine::rule::{DeclareError, Job, Rule, Rules};
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::run::{Places, Run, RunOptions};
use vtbuild_engine::spec::{ActionId, RuleName, SourceFile, Spec};
use vtbuild_engine::variant::{Params, Variant};

const READER: RuleName = RuleName {
    name: "reader",
    version: 1,
};

/// Names of parameters; a value may be one of them, one of [`WAYS`], or something to stop at.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// What a reader may do beside following parameters.
const WAYS: [&str; 6] = ["file", "view", "all", "maybe", "list", "host"];
/// Files that come and go.
const MAYBE: [&str; 2] = ["one", "two"];
/// How often a reader follows a value to the next name.
const STEPS: usize = 4;

/// What a reader looks at beside its parameters.
#[derive(Clone)]
struct Surroundings {
    root: Utf8PathBuf,
    weather: Arc<Mutex<String>>,
}

impl Surroundings {
    /// The file that is always there.
    fn file(&self) -> Utf8PathBuf {
        self.root.join("provider/lib.py")
    }

    /// The file that the spec declares.
    fn own(&self) -> Utf8PathBuf {
        self.root.join("provider/own.py")
    }

    /// The folder of the files that come and go.
    fn folder(&self) -> Utf8PathBuf {
        self.root.join("provider/maybe")
    }

    fn weather(&self) -> String {
        self.weather.lock().unwrap().clone()
    }

    /// All of it, to tell one state from another.
    fn state(&self) -> Vec<Option<String>> {
        let text = |path: Utf8PathBuf| std::fs::read_to_string(path).ok();
        let maybe = MAYBE.map(|name| text(self.folder().join(name)));
        [text(self.file()), text(self.own()), Some(self.weather())]
            .into_iter()
            .chain(maybe)
            .collect()
    }

    fn apply(&self, edit: &Edit) {
        match edit {
            Edit::Write(text) => std::fs::write(self.file(), text).unwrap(),
            Edit::Own(text) => std::fs::write(self.own(), text).unwrap(),
            Edit::Make(name, text) => std::fs::write(self.folder().join(name), text).unwrap(),
            Edit::Delete(name) => {
                // It may not be there.
                let _ = std::fs::remove_file(self.folder().join(name));
            }
            Edit::Weather(text) => text.clone_into(&mut self.weather.lock().unwrap()),
            Edit::Set(..) | Edit::Remove(..) => {}
        }
    }
}

/// What a reader finds, and all that it read on the way. Nothing but this decides: the oracle.
fn read(params: &Params, around: &Surroundings) -> (String, Vec<Read>) {
    let get = |name: &str| {
        let value = params.iter().rev().find(|(have, _)| &**have == name);
        value.map(|(_, value)| value.to_string())
    };
    let mut answer = std::fs::read_to_string(around.own()).unwrap();
    let (mut reads, mut name) = (Vec::new(), "a".to_owned());
    for _ in 0..STEPS {
        reads.push(Read::Param(name.as_str().into()));
        let Some(value) = get(&name) else {
            answer.push_str(" nothing");
            break;
        };
        answer.push_str(&format!(" {value}"));
        if !WAYS.contains(&value.as_str()) {
            name = value;
            continue;
        }
        answer.push_str(&go(&value, params, around, &mut reads));
        break;
    }
    (answer, reads)
}

/// What a reader finds that goes one of its ways.
fn go(way: &str, params: &Params, around: &Surroundings, reads: &mut Vec<Read>) -> String {
    match way {
        "file" => {
            let path = around.file();
            let text = std::fs::read_to_string(&path).unwrap();
            reads.push(Read::File {
                name: "provider/lib.py".into(),
                path,
            });
            text
        }
        "maybe" => {
            // The second counts only where the first is absent.
            for file in MAYBE {
                let (path, name) = (around.folder().join(file), format!("provider/maybe/{file}"));
                let Ok(text) = std::fs::read_to_string(&path) else {
                    reads.push(Read::Absent(name));
                    continue;
                };
                reads.push(Read::File { name, path });
                return text;
            }
            "none".into()
        }
        "list" => {
            let path = around.folder();
            let entries = path.read_dir_utf8().unwrap();
            let mut names: Vec<String> = entries
                .map(|entry| entry.unwrap().file_name().to_owned())
                .collect();
            names.sort();
            reads.push(Read::Listing {
                name: "provider/maybe".into(),
                path,
            });
            names.join(" ")
        }
        "host" => {
            let weather = around.weather();
            reads.push(Read::Host {
                name: "weather".into(),
                answer: Some(weather.clone()),
            });
            weather
        }
        "view" => {
            // The view of `x`: names in which the suffix stands twice reach it as well.
            reads.push(Read::Suffix("x".into()));
            let mut twice: Vec<_> = params.iter().filter(|(name, _)| name.ends_with("_x_x")).collect();
            twice.sort();
            reads.extend(twice.iter().map(|(name, _)| Read::Param(name.clone())));
            format!("{twice:?}")
        }
        "all" => {
            reads.push(Read::Everything);
            let mut all: Vec<_> = params.iter().collect();
            all.sort();
            format!("{all:?}")
        }
        other => unreachable!("{other} is no way"),
    }
}

struct Reader {
    around: Surroundings,
    ran: Arc<AtomicUsize>,
    /// What somebody does once, after the plan is made and before anything is read.
    early: Mutex<Option<Edit>>,
    /// What somebody does once, after all was read and before the test has ended.
    late: Mutex<Option<Edit>>,
}

impl Reader {
    fn apply(&self, edit: &Mutex<Option<Edit>>) {
        if let Some(edit) = edit.lock().unwrap().take() {
            self.around.apply(&edit);
        }
    }
}

#[async_trait]
impl Rule for Reader {
    fn name(&self) -> RuleName {
        READER
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        Ok(Spec::new(READER, variant.name.clone()))
    }

    async fn execute(&self, job: Job) -> Outcome {
        self.ran.fetch_add(1, Ordering::Relaxed);
        let params: Params = job.spec.offered.iter().cloned().collect();
        self.apply(&self.early);
        let (answer, observed) = read(&params, &self.around);
        self.apply(&self.late);
        let path = job.scratch.join("answer");
        std::fs::write(&path, answer).unwrap();
        Outcome {
            observed,
            outputs: vec![Produced {
                name: "answer".into(),
                path,
            }],
            ..Outcome::pass()
        }
    }
}

/// A store that survives from run to run.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    rule: Arc<Reader>,
    runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().to_owned();
        std::fs::create_dir_all(root.join("provider/maybe")).unwrap();
        let around = Surroundings {
            root: root.clone(),
            weather: Arc::default(),
        };
        for file in [around.file(), around.own()] {
            std::fs::write(file, "").unwrap();
        }
        settle();
        let rule = Reader {
            around,
            ran: Arc::default(),
            early: Mutex::default(),
            late: Mutex::default(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        Self {
            store: Store::open(&root.join("cache")).unwrap(),
            dir,
            rule: Arc::new(rule),
            runtime,
        }
    }

    fn root(&self) -> &Utf8Path {
        Utf8Path::from_path(self.dir.path()).unwrap()
    }

    fn plan(&self, params: &Params, strict: bool) -> (Arc<Graph>, Arc<Resolver>, Plan) {
        let mut spec = Spec::new(READER, "reader");
        spec.offered = Arc::new(Offered::of(&Arc::new(params.clone()), |_| false));
        spec.sources = Box::new([SourceFile::new("provider/own.py", &self.rule.around.own())]);
        let graph = Arc::new(Graph::build(vec![Arc::new(spec)]).unwrap());
        let roots = Roots::from([("provider".to_owned(), self.root().join("provider"))]);
        let around = self.rule.around.clone();
        let facts = Facts(Arc::new(move |name| {
            (name == "weather").then(|| around.weather())
        }));
        let resolver = Resolver::new(self.store.clone(), roots).with_facts(facts);
        let resolver = Arc::new(resolver.strict(strict));
        let plan = Plan::make(&graph, &resolver, PlanOptions::default()).unwrap();
        (graph, resolver, plan)
    }

    /// Runs what has to run; tells whether something had to.
    fn run(&self, params: &Params, strict: bool) -> bool {
        let (graph, resolver, plan) = self.plan(params, strict);
        let before = self.rule.ran.load(Ordering::Relaxed);
        let run = Run {
            graph,
            plan,
            resolver,
            rules: Rules::default().with(self.rule.clone()),
            places: Places {
                scratch: self.root().join("scratch"),
                job: self.root().join("job"),
            },
            options: RunOptions {
                capacity: Capacity {
                    jobs: 1,
                    memory_mib: 1024,
                    vcpus: 1,
                },
                fail_fast: false,
                retries: 0,
                runs: 1,
                timeout: None,
                force: false,
            },
            events: events().0,
            canceller: cancellation().0,
        };
        self.runtime.block_on(run.go());
        // An edit that found nothing to disturb comes now.
        self.rule.apply(&self.rule.early);
        self.rule.apply(&self.rule.late);
        settle();
        self.rule.ran.load(Ordering::Relaxed) > before
    }

    /// What the cache would serve.
    fn served(&self, params: &Params, strict: bool) -> Option<Digest> {
        match self.plan(params, strict).2.of(ActionId::at(0)) {
            Forecast::Hit { made, .. } => Some(made.artefacts[0].digest),
            Forecast::Miss(_) | Forecast::Maybe | Forecast::Idle => None,
        }
    }

    fn reason(&self, params: &Params, strict: bool) -> Reason {
        match self.plan(params, strict).2.of(ActionId::at(0)) {
            Forecast::Miss(miss) => miss.reason.clone(),
            other => panic!("it is no miss: {other:?}"),
        }
    }

    fn answer(&self, params: &Params) -> Digest {
        Digest::of(read(params, &self.rule.around).0.as_bytes())
    }

    /// Edits something the way an editor does.
    fn edit(&self, edit: &Edit) {
        self.rule.around.apply(edit);
        settle();
    }
}

/// Lets the clock move on that stamps files: what was written just before a run might have been written during it.
fn settle() {
    std::thread::sleep(std::time::Duration::from_millis(15));
}

fn params(list: &[(&str, &str)]) -> Params {
    list.iter()
        .map(|(name, value)| (Arc::from(*name), Arc::from(*value)))
        .collect()
}

#[derive(Clone, Debug)]
enum Edit {
    Set(String, String),
    Remove(String),
    Write(String),
    Own(String),
    Make(&'static str, String),
    Delete(&'static str),
    Weather(String),
}

/// When an edit is made.
#[derive(Clone, Copy, PartialEq, Debug)]
enum When {
    /// Before the plan.
    Before,
    /// After it, before the action reads.
    Early,
    /// After the action has read.
    Late,
}

fn edit() -> impl Strategy<Value = Edit> {
    let name = || {
        let names = NAMES
            .iter()
            .copied()
            .chain(["e_x", "f_x_x", "g_x_x"])
            .map(str::to_owned);
        proptest::sample::select(names.collect::<Vec<_>>())
    };
    let values: Vec<&str> = NAMES.into_iter().chain(WAYS).chain(["stop", ""]).collect();
    let value = proptest::sample::select(values);
    let maybe = || proptest::sample::select(MAYBE.to_vec());
    prop_oneof![
        6 => (name(), value).prop_map(|(name, value)| Edit::Set(name, value.to_owned())),
        2 => name().prop_map(Edit::Remove),
        1 => "[xy]".prop_map(Edit::Write),
        1 => "[xy]".prop_map(Edit::Own),
        2 => (maybe(), "[xy]").prop_map(|(name, text)| Edit::Make(name, text)),
        2 => maybe().prop_map(Edit::Delete),
        1 => "[xy]".prop_map(Edit::Weather),
    ]
}

fn when() -> impl Strategy<Value = When> {
    prop_oneof![4 => Just(When::Before), 1 => Just(When::Early), 1 => Just(When::Late)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The oracle runs everything; the cache may answer only what the oracle answers.
    #[test]
    fn no_sequence_of_edits_gives_a_stale_answer(
        edits in proptest::collection::vec((edit(), when(), any::<bool>()), 1..25)
    ) {
        let world = World::new();
        let mut now: Params = params(&[("a", "b"), ("b", "stop")]);
        let mut known: HashSet<(Params, Vec<Option<String>>)> = HashSet::new();
        let mut made = 0;
        for (edit, when, strict) in edits {
            match (&edit, when) {
                (Edit::Set(name, value), _) => {
                    now.retain(|(have, _)| **have != **name);
                    now.push((name.as_str().into(), value.as_str().into()));
                }
                (Edit::Remove(name), _) => now.retain(|(have, _)| **have != **name),
                (edit, When::Before) => world.edit(edit),
                (edit, When::Early) => *world.rule.early.lock().unwrap() = Some(edit.clone()),
                (edit, When::Late) => *world.rule.late.lock().unwrap() = Some(edit.clone()),
            }
            if let Some(served) = world.served(&now, strict) {
                prop_assert_eq!(served, world.answer(&now), "stale: {:?}", now);
            }
            let before = world.rule.around.state();
            let ran = world.run(&now, strict);
            let calm = before == world.rule.around.state();
            let mut state = now.clone();
            state.sort();
            // What has been run as it stands is not run again: eight records of a key are kept, and a strict run needs a
            // strict one.
            made += usize::from(ran);
            if !strict && made <= 8 && known.contains(&(state.clone(), before.clone())) {
                prop_assert!(!ran, "it ran again: {:?}", now);
            }
            let served = world.served(&now, strict);
            if calm && when == When::Before {
                known.insert((state, before));
                prop_assert!(served.is_some(), "it was not kept: {:?}", now);
            }
            if let Some(served) = served {
                prop_assert_eq!(served, world.answer(&now), "stale after {:?} {:?}: {:?}", when, edit, now);
            }
        }
    }
}

#[test]
fn a_parameter_nobody_read_runs_nothing_and_one_that_was_says_so() {
    let world = World::new();
    let base = [("a", "b"), ("b", "stop"), ("c", "1")];
    assert!(world.run(&params(&base), false));
    let unread = params(&[("a", "b"), ("b", "stop"), ("c", "2"), ("new", "1")]);
    assert!(!world.run(&unread, false));
    let changed = params(&[("a", "b"), ("b", "end"), ("c", "2")]);
    let reason = world.reason(&changed, false).to_string();
    assert_eq!(reason, r#"reads.b: "stop" -> "end""#);
    assert!(world.run(&changed, false));
    // Both ways are known now.
    assert!(!world.run(&changed, false) && !world.run(&params(&base), false));
    // A name that was looked for and absent has come.
    let appeared = params(&[("a", "b"), ("b", "end"), ("end", "here")]);
    assert_eq!(
        world.reason(&appeared, false).to_string(),
        r#"reads.end: absent -> "here""#
    );
}

#[test]
fn strict_keys_count_every_parameter() {
    let world = World::new();
    let one = params(&[("a", "stop"), ("c", "1")]);
    let two = params(&[("a", "stop"), ("c", "2")]);
    assert!(world.run(&one, false));
    assert_eq!(world.reason(&one, true), Reason::Strict);
    assert!(world.run(&one, true));
    assert!(!world.run(&one, true));
    assert_eq!(
        world.reason(&two, true).to_string().split(", ").next(),
        Some(r#"reads.c: "1" -> "2""#)
    );
    // The strict record serves others, too.
    assert!(!world.run(&one, false));
}

/// Runs `way` while `edit` is made, and tells whether the result was kept; what is kept then must be what is true.
fn kept(way: &str, when: When, edit: Edit) -> bool {
    let world = World::new();
    let reading = params(&[("a", way)]);
    world.edit(&Edit::Make("two", "x".into()));
    let place = match when {
        When::Late => &world.rule.late,
        When::Before | When::Early => &world.rule.early,
    };
    *place.lock().unwrap() = Some(edit);
    assert!(world.run(&reading, false));
    let served = world.served(&reading, false);
    assert!(served.is_none_or(|served| served == world.answer(&reading)));
    if served.is_none() {
        assert!(world.run(&reading, false), "nothing holds, so it runs");
        assert_eq!(world.served(&reading, false), Some(world.answer(&reading)));
    }
    served.is_some()
}

#[test]
fn what_changed_between_hashing_and_the_end_is_not_believed() {
    let file = || Edit::Write("new".into());
    let (own, made, gone) = (
        || Edit::Own("new".into()),
        || Edit::Make("one", "new".into()),
        || Edit::Delete("two"),
    );
    for when in [When::Early, When::Late] {
        assert!(!kept("file", when, file()), "{when:?}");
        assert!(!kept("stop", when, own()), "{when:?}");
        assert!(!kept("list", when, made()), "{when:?}");
        assert!(!kept("list", when, gone()), "{when:?}");
        assert!(!kept("maybe", when, made()), "{when:?}");
        // Nobody looked at it.
        assert!(kept("stop", when, file()), "{when:?}");
        assert!(kept("file", when, made()), "{when:?}");
    }
    // It was gone before it was looked for, and is.
    assert!(kept("maybe", When::Early, gone()));
    assert!(!kept("maybe", When::Late, gone()));
    assert!(kept("host", When::Early, Edit::Weather("rain".into())));
    assert!(!kept("host", When::Late, Edit::Weather("rain".into())));
}

#[test]
fn an_absent_file_a_folder_and_the_host_say_what_changed() {
    let world = World::new();
    let cases = [
        (
            "maybe",
            Edit::Make("one", "x".into()),
            "provider/maybe/one changed",
        ),
        (
            "list",
            Edit::Make("two", "x".into()),
            "the list of files in provider/maybe changed",
        ),
        ("host", Edit::Weather("rain".into()), "the host's weather changed"),
    ];
    for (way, edit, reason) in cases {
        let reading = params(&[("a", way)]);
        assert!(world.run(&reading, false));
        assert!(!world.run(&reading, false));
        world.edit(&edit);
        assert_eq!(world.reason(&reading, false).to_string(), reason);
        assert!(world.run(&reading, false));
    }
}
