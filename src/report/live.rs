//! A live view on a terminal: what runs and for how long, what is waited for, how far the whole is.

use std::collections::BTreeMap;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use vtbuild_engine::event::{Event, Finished};
use vtbuild_engine::spec::ActionId;

use super::{Heading, Reporter, said, tally};

/// The live view.
pub struct Live {
    bars: MultiProgress,
    whole: ProgressBar,
    running: BTreeMap<ActionId, ProgressBar>,
    heading: Heading,
    done: usize,
    hits: usize,
}

const TICK: Duration = Duration::from_millis(200);

impl Live {
    /// Prints the heading and the bar of the whole.
    pub fn new(heading: Heading) -> Self {
        let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(8));
        let whole = bars.add(ProgressBar::new(heading.tests as u64));
        let style = ProgressStyle::with_template("[{elapsed_precise}] {bar:24} {pos}/{len} {wide_msg}");
        whole.set_style(style.expect("a template of ours").progress_chars("=> "));
        whole.enable_steady_tick(TICK);
        let live = Self {
            bars,
            whole,
            running: BTreeMap::new(),
            heading,
            done: 0,
            hits: 0,
        };
        for line in &live.heading.lines {
            live.line(line);
        }
        live.count();
        live
    }

    fn line(&self, line: &str) {
        let line = anstream::adapter::strip_str(line).to_string();
        // A terminal that went away must not stop the run.
        let _ = self.bars.println(line);
    }

    fn coloured(&self, line: &str) {
        if anstream::AutoStream::choice(&std::io::stderr()) == anstream::ColorChoice::Never {
            self.line(line);
        } else {
            let _ = self.bars.println(line);
        }
    }

    fn count(&self) {
        self.whole.set_position(self.done as u64);
        let running = self.running.len();
        self.whole
            .set_message(format!("{running} running, {} from the cache", self.hits));
    }

    fn started(&mut self, id: ActionId, text: String, expected: Option<f64>) {
        let bar = self.bars.insert_before(&self.whole, ProgressBar::new_spinner());
        let expected = expected
            .map(|s| format!(" of about {s:.0} s"))
            .unwrap_or_default();
        let template = format!("  {{spinner}} {{elapsed}}{expected}  {{wide_msg}}");
        bar.set_style(ProgressStyle::with_template(&template).expect("a template of ours"));
        bar.set_message(text);
        bar.enable_steady_tick(TICK);
        if let Some(old) = self.running.insert(id, bar) {
            old.finish_and_clear();
        }
    }

    fn finished(&mut self, finished: &Finished) {
        if let Some(bar) = self.running.remove(&finished.id) {
            bar.finish_and_clear();
        }
        self.hits += usize::from(finished.cached);
        if finished.rule == self.heading.wanted_rule {
            self.done += 1;
            self.coloured(&tally::test_line(self.done, self.heading.tests, finished, true));
        } else if !finished.status.lets_followers_run() {
            let (rule, label) = (finished.rule, &finished.label);
            let verdict = tally::verdict(finished.status, true);
            self.coloured(&format!("{rule} {label}: {verdict}"));
        }
    }
}

impl Reporter for Live {
    fn event(&mut self, event: &Event) {
        match event {
            Event::Started {
                id,
                label,
                rule,
                expected,
                ..
            } => self.started(*id, format!("{rule} {label}"), *expected),
            Event::Step { id, label, text } => {
                if let Some(bar) = self.running.get(id) {
                    bar.set_message(format!("{label}: {text}"));
                }
            }
            Event::Retried {
                label,
                attempt,
                status,
                ..
            } => {
                self.line(&format!("{label}: {status} on try {attempt}, trying again"));
            }
            Event::Finished(finished) => self.finished(finished),
            Event::Planned { .. } | Event::Waiting { .. } | Event::Notice { .. } | Event::Stopping { .. } => {
            }
        }
        for line in said(event, self.heading.explain) {
            self.line(&line);
        }
        self.count();
    }

    fn close(&mut self) {
        for bar in std::mem::take(&mut self.running).into_values() {
            bar.finish_and_clear();
        }
        self.whole.finish_and_clear();
    }
}
