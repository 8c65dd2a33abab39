//! How long whole runs take by the order in which actions start, played through without running anything.
//!
//! Durations are drawn from the spread that recorded runs of guests under emulation have: images a minute, tests a few seconds to
//! two minutes, a few much longer; a tenth of the tests come after another one. Compared are the order of the list (first in,
//! first out), the longest way to the end first (what runs use), and the bound that no order can beat.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod support;

use std::sync::Arc;

use vtbuild_engine::estimate::Estimates;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::simulate::{lower_bound, makespan, simulate};
use vtbuild_engine::spec::{ActionId, Claim, Need, Spec};

use support::{IMAGE, TEST};

/// Seconds that tests took, shortest first: quantiles of which each test draws one and what lies up to the next.
const SECONDS: [f64; 11] = [0.3, 2.0, 5.0, 8.0, 12.0, 16.0, 22.0, 30.0, 45.0, 120.0, 900.0];
const IMAGE_SECONDS: f64 = 60.0;

fn main() {
    println!(
        "{:>6} {:>5} {:>12} {:>12} {:>12} {:>10} {:>10}",
        "tests", "jobs", "listed", "longest", "bound", "listed/b", "longest/b"
    );
    for (tests, jobs) in [(50, 2), (50, 8), (500, 2), (500, 8), (500, 32), (5_000, 32)] {
        let (mut listed, mut ranked, mut bound) = (0.0, 0.0, 0.0);
        // Sums over several draws: one may be lucky.
        for seed in 0..10 {
            let (graph, estimates) = draw(tests, seed);
            let capacity = Capacity {
                jobs,
                memory_mib: jobs * 1024,
                vcpus: jobs * 2,
            };
            let mut fifo = vec![0; graph.len()];
            for (place, id) in (0..).zip(graph.order()) {
                fifo[id.index()] = place;
            }
            listed += makespan(&simulate(&graph, &estimates, capacity, fifo));
            let priorities = estimates.priorities(&graph);
            ranked += makespan(&simulate(&graph, &estimates, capacity, priorities));
            bound += lower_bound(&graph, &estimates, capacity);
        }
        println!(
            "{tests:>6} {jobs:>5} {:>10.0} s {:>10.0} s {:>10.0} s {:>10.3} {:>10.3}",
            listed / 10.0,
            ranked / 10.0,
            bound / 10.0,
            listed / bound,
            ranked / bound
        );
    }
}

/// A graph and how long its actions take, always the same for a seed.
fn draw(tests: usize, seed: u64) -> (Arc<Graph>, Estimates) {
    let mut random = fastrand::Rng::with_seed(seed);
    let specs = (0..tests).map(|at| {
        let mut spec = Spec::new(TEST, format!("test{at}"));
        spec.variant = Arc::from(format!("test{at}"));
        spec.claim = Claim {
            memory_mib: 512,
            vcpus: 1,
        };
        spec.needs = Box::new([Need {
            role: Arc::from("image1"),
            made: None,
            otherwise: Some(Arc::new(Spec::new(IMAGE, format!("image{}", at % 5)))),
        }]);
        if at > 0 && random.u8(..10) == 0 {
            spec.after = Box::new([Arc::from(format!("test{}", random.usize(..at)))]);
        }
        Arc::new(spec)
    });
    let graph = Arc::new(Graph::build(specs.collect()).expect("every test comes after an earlier one"));
    let seconds = (0..graph.len()).map(|at| {
        if graph.spec(ActionId::at(at)).rule == IMAGE {
            return IMAGE_SECONDS;
        }
        let place = random.f64() * 9.999_999;
        let (below, part) = (place as usize, place.fract());
        SECONDS[below] + part * (SECONDS[below + 1] - SECONDS[below])
    });
    let estimates = Estimates::given(seconds.collect());
    (graph, estimates)
}
