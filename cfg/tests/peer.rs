//! This crate against the reference implementation on random programs of fixed seeds.
//!
//! `cfg/conformance/peer.sh` makes the environment; `examples/fuzz_peer.rs` runs as many programs as one likes.

#[path = "../conformance/mod.rs"]
mod conformance;
mod support;

use std::path::Path;

use conformance::oracle::Oracle;
use support::say;

/// How many programs are compared, from the first seed on.
const PROGRAMS: usize = 600;
const FIRST_SEED: u64 = 1;

#[test]
fn random_programs_mean_the_same() {
    let Some(python) = std::env::var_os("VTBUILD_PEER_PYTHON") else {
        say(
            "SKIPPED: set VTBUILD_PEER_PYTHON to the interpreter that cfg/conformance/peer.sh prints to run this test",
        );
        return;
    };
    let mut oracle = Oracle::start(Path::new(&python)).expect("the reference starts");
    let tally =
        conformance::run(&mut oracle, FIRST_SEED, PROGRAMS, 5, |_| ()).expect("the reference answers");
    say(&tally.summary());
    assert!(
        tally.mismatches.is_empty(),
        "{}\n{}",
        tally.mismatches.join("\n"),
        tally.summary()
    );
    // A grammar that only produced refusals would compare nothing.
    assert!(tally.expanded > PROGRAMS / 3, "{}", tally.summary());
    assert!(tally.variants > PROGRAMS / 3, "{}", tally.summary());
}
