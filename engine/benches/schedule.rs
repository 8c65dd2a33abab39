//! How long whole runs take by the order in which actions start, played through without running anything.
//!
//! Durations are drawn from the spread that recorded runs of guests under emulation have: images a minute, tests a few seconds to
//! two minutes, a few much longer; a tenth of the tests come after another one. Compared are the order of the list (first in,
//! first out), the longest way to the end first, the same with tests of one guest state kept together (what runs use), and the
//! bound that no order can beat. The last two columns count how often a test starts whose state is not that of the test before.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod support;

use std::sync::Arc;

use vtbuild_engine::estimate::Estimates;
use vtbuild_engine::graph::Graph;
use vtbuild_engine::schedule::claims::Capacity;
use vtbuild_engine::schedule::simulate::{Slot, lower_bound, makespan, simulate};
use vtbuild_engine::spec::{ActionId, Aid, Claim, Need, RuleName, Spec};

use support::{IMAGE, TEST};

const STATE: RuleName = RuleName {
    name: "state",
    version: 1,
};
/// Seconds that tests took, shortest first: quantiles of which each test draws one and what lies up to the next.
const SECONDS: [f64; 11] = [0.3, 2.0, 5.0, 8.0, 12.0, 16.0, 22.0, 30.0, 45.0, 120.0, 900.0];
const IMAGE_SECONDS: f64 = 60.0;
const STATE_SECONDS: f64 = 12.0;

fn main() {
    println!(
        "{:>6} {:>5} {:>10} {:>10} {:>10} {:>10} {:>9} {:>9} {:>10} {:>8} {:>8}",
        "tests",
        "jobs",
        "listed",
        "longest",
        "together",
        "bound",
        "listed/b",
        "longest/b",
        "together/b",
        "turns",
        "together"
    );
    for (tests, jobs) in [(50, 2), (50, 8), (500, 2), (500, 8), (500, 32), (5_000, 32)] {
        let mut bound = 0.0;
        let mut orders = [(0.0, 0); 3];
        // Sums over several draws: one may be lucky.
        for seed in 0..10 {
            let (graph, estimates) = draw(tests, seed);
            let capacity = Capacity {
                jobs,
                memory_mib: jobs * 1024,
                vcpus: jobs * 2,
            };
            let fifo = places(&graph, graph.order().to_vec());
            let remaining = estimates.remaining(&graph);
            let mut by_length = graph.order().to_vec();
            by_length.sort_by(|a, b| remaining[b.index()].total_cmp(&remaining[a.index()]));
            let longest = places(&graph, by_length);
            let together = estimates.priorities(&graph);
            for (sums, order) in orders.iter_mut().zip([fifo, longest, together]) {
                let slots = simulate(&graph, &estimates, capacity, order);
                sums.0 += makespan(&slots);
                sums.1 += turns(&graph, &slots);
            }
            bound += lower_bound(&graph, &estimates, capacity);
        }
        let [listed, longest, together] = orders;
        println!(
            "{tests:>6} {jobs:>5} {:>8.0} s {:>8.0} s {:>8.0} s {:>8.0} s {:>9.3} {:>9.3} {:>10.3} {:>8} {:>8}",
            listed.0 / 10.0,
            longest.0 / 10.0,
            together.0 / 10.0,
            bound / 10.0,
            listed.0 / bound,
            longest.0 / bound,
            together.0 / bound,
            longest.1 / 10,
            together.1 / 10
        );
    }
}

/// The place of each action in an order.
fn places(graph: &Graph, order: Vec<ActionId>) -> Vec<u32> {
    let mut places = vec![0; graph.len()];
    for (place, id) in (0..).zip(order) {
        places[id.index()] = place;
    }
    places
}

/// How often a test starts whose state is not that of the test which started before it.
fn turns(graph: &Graph, slots: &[Slot]) -> usize {
    let states = slots.iter().filter_map(|slot| {
        let mut links = graph.waits_for(slot.id);
        links.find(|(_, link)| link.is_aid()).map(|(state, _)| state)
    });
    let states: Vec<ActionId> = states.collect();
    states.windows(2).filter(|pair| pair[0] != pair[1]).count()
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
        spec.aids = Box::new([Aid {
            role: Arc::from("state"),
            spec: Arc::new(Spec::new(STATE, format!("state{}", at % 15))),
            from: 1,
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
        if graph.spec(ActionId::at(at)).rule == STATE {
            return STATE_SECONDS;
        }
        let place = random.f64() * 9.999_999;
        let (below, part) = (place as usize, place.fract());
        SECONDS[below] + part * (SECONDS[below + 1] - SECONDS[below])
    });
    let estimates = Estimates::given(seconds.collect());
    (graph, estimates)
}
