//! Compares this crate with the reference implementation on random programs:
//! `fuzz_peer [--programs N] [--seed N] [--most N] [--python PATH]`.
//!
//! The reference comes from `cfg/conformance/peer.sh`, which prints the interpreter to use; without `--python` the
//! environment variable `VTBUILD_PEER_PYTHON` names it. Each mismatch is made small and both answers are printed. Exits 1
//! if there was any.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program for the terminal prints what it found"
)]

#[path = "../conformance/mod.rs"]
mod conformance;

use std::path::PathBuf;
use std::process::ExitCode;

use conformance::oracle::Oracle;

/// The command line.
struct Args {
    programs: usize,
    seed: u64,
    most: usize,
    python: Option<PathBuf>,
}

fn args() -> Result<Args, String> {
    let mut args = Args {
        programs: 10_000,
        seed: 1,
        most: 20,
        python: std::env::var_os("VTBUILD_PEER_PYTHON").map(PathBuf::from),
    };
    let mut given = std::env::args().skip(1);
    while let Some(option) = given.next() {
        let value = given.next().ok_or_else(|| format!("{option} needs a value"))?;
        let number = || {
            value
                .parse::<u64>()
                .map_err(|_| format!("{option} needs a number, not {value}"))
        };
        match &*option {
            "--programs" => args.programs = number()? as usize,
            "--seed" => args.seed = number()?,
            "--most" => args.most = number()? as usize,
            "--python" => args.python = Some(PathBuf::from(value)),
            _ => return Err(format!("unknown option {option}")),
        }
    }
    Ok(args)
}

fn fuzz() -> Result<bool, String> {
    let args = args()?;
    let python = args
        .python
        .ok_or("name the interpreter of the reference by --python or VTBUILD_PEER_PYTHON (cfg/conformance/peer.sh makes it)")?;
    let mut oracle =
        Oracle::start(&python).map_err(|error| format!("failed to start {}: {error}", python.display()))?;
    let tally = conformance::run(&mut oracle, args.seed, args.programs, args.most, |tally| {
        if tally.programs % 1000 == 0 {
            eprintln!("{}", tally.summary());
        }
    });
    let tally = tally.map_err(|error| error.to_string())?;
    for mismatch in &tally.mismatches {
        println!("{mismatch}");
    }
    println!("{}", tally.summary());
    Ok(tally.differing == 0)
}

fn main() -> ExitCode {
    // A panic of ours is a mismatch like any other; its message would only drown the report.
    std::panic::set_hook(Box::new(|_| ()));
    match fuzz() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::from(2)
        }
    }
}
