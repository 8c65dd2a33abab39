//! Notes never say more than a look-up would: whatever is edited, forgotten or marked, a variant that they speak for is in the
//! cache, and what is as it was when they were made, they speak for.

use std::sync::{Arc, Mutex};

use camino::{Utf8Path, Utf8PathBuf};
use proptest::prelude::*;
use vtbuild_cache::{Digest, Manifest, Mark, Output, Record, Store};
use vtbuild_cfg::Program;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::observe::{Offered, Read};
use vtbuild_engine::plan::{Forecast, Plan, PlanOptions};
use vtbuild_engine::recall::{Memo, Noted, Notes, Picked, Slot, Source, What, names};
use vtbuild_engine::resolve::{FILE, Facts, Resolver, Roots};
use vtbuild_engine::spec::{ActionId, Need, RuleName, SourceFile, Spec};
use vtbuild_engine::variant::Variant;

const TEST: RuleName = RuleName {
    name: "test",
    version: 1,
};
const IMAGE: RuleName = RuleName {
    name: "image",
    version: 1,
};
/// How many tests there are.
const TESTS: usize = 4;
/// Files that come and go.
const FILES: [&str; 4] = ["own.py", "read.py", "folder/one", "image"];

#[derive(Clone, Debug)]
enum Edit {
    /// A parameter of a test: one that it reads or one that it does not.
    Set(usize, bool, u8),
    /// A line under a condition for one test.
    Condition(usize, u8),
    /// A test comes after the first one.
    Tie(usize),
    Write(usize, u8),
    Delete(usize),
    Weather(u8),
    /// The record of a test goes; that of the image does.
    Forget(usize),
    ForgetImage,
    Mark(usize),
    /// Another record of a test's key is made.
    Again(usize),
    /// Something that all declarations look at.
    Settings(u8),
    /// The index is kept as it is; it is put back to what was kept.
    BackUp,
    Restore,
}

