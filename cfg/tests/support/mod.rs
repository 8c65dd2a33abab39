//! What the tests of this crate share: a loader that reads real files, the corpus, and programs of a text.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod random;

use std::io::ErrorKind;

use camino::{Utf8Path, Utf8PathBuf};
use vtbuild_cfg::{Diagnostic, ExpandOptions, Loaded, Loader, Program, canonical_dump};

/// Reads the file system.
pub(crate) struct Disk;

impl Loader for Disk {
    fn load(&self, path: &Utf8Path) -> Loaded {
        match std::fs::metadata(path) {
            Ok(meta) if !meta.is_file() => Loaded::NotAFile,
            Err(error) if error.kind() == ErrorKind::NotFound => Loaded::Absent,
            Err(error) => Loaded::Unreadable(error.to_string()),
            Ok(_) => match std::fs::read(path) {
                Ok(bytes) => Loaded::Text(bytes),
                Err(error) => Loaded::Unreadable(error.to_string()),
            },
        }
    }
}

/// The folder of the conformance corpus, if the environment names one.
pub(crate) fn corpus() -> Option<Utf8PathBuf> {
    let found = std::env::var("VTBUILD_CORPUS").ok().map(Utf8PathBuf::from);
    if found.is_none() {
        say("SKIPPED: set VTBUILD_CORPUS to the conformance corpus to run this test");
    }
    found
}

/// Says something on the test's own output.
#[expect(
    clippy::print_stderr,
    reason = "a skipped or slow test must say so where the person sees it"
)]
pub(crate) fn say(text: &str) {
    eprintln!("{text}");
}

/// The dump of every variant.
pub(crate) fn dump(program: &Program, options: &ExpandOptions) -> Result<Vec<String>, Box<Diagnostic>> {
    let line = |variant: Result<vtbuild_cfg::Variant, Box<Diagnostic>>| {
        let mut out = String::new();
        canonical_dump(&variant?, &mut out)?;
        Ok(out)
    };
    program.variants(options).map_parallel(line).collect()
}

/// The program of one text that needs no files.
pub(crate) fn program(text: &str) -> Program {
    match Program::from_text("<string>", text, &Disk) {
        Ok(program) => program,
        Err(errors) => panic!(
            "{}",
            errors
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join("\n")
        ),
    }
}

/// Has no files.
pub(crate) struct Nothing;

impl Loader for Nothing {
    fn load(&self, _: &Utf8Path) -> Loaded {
        Loaded::Absent
    }
}

/// The program as a later process would have it from its bytes, without the files.
pub(crate) fn stored(program: &Program) -> Program {
    let bytes = program.to_bytes();
    // Words are aligned as bytes need not be.
    let mut words = vec![0_u64; bytes.len().div_ceil(8)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(&bytes);
    let aligned: &'static [u8] = bytemuck::cast_slice(words.leak());
    let gone: vtbuild_cfg::Sources = std::sync::Arc::new(|_| None);
    Program::from_bytes(&aligned[..bytes.len()], &gone).expect("its own bytes")
}
