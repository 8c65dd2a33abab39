//! How long it takes to find out that nothing has to run, and what a node costs in memory.
//!
//! A synthetic project: tests with eight parameters in their keys, which read twelve more out of 240, a hundred of them on one
//! image, a tenth of them after another test. Everything is in the store. Timed is what a run does then: specs to graph, graph to plan. Memory is the growth of the
//! process's resident set from before the specs to after the plan; lists of parameters, which the front end makes, are shared by
//! a hundred tests.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod support;

use std::sync::Arc;
use std::time::Instant;

use camino::Utf8Path;
use vtbuild_cache::{Digest, Manifest, Output, Record, Store};
use vtbuild_engine::graph::Graph;
use vtbuild_engine::key::ActionKey;
use vtbuild_engine::observe::{Offered, Read};
use vtbuild_engine::plan::{Plan, PlanOptions};
use vtbuild_engine::resolve::{Resolver, Roots, inputs_of};
use vtbuild_engine::spec::{Claim, Need, Spec};

use support::{IMAGE, TEST, on_cpu};

const TESTS_ON_AN_IMAGE: usize = 100;
const TESTS_BETWEEN_DEPS: usize = 10;
/// Names of parameters, shared by all tests as the front end shares them.
const PARAMS: [&str; 8] = [
    "drive_format",
    "image_name",
    "login_timeout",
    "mem",
    "mig_protocol",
    "nic_model",
    "smp",
    "type",
];
/// Parameters of a variant, and how many of them a test reads.
const OFFERED: usize = 240;
const READ: usize = 12;

fn main() {
    println!(
        "{:>8} {:>10} {:>10} {:>12} {:>14} {:>8}",
        "nodes", "seconds", "on a CPU", "us a node", "bytes a node", "edges"
    );
    for tests in [10_000, 100_000] {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = Utf8Path::from_path(dir.path()).expect("a UTF-8 path");
        let store = Store::open(root).expect("a new store opens");
        fill(&store, tests);
        let before = resident();
        let (began, cpu) = (Instant::now(), on_cpu());
        let resolver = Resolver::new(store.clone(), Roots::new());
        let graph = Graph::build(specs(tests)).expect("no ring");
        let plan = Plan::make(&graph, &resolver, PlanOptions::default()).expect("the store can be read");
        let (seconds, cpu) = (began.elapsed().as_secs_f64(), on_cpu() - cpu);
        let bytes = resident().saturating_sub(before);
        assert_eq!(plan.hits(), graph.len(), "everything was recorded");
        let nodes = graph.len();
        let edges = graph.edges();
        println!(
            "{nodes:>8} {seconds:>10.3} {cpu:>10.3} {:>12.2} {:>14} {edges:>8}",
            seconds * 1e6 / nodes as f64,
            bytes / nodes,
        );
        if tests == 100_000 {
            println!(
                "limits for 100,000: {:.2} of 0.5 s, {:.2} of 500 bytes a node",
                seconds / 0.5,
                bytes as f64 / nodes as f64 / 500.0
            );
        }
    }
}