/// A project and its cache.
struct World {
    _dir: tempfile::TempDir,
    root: Utf8PathBuf,
    /// Nothing only while its index is put back.
    store: Option<Store>,
    weather: Arc<Mutex<u8>>,
    read: [u8; TESTS],
    unread: [u8; TESTS],
    conditions: Vec<(usize, u8)>,
    tied: [bool; TESTS],
    settings: u8,
    again: u8,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let root = Utf8Path::from_path(dir.path()).unwrap().to_owned();
        std::fs::create_dir_all(root.join("provider/folder")).unwrap();
        let world = Self {
            store: Some(Store::open(&root.join("cache")).unwrap()),
            _dir: dir,
            root,
            weather: Arc::default(),
            read: [0; TESTS],
            unread: [0; TESTS],
            conditions: Vec::new(),
            tied: [false; TESTS],
            settings: 0,
            again: 0,
        };
        (0..FILES.len()).for_each(|file| world.write(file, 0));
        world
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("it is open again")
    }

    /// The file of the index, and what is kept of it.
    fn index(&self) -> [Utf8PathBuf; 2] {
        [self.root.join("cache/index/data.mdb"), self.root.join("kept.mdb")]
    }

    fn back_up(&self) {
        let [index, kept] = self.index();
        std::fs::copy(index, kept).unwrap();
    }

    /// Whether there was something to be put back.
    fn restore(&mut self) -> bool {
        let [index, kept] = self.index();
        if !kept.exists() {
            return false;
        }
        self.store = None;
        std::fs::copy(kept, index).unwrap();
        self.store = Some(Store::open(&self.root.join("cache")).unwrap());
        true
    }

    fn file(&self, at: usize) -> Utf8PathBuf {
        self.root.join("provider").join(FILES[at])
    }

    fn write(&self, file: usize, value: u8) {
        std::fs::write(self.file(file), [value]).unwrap();
    }

    fn program(&self) -> Program {
        struct Nothing;
        impl vtbuild_cfg::Loader for Nothing {
            fn load(&self, _: &Utf8Path) -> vtbuild_cfg::Loaded {
                vtbuild_cfg::Loaded::Absent
            }
        }
        let mut text = "variants:\n".to_owned();
        for at in 0..TESTS {
            let dep = if self.tied[at] && at > 0 { " t0" } else { "" };
            let (read, unread) = (self.read[at], self.unread[at]);
            text.push_str(&format!(
                "    - t{at}:{dep}\n        read = {read}\n        unread = {unread}\n"
            ));
        }
        for (test, value) in &self.conditions {
            text.push_str(&format!("t{test}:\n    more = {value}\n"));
        }
        Program::from_text("tests.cfg", &text, &Nothing).unwrap()
    }

    fn resolver(&self) -> Resolver {
        let roots = Roots::from([("provider".to_owned(), self.root.join("provider"))]);
        let weather = self.weather.clone();
        let facts = move |name: &str| (name == "weather").then(|| weather.lock().unwrap().to_string());
        Resolver::new(self.store().clone(), roots).with_facts(Facts(Arc::new(facts)))
    }

    /// The settings as declarations look at them.
    fn settings(&self) -> Digest {
        Digest::of(&[self.settings])
    }

    fn declare(&self, variant: &Variant) -> Arc<Spec> {
        let mut image = Spec::new(IMAGE, "image");
        image.sources = Box::new([SourceFile::new("provider/image", &self.file(3))]);
        let mut owned = Spec::new(FILE, "disk");
        owned.sources = Box::new([SourceFile::new("disk", &self.file(2))]);
        let need = |role: &str, spec: Spec| Need {
            role: role.into(),
            made: None,
            otherwise: Some(Arc::new(spec)),
        };
        let mut spec = Spec::new(TEST, variant.name.clone());
        spec.variant = variant.name.clone();
        spec.offered = Arc::new(Offered::of(&variant.params, |_| false));
        spec.sources = Box::new([SourceFile::new("provider/own.py", &self.file(0))]);
        spec.after = variant.dep.iter().cloned().collect();
        spec.declared = Box::new([("settings".into(), Some(self.settings.to_string().into()))]);
        spec.needs = match &*variant.name {
            "t1" => Box::new([need("image", image)]),
            "t2" => Box::new([need("disk", owned)]),
            _ => Box::default(),
        };
        Arc::new(spec)
    }

    /// What a test reads while it runs.
    fn reads(&self) -> Vec<Read> {
        vec![
            Read::Param("read".into()),
            Read::Param("more".into()),
            match self.file(1) {
                path if path.exists() => Read::File {
                    name: "provider/read.py".into(),
                    path,
                },
                _ => Read::Absent("provider/read.py".into()),
            },
            Read::Listing {
                name: "provider/folder".into(),
                path: self.root.join("provider/folder"),
            },
            Read::Host {
                name: "weather".into(),
                answer: Some(self.weather.lock().unwrap().to_string()),
            },
        ]
    }

    /// Makes the record of an action whose key is known.
    fn publish(&self, resolver: &Resolver, spec: &Spec, key: Digest) {
        let mut outputs = Vec::new();
        let mut observed = Vec::new();
        if spec.rule == IMAGE {
            let blob = self
                .store()
                .put_bytes(&std::fs::read(self.file(3)).unwrap_or_default());
            let (digest, size) = blob.map(|blob| (blob.digest, blob.size)).unwrap();
            let name = "disk".into();
            outputs.push(Output { name, digest, size });
        } else {
            observed = resolver.observations(spec, &self.reads()).unwrap();
        }
        let record = Record {
            key,
            rule: spec.rule.name.into(),
            label: spec.label.to_string(),
            status: "PASS".into(),
            outputs,
            inputs: Vec::new(),
            observed,
            manifest: Manifest::default(),
            seconds: f64::from(self.again),
            finished_unix_ms: 1,
            host: "here".into(),
            evidence: serde_json::Value::Null,
        };
        let reserved = self.store().reserve(&key).unwrap();
        self.store().publish_many([(&record, reserved)]).unwrap();
    }

    /// Everything declared and looked up.
    fn declared(&self) -> (Vec<Variant>, Picked, Graph, Plan, Resolver) {
        let picked = Picked::of(&self.program(), None).unwrap();
        let variants: Vec<Variant> = picked.rest.iter().map(|(_, variant)| variant.clone()).collect();
        let graph = Graph::build(variants.iter().map(|variant| self.declare(variant)).collect()).unwrap();
        let resolver = self.resolver();
        let plan = Plan::make(&graph, &resolver, PlanOptions::default()).unwrap();
        (variants, picked, graph, plan, resolver)
    }

    /// Runs what has to run.
    fn run(&self) {
        loop {
            let (_, _, graph, plan, resolver) = self.declared();
            let misses: Vec<_> = graph
                .order()
                .iter()
                .filter_map(|id| match plan.of(*id) {
                    Forecast::Miss(miss) if graph.spec(*id).rule != FILE => Some((*id, miss.resolved.key)),
                    _ => None,
                })
                .filter(|(_, key)| self.store().mark_of(key).unwrap().is_none())
                .collect();
            if misses.is_empty() {
                return;
            }
            for (id, key) in misses {
                self.publish(&resolver, graph.spec(id), key);
            }
        }
    }

    fn key(&self, test: usize) -> Option<Digest> {
        match self.declared().3.of(ActionId::at(test)) {
            Forecast::Hit { key, .. } => Some(*key),
            Forecast::Miss(miss) => Some(miss.resolved.key),
            Forecast::Maybe | Forecast::Idle => None,
        }
    }

    fn apply(&mut self, edit: &Edit) {
        match *edit {
            Edit::Set(test, true, value) => self.read[test] = value,
            Edit::Set(test, false, value) => self.unread[test] = value,
            Edit::Condition(test, value) => self.conditions.push((test, value)),
            Edit::Tie(test) => self.tied[test] = !self.tied[test],
            Edit::Write(file, value) => self.write(file, value),
            // It may not be there.
            Edit::Delete(file) => drop(std::fs::remove_file(self.file(file))),
            Edit::Weather(value) => *self.weather.lock().unwrap() = value,
            Edit::Forget(test) => {
                if let Some(key) = self.key(test) {
                    self.store().forget(&key).unwrap();
                }
            }
            Edit::ForgetImage => {
                let (_, _, graph, plan, _) = self.declared();
                for &id in graph.order() {
                    if let (Forecast::Hit { key, .. }, true) = (plan.of(id), graph.spec(id).rule == IMAGE) {
                        self.store().forget(key).unwrap();
                    }
                }
            }
            Edit::Mark(test) => {
                if let Some(key) = self.key(test) {
                    let text = String::new;
                    let mark = Mark {
                        key,
                        rule: text(),
                        label: text(),
                        title: text(),
                        was: text(),
                        became: text(),
                        found_unix_ms: 1,
                    };
                    self.store().mark(&mark).unwrap();
                }
            }
            Edit::Again(test) => {
                self.again += 1;
                let (_, _, graph, _, resolver) = self.declared();
                if let Some(key) = self.key(test) {
                    self.publish(&resolver, graph.spec(ActionId::at(test)), key);
                }
            }
            Edit::Settings(value) => self.settings = value,
            Edit::BackUp => self.back_up(),
            Edit::Restore => drop(self.restore()),
        }
    }

    /// Notes of what is in the cache now.
    fn note(&self, before: Option<&Memo>, file: &Utf8Path) -> Memo {
        let word = self.store().word().unwrap();
        let (variants, picked, graph, plan, resolver) = self.declared();
        let held = before.map(|memo| memo.check(&resolver, file).unwrap());
        let known = before
            .zip(held.as_ref())
            .filter(|(memo, _)| memo.settings() == self.settings());
        let slots = Picked::of(&self.program(), known).unwrap().slots;
        let source = |(at, slot): (usize, &Slot)| match slot {
            Slot::Served(entry) | Slot::LeftOut(entry) => Source::Old(*entry),
            Slot::Rest(_) => Source::New(Noted {
                fingerprint: picked.rest[at].0,
                names: names(&variants[at]),
                title: variants[at].name.clone(),
                dep: !variants[at].dep.is_empty(),
                what: What::Action(graph.wanted()[at]),
            }),
        };
        let notes = Notes {
            graph: &graph,
            plan: &plan,
            resolver: &resolver,
            looked_into: &|_| Some(Vec::new()),
            before: known.map(|(memo, _)| memo),
        };
        let sources: Vec<Source> = slots.iter().enumerate().map(source).collect();
        let memo = notes.of(&sources, self.settings(), "said".into());
        memo.unwrap().save(file, self.store(), word);
        let memo = Memo::load(file).expect("what was saved is read");
        assert_eq!((memo.remark(), memo.len()), ("said", TESTS));
        memo
    }

    /// Which tests the notes speak for, and which are in the cache.
    fn both(&self, memo: &Memo, file: &Utf8Path) -> (Vec<bool>, Vec<bool>) {
        let (_, _, graph, plan, resolver) = self.declared();
        let hit = |id: &ActionId| matches!(plan.of(*id), Forecast::Hit { .. });
        let hits = graph.wanted().iter().map(hit).collect();
        if memo.settings() != self.settings() {
            return (vec![false; TESTS], hits);
        }
        let held = memo.check(&resolver, file).unwrap();
        let picked = Picked::of(&self.program(), Some((memo, &held))).unwrap();
        let served = |slot: &Slot| matches!(slot, Slot::Served(_));
        (picked.slots.iter().map(served).collect(), hits)
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let (test, file, value) = (|| 0..TESTS, || 0..FILES.len(), || 0..2_u8);
    prop_oneof![
        3 => (test(), any::<bool>(), value()).prop_map(|(test, read, value)| Edit::Set(test, read, value)),
        1 => (test(), value()).prop_map(|(test, value)| Edit::Condition(test, value)),
        1 => test().prop_map(Edit::Tie),
        3 => (file(), value()).prop_map(|(file, value)| Edit::Write(file, value)),
        2 => file().prop_map(Edit::Delete),
        1 => value().prop_map(Edit::Weather),
        1 => test().prop_map(Edit::Forget),
        1 => Just(Edit::ForgetImage),
        1 => test().prop_map(Edit::Mark),
        1 => test().prop_map(Edit::Again),
        1 => value().prop_map(Edit::Settings),
        1 => Just(Edit::BackUp),
        1 => Just(Edit::Restore),
    ]
}

