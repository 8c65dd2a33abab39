//! The commands, one file each.

pub mod bootstrap;
pub mod cache;
pub mod cartesian;
mod changes;
pub mod clean;
pub mod diff;
pub mod doctor;
pub mod download;
pub mod fmt;
pub mod graph;
pub mod guest;
pub mod lint;
pub mod list;
pub mod log;
pub mod new;
pub mod params;
pub mod pause;
pub mod plan;
pub mod providers;
pub mod query;
pub mod run;
pub mod shell;
mod visit;
pub mod watch;
mod ways;
pub mod why;
pub mod why_not;

use std::io::Write;

use crate::exit::Failure;

/// Writes to standard output. A reader that has seen enough (`| head`) is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// A number with its noun: `1 variant`, `2 variants`.
pub fn plural(number: &impl ToString, noun: &str) -> String {
    let number = number.to_string();
    let ending = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

/// Standard output for listings of any length: gathered, and given up once nobody reads it.
pub struct Output {
    out: Option<std::io::BufWriter<std::io::StdoutLock<'static>>>,
}

impl Output {
    /// Standard output, held for as long as this lives.
    pub fn new() -> Self {
        let out = std::io::BufWriter::with_capacity(64 * 1024, std::io::stdout().lock());
        Self { out: Some(out) }
    }

    /// Writes a piece. Returns whether somebody still reads.
    pub fn write(&mut self, text: &str) -> Result<bool, Failure> {
        self.attempt(|out| out.write_all(text.as_bytes()))
    }

    /// Writes what is still held back.
    pub fn finish(&mut self) -> Result<bool, Failure> {
        self.attempt(Write::flush)
    }

    fn attempt(
        &mut self,
        write: impl FnOnce(&mut std::io::BufWriter<std::io::StdoutLock<'static>>) -> std::io::Result<()>,
    ) -> Result<bool, Failure> {
        let Some(out) = &mut self.out else {
            return Ok(false);
        };
        match write(out) {
            Ok(()) => Ok(true),
            Err(error) => {
                // What is still held back has no reader: written on drop, it would only fail again.
                let _ = self.out.take().map(std::io::BufWriter::into_parts);
                if error.kind() == std::io::ErrorKind::BrokenPipe {
                    Ok(false)
                } else {
                    Err(Failure::environment(format!(
                        "failed to write to standard output: {error}"
                    )))
                }
            }
        }
    }
}

/// What takes a while, on standard error.
pub fn note(text: &str) {
    // Nobody to tell is no reason to stop.
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// A warning on standard error.
pub fn warn(text: &str) {
    // Nobody to warn is no reason to stop.
    let _ = writeln!(anstream::stderr(), "warning: {text}");
}
