//! A monitor's log file: everything said, by whom and when.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use camino::Utf8Path;

/// A file to which the lines of one or more monitors are appended, each with the seconds since the transcript was opened.
#[derive(Debug, Clone)]
pub struct Transcript {
    file: Arc<Mutex<File>>,
    opened: Instant,
}

impl Transcript {
    /// Opens the file, which is created when absent.
    ///
    /// # Errors
    /// Those of opening the file.
    pub fn open(path: &Utf8Path) -> io::Result<Transcript> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        Ok(Transcript {
            file: Arc::new(Mutex::new(file)),
            opened: Instant::now(),
        })
    }

    /// Appends one line. A log that cannot be written stops nobody.
    pub(super) fn line(&self, direction: &str, text: &str) {
        if let Ok(mut file) = self.file.lock() {
            let seconds = self.opened.elapsed().as_secs_f64();
            let _ = file.write_all(format!("{seconds:10.3} {direction} {text}\n").as_bytes());
        }
    }
}
