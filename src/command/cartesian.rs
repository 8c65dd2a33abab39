//! `vtbuild cartesian`: the field's own command line for its configuration language, with the same options and output.
//!
//! Besides the listings of that command there is the canonical dump, its digest, and plain names. All of them are
//! streams: variants are rendered on all cores and written in order, and no more than two batches of them are held.

mod pprint;
mod python;

use std::io::{self, BufWriter, ErrorKind, Write};

use sha2::{Digest, Sha256};
use vtbuild_cfg::{Diagnostic, ExpandOptions, Program, Variant, canonical_dump, parse, strict};
use vtbuild_engine::shelf::{Shelf, unit};

use super::warn;
use crate::cli::CartesianArgs;
use crate::exit::{Exit, Failure};
use crate::report::diagnostics;
use crate::workspace::cache_dir;
pub use python::{Value, write_repr};

/// How much output is gathered before it is written.
const BUFFER: usize = 64 * 1024;

/// Prints the variants of a configuration file.
pub fn cartesian(args: &CartesianArgs) -> Result<Exit, Failure> {
    let program = load(args)?;
    if args.strict {
        let refused = strict::check(&program);
        if !refused.is_empty() {
            return Err(Failure::config(diagnostics::render(&refused)));
        }
    }
    if args.verbose {
        for file in program.files() {
            // Nobody to tell is no reason to stop.
            let _ = writeln!(io::stderr(), "read {file}");
        }
    }
    let mut out = BufWriter::with_capacity(BUFFER, io::stdout().lock());
    match list(&program, args, &mut out) {
        Ok(()) => Ok(Exit::Good),
        Err(Stop::Write(error)) if error.kind() == ErrorKind::BrokenPipe => {
            // What is still in the buffer has no reader: written on drop, it would only fail again.
            let _ = out.into_parts();
            Ok(Exit::Good)
        }
        Err(Stop::Write(error)) => Err(Failure::environment(format!(
            "failed to write to standard output: {error}"
        ))),
        Err(Stop::Config(error)) => {
            if out.flush().is_err() {
                warn("standard output is closed; the variants before the error are not all there");
            }
            Err(Failure::config(diagnostics::render(&[*error])))
        }
    }
}

/// Why a listing ends early.
enum Stop {
    Write(io::Error),
    Config(Box<Diagnostic>),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Stop::Write(error)
    }
}

fn load(args: &CartesianArgs) -> Result<Program, Failure> {
    let wrong = |errors: Vec<Diagnostic>| Failure::config(diagnostics::render(&errors));
    let program = match cache_dir(args.cache_dir.as_deref()) {
        Ok(cache) => Shelf::new(&cache).load(&args.file).map_err(wrong)?,
        // Without a place for a cache it only takes longer.
        Err(_) => Program::link(&args.file, &mut unit).map_err(wrong)?,
    };
    let extra: Vec<_> = args
        .extra
        .iter()
        .map(|text| parse("<string>", text.as_bytes()))
        .collect();
    program.extend(&extra, &mut unit).map_err(wrong)
}

fn list(program: &Program, args: &CartesianArgs, out: &mut impl Write) -> Result<(), Stop> {
    let expand = args.expand.iter().flat_map(|list| list.split(','));
    let options = ExpandOptions {
        defaults: args.defaults,
        expand: expand.map(|name| name.trim().to_owned()).collect(),
        keep_dups: args.keep_dups,
        strict: args.strict,
    };
    let render = renderer(args);
    let texts = program
        .variants(&options)
        .map_parallel(|variant| render(args, &variant?));
    if args.sha {
        return digest(texts, out);
    }
    let counted = !(args.jsonl || args.names || args.repr);
    if args.repr {
        out.write_all(b"[\n")?;
    }
    for (index, text) in texts.enumerate() {
        let text = text.map_err(Stop::Config)?;
        if counted {
            write!(out, "dict {:>4}:  ", index + 1)?;
        }
        out.write_all(text.as_bytes())?;
    }
    if args.repr {
        out.write_all(b"]\n")?;
    }
    Ok(out.flush()?)
}

/// The SHA-256 of the texts, and how many there are.
fn digest(
    texts: impl Iterator<Item = Result<String, Box<Diagnostic>>>,
    out: &mut impl Write,
) -> Result<(), Stop> {
    let mut hash = Sha256::new();
    let mut count = 0_u64;
    for text in texts {
        hash.update(text.map_err(Stop::Config)?.as_bytes());
        count += 1;
    }
    for byte in hash.finalize() {
        write!(out, "{byte:02x}")?;
    }
    writeln!(out, "  {count}")?;
    Ok(out.flush()?)
}

type Render = fn(&CartesianArgs, &Variant) -> Result<String, Box<Diagnostic>>;

fn renderer(args: &CartesianArgs) -> Render {
    if args.jsonl || args.sha {
        dump
    } else if args.names {
        name
    } else if args.repr {
        repr
    } else {
        listing
    }
}

fn dump(_: &CartesianArgs, variant: &Variant) -> Result<String, Box<Diagnostic>> {
    let mut text = String::with_capacity(16 * 1024);
    canonical_dump(variant, &mut text)?;
    Ok(text)
}

fn name(_: &CartesianArgs, variant: &Variant) -> Result<String, Box<Diagnostic>> {
    // A variant whose parameters cannot be computed is an error in every listing, whatever is shown of it.
    variant.params().map_err(|error| Box::new(error.clone()))?;
    Ok(format!("{}\n", variant.name()))
}

fn listing(args: &CartesianArgs, variant: &Variant) -> Result<String, Box<Diagnostic>> {
    let mut text = if args.fullname {
        name(args, variant)?
    } else {
        variant.params().map_err(|error| Box::new(error.clone()))?;
        format!("{}\n", variant.shortname())
    };
    if args.contents {
        for (key, value) in sorted(variant)? {
            text.push_str("    ");
            text.push_str(key);
            text.push_str(" = ");
            match value {
                Value::Text(value) => text.push_str(value),
                value => write_repr(&value, &mut text),
            }
            text.push('\n');
        }
    }
    Ok(text)
}

fn repr(_: &CartesianArgs, variant: &Variant) -> Result<String, Box<Diagnostic>> {
    let mut text = String::with_capacity(16 * 1024);
    pprint::write_dict(&sorted(variant)?, &mut text);
    text.push_str(",\n");
    Ok(text)
}

/// Keys and values in code-point order of the keys, the list and the maps among them.
pub fn sorted(variant: &Variant) -> Result<Vec<(&str, Value<'_>)>, Box<Diagnostic>> {
    let params = variant.params().map_err(|error| Box::new(error.clone()))?;
    let mut pairs: Vec<(&str, Value<'_>)> = params
        .sorted()
        .into_iter()
        .map(|(key, value)| (key, Value::Text(value)))
        .collect();
    let mut insert = |key: &'static str, value| {
        let at = pairs.partition_point(|(known, _)| *known < key);
        pairs.insert(at, (key, value));
    };
    insert("dep", Value::List(variant.dep()));
    let maps = [
        ("_name_map_file", variant.name_map()),
        ("_short_name_map_file", variant.short_name_map()),
    ];
    for (key, map) in maps {
        if !map.is_empty() {
            insert(key, Value::Map(map));
        }
    }
    Ok(pairs)
}
