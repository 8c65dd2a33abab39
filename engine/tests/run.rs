//! Whole runs over a real store with a fake rule: what runs, what is served, what is blocked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use vtbuild_cache::Store;
use vtbuild_engine::cancel::{Canceller, cancellation};
use vtbuild_engine::event::events;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::outcome::{Distrust, Keep, Outcome, Produced, Status};
use vtbuild_engine::plan::{Plan, PlanOptions};
use vtbuild_engine::resolve::{FILE, Resolver, Roots};
use vtbuild_engine::rule::{DeclareError, Job, Rule, Rules};
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::run::{Places, Run, RunOptions, Summary};
use vtbuild_engine::spec::{Aid, Need, RuleName, SourceFile, Spec};
use vtbuild_engine::variant::Variant;

const FAKE: RuleName = RuleName {
    name: "test",
    version: 1,
};
const IMAGE: RuleName = RuleName {
    name: "image",
    version: 1,
};

/// A rule that does what its action's `do` parameter says and remembers what it ran.
struct Fake {
    name: RuleName,
    ran: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Rule for Fake {
    fn name(&self) -> RuleName {
        self.name
    }

    fn declare(&self, variant: &Variant) -> Result<Spec, DeclareError> {
        Ok(Spec::new(self.name, variant.name.clone()))
    }

    async fn execute(&self, job: Job) -> Outcome {
        self.ran.lock().unwrap().push(job.spec.label.to_string());
        match job.spec.read("do").unwrap_or("pass") {
            "fail" => Outcome::ended(Status::Fail, "as asked"),
            "panic" => panic!("as asked"),
            "hang" => {
                let reason = job.cancel.cancelled().await;
                Outcome::ended(Status::Interrupt, &*reason)
            }
            "distrust" => Outcome {
                distrusted: vec![Distrust {
                    role: "warm".into(),
                    reason: "it was cold".into(),
                }],
                ..Outcome::pass()
            },
            "flaky" if job.attempt == 1 => Outcome::ended(Status::Error, "the first time"),
            "doubt" => Outcome {
                keep: Keep::Never("it looked at the moon".into()),
                ..Outcome::pass()
            },
            text => {
                let path = job.scratch.join("out");
                std::fs::write(&path, text).unwrap();
                Outcome {
                    outputs: vec![Produced {
                        name: "disk".into(),
                        path,
                    }],
                    ..Outcome::pass()
                }
            }
        }
    }
}

/// A world that survives from run to run.
struct World {
    dir: tempfile::TempDir,
    store: Store,
    ran: Arc<Mutex<Vec<String>>>,
    canceller: Canceller,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&path(&dir, "cache")).unwrap();
        Self {
            dir,
            store,
            ran: Arc::default(),
            canceller: cancellation().0,
        }
    }

    fn path(&self, name: &str) -> Utf8PathBuf {
        path(&self.dir, name)
    }

    fn write(&self, name: &str, text: &str) -> Utf8PathBuf {
        std::fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    fn options() -> RunOptions {
        RunOptions {
            capacity: Capacity {
                jobs: 4,
                memory_mib: 4096,
                vcpus: 8,
            },
            fail_fast: false,
            retries: 0,
            runs: 1,
            timeout: None,
            force: false,
        }
    }

    fn run(&self, specs: Vec<Spec>) -> (Summary, Vec<String>) {
        self.run_with(specs, Self::options())
    }

    fn run_with(&self, specs: Vec<Spec>, options: RunOptions) -> (Summary, Vec<String>) {
        self.ran.lock().unwrap().clear();
        let graph = Arc::new(Graph::build(specs.into_iter().map(Arc::new).collect()).unwrap());
        let resolver = Arc::new(Resolver::new(self.store.clone(), Roots::new()));
        let plan = Plan::make(&graph, &resolver, PlanOptions { force: options.force }).unwrap();
        let fake = |name| {
            Arc::new(Fake {
                name,
                ran: self.ran.clone(),
            })
        };
        let run = Run {
            graph,
            plan,
            resolver,
            rules: Rules::default().with(fake(FAKE)).with(fake(IMAGE)),
            places: Places {
                scratch: self.path("scratch"),
                job: self.path("job"),
            },
            options,
            events: events().0,
            canceller: self.canceller.clone(),
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let summary = runtime.block_on(run.go());
        let mut ran = std::mem::take(&mut *self.ran.lock().unwrap());
        ran.sort();
        (summary, ran)
    }
}

fn path(dir: &tempfile::TempDir, name: &str) -> Utf8PathBuf {
    Utf8Path::from_path(dir.path()).unwrap().join(name)
}

fn spec(rule: RuleName, name: &str, what: &str, after: &[&str]) -> Spec {
    let mut spec = Spec::new(rule, name);
    spec.variant = Arc::from(name);
    spec.declared = Box::new([(Arc::from("do"), Some(Arc::from(what)))]);
    spec.after = after.iter().map(|dep| Arc::from(*dep)).collect();
    spec
}

fn on_image(mut test: Spec, image: &Spec) -> Spec {
    let need = Need {
        role: Arc::from("image1"),
        made: None,
        otherwise: Some(Arc::new(image.clone())),
    };
    test.needs = Box::new([need]);
    test
}

fn statuses(summary: &Summary) -> Vec<(String, Status, bool)> {
    summary
        .wanted
        .iter()
        .map(|f| (f.label.to_string(), f.status, f.cached))
        .collect()
}

#[test]
fn again_is_all_hits_and_one_edit_runs_one_test() {
    let world = World::new();
    let image = || spec(IMAGE, "jeos", "v1", &[]);
    let specs = |second: &str| {
        vec![
            on_image(spec(FAKE, "a", "1", &[]), &image()),
            on_image(spec(FAKE, "b", second, &[]), &image()),
            spec(FAKE, "c", "3", &["a"]),
        ]
    };
    let (first, ran) = world.run(specs("2"));
    assert_eq!(ran, ["a", "b", "c", "jeos"]);
    assert_eq!((first.ran, first.hits), (4, 0));
    let (again, ran) = world.run(specs("2"));
    assert!(ran.is_empty(), "{ran:?}");
    assert!(
        statuses(&again)
            .iter()
            .all(|(_, status, cached)| *status == Status::Pass && *cached)
    );
    assert_eq!(world.run(specs("other")).1, ["b"]);
    // An edit that is taken back is known already.
    assert!(world.run(specs("2")).1.is_empty());
}

#[test]
fn an_image_built_again_to_the_same_bytes_changes_nothing_above_it() {
    let world = World::new();
    let with = |recipe: &str, content: &str| {
        let mut image = spec(IMAGE, "jeos", content, &[]);
        let recipe = world.write("recipe", recipe);
        image.sources = Box::new([SourceFile::new("recipe", &recipe)]);
        vec![on_image(spec(FAKE, "a", "1", &[]), &image)]
    };
    assert_eq!(world.run(with("one", "same")).1, ["a", "jeos"]);
    assert_eq!(world.run(with("two", "same")).1, ["jeos"]);
    assert_eq!(world.run(with("two", "other")).1, ["a", "jeos"]);
}

#[test]
fn failures_are_never_served_and_block_what_hangs_on_them() {
    let world = World::new();
    let specs = || {
        vec![
            spec(FAKE, "a", "fail", &[]),
            spec(FAKE, "b", "1", &["a"]),
            spec(FAKE, "c", "1", &["b"]),
            spec(FAKE, "d", "1", &[]),
        ]
    };
    for expected in [vec!["a", "d"], vec!["a"]] {
        let (summary, ran) = world.run(specs());
        assert_eq!(ran, expected);
        let by_name: BTreeMap<_, _> = summary.wanted.iter().map(|f| (f.label.to_string(), f)).collect();
        assert_eq!(by_name["a"].status, Status::Fail);
        for blocked in ["b", "c"] {
            assert_eq!(by_name[blocked].status, Status::Skip);
            assert_eq!(by_name[blocked].cause.as_deref(), Some("a"));
            assert!(by_name[blocked].reason.as_deref().unwrap().contains("`a`"));
        }
        assert_eq!(by_name["d"].status, Status::Pass);
    }
}

#[test]
fn fail_fast_starts_nothing_more() {
    let world = World::new();
    let options = RunOptions {
        fail_fast: true,
        capacity: Capacity {
            jobs: 1,
            ..World::options().capacity
        },
        ..World::options()
    };
    let specs = vec![spec(FAKE, "a", "fail", &[]), spec(FAKE, "b", "1", &[])];
    let (summary, ran) = world.run_with(specs, options);
    assert_eq!(ran, ["a"]);
    assert_eq!(summary.wanted[1].status, Status::Skip);
}

#[test]
fn a_retried_pass_counts_but_is_not_kept() {
    let world = World::new();
    let options = || RunOptions {
        retries: 2,
        ..World::options()
    };
    for _ in 0..2 {
        let (summary, ran) = world.run_with(vec![spec(FAKE, "a", "flaky", &[])], options());
        assert_eq!(ran, ["a", "a"]);
        assert_eq!(
            (summary.wanted[0].status, summary.wanted[0].attempts),
            (Status::Pass, 2)
        );
    }
}

#[test]
fn what_is_doubtful_or_slow_or_broken_is_not_kept() {
    let world = World::new();
    let options = || RunOptions {
        timeout: Some(Duration::from_secs(2)),
        ..World::options()
    };
    for _ in 0..2 {
        let specs = ["doubt", "hang", "panic"]
            .map(|what| spec(FAKE, what, what, &[]))
            .to_vec();
        let (summary, ran) = world.run_with(specs, options());
        assert_eq!(ran, ["doubt", "hang", "panic"]);
        let verdicts: Vec<_> = summary.wanted.iter().map(|f| f.status).collect();
        assert_eq!(verdicts, [Status::Pass, Status::Interrupt, Status::Error]);
        assert!(summary.bug, "a panicking rule is our bug");
    }
}

#[test]
fn runs_repeat_and_force_ignores_what_is_known() {
    let world = World::new();
    world.run(vec![spec(FAKE, "a", "1", &[])]);
    let options = RunOptions {
        force: true,
        runs: 3,
        ..World::options()
    };
    let (summary, ran) = world.run_with(vec![spec(FAKE, "a", "1", &[])], options);
    assert_eq!((ran.len(), summary.wanted.len()), (3, 3));
}

#[test]
fn an_interrupted_run_keeps_what_was_finished() {
    let world = World::new();
    let specs = || {
        vec![
            spec(FAKE, "a", "1", &[]),
            spec(FAKE, "b", "hang", &["a"]),
            spec(FAKE, "c", "1", &["b"]),
        ]
    };
    let canceller = world.canceller.clone();
    let ran = world.ran.clone();
    let killer = std::thread::spawn(move || {
        while !ran.lock().unwrap().iter().any(|name| name == "b") {
            std::thread::sleep(Duration::from_millis(5));
        }
        canceller.cancel("SIGINT");
    });
    let (summary, _) = world.run(specs());
    killer.join().unwrap();
    assert_eq!(summary.interrupted.as_deref(), Some("SIGINT"));
    let verdicts: Vec<_> = summary.wanted.iter().map(|f| f.status).collect();
    assert_eq!(verdicts, [Status::Pass, Status::Interrupt, Status::Skip]);
    let world = World {
        canceller: cancellation().0,
        ..world
    };
    let mut specs = specs();
    specs[1] = spec(FAKE, "b", "2", &["a"]);
    assert_eq!(world.run(specs).1, ["b", "c"]);
}

#[test]
fn a_source_edited_while_the_test_ran_is_not_recorded() {
    let world = World::new();
    let path = world.write("module.py", "one");
    let make = || {
        let mut test = spec(FAKE, "a", "hang", &[]);
        test.sources = Box::new([SourceFile::new("module.py", &path)]);
        test
    };
    // The fake edits its own source by being slow: the file changes under it.
    let mut slow = make();
    slow.declared = Box::new([(Arc::from("do"), Some(Arc::from("1")))]);
    let graph = Arc::new(Graph::build(vec![Arc::new(slow.clone())]).unwrap());
    let resolver = Resolver::new(world.store.clone(), Roots::new());
    let resolved = resolver
        .resolve(graph.spec(graph.order()[0]), Vec::new())
        .unwrap();
    assert_eq!(resolver.moved_since(&slow, &resolved).unwrap(), None);
    world.write("module.py", "two, and longer");
    assert_eq!(
        resolver.moved_since(&slow, &resolved).unwrap(),
        Some(path.to_string())
    );
}

#[test]
fn a_missing_file_is_an_error_that_says_so() {
    let world = World::new();
    let file = |world: &World| {
        let mut file = Spec::new(FILE, "images/foo.qcow2");
        file.sources = Box::new([SourceFile::new("images/foo.qcow2", &world.path("foo.qcow2"))]);
        vec![on_image(spec(FAKE, "a", "1", &[]), &file)]
    };
    let (summary, ran) = world.run(file(&world));
    assert!(ran.is_empty());
    assert_eq!(summary.wanted[0].status, Status::Skip);
    assert!(
        summary.broken[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("missing image")
    );
    world.write("foo.qcow2", "a disk");
    assert_eq!(world.run(file(&world)).1, ["a"]);
    assert!(world.run(file(&world)).1.is_empty());
    world.write("foo.qcow2", "another disk");
    assert_eq!(world.run(file(&world)).1, ["a"]);
}

/// A small random project: tests on images, with deps among tests.
#[derive(Clone, Debug)]
struct Project {
    images: Vec<u8>,
    tests: Vec<(usize, u8, Vec<usize>)>,
}

impl Project {
    fn specs(&self) -> Vec<Spec> {
        let images: Vec<Spec> = self
            .images
            .iter()
            .enumerate()
            .map(|(at, content)| spec(IMAGE, &format!("image{at}"), &format!("v{content}"), &[]))
            .collect();
        let tests = self.tests.iter().enumerate().map(|(at, (image, value, deps))| {
            let deps: Vec<String> = deps
                .iter()
                .filter(|dep| **dep < at)
                .map(|dep| format!("t{dep}"))
                .collect();
            let deps: Vec<&str> = deps.iter().map(String::as_str).collect();
            let test = spec(FAKE, &format!("t{at}"), &format!("x{value}"), &deps);
            on_image(test, &images[image % images.len()])
        });
        tests.collect()
    }

    /// What the outcome of a test may depend on: its own value and its image's content, whichever image has it.
    fn state(&self) -> BTreeSet<(usize, u8, u8)> {
        let of = |(at, (image, value, _)): (usize, &(usize, u8, Vec<usize>))| {
            (at, *value, self.images[image % self.images.len()])
        };
        self.tests.iter().enumerate().map(of).collect()
    }
}

fn project() -> impl Strategy<Value = Project> {
    let test = (0..3_usize, 0..3_u8, prop::collection::vec(0..6_usize, 0..2));
    (
        prop::collection::vec(0..3_u8, 1..3),
        prop::collection::vec(test, 1..6),
    )
        .prop_map(|(images, tests)| Project { images, tests })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Through any sequence of edits, exactly the tests run whose own content or image was never seen together before:
    /// what a from-scratch run would find out and no run before has.
    #[test]
    fn random_edits_run_exactly_what_is_new(history in prop::collection::vec(project(), 1..5)) {
        let world = World::new();
        let mut known = BTreeSet::new();
        for project in history {
            let state = project.state();
            let new: BTreeSet<String> = state.difference(&known).map(|(at, ..)| format!("t{at}")).collect();
            let (summary, ran) = world.run(project.specs());
            let ran: BTreeSet<String> = ran.into_iter().filter(|name| name.starts_with('t')).collect();
            prop_assert_eq!(&ran, &new);
            prop_assert!(summary.wanted.iter().all(|finished| finished.status == Status::Pass));
            known.extend(state);
        }
    }
}

/// A test that is quicker with what the action `warm` makes.
fn aided(name: &str, what: &str, warm: &str) -> Spec {
    let mut spec = spec(FAKE, name, what, &[]);
    let mut aid = Spec::new(IMAGE, "warm");
    aid.declared = Box::new([(Arc::from("do"), Some(Arc::from(warm)))]);
    spec.aids = Box::new([Aid {
        role: Arc::from("warm"),
        spec: Arc::new(aid),
        from: 2,
    }]);
    spec
}

#[test]
fn an_aid_is_made_for_several_and_then_used_by_each() {
    let world = World::new();
    let (summary, ran) = world.run(vec![aided("a", "pass", "state")]);
    assert_eq!((summary.ran, ran), (1, vec!["a".to_owned()]));
    let (summary, ran) = world.run(vec![aided("b", "pass", "state"), aided("c", "pass", "state")]);
    assert_eq!((summary.ran, ran.contains(&"warm".to_owned())), (3, true));
    // What it is made of is in no key: the same tests are hits without it, and it is not made for them.
    let (summary, _) = world.run(vec![aided("b", "pass", "other"), aided("c", "pass", "other")]);
    assert_eq!((summary.ran, summary.hits), (0, 2));
}

#[test]
fn what_an_aid_comes_to_is_nobodys_verdict() {
    let world = World::new();
    let (summary, _) = world.run(vec![aided("a", "pass", "fail"), aided("b", "pass", "fail")]);
    assert!(summary.wanted.iter().all(|end| end.status == Status::Pass));
    assert!(summary.broken.is_empty() && summary.ran == 3);
}

#[test]
fn an_aid_that_was_no_good_is_made_again() {
    let world = World::new();
    let tests = |what: &str| vec![aided("a", what, "state"), aided("b", what, "state")];
    world.run(tests("pass"));
    let (_, ran) = world.run(tests("distrust"));
    assert!(!ran.contains(&"warm".to_owned()), "it is in the cache: {ran:?}");
    let notices: Vec<String> = world.store.notices().iter().map(ToString::to_string).collect();
    assert!(
        notices.len() == 1 && notices[0].contains("it was cold"),
        "{notices:?}"
    );
    let last = world.store.last("warm").unwrap().unwrap();
    assert_eq!(
        (&*last.run.status, last.run.reason.as_deref()),
        ("FAIL", Some("it was cold"))
    );
    let (_, ran) = world.run(tests("doubt"));
    assert!(ran.contains(&"warm".to_owned()), "{ran:?}");
}
