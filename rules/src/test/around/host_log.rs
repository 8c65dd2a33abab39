//! What the host's kernel says during a test.

use std::time::Duration;

use async_trait::async_trait;
use vtbuild_engine::outcome::Status;
use vtbuild_providers::process::Command;

use super::kernel_log::Rules;
use super::{Host, Problem, Step, error};

const PATIENCE: Duration = Duration::from_secs(30);

/// Remembers where the log ended before the test. Nothing is cleared: other tests and people read the same log.
#[derive(Default)]
pub(super) struct HostLog {
    before: String,
}

#[async_trait]
impl Step<Host> for HostLog {
    async fn set_up(&mut self, at: &Host) -> Result<(), Problem> {
        self.before = read(at).await?;
        Ok(())
    }

    async fn clean_up(&mut self, at: &Host) -> Result<(), Problem> {
        let rules = Rules::of(&at.params, "host").map_err(error)?;
        let now = read(at).await?;
        let serious = rules.serious(new_part(&self.before, &now));
        if !serious.is_empty() {
            // The reason says the most important.
            let _ = std::fs::write(at.logs.join(rules.file()), serious.join("\n"));
        }
        match rules.reason("this host", &serious) {
            Some(reason) => Err((Status::Error, reason)),
            None => Ok(()),
        }
    }
}

async fn read(at: &Host) -> Result<String, Problem> {
    let output = at
        .launcher
        .output(Command::new("dmesg").arg("-r"), PATIENCE)
        .await;
    let output = output.map_err(|problem| error(format!("read this host's kernel log: {problem}")))?;
    if output.exit.success() {
        return Ok(output.stdout);
    }
    Err(error(format!(
        "read this host's kernel log: dmesg said: {} (verify_host_dmesg = no leaves it alone)",
        output.stderr.trim()
    )))
}

/// What came after the last line of `before`; all of it where that line is gone, as the log keeps only so much.
fn new_part<'l>(before: &str, now: &'l str) -> &'l str {
    let Some(last) = before.lines().next_back() else {
        return now;
    };
    match now.rfind(last) {
        Some(at) => &now[at + last.len()..],
        None => now,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_is_looked_at() {
        assert_eq!(
            new_part("<6>[1] a\n<2>[2] b\n", "<2>[2] b\n<2>[3] c\n"),
            "\n<2>[3] c\n"
        );
        assert_eq!(new_part("<6>[1] a\n", "<2>[8] b\n"), "<2>[8] b\n");
        assert_eq!(new_part("", "<2>[8] b\n"), "<2>[8] b\n");
        assert_eq!(new_part("<2>[2] b\n", "<2>[2] b\n").trim(), "");
    }
}
