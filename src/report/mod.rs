//! What people and other programs see of a run. Each consumer reads the one stream of events.

pub mod diagnostics;
mod job;
mod junit;
mod live;
mod plain;
mod stripped;
mod tally;

use std::io::{BufWriter, IsTerminal};

use tokio::sync::mpsc::UnboundedReceiver;
use vtbuild_engine::event::Event;

pub use job::{Job, JobFolder};
pub use tally::{Tally, about, seconds};

use crate::cli::Progress;
use stripped::Stripped;

/// Someone who is told what happens.
pub trait Reporter: Send {
    /// One event. What is said of it may be held back up to the next [`flush`](Self::flush).
    fn event(&mut self, event: &Event);
    /// No event follows for now: what was held back is said.
    fn flush(&mut self) {}
    /// No more events follow.
    fn close(&mut self);
}

/// What every display needs to know before the first event.
#[derive(Clone, Debug)]
pub struct Heading {
    /// The lines above the first test: `JOB ID`, `JOB LOG`, `TESTS`.
    pub lines: Vec<String>,
    /// The rule of the actions that people asked for.
    pub wanted_rule: &'static str,
    /// How many of them there are.
    pub tests: usize,
    /// Whether the reasons for running are shown.
    pub explain: bool,
}

/// The display that fits the terminal and the wish.
pub fn display(progress: Progress, heading: Heading) -> Box<dyn Reporter> {
    let live = match progress {
        Progress::Live => true,
        Progress::Plain => false,
        Progress::Auto => std::io::stderr().is_terminal() && std::io::stdout().is_terminal(),
    };
    if live {
        Box::new(live::Live::new(heading))
    } else {
        plain_lines(heading)
    }
}

/// Lines on standard output, which may be a log: then they are written a lot at a time.
fn plain_lines(heading: Heading) -> Box<dyn Reporter> {
    let out = BufWriter::with_capacity(CHUNK, std::io::stdout());
    if anstream::AutoStream::choice(&std::io::stdout()) == anstream::ColorChoice::Never {
        Box::new(plain::Plain::new(Stripped(out), false, heading))
    } else {
        Box::new(plain::Plain::new(out, true, heading))
    }
}

/// What both displays say of an event, line by line; what they say otherwise each says by itself.
fn said(event: &Event, explain: bool) -> Vec<String> {
    match event {
        Event::Started {
            label,
            rule,
            reason,
            remarks,
            ..
        } if explain => {
            let why = format!("{rule} {label}: runs because {reason}");
            let remarks = remarks.iter().map(|remark| format!("        {label}: {remark}"));
            std::iter::once(why).chain(remarks).collect()
        }
        Event::Finished(finished) => {
            let reason = finished.reason.iter().flat_map(|reason| reason.lines());
            reason.map(|line| format!("        {line}")).collect()
        }
        Event::Waiting { label, what } => vec![format!("{label}: waits for {what}")],
        Event::Notice { text } => vec![format!("note: {text}")],
        Event::Stopping { reason } => vec![format!("stopping: {reason}")],
        _ => Vec::new(),
    }
}

/// How much of logs is written at a time, in bytes.
const CHUNK: usize = 1 << 16;

/// How many events may follow each other before what was said of them is shown.
const BURST: usize = 4096;

/// Hands every event to every reporter until the stream ends.
pub async fn relay(mut events: UnboundedReceiver<Event>, mut reporters: Vec<Box<dyn Reporter>>) {
    while let Some(first) = events.recv().await {
        // Verdicts of the cache come by the thousand.
        let rest = std::iter::from_fn(|| events.try_recv().ok()).take(BURST);
        for event in std::iter::once(first).chain(rest) {
            reporters.iter_mut().for_each(|reporter| reporter.event(&event));
        }
        reporters.iter_mut().for_each(|reporter| reporter.flush());
    }
    for reporter in &mut reporters {
        reporter.close();
    }
}
