//! A line for each thing that happens: for logs, pipes and CI.

use std::collections::BTreeSet;
use std::io::Write;

use vtbuild_engine::event::{Event, Finished};
use vtbuild_engine::spec::ActionId;

use super::{Heading, Reporter, said, tally};

/// Plain lines on any writer.
pub struct Plain<W: Write + Send> {
    out: W,
    coloured: bool,
    heading: Heading,
    done: usize,
    /// Actions under way that nobody asked for by name.
    preparing: BTreeSet<ActionId>,
}

impl<W: Write + Send> Plain<W> {
    /// Prints the heading. Each line is written in one go, verdicts in their colours where `coloured` says so.
    pub fn new(out: W, coloured: bool, heading: Heading) -> Self {
        let mut plain = Self {
            out,
            coloured,
            heading,
            done: 0,
            preparing: BTreeSet::new(),
        };
        for line in plain.heading.lines.clone() {
            plain.line(line);
        }
        plain.flush();
        plain
    }

    fn line(&mut self, mut line: String) {
        line.push('\n');
        // A reader that went away must not stop the run.
        let _ = self.out.write_all(line.as_bytes());
    }

    fn finished(&mut self, finished: &Finished) {
        if finished.rule == self.heading.wanted_rule {
            self.done += 1;
            let line = tally::test_line(self.done, self.heading.tests, finished, self.coloured);
            self.line(line);
        } else if !finished.cached {
            let verdict = tally::verdict(finished.status, self.coloured);
            let took = tally::seconds(finished.seconds);
            self.line(format!(
                "{} {}: {verdict} ({took})",
                finished.rule, finished.label
            ));
        }
    }
}

impl<W: Write + Send> Reporter for Plain<W> {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started { id, label, rule, .. } if *rule != self.heading.wanted_rule => {
                self.preparing.insert(*id);
                if !self.heading.explain {
                    self.line(format!("{rule} {label}: started"));
                }
            }
            Event::Step { id, label, text } => {
                // What prepares tests takes minutes and is watched; tests are many and have logs of their own.
                if self.heading.explain || self.preparing.contains(id) {
                    self.line(format!("        {label}: {text}"));
                }
            }
            Event::Retried {
                label,
                attempt,
                status,
                reason,
            } => {
                let reason = reason.as_deref().unwrap_or("no reason given");
                self.line(format!(
                    "{label}: {status} on try {attempt}, trying again: {reason}"
                ));
            }
            Event::Finished(finished) => self.finished(finished),
            Event::Planned { .. }
            | Event::Started { .. }
            | Event::Waiting { .. }
            | Event::Notice { .. }
            | Event::Stopping { .. } => {}
        }
        for line in said(event, self.heading.explain) {
            self.line(line);
        }
    }

    fn flush(&mut self) {
        let _ = self.out.flush();
    }

    fn close(&mut self) {}
}
