//! How long it takes from a saved file to the difference that it makes, on a large configuration set in a process that stays.
//!
//! `VTBUILD_CORPUS` names the set: it is copied, and edits are saved to the copy. Timed is what `vtbuild watch` does then: to
//! look at all files again, to select again, to find out which variants the edit reached, and to look into the first of them.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod support;

use std::fs;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::outline::Outline;
use vtbuild_engine::session::{ExtraLine, Layout, Session};

use support::on_cpu;

/// What is selected: 4,692 variants.
const LINES: [&str; 6] = [
    "only smp2",
    "only qcow2",
    "only virtio_net",
    "only virtio_blk",
    "only i440fx",
    "only JeOS.27",
];
/// How often each edit is made.
const TIMES: usize = 15;
/// How many variants `watch` looks into, key by key, before it tells of a save.
const LOOKED_INTO: usize = 200;
/// From a saved file to the difference, in milliseconds.
const LIMIT: f64 = 100.0;

/// What is edited: what people call it, the file, how a line of it begins, and what is put behind that line.
const EDITS: [(&str, &str, &str, &str); 5] = [
    (
        "a comment",
        "subtests.cfg",
        "- io-github-autotest-qemu.boot:",
        "# edit N",
    ),
    (
        "a parameter of one test",
        "subtests.cfg",
        "- io-github-autotest-qemu.boot:",
        "    edited = N",
    ),
    (
        "a variant of one test",
        "subtests.cfg",
        "- io-github-autotest-qemu.boot:",
        "    variants:\n        - @edited:\n        - editedN:",
    ),
    (
        "a parameter of one guest",
        "guest-os.cfg",
        "- JeOS:",
        "    edited = N",
    ),
    ("a parameter of every test", "base.cfg", "", "edited = N\n"),
];

fn main() {
    let Ok(corpus) = std::env::var("VTBUILD_CORPUS") else {
        println!("SKIPPED: VTBUILD_CORPUS names no corpus");
        return;
    };
    let dir = tempfile::tempdir().expect("a temporary folder");
    let folder = Utf8Path::from_path(dir.path()).expect("a UTF-8 path");
    copy(&Utf8Path::new(&corpus).join("qemu/cfg"), folder);
    let mut session = Session::new(Layout {
        config_dirs: vec![folder.to_owned()],
        backend: "qemu".into(),
        providers: Vec::new(),
    });
    let line = |text: &&str| ExtraLine {
        origin: "bench".into(),
        text: (*text).into(),
    };
    let lines: Vec<ExtraLine> = LINES.iter().map(line).collect();
    let began = Instant::now();
    let mut outline = session.outline(&lines).expect("the set is correct");
    println!("{} variants, read in {:.0} ms", outline.len(), ms(began));
    println!("medians of {TIMES} in ms:");
    println!(
        "{:<28} {:>7} {:>7} {:>7} {:>7} {:>7} {:>9}",
        "edit", "clock", "on CPUs", "look", "select", "compare", "reached"
    );
    let mut worst = [0.0_f64; 2];
    for (what, file, line, behind) in EDITS {
        let path = folder.join(file);
        let text = fs::read_to_string(&path).expect("the set has it");
        let mut times = Vec::new();
        let mut reached = 0;
        for number in 0..TIMES {
            fs::write(
                &path,
                edited(&text, line, &behind.replace('N', &number.to_string())),
            )
            .expect("a file");
            let (began, cpu) = (Instant::now(), on_cpu());
            session.refresh();
            let looked = ms(began);
            let now = session.outline(&lines).expect("the edit is correct");
            let outlined = ms(began);
            let found = now.since(&outline);
            reached = found.rest.len() + found.removed.len();
            // What is told in full.
            for (old, new) in found.rest.iter().take(LOOKED_INTO) {
                let told =
                    [*old, Some(*new)].map(|variant| variant.map(|it| it.params().expect("correct").clone()));
                std::hint::black_box(told);
            }
            let all = ms(began);
            times.push([
                all,
                (on_cpu() - cpu) * 1000.0,
                looked,
                outlined - looked,
                all - outlined,
            ]);
            outline = now;
        }
        fs::write(&path, text).expect("a file");
        outline = again(&mut session, &lines);
        let median = |part: usize| {
            let mut part: Vec<f64> = times.iter().map(|all| all[part]).collect();
            part.sort_by(f64::total_cmp);
            part[TIMES / 2]
        };
        worst = [0, 1].map(|part| worst[part].max(median(part)));
        print!("{what:<28}");
        (0..5).for_each(|part| print!(" {:>7.1}", median(part)));
        println!(" {reached:>9}");
    }
    let [clock, cpu] = worst.map(|worst| worst / LIMIT);
    println!(
        "limit {LIMIT:.0} ms: {clock:.2} of it by the clock, {cpu:.2} on CPUs, all threads together, at the slowest edit"
    );
}

fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn again(session: &mut Session, lines: &[ExtraLine]) -> Outline {
    session.refresh();
    session.outline(lines).expect("the set is correct")
}

/// `text` with something behind the first line that begins with `line`, indented as that line is.
fn edited(text: &str, line: &str, behind: &str) -> String {
    if line.is_empty() {
        return format!("{text}{behind}");
    }
    let mut out = String::new();
    let mut done = false;
    for each in text.lines() {
        out.push_str(each);
        out.push('\n');
        if !done && each.trim().starts_with(line) {
            let indent = &each[..each.len() - each.trim_start().len()];
            behind
                .lines()
                .for_each(|new| out.push_str(&format!("{indent}{new}\n")));
            done = true;
        }
    }
    assert!(done, "no line begins with {line:?}");
    out
}

fn copy(from: &Utf8Path, to: &Utf8Path) {
    for entry in from.read_dir_utf8().expect("the corpus is readable") {
        let path: Utf8PathBuf = entry.expect("the corpus is readable").into_path();
        let name = path.file_name().expect("a file has a name");
        fs::write(to.join(name), fs::read(&path).expect("a file")).expect("a file");
    }
}
