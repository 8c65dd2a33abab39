//! JUnit XML. A verdict from the cache keeps its original time and says that it is one.

use std::io::{self, Write};
use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use vtbuild_engine::event::Finished;
use vtbuild_engine::outcome::Status;
use vtbuild_engine::schedule::run::Summary;

use super::JobFolder;

/// Writes the report of a job.
pub fn write(folder: &JobFolder, summary: &Summary, elapsed: f64, out: impl Write) -> io::Result<()> {
    let mut suite = TestSuite::new("vtbuild");
    suite.set_time(duration(elapsed));
    suite.add_test_cases(summary.wanted.iter().map(case));
    let mut report = Report::new(format!("vtbuild {}", folder.id));
    report.set_time(duration(elapsed));
    report.add_test_suite(suite);
    report.serialize(out).map_err(io::Error::other)
}

fn case(finished: &Finished) -> TestCase {
    let mut case = TestCase::new(finished.label.to_string(), verdict(finished));
    case.set_classname(finished.rule);
    case.set_time(duration(finished.seconds));
    if finished.cached {
        case.add_property(("cached", "true"));
    }
    if let Some(logs) = &finished.logs {
        case.add_property(("logs", logs.as_str()));
    }
    case
}

fn verdict(finished: &Finished) -> TestCaseStatus {
    let mut status = match finished.status {
        Status::Pass | Status::Warn => return TestCaseStatus::success(),
        Status::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Status::Error | Status::Interrupt => TestCaseStatus::non_success(NonSuccessKind::Error),
        Status::Skip | Status::Cancel => TestCaseStatus::skipped(),
    };
    status.set_type(finished.status.word());
    if let Some(reason) = &finished.reason {
        status.set_message(reason.clone());
    }
    status
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
