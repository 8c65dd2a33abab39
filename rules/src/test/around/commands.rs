//! `pre_command` and `post_command`: what a shell of this host runs before the machines start and after they have ended.

use std::io::Write;

use async_trait::async_trait;
use vtbuild_providers::process::{Command, Limits, OutputError};

use super::{Host, Problem, Step, asked, error, seconds};

pub(in crate::test) const PRE: &str = "pre_command";
pub(in crate::test) const POST: &str = "post_command";
/// Stands before the name of a parameter in the environment.
const EXPORTED: &str = "KVM_TEST_";
/// Seconds that a command may take.
const PATIENCE: f64 = 600.0;
/// How much of a failed command's words goes into the reason.
const SHOWN: usize = 500;

/// Runs both. The second also runs where there is no first.
pub(super) struct Commands;

#[async_trait]
impl Step<Host> for Commands {
    async fn set_up(&mut self, at: &Host) -> Result<(), Problem> {
        run(at, PRE).await
    }

    async fn clean_up(&mut self, at: &Host) -> Result<(), Problem> {
        run(at, POST).await
    }
}

/// Runs the command that a parameter names. Its output goes to a log of its name.
async fn run(at: &Host, key: &str) -> Result<(), Problem> {
    let Some(text) = at.params.text(key) else {
        return Ok(());
    };
    let patience = seconds(&at.params, &format!("{key}_timeout"), PATIENCE)?;
    let optional = asked(&at.params, &format!("{key}_noncritical")).map_err(error)?;
    let limits = Limits::from_params(&at.params).map_err(error)?;
    let mut command = Command::new("sh").args(["-c", text]).dir(&at.logs).limits(limits);
    for (name, value) in at.params.iter() {
        command = command.env(format!("{EXPORTED}{name}"), value);
    }
    let result = match at.launcher.output(command, patience).await {
        Ok(output) => {
            log(
                at,
                key,
                &format!("$ {text}\n{}{}[{}]\n", output.stdout, output.stderr, output.exit),
            );
            if output.exit.success() {
                return Ok(());
            }
            let said = if output.stderr.trim().is_empty() {
                &output.stdout
            } else {
                &output.stderr
            };
            format!("run {key} `{text}`: {}{}", output.exit, last_words(said))
        }
        Err(OutputError::Timeout { stderr, .. }) => {
            log(at, key, &format!("$ {text}\n{stderr}[killed]\n"));
            format!(
                "run {key} `{text}`: it took longer than {} s ({key}_timeout) and was killed",
                patience.as_secs_f64()
            )
        }
        Err(problem) => format!("run {key} `{text}`: {problem}"),
    };
    if optional { Ok(()) } else { Err(error(result)) }
}

fn last_words(said: &str) -> String {
    let said = said.trim();
    let cut = said.char_indices().rev().nth(SHOWN).map_or(0, |(at, _)| at);
    if said.is_empty() {
        String::new()
    } else {
        format!("; it said: {}", &said[cut..])
    }
}

/// A log that cannot be written is no reason to stop.
fn log(at: &Host, key: &str, text: &str) {
    let file = std::fs::File::create(at.logs.join(format!("{key}.log")));
    let _ = file.and_then(|mut file| file.write_all(text.as_bytes()));
}
