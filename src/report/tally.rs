//! Counting verdicts, and the lines that say so in the field's shape.

use std::borrow::Cow;

use anstyle::{AnsiColor, Style};
use vtbuild_engine::event::Finished;
use vtbuild_engine::outcome::Status;

/// How many tests ended how.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    counts: [usize; 7],
    /// Verdicts served from the cache.
    pub cached: usize,
}

/// The statuses in the order of the summary line. `CANCEL` is named only when there is one.
const ORDER: [Status; 7] = [
    Status::Pass,
    Status::Error,
    Status::Fail,
    Status::Skip,
    Status::Warn,
    Status::Interrupt,
    Status::Cancel,
];

impl Tally {
    /// Counts one.
    pub fn add(&mut self, finished: &Finished) {
        self.counts[finished.status as usize] += 1;
        self.cached += usize::from(finished.cached);
    }

    /// How many ended with `status`.
    pub fn of(&self, status: Status) -> usize {
        self.counts[status as usize]
    }

    /// How many there are in all.
    pub fn total(&self) -> usize {
        self.counts.iter().sum()
    }

    /// `PASS 3 | ERROR 0 | FAIL 0 | SKIP 0 | WARN 0 | INTERRUPT 0`
    pub fn line(&self) -> String {
        let shown = |status: &&Status| **status != Status::Cancel || self.of(**status) > 0;
        let one = |status: &Status| format!("{} {}", status.word(), self.of(*status));
        ORDER
            .iter()
            .filter(shown)
            .map(one)
            .collect::<Vec<_>>()
            .join(" | ")
    }
}

/// The line of one test: `(1/3) NAME: PASS (31.34 s)`, with the verdict in its colour where that is shown.
pub fn test_line(at: usize, of: usize, finished: &Finished, coloured: bool) -> String {
    let mut line = format!("({at}/{of}) {}: ", finished.label);
    line.push_str(&verdict(finished.status, coloured));
    if finished.attempts > 0 || finished.cached {
        line.push_str(&format!(" ({})", seconds(finished.seconds)));
    }
    if finished.cached {
        line.push_str(" (cached)");
    }
    if finished.attempts > 1 {
        line.push_str(&format!(" (try {})", finished.attempts));
    }
    line
}

/// `31.34 s`
pub fn seconds(seconds: f64) -> String {
    format!("{seconds:.2} s")
}

/// `45 s`, `3 min 20 s`, `2 h 5 min`: for what is not known exactly.
pub fn about(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "`as` saturates, and nothing takes that long"
    )]
    let whole = seconds.round() as u64;
    match whole {
        0..100 if seconds < 10.0 => format!("{seconds:.1} s"),
        0..100 => format!("{whole} s"),
        100..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// The word of a verdict, in its colour where that is shown.
pub fn verdict(status: Status, coloured: bool) -> Cow<'static, str> {
    let word = status.word();
    if !coloured {
        return Cow::Borrowed(word);
    }
    let style = style_of(status);
    Cow::Owned(format!("{style}{word}{style:#}"))
}

/// The colour of a verdict.
fn style_of(status: Status) -> Style {
    let colour = match status {
        Status::Pass => AnsiColor::Green,
        Status::Warn | Status::Skip | Status::Cancel => AnsiColor::Yellow,
        Status::Fail | Status::Error | Status::Interrupt => AnsiColor::Red,
    };
    Style::new().fg_color(Some(colour.into())).bold()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use vtbuild_engine::spec::ActionId;

    use super::*;

    fn finished(status: Status) -> Finished {
        Finished {
            id: ActionId::at(0),
            label: Arc::from("bundled.boot"),
            rule: "test",
            run: 1,
            status,
            cached: false,
            seconds: 31.341,
            reason: None,
            cause: None,
            attempts: 1,
            logs: None,
            audit: None,
        }
    }

    #[test]
    fn the_summary_has_the_field_s_shape() {
        let mut tally = Tally::default();
        for _ in 0..3 {
            tally.add(&finished(Status::Pass));
        }
        assert_eq!(
            tally.line(),
            "PASS 3 | ERROR 0 | FAIL 0 | SKIP 0 | WARN 0 | INTERRUPT 0"
        );
        tally.add(&finished(Status::Cancel));
        assert!(tally.line().ends_with("INTERRUPT 0 | CANCEL 1"));
    }

    #[test]
    fn times_are_as_exact_as_they_are_known() {
        let told = [0.0, 9.94, 12.4, 99.4, 200.0, 7500.0].map(about);
        assert_eq!(
            told,
            ["0.0 s", "9.9 s", "12 s", "99 s", "3 min 20 s", "2 h 5 min"]
        );
    }

    #[test]
    fn a_test_line_names_the_verdict_and_the_time() {
        let plain = |finished: &Finished| {
            let coloured = test_line(1, 3, finished, true);
            let line = test_line(1, 3, finished, false);
            assert!(coloured.contains(&verdict(finished.status, true)[..]));
            assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), line);
            line
        };
        assert_eq!(
            plain(&finished(Status::Pass)),
            "(1/3) bundled.boot: PASS (31.34 s)"
        );
        let cached = Finished {
            cached: true,
            attempts: 0,
            ..finished(Status::Pass)
        };
        assert_eq!(plain(&cached), "(1/3) bundled.boot: PASS (31.34 s) (cached)");
        let skipped = Finished {
            attempts: 0,
            ..finished(Status::Skip)
        };
        assert_eq!(plain(&skipped), "(1/3) bundled.boot: SKIP");
    }
}
