//! The job's folder: `job.log`, `events.jsonl`, `results.json`, `results.xml`, one folder a test, and the link `latest`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use camino::{Utf8Path, Utf8PathBuf};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};
use serde::Serialize;
use vtbuild_engine::event::{Event, Finished};
use vtbuild_engine::schedule::run::Summary;

use super::plain::Plain;
use super::stripped::stripped;
use super::tally::Tally;
use super::{CHUNK, Heading, Reporter, junit};
use crate::exit::Failure;

/// A job's folder and name.
#[derive(Clone, Debug)]
pub struct JobFolder {
    /// 40 hexadecimal digits.
    pub id: String,
    /// The folder.
    pub path: Utf8PathBuf,
    /// When the job began.
    pub began: Zoned,
}

impl JobFolder {
    /// Makes the folder `job-<time>-<id>` below `results`.
    pub fn make(results: &Utf8Path) -> Result<Self, Failure> {
        let began = Zoned::now();
        let seed = format!("{began} {} {results}", std::process::id());
        let id = vtbuild_cache::Digest::of(seed.as_bytes()).to_string()[..40].to_owned();
        let path = results.join(format!("job-{}-{}", began.strftime("%Y-%m-%dT%H.%M"), &id[..7]));
        let made = fs::create_dir_all(&path);
        made.map_err(|error| {
            Failure::environment(format!("failed to make the job's folder {path}: {error}"))
        })?;
        link_latest(results, &path);
        Ok(Self { id, path, began })
    }

    /// Where the log of the whole job is.
    pub fn log(&self) -> Utf8PathBuf {
        self.path.join("job.log")
    }

    /// Writes `results.json` and `results.xml`.
    pub fn write_results(&self, summary: &Summary, elapsed: f64) -> Result<(), Failure> {
        let mut tally = Tally::default();
        summary.wanted.iter().for_each(|finished| tally.add(finished));
        let results = Results {
            job_id: &self.id,
            started: self.began.to_string(),
            time: elapsed,
            total: tally.total(),
            cached: tally.cached,
            interrupted: summary.interrupted.as_deref(),
            tests: &summary.wanted,
            preparations: &summary.broken,
        };
        let json = || {
            self.write("results.json", |out| {
                Ok(serde_json::to_writer_pretty(out, &results)?)
            })
        };
        let xml = || self.write("results.xml", |out| junit::write(self, summary, elapsed, out));
        let (json, xml) = rayon::join(json, xml);
        json.and(xml)
    }

    /// Writes one file of the folder.
    fn write(
        &self,
        name: &str,
        content: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Result<(), Failure> {
        let path = self.path.join(name);
        let written = File::create(&path).and_then(|file| {
            let mut out = BufWriter::with_capacity(CHUNK, file);
            content(&mut out)?;
            out.flush()
        });
        written.map_err(|error| Failure::environment(format!("failed to write {path}: {error}")))
    }
}

/// `latest` points at the newest job. It is a convenience: where it cannot be made, nothing is lost.
fn link_latest(results: &Utf8Path, job: &Utf8Path) {
    let (link, beside) = (
        results.join("latest"),
        results.join(format!(".latest-{}", std::process::id())),
    );
    let target = job.file_name().unwrap_or_default();
    if std::os::unix::fs::symlink(target, &beside).is_ok() && fs::rename(&beside, &link).is_err() {
        let _ = fs::remove_file(&beside);
    }
}

#[derive(Serialize)]
struct Results<'a> {
    job_id: &'a str,
    started: String,
    time: f64,
    total: usize,
    cached: usize,
    interrupted: Option<&'a str>,
    tests: &'a [Finished],
    preparations: &'a [Finished],
}

/// The reporter that fills the folder while the job runs.
pub struct Job {
    log: Plain<Stamped>,
    events: BufWriter<File>,
    /// Working space for one event.
    text: Vec<u8>,
    began: Instant,
}

impl Job {
    /// Opens the logs.
    pub fn open(folder: &JobFolder, heading: Heading) -> Result<Self, Failure> {
        let open = |path: Utf8PathBuf| {
            let file = File::create(&path);
            file.map_err(|error| Failure::environment(format!("failed to create {path}: {error}")))
        };
        let log = Stamped {
            out: BufWriter::with_capacity(CHUNK, open(folder.log())?),
            zone: folder.began.time_zone().clone(),
            stamp: (i64::MIN, String::new()),
        };
        let events = BufWriter::with_capacity(CHUNK, open(folder.path.join("events.jsonl"))?);
        // The log is read afterwards, when somebody wants to know why: it says everything.
        Ok(Self {
            log: Plain::new(
                log,
                false,
                Heading {
                    explain: true,
                    ..heading
                },
            ),
            events,
            text: Vec::new(),
            began: Instant::now(),
        })
    }

    /// A line of `events.jsonl`: when, in seconds since the job began, and what.
    fn line(&mut self, event: &Event) -> io::Result<()> {
        self.text.clear();
        serde_json::to_writer(&mut self.text, event)?;
        self.events.write_all(b"{\"at\":")?;
        serde_json::to_writer(&mut self.events, &self.began.elapsed().as_secs_f64())?;
        // An event is an object whose first field says which one.
        self.events.write_all(b",")?;
        self.events.write_all(&self.text[1..])?;
        self.events.write_all(b"\n")
    }
}

impl Reporter for Job {
    fn event(&mut self, event: &Event) {
        self.log.event(event);
        // A full disk must not stop the run; `results.json` at its end says what happened.
        let _ = self.line(event);
    }

    fn flush(&mut self) {
        self.log.flush();
        let _ = self.events.flush();
    }

    fn close(&mut self) {
        self.log.close();
    }
}

/// Puts the time before each line and takes the colours out.
struct Stamped {
    out: BufWriter<File>,
    zone: TimeZone,
    /// The latest time, in milliseconds since 1970, and as it is written: many lines have the same.
    stamp: (i64, String),
}

impl Write for Stamped {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        let now = Timestamp::now();
        if self.stamp.0 != now.as_millisecond() {
            let shown = now.to_zoned(self.zone.clone());
            self.stamp = (now.as_millisecond(), shown.strftime("%H:%M:%S%.3f").to_string());
        }
        let text_shown = String::from_utf8_lossy(text);
        for part in stripped(&text_shown)
            .lines()
            .filter(|part| !part.trim().is_empty())
        {
            for piece in [&self.stamp.1, " ", part.trim_end(), "\n"] {
                self.out.write_all(piece.as_bytes())?;
            }
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}
