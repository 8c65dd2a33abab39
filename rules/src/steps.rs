//! Programs that make something and say what they are doing: lines `step: …` on their standard output.

use camino::Utf8Path;
use tokio::io::{AsyncBufReadExt, BufReader};
use vtbuild_engine::rule::Job;
use vtbuild_providers::process::{Command, Exit, Launcher, Stream};

/// What of our environment such a program sees besides its own variables: how to find programs and to reach a mirror.
const PASSED: [&str; 10] = [
    "PATH",
    "HOME",
    "LANG",
    "http_proxy",
    "https_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "no_proxy",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
];
/// How many of the last lines of a failed program are quoted.
const QUOTED: usize = 8;

/// Runs `command` in the environment of such programs and passes on the steps that it tells. What it prints is in `log`.
///
/// Variables whose names begin with one of `families` are passed on, too.
pub(crate) async fn run(
    launcher: &Launcher,
    job: &Job,
    command: Command,
    families: &[&str],
    log: &Utf8Path,
) -> Result<Exit, String> {
    let mut command = command.clear_env();
    for (name, value) in std::env::vars() {
        if PASSED.contains(&name.as_str()) || families.iter().any(|family| name.starts_with(family)) {
            command = command.env(name, value);
        }
    }
    let command = command.stdout(Stream::Pipe).stderr(Stream::File(log.to_owned()));
    let mut child = launcher
        .spawn(command)
        .await
        .map_err(|error| format!("failed to {error}"))?;
    let stdout = child
        .take_stdout()
        .expect("standard output was asked for as a pipe");
    let events = job.events.clone();
    let copy = log.to_owned();
    let reader = tokio::spawn(async move {
        let mut lines = BufReader::new(stdout).lines();
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(copy)
            .ok();
        while let Ok(Some(line)) = lines.next_line().await {
            if let Some(step) = line.strip_prefix("step:") {
                events.step(step.trim());
            }
            if let Some(file) = &mut file {
                // The log is for people; the program's own verdict does not hang on it.
                let _ = std::io::Write::write_all(file, format!("{line}\n").as_bytes());
            }
        }
    });
    tokio::select! {
        exit = child.wait() => {
            let _ = reader.await;
            Ok(exit)
        }
        reason = job.cancel.cancelled() => {
            child.kill().await;
            Err(format!("stopped: {reason}"))
        }
    }
}

/// The end of a failed program's log, in one line.
pub(crate) fn last_lines(log: &Utf8Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(QUOTED);
    if lines.is_empty() {
        "it said nothing".to_owned()
    } else {
        lines[from..].join(" | ")
    }
}
