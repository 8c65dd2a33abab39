//! What a test leaves: its images are looked at, and those that others depend on are taken out.

use vtbuild_engine::outcome::{Outcome, Produced, Status};
use vtbuild_engine::rule::Job;
use vtbuild_providers::desk::OpenImage;
use vtbuild_providers::image::{CheckOutcome, QemuImg};

use super::TestPayload;
use super::folder::DataFolder;
use super::images::ImageUse;

/// Looks at the images and takes out those that are passed on. A problem here turns a pass into an error.
pub(super) async fn look(
    outcome: &mut Outcome,
    job: &Job,
    payload: &TestPayload,
    folder: &DataFolder,
    img: &QemuImg,
) {
    for image in &payload.images {
        let Some(left) = folder.left(image).await else {
            continue;
        };
        // What is as it was made is in order, and `qemu-img check` would take longer than many a test.
        if image.check && !DataFolder::is_untouched(&left) {
            check(outcome, img, &left, image).await;
        }
        if image.published && outcome.status.lets_followers_run() {
            let path = job.scratch.join(format!("made-{}", outcome.outputs.len()));
            match folder.flatten(&left, &image.spec.format, &path).await {
                Ok(()) => outcome.outputs.push(Produced {
                    name: super::images::output_name(&image.spec).to_string(),
                    path,
                }),
                Err(problem) => worse(
                    outcome,
                    Status::Error,
                    format!("failed to keep {}: {problem}", image.role),
                ),
            }
        }
    }
}

async fn check(outcome: &mut Outcome, img: &QemuImg, left: &OpenImage, image: &ImageUse) {
    let (status, problem) = match img.check(&left.file, &left.format).await {
        Ok(CheckOutcome::Good | CheckOutcome::Unsupported) => return,
        Ok(CheckOutcome::Leaks { .. }) if image.may_leak => return,
        Ok(CheckOutcome::Leaks { clusters }) => (
            Status::Warn,
            format!("qemu-img check: {clusters} leaked clusters"),
        ),
        Ok(CheckOutcome::Unfinished { report }) => {
            (Status::Warn, format!("qemu-img check did not finish: {report}"))
        }
        Ok(CheckOutcome::Corrupt { errors, report }) => (
            Status::Error,
            format!("qemu-img check: {errors} errors: {report}"),
        ),
        Err(problem) => (Status::Error, format!("failed to {problem}")),
    };
    worse(outcome, status, format!("{}: {problem}", image.role));
}

/// A problem after the body counts when the body passed; otherwise the body's own reason stands.
pub(super) fn worse(outcome: &mut Outcome, status: Status, reason: String) {
    if outcome.status.lets_followers_run() && status > outcome.status {
        let evidence = std::mem::take(&mut outcome.evidence);
        *outcome = Outcome {
            evidence,
            ..Outcome::ended(status, reason)
        };
    }
}
