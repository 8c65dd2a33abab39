//! Only what was read counts: no sequence of edits gives an answer that running would not give, and none runs more than it
//! must. The rule here is a reader whose way through its parameters and files depends on what it finds there.

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
use vtbuild_engine::resolve::{Resolver, Roots};
use vtbuild_engine::rule::{DeclareError, Job, Rule, Rules};
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::run::{Places, Run, RunOptions};
use vtbuild_engine::spec::{ActionId, RuleName, Spec};
use vtbuild_engine::variant::{Params, Variant};

const READER: RuleName = RuleName {
    name: "reader",
    version: 1,
};

/// Names of parameters; a value may be one of them, or `file`, `view`, `all`, or something to stop at.
const NAMES: [&str; 4] = ["a", "b", "c", "d"];
/// How often a reader follows a value to the next name.
const STEPS: usize = 4;

/// What a reader finds, and all that it read on the way. Pure: the oracle.
fn read(params: &Params, file: &Utf8Path) -> (String, Vec<Read>) {
    let get = |name: &str| {
        let value = params.iter().rev().find(|(have, _)| &**have == name);
        value.map(|(_, value)| value.to_string())
    };
    let (mut answer, mut reads, mut name) = (String::new(), Vec::new(), "a".to_owned());
    for _ in 0..STEPS {
        reads.push(Read::Param(name.as_str().into()));
        let Some(value) = get(&name) else {
            answer.push_str(" nothing");
            break;
        };
        answer.push_str(&format!(" {value}"));
        match value.as_str() {
            "file" => {
                reads.push(Read::File {
                    name: "provider/lib.py".into(),
                    path: file.to_owned(),
                });
                answer.push_str(&std::fs::read_to_string(file).unwrap());
                break;
            }
            "view" => {
                // The view of `x`: names in which the suffix stands twice reach it as well.
                reads.push(Read::Suffix("x".into()));
                let mut twice: Vec<_> = params.iter().filter(|(name, _)| name.ends_with("_x_x")).collect();
                twice.sort();
                for (name, value) in twice {
                    reads.push(Read::Param(name.clone()));
                    answer.push_str(&format!(" {name}={value}"));
                }
                break;
            }
            "all" => {
                reads.push(Read::Everything);
                let mut all: Vec<_> = params.iter().collect();
                all.sort();
                answer.push_str(&format!("{all:?}"));
                break;
            }
            next => name = next.to_owned(),
        }
    }
    (answer, reads)
}

struct Reader {
    file: Utf8PathBuf,
    ran: Arc<AtomicUsize>,
    /// Written into the file after it was read, once: somebody edits while a test runs.
    meanwhile: Mutex<Option<String>>,
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
        let (answer, observed) = read(&params, &self.file);
        if let Some(text) = self.meanwhile.lock().unwrap().take() {
            std::fs::write(&self.file, text).unwrap();
        }
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
        std::fs::create_dir(root.join("provider")).unwrap();
        let file = root.join("provider/lib.py");
        std::fs::write(&file, "").unwrap();
        settle();
        let rule = Reader {
            file,
            ran: Arc::default(),
            meanwhile: Mutex::default(),
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
        let graph = Arc::new(Graph::build(vec![Arc::new(spec)]).unwrap());
        let roots = Roots::from([("provider".to_owned(), self.root().join("provider"))]);
        let resolver = Arc::new(Resolver::new(self.store.clone(), roots).strict(strict));
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
        self.rule.ran.load(Ordering::Relaxed) > before
    }

    /// What the cache would serve.
    fn served(&self, params: &Params, strict: bool) -> Option<Digest> {
        match self.plan(params, strict).2.of(ActionId::at(0)) {
            Forecast::Hit { made, .. } => Some(made.artefacts[0].digest),
            Forecast::Miss(_) | Forecast::Maybe => None,
        }
    }

    fn reason(&self, params: &Params, strict: bool) -> Reason {
        match self.plan(params, strict).2.of(ActionId::at(0)) {
            Forecast::Miss(miss) => miss.reason.clone(),
            other => panic!("it is no miss: {other:?}"),
        }
    }

    fn answer(&self, params: &Params) -> Digest {
        Digest::of(read(params, &self.rule.file).0.as_bytes())
    }

    /// Writes the file the way an editor does.
    fn write(&self, text: &str) {
        std::fs::write(&self.rule.file, text).unwrap();
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
    let value = proptest::sample::select(vec!["a", "b", "c", "d", "file", "view", "all", "stop", ""]);
    prop_oneof![
        6 => (name(), value).prop_map(|(name, value)| Edit::Set(name, value.to_owned())),
        2 => name().prop_map(Edit::Remove),
        1 => "[xy]".prop_map(Edit::Write),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    /// The oracle runs everything; the cache may answer only what the oracle answers.
    #[test]
    fn no_sequence_of_edits_gives_a_stale_answer(edits in proptest::collection::vec((edit(), any::<bool>()), 1..25)) {
        let world = World::new();
        let mut now: Params = params(&[("a", "b"), ("b", "stop")]);
        let mut known: HashSet<(Params, String)> = HashSet::new();
        let mut made = 0;
        for (edit, strict) in edits {
            match edit {
                Edit::Set(name, value) => {
                    now.retain(|(have, _)| **have != *name);
                    now.push((name.into(), value.into()));
                }
                Edit::Remove(name) => now.retain(|(have, _)| **have != *name),
                Edit::Write(text) => world.write(&text),
            }
            let oracle = world.answer(&now);
            if let Some(served) = world.served(&now, strict) {
                prop_assert_eq!(served, oracle, "stale: {:?}", now);
            }
            let ran = world.run(&now, strict);
            let mut state = now.clone();
            state.sort();
            let state = (state, std::fs::read_to_string(&world.rule.file).unwrap());
            // What has been run as it stands is not run again: eight records of a key are kept, and a strict run needs a
            // strict one.
            made += usize::from(ran);
            if !strict && made <= 8 && known.contains(&state) {
                prop_assert!(!ran, "it ran again: {:?}", now);
            }
            known.insert(state);
            prop_assert_eq!(world.served(&now, strict), Some(oracle));
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

#[test]
fn a_file_that_changed_after_it_was_read_is_not_believed() {
    let world = World::new();
    let reading = params(&[("a", "file")]);
    world.write("old");
    *world.rule.meanwhile.lock().unwrap() = Some("new".to_owned());
    assert!(world.run(&reading, false));
    assert_eq!(world.served(&reading, false), None);
    world.write("new");
    assert!(world.run(&reading, false));
    assert_eq!(world.served(&reading, false), Some(world.answer(&reading)));
}