fn specs(tests: usize) -> Vec<Arc<Spec>> {
    let names = PARAMS.map(Arc::<str>::from);
    let values: Vec<Arc<str>> = (0..64).map(|at| Arc::from(format!("value{at}"))).collect();
    let role: Arc<str> = Arc::from("image1 of vm1");
    let image = |at: usize| {
        let mut image = Spec::new(IMAGE, format!("image{at}"));
        image.declared = Box::new([(Arc::from("size"), Some(Arc::from("2G")))]);
        Arc::new(image)
    };
    let offered: Vec<Arc<Offered>> = (0..tests.div_ceil(TESTS_ON_AN_IMAGE))
        .map(|group| Arc::new(offered(&values[group % values.len()])))
        .collect();
    let images: Vec<Arc<Spec>> = (0..tests.div_ceil(TESTS_ON_AN_IMAGE)).map(image).collect();
    let test = |at: usize| {
        let mut spec = Spec::new(TEST, format!("provider.test{at}.default.tcp"));
        spec.variant = spec.label.clone();
        let value = |place: usize| Some(values[(at >> place) % values.len()].clone());
        spec.declared = names
            .iter()
            .enumerate()
            .map(|(place, name)| (name.clone(), value(place)))
            .collect();
        spec.offered = offered[at / TESTS_ON_AN_IMAGE].clone();
        let otherwise = Some(images[at / TESTS_ON_AN_IMAGE].clone());
        spec.needs = Box::new([Need {
            role: role.clone(),
            made: None,
            otherwise,
        }]);
        if at % TESTS_BETWEEN_DEPS == TESTS_BETWEEN_DEPS - 1 {
            spec.after = Box::new([Arc::from(format!("provider.test{}", at - 1))]);
        }
        spec.claim = Claim {
            memory_mib: 512,
            vcpus: 1,
        };
        Arc::new(spec)
    };
    (0..tests).map(test).collect()
}

fn offered(value: &Arc<str>) -> Offered {
    let params = (0..OFFERED).map(|at| (Arc::from(format!("offered{at}")), value.clone()));
    Offered::of(&Arc::new(params.collect()), |_| false)
}

/// Records every action, as a run would have.
fn fill(store: &Store, tests: usize) {
    let graph = Graph::build(specs(tests)).expect("no ring");
    let resolver = Resolver::new(store.clone(), Roots::new());
    let reads: Vec<Read> = (0..READ)
        .map(|at| Read::Param(Arc::from(format!("offered{}", at * OFFERED / READ))))
        .collect();
    let disk = store.put_bytes(b"a disk").expect("a blob can be written");
    let mut made = vec![None; graph.len()];
    let mut records = Vec::new();
    for &id in graph.order() {
        let spec = graph.spec(id);
        let (inputs, _) = inputs_of(&graph, id, |earlier| made[earlier.index()].as_ref()).expect("in order");
        let key = ActionKey {
            spec,
            sources: &[],
            host: &[],
            inputs: &inputs,
        }
        .digest();
        let outputs = if spec.rule == IMAGE {
            vec![Output {
                name: "disk".into(),
                digest: disk.digest,
                size: disk.size,
            }]
        } else {
            Vec::new()
        };
        let artefacts = outputs.iter().map(|output| vtbuild_engine::outcome::Artefact {
            name: output.name.clone(),
            digest: output.digest,
            size: output.size,
            path: store.blob_path(&output.digest),
        });
        made[id.index()] = Some(vtbuild_engine::resolve::Made {
            trace: None,
            artefacts: artefacts.collect(),
            seconds: 1.0,
        });
        let observed = if spec.rule == TEST {
            resolver.observations(spec, &reads).expect("no file is read")
        } else {
            Vec::new()
        };
        records.push(Record {
            observed,
            ..record(key, spec, outputs)
        });
    }
    for batch in records.chunks(1000) {
        let reserved = batch
            .iter()
            .map(|record| (record, store.reserve(&record.key).expect("nobody else is here")));
        store
            .publish_many(reserved.collect::<Vec<_>>())
            .expect("records can be written");
    }
}

fn record(key: Digest, spec: &Spec, outputs: Vec<Output>) -> Record {
    Record {
        key,
        rule: spec.rule.name.into(),
        label: spec.label.to_string(),
        status: "PASS".into(),
        outputs,
        inputs: Vec::new(),
        observed: Vec::new(),
        manifest: Manifest::default(),
        seconds: 1.0,
        finished_unix_ms: 1,
        host: "bench".into(),
        evidence: serde_json::Value::Null,
    }
}

/// The process's resident set, in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("procfs is mounted");
    let pages: usize = statm
        .split_whitespace()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a number of pages");
    pages * 4096
}
