//! Any bytes: lexed, parsed, linked, and the first variants of what is correct expanded, applied and written.
//!
//! Bytes end in errors or in variants, never in a panic, and neither takes long. Of a set of files only the program's
//! own is there, so an `include` of itself is a cycle, and of anything else an error.
#![no_main]

use camino::Utf8Path;
use libfuzzer_sys::fuzz_target;
use vtbuild_cfg::{ExpandOptions, Loaded, Loader, Program, canonical_dump, parse};

/// How many variants are looked at.
const VARIANTS: usize = 100;
/// Longer inputs find nothing that shorter ones do not, only later.
const MAX_BYTES: usize = 4096;

/// Knows one file.
struct One<'a>(&'a [u8]);

impl Loader for One<'_> {
    fn load(&self, path: &Utf8Path) -> Loaded {
        match path.as_str() {
            "main.cfg" => Loaded::Text(self.0.into()),
            _ => Loaded::Absent,
        }
    }
}

fn expand(program: &Program, options: &ExpandOptions) {
    for variant in program.variants(options).take(VARIANTS) {
        let Ok(variant) = variant else { return };
        let mut dump = String::new();
        // Operations may fail on values; that is an error of the input, and told as one.
        if canonical_dump(&variant, &mut dump).is_ok() {
            assert!(dump.ends_with('\n'), "a dump is a line: {dump:?}");
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    if bytes.len() > MAX_BYTES {
        return;
    }
    let parsed = parse("main.cfg", bytes);
    for diagnostic in parsed.diagnostics() {
        assert!(!diagnostic.to_string().is_empty());
    }
    let program = match Program::load(Utf8Path::new("main.cfg"), &One(bytes)) {
        Ok(program) => program,
        Err(errors) => {
            assert!(!errors.is_empty(), "a failure names an error");
            return;
        }
    };
    for defaults in [false, true] {
        let strict = defaults;
        let options = ExpandOptions {
            defaults,
            strict,
            ..ExpandOptions::default()
        };
        expand(&program, &options);
    }
});
