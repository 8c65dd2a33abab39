//! Measures the language on a configuration set: `measure FOLDER [RUNS]`, where FOLDER holds `tests.cfg`.
//!
//! Prints milliseconds for each stage, the first (cold) run and the best of all runs, and the memory at the end.
#![expect(clippy::print_stdout, reason = "a measuring program prints what it measured")]

use std::io::ErrorKind;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{ExpandOptions, Loaded, Loader, Program, canonical_dump, parse};

const GUEST: [&str; 6] = [
    "only smp2",
    "only qcow2",
    "only virtio_net",
    "only virtio_blk",
    "only i440fx",
    "only JeOS.27",
];

struct Disk;

impl Loader for Disk {
    fn load(&self, path: &Utf8Path) -> Loaded {
        match std::fs::read(path) {
            Ok(bytes) => Loaded::Text(bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Loaded::Absent,
            Err(error) => Loaded::Unreadable(error.to_string()),
        }
    }
}

/// Runs `work` several times and prints the first and the best time.
fn time<T>(what: &str, runs: usize, mut work: impl FnMut() -> T) -> T {
    let mut times = Vec::new();
    let mut last = None;
    for _ in 0..runs.max(1) {
        let started = Instant::now();
        last = Some(work());
        times.push(started.elapsed().as_secs_f64() * 1e3);
    }
    let best = times.iter().copied().fold(f64::INFINITY, f64::min);
    println!("{what:<46} first {:9.3} ms   best {best:9.3} ms", times[0]);
    last.expect("at least one run")
}

fn query(root: &Utf8Path, more: &[&str]) -> Program {
    let texts: Vec<_> = GUEST
        .iter()
        .chain(more)
        .map(|line| parse("<string>", line.as_bytes()))
        .collect();
    let program = Program::load(root, &Disk).expect("the set is correct");
    program
        .extend(&texts, &mut |_| vtbuild_cfg::Unit::Absent)
        .expect("the filters are correct")
}

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = Utf8PathBuf::from(args.next().expect("usage: measure FOLDER [RUNS]"));
    let runs = args.next().and_then(|runs| runs.parse().ok()).unwrap_or(5);
    let root = folder.join("tests.cfg");
    let options = ExpandOptions::default();

    time("migrate..tcp, files included", runs, || {
        let count = query(&root, &["only migrate..tcp"])
            .variants(&options)
            .filter_map(Result::ok)
            .map(|v| v.params().is_ok());
        count.count()
    });
    let files: Vec<(Utf8PathBuf, Vec<u8>)> = folder
        .read_dir_utf8()
        .expect("a readable folder")
        .filter_map(Result::ok)
        .map(|entry| {
            (
                entry.path().to_owned(),
                std::fs::read(entry.path()).expect("a readable file"),
            )
        })
        .collect();
    let lines: usize = files
        .iter()
        .map(|(_, text)| text.iter().filter(|&&b| b == b'\n').count())
        .sum();
    time(&format!("parse {lines} lines"), runs, || {
        files
            .iter()
            .map(|(path, text)| parse(path.as_str(), text))
            .filter(|parsed| parsed.diagnostics().is_empty())
            .count()
    });
    time("load and link", runs, || {
        Program::load(&root, &Disk).expect("the set is correct")
    });
    let program = query(&root, &[]);
    let found = time("default guest: paths", runs, || {
        program.variants(&options).count()
    });
    println!("{found} variants");
    let keys = time("default guest: all keys", runs, || {
        program
            .variants(&options)
            .map_parallel(|v| v.map(|v| v.params().map_or(0, |p| p.len())).unwrap_or(0))
            .sum::<usize>()
    });
    println!("{keys} keys");
    time("default guest: dump", runs, || {
        let dump = |variant: Result<vtbuild_cfg::Variant, _>| {
            let mut out = String::new();
            variant
                .and_then(|variant| canonical_dump(&variant, &mut out))
                .expect("no errors");
            out.len()
        };
        program.variants(&options).map_parallel(dump).sum::<usize>()
    });
    time("default guest: count", runs, || {
        program.count(&options).expect("no joins")
    });
    questions(&folder, &program);
    let memory = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    for line in memory.lines().filter(|line| line.starts_with("VmHWM")) {
        println!("{line}");
    }
}

/// What is asked about whole sets: how many variants, and why some are not there.
fn questions(folder: &Utf8Path, program: &Program) {
    let options = ExpandOptions::default();
    for file in ["tests.cfg", "tests-shared.cfg"] {
        let all = Program::load(&folder.join(file), &Disk).expect("the set is correct");
        let count = time(&format!("count all of {file}"), 1, || {
            all.count(&options).expect("no joins")
        });
        println!("{count}");
    }
    let asked = time("why not migrate..exec on q35", 1, || {
        vtbuild_cfg::provenance::why_not(program, "migrate..exec..q35", &options).expect("a correct filter")
    });
    println!("{} present; removed by", asked.present);
    for removal in asked.removals.iter().take(5) {
        println!("  {} candidates: {}", removal.candidates, removal.statement);
    }
}
