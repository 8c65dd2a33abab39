//! Differential testing against the reference implementation: random programs, two answers, one comparison.

pub mod compare;
pub mod grammar;
pub mod oracle;
pub mod shrink;

use std::fmt::Write;
use std::io;

use grammar::Case;
use oracle::Oracle;

/// What came of a run.
#[derive(Default)]
pub struct Tally {
    /// Programs tried.
    pub programs: usize,
    /// Programs that both expand without an error.
    pub expanded: usize,
    /// Programs that both refuse.
    pub refused: usize,
    /// Programs for which the reference took too long.
    pub slow: usize,
    /// Variants compared.
    pub variants: usize,
    /// One report for each kind of difference met, on a minimal program.
    pub mismatches: Vec<String>,
    /// Programs that differ.
    pub differing: usize,
}

impl Tally {
    /// One line.
    pub fn summary(&self) -> String {
        format!(
            "{} programs: {} expanded alike, {} refused alike, {} differ, {} too slow for the reference; {} variants compared",
            self.programs, self.expanded, self.refused, self.differing, self.slow, self.variants
        )
    }
}

/// Compares the programs of the seeds `first..first + programs`; at most `most` mismatches are made small and reported.
/// `progress` is told after each program.
///
/// # Errors
/// The reference's process has ended, or files cannot be written.
pub fn run(
    oracle: &mut Oracle,
    first: u64,
    programs: usize,
    most: usize,
    mut progress: impl FnMut(&Tally),
) -> io::Result<Tally> {
    let mut tally = Tally::default();
    for seed in (first..).take(programs) {
        let case = grammar::case(seed);
        tally.programs += 1;
        let (theirs, ours) = oracle.ask(&case)?;
        tally.variants += theirs.dumps.len();
        match compare::difference(&theirs, &ours) {
            Some(kind) => {
                tally.differing += 1;
                if tally.mismatches.len() < most {
                    tally.mismatches.push(minimal(oracle, case, seed, &kind)?);
                }
            }
            None if theirs.slow => tally.slow += 1,
            None if theirs.error.is_some() => tally.refused += 1,
            None => tally.expanded += 1,
        }
        progress(&tally);
    }
    Ok(tally)
}

/// The report of a mismatch, on the smallest program that shows one of the same kind.
fn minimal(oracle: &mut Oracle, case: Case, seed: u64, kind: &str) -> io::Result<String> {
    let mut broken = None;
    let small = shrink::shrink(case, |candidate| match oracle.ask(candidate) {
        Ok((theirs, ours)) => compare::difference(&theirs, &ours).as_deref() == Some(kind),
        Err(error) => {
            broken.get_or_insert(error);
            false
        }
    });
    if let Some(error) = broken {
        return Err(error);
    }
    let (theirs, ours) = oracle.ask(&small)?;
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(text, "seed {seed}: {kind}");
    text.push_str(&compare::report(&small, &theirs, &ours));
    Ok(text)
}
