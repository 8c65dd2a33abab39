//! What the kernels of the guests have said, looked at after the test.

use async_trait::async_trait;
use vtbuild_engine::outcome::Status;

use super::kernel_log::Rules;
use super::{Machines, Problem, Step, error};

/// Prints a kernel's messages with their levels, in every `dmesg` there is. (What programs wrote to the same log has a level
/// mixed with its facility in some of them, and may be missed.)
const COMMAND: &str = "dmesg -r";

/// Reads the kernel log of each Linux guest that still runs.
pub(super) struct GuestLog;

#[async_trait]
impl Step<Machines> for GuestLog {
    async fn clean_up(&mut self, at: &Machines) -> Result<(), Problem> {
        let mut reasons = Vec::new();
        for vm in at.desk.vms() {
            let params = at.params.object(&vm);
            if params.text("os_type") == Some("windows") || !at.desk.is_running(&vm).await {
                continue;
            }
            let rules = Rules::of(&params, "guest").map_err(error)?;
            let log = at.desk.ask(&vm, COMMAND).await;
            let log =
                log.map_err(|problem| error(format!("read the kernel log of {vm}: {}", problem.message)))?;
            let serious = rules.serious(&log);
            if !serious.is_empty() {
                // The reason says the most important; a file that cannot be written is no second one.
                let _ = std::fs::write(at.logs.join(format!("{}.{vm}", rules.file())), serious.join("\n"));
            }
            reasons.extend(rules.reason(&vm, &serious));
        }
        match reasons.as_slice() {
            [] => Ok(()),
            reasons => Err((Status::Error, reasons.join("\n"))),
        }
    }
}
