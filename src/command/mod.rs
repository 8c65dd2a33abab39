//! The commands, one file each.

pub mod cache;
pub mod cartesian;
pub mod clean;
pub mod doctor;
pub mod graph;
pub mod list;
pub mod params;
pub mod run;

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

/// A warning on standard error.
pub fn warn(text: &str) {
    // Nobody to warn is no reason to stop.
    let _ = writeln!(anstream::stderr(), "warning: {text}");
}