/// A word is put back with the index that has it: the notes that were made later are not.
#[test]
fn an_index_that_is_put_back_knows_nothing_of_later_notes() {
    let mut world = World::new();
    let file = world.root.join("notes");
    world.run();
    let word = world.store().word().unwrap();
    world.back_up();
    world.apply(&Edit::Set(3, true, 1));
    world.run();
    let memo = world.note(None, &file);
    assert!(memo.check(&world.resolver(), &file).unwrap().is_attested());
    assert_eq!(world.both(&memo, &file).0, [true; TESTS]);

    assert!(world.restore());
    assert_eq!(world.store().word().unwrap(), word, "only a record was added");
    assert!(!memo.check(&world.resolver(), &file).unwrap().is_attested());
    let there = vec![true, true, true, false];
    assert_eq!(world.both(&memo, &file), (there.clone(), there));

    world.run();
    let memo = world.note(Some(&memo), &file);
    assert!(memo.check(&world.resolver(), &file).unwrap().is_attested());
    assert_eq!(world.both(&memo, &file).0, [true; TESTS]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn notes_say_nothing_that_a_look_up_would_not(
        edits in prop::collection::vec((edit(), any::<bool>()), 1..16)
    ) {
        let mut world = World::new();
        let file = world.root.join("notes");
        world.run();
        let mut memo = world.note(None, &file);
        prop_assert_eq!(world.both(&memo, &file).0, vec![true; TESTS]);
        for (edit, runs) in edits {
            world.apply(&edit);
            let (served, hits) = world.both(&memo, &file);
            for at in 0..TESTS {
                prop_assert!(hits[at] || !served[at], "t{} is served and not in the cache after {:?}", at, edit);
            }
            if runs {
                world.run();
                memo = world.note(Some(&memo), &file);
                let (served, hits) = world.both(&memo, &file);
                let tied = (1..TESTS).any(|at| world.tied[at]);
                for at in 0..TESTS {
                    let declared = tied && (at == 0 || world.tied[at]) || at == 2 && !world.file(2).exists();
                    prop_assert_eq!(served[at], hits[at] && !declared, "t{} after {:?}", at, edit);
                }
            }
        }
    }
}
