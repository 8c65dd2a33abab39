//! The accelerator probe against real QEMU.

mod support;

use std::fs;

use support::{Scratch, launch};
use vtbuild_providers::accel::{Accel, Finding};

/// The tiny guest is run for real, and a second look is served from memory.
#[tokio::test]
async fn the_answer_is_found_and_remembered() {
    let scratch = Scratch::new();
    let launch = launch(&scratch).await;
    let memo = scratch.join("accel.json");
    let finding = Accel::find(&launch.launcher, &launch.qemu, &memo).await.unwrap();
    if fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_err()
    {
        assert_eq!(finding.accel, Accel::Tcg);
        assert!(finding.reason.contains("/dev/kvm"), "{}", finding.reason);
        return;
    }
    assert!(finding.reason.contains("tiny guest"), "{}", finding.reason);
    // What is remembered is believed, so a changed memory is what comes back.
    let text = fs::read_to_string(&memo)
        .unwrap()
        .replace(&finding.reason, "remembered");
    fs::write(&memo, text).unwrap();
    let again = Accel::find(&launch.launcher, &launch.qemu, &memo).await.unwrap();
    assert_eq!(
        again,
        Finding {
            accel: finding.accel,
            reason: "remembered".into()
        }
    );
}
