//! What an edit costs on a whole configuration set: `edit_cost FOLDER 'only …'`. The folder is copied first.

#![expect(clippy::print_stdout, reason = "it prints what it measured")]

use std::error::Error;
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_engine::session::{ExtraLine, Layout, Session};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let set = Utf8PathBuf::from(
        args.next()
            .ok_or("the folder of a configuration set is missing")?,
    );
    let lines: Vec<ExtraLine> = args
        .map(|text| ExtraLine {
            origin: "argument".into(),
            text,
        })
        .collect();
    let copy = tempfile::tempdir()?;
    let folder = Utf8Path::from_path(copy.path()).ok_or("the temporary folder's name is not UTF-8")?;
    for entry in set.read_dir_utf8()? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), folder.join(entry.file_name()))?;
        }
    }
    let mut session = Session::new(Layout {
        config_dirs: vec![folder.to_owned()],
        backend: "qemu".into(),
        providers: Vec::new(),
    });
    let timed = |what: &str, session: &mut Session| -> Result<(), Box<dyn Error>> {
        let start = Instant::now();
        session.refresh();
        let count = session
            .select(&lines)
            .map_err(|found| found[0].to_string())?
            .len();
        let took = start.elapsed();
        let runs = session.take_runs();
        let shards = runs.get("expanded").copied().unwrap_or_default();
        println!("{what:<24} {took:>10.1?}  {count} variants, {shards} shards made");
        Ok(())
    };
    let start = Instant::now();
    let program = session.program(&lines).map_err(|found| found[0].to_string())?;
    let plain = session
        .variants(&program, None)
        .map_err(|found| found[0].to_string())?;
    println!(
        "{:<24} {:>10.1?}  {} variants",
        "without shards",
        start.elapsed(),
        plain.len()
    );
    drop((plain, program));
    timed("first selection", &mut session)?;
    timed("nothing changed", &mut session)?;
    let tests = folder.join("subtests.cfg");
    let text = std::fs::read_to_string(&tests)?;
    std::fs::write(&tests, format!("# A comment.\n{text}"))?;
    timed("a comment", &mut session)?;
    let found = text
        .match_indices("type = ")
        .nth(200)
        .ok_or("the set has too few tests")?;
    let (before, after) = text.split_at(found.0);
    std::fs::write(
        &tests,
        format!("{before}{}", after.replacen("type = ", "type = x", 1)),
    )?;
    timed("one key of one test", &mut session)?;
    Ok(())
}
